"""Speech while its words arrive.

Enters: words with codes, one after the other, and a speaker. Leaves: pieces of speech.
Units come as early as the unit decoder allows (``AbsUnitDecoder.look_ahead``), samples
as early as the vocoder does (``AbsUnitVocoder.context``); one that needs the whole
utterance gives everything at the end.

Legend: Q codebooks, E speaker features.
"""

import logging
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
from espnet2_taste.speech_decoder.abs_unit_decoder import (
    AbsUnitDecoder,
    GeneratedUnits,
    LookAhead,
    UnitInputs,
)
from espnet2_taste.structures import WordCodes
from espnet2_taste.vocoder.abs_vocoder import AbsUnitVocoder

if TYPE_CHECKING:
    from espnet2_taste.inference.taste_tokenizer import TasteTokenizer


def words_at_first(ahead: LookAhead | None, context: int | None) -> int:
    """How many words are worked on together at first, since fewer give no samples.

    Args:
        ahead: Of the unit decoder.
        context: Units that the vocoder needs behind those it speaks.

    Returns:
        As many as are waited for, at their usual length; 1 where all speech comes at
        the end.
    """
    if ahead is None or context is None:
        return 1
    return ahead.words(context)


def warn_of_waiting(
    name: str, decoder: AbsUnitDecoder, vocoder: AbsUnitVocoder
) -> None:
    """Log what needs a whole utterance, so that its speech comes at the end."""
    line = "utterance '%s': all speech comes at the end, since %s %s needs %s: %s"
    if decoder.look_ahead is None:
        needs, remedy = "the whole text", "train one of unit_decoder: aligned"
        kind = type(decoder).__name__
        logging.warning(line, name, "unit decoder", kind, needs, remedy)
    if vocoder.context is None:
        kind, remedy = type(vocoder).__name__, vocoder.streaming_remedy
        logging.warning(line, name, "vocoder", kind, "all units", remedy)


class SpeechStream:
    """One utterance, spoken while its words arrive.

    Its units and times together are those of ``TasteTokenizer.decode``; so is the wave,
    exactly with a convolutional vocoder, and with Griffin-Lim but for a thousandth of
    its energy; with trained models it is some millionths.

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
        decoder = tokenizer.generator.encoder.model.unit_decoder
        warn_of_waiting(name, decoder, vocoder)
        self.wanted = words_at_first(decoder.look_ahead, vocoder.context)
        self.waiting: list[StreamedWord] = []  # fewer than wanted
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
            self.waiting.append(word)
            if len(self.waiting) == self.wanted:
                self.wanted = 1
                yield from self._next(self.units.extend(self._inputs()), last=False)
        if self.waiting:
            yield from self._next(self.units.extend(self._inputs()), last=False)
        if self.last is not None:
            yield from self._next(self.units.finish(), last=True)

    def _check(self, word: StreamedWord) -> None:
        """Refuse a word that this model cannot speak."""
        item = WordCodes((word.word,), np.asarray(word.codes)[None])
        check_codes(self.name, item, self.tokenizer.encoder.model.tokenizer.quantizer)
        warn_of_unknown(self.name, item.words, self.tokenizer.text_tokenizer)

    def _inputs(self) -> UnitInputs:
        """Waiting words as the unit decoder reads them.

        The first word of a text may be written unlike the others.
        """
        new, before = self.waiting, [] if self.last is None else [self.last]
        known = before + new
        tokenizer, names = self.tokenizer, [self.name]
        ids = tokenizer.encoder.texts(names, [" ".join(item.word for item in known)])
        codes = np.stack([item.codes for item in known])
        taste = tokenizer.generator.taste_from_codes(names, ids, [codes])
        inputs = tokenizer.generator.inputs(ids, taste, self.speaker)
        self.last, self.waiting = new[-1], []
        self.taken += new
        self.untimed += [item.word for item in new]
        return inputs.from_word(len(before))

    @torch.no_grad()
    def _next(self, made: GeneratedUnits, last: bool) -> Iterator[SpeechPiece]:
        """A piece with further units, unless it would be empty."""
        units = made.units if made.mixture is None else made.mixture
        wave = self.waves.extend(units, last, made.prosody, made.times)
        wave = wave.cpu().numpy()
        batch = UnitBatch.of([self.name], [made], self.speaker)
        timings = batch.timings({self.name: " ".join(self.untimed)})
        new = timings.get(self.name, ())
        if len(wave) or len(made.units) or new:
            rate, taken = self.tokenizer.vocoder.sample_rate, tuple(self.taken)
            self.taken, self.untimed = [], self.untimed[len(new) :]
            yield SpeechPiece(wave, rate, made.units.numpy(), new, taken)
