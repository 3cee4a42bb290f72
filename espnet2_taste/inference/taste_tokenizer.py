"""A trained TASTE tokenizer for users: speech to words with codes, and back.

Enters: waveforms (S,), with transcripts or without; words with codes (W, Q) and a
speaker. Leaves: ``SpeechTokens``; ``DecodedSpeech``. Legend: B utterances, S samples,
W words, Q codebooks, U units, E speaker features. README.md has an example.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from espnet2_taste.align.abs_aligner import AbsAligner, AlignedUtterance
from espnet2_taste.experiment_files import config_of, read_config
from espnet2_taste.inference import editing, long_audio
from espnet2_taste.inference.inputs import (
    Speech,
    check_codes,
    check_speakers,
    model_digest,
    warn_of_unknown,
    word_times,
)
from espnet2_taste.inference.loading import load_unit_vocoder
from espnet2_taste.inference.packages import Pretrained
from espnet2_taste.inference.results import (
    DecodedSpeech,
    SpeechPiece,
    SpeechTokens,
    StreamedWord,
    decoded_speech,
    utterance_names,
)
from espnet2_taste.inference.resynthesis import UnitBatch
from espnet2_taste.inference.sampling_options import UnitSampling
from espnet2_taste.inference.settings import InferenceSettings, changed
from espnet2_taste.inference.speech_stream import SpeechStream
from espnet2_taste.inference.speech_tokenizer import AbsSpeechTokenizer
from espnet2_taste.inference.taste_encoder import TasteEncoder
from espnet2_taste.recognizers.choices import load_recognizer, recognizer_of
from espnet2_taste.structures import WordCodes, WordTiming
from espnet2_taste.tasks.fitting import check_speakable
from espnet2_taste.units.batches import SpeechBatch
from espnet2_taste.units.unit_exp import load_speaker_embedder


class TasteTokenizer(Pretrained, AbsSpeechTokenizer):
    """Speech and text <-> words with TASTE codes.

    Args:
        taste_train_config: ``config.yaml`` of the TASTE experiment.
        taste_model_file: Its checkpoint; beside it by default.
        unit_vocoder_config: ``config.yaml`` of the unit vocoder; without it nothing is
            spoken.
        unit_vocoder_file: Its weights; beside it by default.
        units_config: ``config.yaml`` of the unit directory; without it speakers must
            be given as embeddings.
        recognizer: Times words and recognises what comes without text, see
            ``recognizers.choices``; that of the TASTE encoder by default. Where the
            tokenizer times words itself (``word_timer``), its times are given.
        inference_config: Settings of a package; the published ones without.
        device: Where the networks run.
        sampling: How units are drawn, or single values that differ from the settings,
            by their name in ``UnitSampling``.
        window: Longest audio, in seconds, that is encoded at once; longer audio is cut
            between words.
        min_alignment: Utterances whose ``SpeechTokens.alignment`` is lower are refused.
    """

    def __init__(
        self,
        taste_train_config: str | Path,
        taste_model_file: str | Path | None = None,
        unit_vocoder_config: str | Path | None = None,
        unit_vocoder_file: str | Path | None = None,
        units_config: str | Path | None = None,
        recognizer: str | Path | None = None,
        inference_config: str | Path | None = None,
        device: str = "cpu",
        sampling: UnitSampling | Mapping[str, Any] | None = None,
        window: float = 30.0,
        min_alignment: float = 0.0,
    ):
        self._place = (taste_train_config, recognizer, device)
        self.window = window
        self.min_alignment = min_alignment
        self.encoder = TasteEncoder.from_exp(
            taste_train_config, taste_model_file, device
        )
        self.settings = InferenceSettings.read(inference_config)
        self.sampling = changed(self.settings.units, sampling)
        self.generator = self.sampling.generator(self.encoder)
        self.text_tokenizer = self.encoder.preprocessor.tokenizer
        if unit_vocoder_config is not None:
            self.vocoder = load_unit_vocoder(
                unit_vocoder_config, device, unit_vocoder_file
            )
            places = (taste_train_config, unit_vocoder_config)
            check_speakable(self.encoder.model.unit_decoder, self.vocoder, *places)
        if units_config is not None:
            self.embedder = load_speaker_embedder(units_config).to(device)

    @cached_property
    def digest(self) -> str:
        """Which model codes belong to; see ``inputs.model_digest``."""
        return model_digest(self.encoder.model.tokenizer.quantizer)

    @property
    def sample_rate(self) -> int:
        """Rate of the waveforms that enter, Hz."""
        return self.encoder.sample_rate

    @cached_property
    def aligner(self) -> AbsAligner:
        """Times words and recognises speech.

        Raises:
            RuntimeError: No recognizer is given and the TASTE encoder belongs to none.
        """
        config, place, device = self._place
        options = {"recognizer": place} if place else read_config(config_of(config))
        recognizer = load_recognizer(*recognizer_of(options))
        return recognizer.aligner(device, self.window)

    def encode_batch(
        self,
        speech: Sequence[Speech],
        texts: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
        timings: bool = True,
    ) -> list[SpeechTokens]:
        """Tokenize utterances of any length; each gets what it would get alone.

        Args:
            speech: B waveforms (S,) at ``sample_rate``, audio files, or pairs of
                samples and their rate.
            texts: Their transcripts, normalised as those of the training were;
                recognised when None.
            names: Utterance ids for errors; "0", "1", ... by default.
            timings: Whether word times are wanted; audio longer than the window is
                timed in any case.

        Returns:
            Words, codes (W, Q) and times of each utterance.

        Raises:
            ValueError: A waveform or text cannot be used.
            RuntimeError: A recognizer is needed and there is none.
        """
        names = utterance_names(names, len(speech))
        waves, texts, doubtful = self._read(speech, texts, names)
        seconds = [len(wave) / self.sample_rate for wave in waves]
        aligned = [AlignedUtterance(())] * len(waves)
        if timings or max(seconds) > self.window:
            aligned = self._align(waves, texts, names, doubtful)
        pieces = [
            (
                long_audio.cut_at_words(item.words, length, self.window)
                if length > self.window
                else [long_audio.WordPiece(0, len(text.split()), 0.0, length)]
            )
            for item, length, text in zip(aligned, seconds, texts)
        ]
        found = []
        encoded = self._encode_pieces(names, waves, texts, pieces)
        for item, cuts, rows in zip(aligned, pieces, encoded):
            parts, times = zip(*rows)
            found.append(
                SpeechTokens(
                    *long_audio.join_pieces(parts),
                    long_audio.timed_anew(item.words, cuts, times),
                    self.digest,
                    item.score,
                    item.word_scores,
                )
            )
        return found

    def _encode_pieces(
        self,
        names: Sequence[str],
        waves: Sequence[np.ndarray],
        texts: Sequence[str],
        pieces: Sequence[Sequence[long_audio.WordPiece]],
    ) -> list[list[tuple[WordCodes, np.ndarray]]]:
        """Codes of the pieces of each utterance, as many at once as utterances.

        Beside them the times of the words in their piece, see ``TasteEncoder.timed``.
        """
        rate, flat = self.sample_rate, []
        for name, wave, text, cuts in zip(names, waves, texts, pieces):
            words = text.split()
            for number, piece in enumerate(cuts):
                label = f"{name} (piece {number})" if number else name
                part = wave[round(piece.begin * rate) : round(piece.end * rate)]
                flat.append((label, part, " ".join(words[piece.first : piece.last])))
        found = []
        for start in range(0, len(flat), len(waves)):
            labels, parts, lines = zip(*flat[start : start + len(waves)])
            batch = SpeechBatch.from_arrays(dict(zip(labels, parts)))
            found += self.encoder.timed(batch, list(lines))
        rows = iter(found)
        return [[next(rows) for _ in cuts] for cuts in pieces]

    def decode(
        self,
        tokens: WordCodes,
        spembs: np.ndarray,
        name: str = "0",
        timings: Sequence[WordTiming] | None = None,
    ) -> DecodedSpeech:
        """Speak one utterance, its speaker (E,); see :meth:`decode_batch`."""
        times = None if timings is None else [timings]
        return self.decode_batch([tokens], np.asarray(spembs)[None], [name], times)[0]

    def decode_batch(
        self,
        items: Sequence[WordCodes],
        spembs: np.ndarray,
        names: Sequence[str] | None = None,
        timings: Sequence[Sequence[WordTiming]] | None = None,
    ) -> list[DecodedSpeech]:
        """Speak utterances; each gets what it would get alone.

        Args:
            items: B utterances as words (W,) with codes (W, Q).
            spembs: Their speakers, (B, E).
            names: Utterance ids, on which the random numbers depend.
            timings: When each word is said, in place of what the unit decoder predicts.

        Returns:
            Waveform and units of each utterance, and the times of its words if the
            decoder knows them.

        Raises:
            RuntimeError: The model was loaded without a unit vocoder.
            ValueError: Words, codes or speakers are none of this model; times differ
                from the words in number, or the unit decoder predicts none.
        """
        self._check_vocoder()
        names = utterance_names(names, len(items))
        quantizer = self.encoder.model.tokenizer.quantizer
        for name, item in zip(names, items):
            check_codes(name, item, quantizer)
            warn_of_unknown(name, item.words, self.text_tokenizer)
        voices = check_speakers(names, spembs, self.vocoder.spembs_size)
        ids = self.encoder.texts(names, [item.text for item in items])
        taste = self.generator.taste_from_codes(names, ids, [i.codes for i in items])
        speakers = torch.from_numpy(voices)
        times = word_times(names, items, timings, self.encoder.device)
        units = self.generator(names, ids, taste, speakers, times)
        batch = UnitBatch.of(names, units, speakers)
        return decoded_speech(self.vocoder, batch, [item.text for item in items])

    def stream(
        self, words: Iterable[StreamedWord], spembs: np.ndarray, name: str = "0"
    ) -> Iterator[SpeechPiece]:
        """Speak words while they arrive, to a speaker (E,); see ``SpeechStream``.

        Errors are those of :meth:`decode_batch`.
        """
        self._check_vocoder()
        return SpeechStream(self, spembs, name).pieces(words)

    def with_sampling(self, **values) -> "TasteTokenizer":
        """The same networks; single values of ``UnitSampling`` differ."""
        other = copy(self)
        other.sampling = changed(self.sampling, values)
        other.generator = other.sampling.generator(self.encoder)
        return other

    swap = staticmethod(editing.swap_words)
    copy = staticmethod(editing.copy_words)

    def scale(self, *args, **kwargs) -> SpeechTokens:
        """Make words more (or less) pronounced; see ``editing.scale_words``."""
        quantizer = self.encoder.model.tokenizer.quantizer
        return editing.scale_words(quantizer, *args, **kwargs)

    def mix(self, *args) -> SpeechTokens:
        """Words between two readings; see ``editing.mix_words``."""
        return editing.mix_words(self.encoder.model.tokenizer.quantizer, *args)
