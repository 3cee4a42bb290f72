"""What users give is made usable, or refused by the name of its utterance.

Enters: recordings, texts, words with codes, speakers. Leaves: what the networks read.
Legend: B utterances, S samples, W words, Q codebooks, K codes, E speaker features.
"""

import hashlib
import logging
import os
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.align.abs_aligner import AlignedUtterance
from espnet2_taste.structures import WordCodes, WordTiming
from espnet2_taste.text.abs_tokenizer import AbsTextTokenizer
from espnet2_taste.text.preparation import TextRules

Speech = np.ndarray | str | os.PathLike | tuple[np.ndarray, int]
"""Samples at the model's rate, an audio file, or samples and their rate in Hz."""
LOUDEST = 8.0
"""Floats may leave [-1, 1] a little; what is louder was never scaled."""
DOUBTFUL = 0.5
"""Alignment below which text and speech rarely belong together. On mini_espeak, 80
utterances with their own texts have .83 to 1; with the text of another, noise, silence
or a wrong sample rate all but one of 319 have 0 to .40. With whisper-tiny.en, 34 real
utterances have .58 to 1; with the text of another (34) or noise (44) 0 to .37; of 22
that are twice too fast 17 are below .5."""


def waveform(name: str, speech: Speech, sample_rate: int) -> np.ndarray:
    """Samples of one utterance.

    Args:
        name: Utterance id, for errors.
        speech: See ``Speech``.
        sample_rate: Of the model, Hz.

    Returns:
        (S,) float32 at ``sample_rate``.

    Raises:
        ValueError: It is unreadable, not mono, empty, silent, not finite or not scaled.
    """
    from espnet2_taste.data.audio import SILENCE_PEAK, load_speech, resample

    if isinstance(speech, (str, os.PathLike)):
        try:
            return load_speech(speech, sample_rate)
        except ValueError as error:
            raise ValueError(f"utterance '{name}': {speech}: {error}") from error
    rate = sample_rate
    if isinstance(speech, tuple):
        speech, rate = speech
    wave, peak = np.asarray(speech), 0.0
    found = f"{wave.dtype} of shape {wave.shape}, rate {rate}"
    finite = wave.dtype.kind == "f" and np.isfinite(wave).all()
    if finite and wave.ndim == 1 and wave.size:
        peak = float(np.abs(wave).max())
        found += f", peak {peak:g}"
    if peak == 0.0 or peak > LOUDEST or int(rate) != rate or rate <= 0:
        raise ValueError(
            f"utterance '{name}': expected a mono waveform (S,) of finite floats in "
            f"[-1, 1] with some sound, at a rate in Hz; found {found}; "
            "divide int16 by 32768, mix channels down, drop empty and silent ones"
        )
    if peak < SILENCE_PEAK:
        raise ValueError(f"utterance '{name}': it is silent (peak {peak:g})")
    return resample(wave.astype(np.float32), int(rate), sample_rate)


def normal_text(
    name: str, text: str, rules: TextRules, tokenizer: AbsTextTokenizer
) -> str:
    """A transcript as the model was trained on.

    Args:
        name: Utterance id, for errors.
        text: As written.
        rules: Of the training set.
        tokenizer: Of the model.

    Returns:
        Words separated by single spaces.

    Raises:
        ValueError: Nothing that can be spoken is left, or the vocabulary cannot write
            a word.
    """
    words = rules.function()(text).words
    if not words:
        raise ValueError(f"utterance '{name}': no word in '{text}'; give its words")
    unknown = tokenizer.unwritable(words)
    if unknown:
        raise ValueError(
            f"utterance '{name}': the model's vocabulary cannot write '{unknown[0]}' "
            f"({len(unknown)} such words); write it as it is spoken, numbers in words"
        )
    return " ".join(words)


def warn_of_unknown(
    name: str, words: Sequence[str], tokenizer: AbsTextTokenizer
) -> None:
    """Log words, e.g. of a language model, that are spoken as unknown tokens.

    Args:
        name: Utterance id.
        words: W words.
        tokenizer: Of the model that speaks them.
    """
    unknown = tokenizer.unwritable(words)
    if unknown:
        logging.warning(
            "utterance '%s': the vocabulary of the unit decoder cannot write %s; it "
            "speaks them as unknown tokens",
            name,
            ", ".join(f"'{word}'" for word in unknown),
        )


