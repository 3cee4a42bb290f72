"""What the inference classes return.

Legend: W words, Q codebooks, S samples, U units. Arrays are on the CPU.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from espnet2_taste.inference.resynthesis import UnitBatch, speak
from espnet2_taste.structures import WordCodes, WordTiming
from espnet2_taste.vocoder.abs_vocoder import AbsUnitVocoder


@dataclass(frozen=True)
class SpeechTokens(WordCodes):
    """An utterance as words with TASTE codes, and where its words were spoken.

    Attributes:
        words: W words.
        codes: (W, Q) int64.
        timings: Start and duration of each word in seconds, W of them, or none if they
            were not asked for, or the words were not spoken yet.
        model: Which model's codes they are (``inputs.model_digest``); "" if unknown.
        alignment: How well text and speech belong together, 0 to 1; nan without times.
        word_alignment: The same of each word, by its least likely token, W of them or
            none; see ``align.ctc.token_confidence`` and
            ``align.whisper_aligner.relative_probability``.
    """

    timings: tuple[WordTiming, ...] = ()
    model: str = ""
    alignment: float = math.nan
    word_alignment: tuple[float, ...] = ()


@dataclass(frozen=True)
class UnitTokens:
    """An utterance as words and units.

    Attributes:
        words: W words; none where a design writes none.
        units: (U,) int64.
        timings: Start and duration of each word in seconds; none of what was not
            spoken yet.
    """

    words: tuple[str, ...]
    units: np.ndarray
    timings: tuple[WordTiming, ...] = ()

    @property
    def text(self) -> str:
        """Words joined by spaces."""
        return " ".join(self.words)

    @property
    def fields(self) -> dict:
        """What a preprocessor reads of them."""
        times = [t for word in self.timings for t in (word.start, word.end)]
        return {"text": self.text, "units": self.units, "word_times": times}


@dataclass(frozen=True)
class DecodedSpeech:
    """Speech of one utterance.

    Attributes:
        wave: Samples, (S,) float32.
        sample_rate: Samples a second.
        units: Units it was made from, (U,) int64.
        timings: Start and duration of each word in seconds, or none if the unit
            decoder does not know them.
    """

    wave: np.ndarray
    sample_rate: int
    units: np.ndarray
    timings: tuple[WordTiming, ...] = ()


def decoded_speech(
    vocoder: AbsUnitVocoder, batch: UnitBatch, texts: Sequence[str]
) -> list[DecodedSpeech]:
    """Speak units.

    Args:
        vocoder: On the device where it speaks.
        batch: Units of B utterances.
        texts: What they say.

    Returns:
        Waveform, units and word times of each utterance.
    """
    timings = batch.timings(dict(zip(batch.names, texts)))
    waves, rate = speak(vocoder, batch), vocoder.sample_rate
    return [
        DecodedSpeech(wave, rate, row.cpu().numpy(), timings.get(name, ()))
        for name, wave, row in zip(batch.names, waves, batch.units)
    ]


@dataclass(frozen=True)
class StreamedWord:
    """One word of a continuation, as soon as it is known.

    Attributes:
        word: The word.
        codes: (Q,) int64.
    """

    word: str
    codes: np.ndarray


@dataclass(frozen=True)
class SpeechPiece:
    """The next piece of speech that is still being made; any part may be empty.

    Attributes:
        wave: The next samples, (S,) float32.
        sample_rate: Samples a second.
        units: Units that are final now, (U,) int64; their samples come now or later.
        timings: Start, from the beginning of the speech, and duration in seconds of
            words that are final now, if the unit decoder knows them.
        words: Words that were taken since the last piece.
    """

    wave: np.ndarray
    sample_rate: int
    units: np.ndarray
    timings: tuple[WordTiming, ...] = ()
    words: tuple[StreamedWord, ...] = ()


def joined_pieces(
    pieces: Sequence[SpeechPiece], model: str = ""
) -> tuple[SpeechTokens, DecodedSpeech]:
    """Words with codes and speech of an utterance.

    Args:
        pieces: All of it, at least one.
        model: See ``SpeechTokens``.
    """
    said = [word for piece in pieces for word in piece.words]
    codes = np.stack([word.codes for word in said])
    tokens = SpeechTokens(tuple(word.word for word in said), codes, model=model)
    return tokens, DecodedSpeech(
        np.concatenate([piece.wave for piece in pieces]),
        pieces[0].sample_rate,
        np.concatenate([piece.units for piece in pieces]),
        tuple(timing for piece in pieces for timing in piece.timings),
    )


@dataclass(frozen=True)
class SpeechScore:
    """How likely one utterance is; higher is likelier.

    ``text``, ``base_text`` and ``speech_nats`` are natural log-likelihoods. ``speech``
    is what the consistency tests compare, in the unit that ``speech_unit`` names; it
    compares utterances of one model, and so do the sums and means with it.

    Attributes:
        text: Of the text tokens, the end included, summed (nats).
        speech: Of the codes, summed, in ``speech_unit``.
        both: Sum of the two.
        text_mean: A text token (nats).
        speech_mean: A word.
        both_mean: Mean of the two means.
        base_text: Of the text by the text LM that the model began from, summed (nats);
            nan without text, or where training changed it and kept no copy.
        speech_nats: Log-likelihood of the codes, summed; a log-density where the head
            predicts vectors.
        both_nats: ``text`` and ``speech_nats`` together.
        speech_unit: "nats", or "minus training loss" of heads that predict vectors.
    """

    text: float
    speech: float
    both: float
    text_mean: float
    speech_mean: float
    both_mean: float
    base_text: float
    speech_nats: float
    both_nats: float
    speech_unit: str


def utterance_names(names: Sequence[str] | None, count: int) -> list[str]:
    """The given ids, or "0", "1", ..."""
    return [str(index) for index in range(count)] if names is None else list(names)
