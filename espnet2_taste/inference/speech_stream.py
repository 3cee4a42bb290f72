"""Speech while its words arrive.

Enters: words with codes, one after the other, and a speaker. Leaves: pieces of speech.
Units come as early as the unit decoder allows (``AbsUnitDecoder.look_ahead``), samples
as early as the vocoder does (``AbsUnitVocoder.context``); one that needs the whole
utterance gives everything at the end.

Legend: Q codebooks, E speaker features.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from espnet2_taste.inference.inputs import (
    check_codes,
    check_speakers,
    warn_of_unknown,
)
from espnet2_taste.inference.results import SpeechPiece, StreamedWord
from espnet2_taste.inference.resynthesis import UnitBatch
from espnet2_taste.speech_decoder.abs_unit_decoder import GeneratedUnits, UnitInputs
from espnet2_taste.structures import WordCodes

if TYPE_CHECKING:
    from espnet2_taste.inference.taste_tokenizer import TasteTokenizer


class SpeechStream:
    """One utterance, spoken while its words arrive.

    Its units and times together are those of ``TasteTokenizer.decode``; so is the wave,
    exactly with a convolutional vocoder, and with Griffin-Lim but for a ten thousandth
    of its energy.

    Args:
        tokenizer: With a unit vocoder.
        spembs: Speaker, (E,).
        name: Utterance id, on which the random numbers depend.

    Raises:
        ValueError: The speaker is none of this model.
    """

    def __init__(self, tokenizer: "TasteTokenizer", spembs: np.ndarray, name: str):
        vocoder = tokenizer.vocoder
        speaker = check_speakers([name], np.asarray(spembs)[None], vocoder.spembs_size)
        self.tokenizer = tokenizer
        self.name = name
        self.speaker = torch.from_numpy(speaker)
        self.units = tokenizer.generator.stream(name)
        self.waves = vocoder.stream(self.speaker.to(tokenizer.encoder.device))
        self.taken: list[StreamedWord] = []  # since the last piece
        self.untimed: list[str] = []  # words without times yet
        self.last: StreamedWord | None = None

    def pieces(self, words: Iterable[StreamedWord]) -> Iterator[SpeechPiece]:
        """Speak words.

        Args:
            words: With codes (Q,); one is taken when what is final was given away.

        Yields:
            Pieces, none of them empty.

        Raises:
            ValueError: A word or its codes are none of this model.
        """
        for word in words:
            self._check(word)
            yield from self._next(self.units.extend(self._inputs(word)), last=False)
        if self.last is not None:
            yield from self._next(self.units.finish(), last=True)

    def _check(self, word: StreamedWord) -> None:
        """Refuse a word that this model cannot speak."""
        item = WordCodes((word.word,), np.asarray(word.codes)[None])
        check_codes(self.name, item, self.tokenizer.encoder.model.tokenizer.quantizer)
        warn_of_unknown(self.name, item.words, self.tokenizer.text_tokenizer)

    def _inputs(self, word: StreamedWord) -> UnitInputs:
        """A word as the unit decoder reads it; the first one may be written unlike."""
        known = [word] if self.last is None else [self.last, word]
        tokenizer, names = self.tokenizer, [self.name]
        ids = tokenizer.encoder.texts(names, [" ".join(item.word for item in known)])
        codes = np.stack([item.codes for item in known])
        taste = tokenizer.generator.taste_from_codes(names, ids, [codes])
        inputs = tokenizer.generator.inputs(ids, taste, self.speaker)
        self.last = word
        self.taken.append(word)
        self.untimed.append(word.word)
        return inputs.from_word(len(known) - 1)

    @torch.no_grad()
    def _next(self, made: GeneratedUnits, last: bool) -> Iterator[SpeechPiece]:
        """A piece with further units, unless it would be empty."""
        wave = self.waves.extend(made.units, last, made.prosody, made.times)
        wave = wave.cpu().numpy()
        batch = UnitBatch.of([self.name], [made], self.speaker)
        timings = batch.timings({self.name: " ".join(self.untimed)})
        new = timings.get(self.name, ())
        if len(wave) or len(made.units) or new:
            rate, taken = self.tokenizer.vocoder.sample_rate, tuple(self.taken)
            self.taken, self.untimed = [], self.untimed[len(new) :]
            yield SpeechPiece(wave, rate, made.units.numpy(), new, taken)