def check_alignment(
    name: str, item: AlignedUtterance, least: float, doubtful: float = DOUBTFUL
) -> None:
    """Refuse, or log, a text that does not belong to its speech.

    Args:
        name: Utterance id, for errors.
        item: Its alignment.
        least: Score below which it is refused.
        doubtful: Score below which it is logged.

    Raises:
        ValueError: It could not be aligned, or the score is too low.
    """
    problem = item.problem
    if item.score < least:
        problem = f"its alignment of {item.score:.2f} is below {least:g}"
    if problem:
        raise ValueError(
            f"utterance '{name}': {problem}; check that text and speech belong together"
        )
    if item.doubtful and item.score >= doubtful:
        logging.warning(
            "utterance '%s': these words of its text were probably not said: %s",
            name,
            ", ".join(f"{item.words[i].word} ({i + 1})" for i in item.doubtful),
        )
    if item.score < doubtful:
        logging.warning(
            "utterance '%s': its text and speech may not belong together, its sample "
            "rate may be wrong, or it may hold no speech (alignment %.2f)",
            name,
            item.score,
        )


def model_digest(quantizer) -> str:
    """Says which codes belong to which model.

    Args:
        quantizer: ``AbsQuantizer``.

    Returns:
        Sixteen hexadecimal digits, the same for TASTE and TASLMs over its codes.
    """
    kind = (type(quantizer).__name__, quantizer.num_codebooks, quantizer.codebook_size)
    digest = hashlib.sha256(repr(kind).encode())
    for key, value in sorted(quantizer.state_dict().items()):
        digest.update(
            key.encode() + value.detach().cpu().contiguous().numpy().tobytes()
        )
    return digest.hexdigest()[:16]


def check_codes(name: str, item: WordCodes, quantizer) -> None:
    """Refuse words and codes that a model cannot have made.

    Args:
        name: Utterance id, for the error.
        item: Words with codes (W, Q).
        quantizer: ``AbsQuantizer`` of the model.

    Raises:
        ValueError: Words and codes differ in number, codes are out of range, or they
            come from another model.
    """
    codes = np.asarray(item.codes)
    if len(item.words) != len(codes):
        raise ValueError(
            f"utterance '{name}': {len(item.words)} words with {len(codes)} rows of "
            "codes; give one row a word"
        )
    count, size = quantizer.num_codebooks, quantizer.codebook_size
    shape = (len(item.words), count)
    whole = codes.shape == shape and np.array_equal(codes, np.floor(codes))
    if not whole or (codes < 0).any() or (codes >= size).any():
        extent = f"{codes.min()} to {codes.max()}" if codes.size else "none"
        raise ValueError(
            f"utterance '{name}': expected codes of shape {shape}, 0 to {size - 1}, "
            f"found shape {codes.shape} and values {extent}; tokenize the speech with "
            "this model"
        )
    made = getattr(item, "model", "")
    if made and made != (model := model_digest(quantizer)):
        raise ValueError(
            f"utterance '{name}': these codes were made by another model ({made}, not "
            f"{model}); tokenize the speech with this one"
        )


def check_speakers(names: Sequence[str], spembs: np.ndarray, size: int) -> np.ndarray:
    """Speaker embeddings of a batch.

    Args:
        names: B utterance ids, for errors.
        spembs: (B, E).
        size: E of the model.

    Returns:
        (B, E) float32.

    Raises:
        ValueError: Another shape, or values that are no numbers.
    """
    vectors = np.asarray(spembs, dtype=np.float32)
    if vectors.shape != (len(names), size):
        raise ValueError(
            f"utterance '{names[0]}': expected speaker embeddings of shape "
            f"{(len(names), size)}, found {vectors.shape}; use embed_speaker of this "
            "model"
        )
    for name, vector in zip(names, vectors):
        if not np.isfinite(vector).all():
            raise ValueError(
                f"utterance '{name}': its speaker embedding holds NaN or infinite "
                "values; embed another recording of the voice"
            )
    return vectors


def word_times(
    names: Sequence[str],
    items: Sequence[WordCodes],
    timings: Sequence[Sequence[WordTiming]] | None,
    device: torch.device,
) -> torch.Tensor | None:
    """Given times of the words of a batch.

    Args:
        names: B utterance ids, for errors.
        items: Utterances of W words.
        timings: Their times, or None.
        device: Of the model.

    Returns:
        Begin and end in seconds, (B, W, 2), or None.

    Raises:
        ValueError: An utterance has more or fewer times than words.
    """
    if timings is None:
        return None
    for name, item, given in zip(names, items, timings, strict=True):
        if len(item.words) != len(given):
            raise ValueError(
                f"utterance '{name}': {len(item.words)} words with {len(given)} times; "
                "give one a word"
            )
    rows = [torch.tensor([[t.start, t.end] for t in given]) for given in timings]
    return pad_sequence(rows, batch_first=True).to(device)
