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
from espnet2_taste.speech_decoder.resynthesis import UnitBatch
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
        self.said: list[StreamedWord] = []
        self.timed = self.given = 0  # words

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
            self._add(word)
            yield from self._next(last=False)
        if self.said:
            yield from self._next(last=True)

    def _add(self, word: StreamedWord) -> None:
        """Take a word that this model can speak."""
        item = WordCodes((word.word,), np.asarray(word.codes)[None])
        check_codes(self.name, item, self.tokenizer.encoder.model.tokenizer.quantizer)
        warn_of_unknown(self.name, item.words, self.tokenizer.text_tokenizer)
        self.said.append(word)

    @torch.no_grad()
    def _next(self, last: bool) -> Iterator[SpeechPiece]:
        """What the words so far make final."""
        tokenizer, name = self.tokenizer, self.name
        text = " ".join(word.word for word in self.said)
        ids = tokenizer.encoder.texts([name], [text])
        codes = np.stack([word.codes for word in self.said])
        taste = tokenizer.generator.taste_from_codes([name], ids, [codes])
        inputs = tokenizer.generator.inputs(ids, taste, self.speaker)
        made = self.units.extend(inputs, last)
        wave = self.waves.extend(made.units, last, made.prosody, made.times)
        wave = wave.cpu().numpy()
        later = " ".join(word.word for word in self.said[self.timed :])
        timings = UnitBatch.of([name], [made], self.speaker).timings({name: later})
        new = timings.get(name, ())
        self.timed += len(new)
        if len(wave) or len(made.units) or new:
            rate, units = tokenizer.vocoder.sample_rate, made.units.numpy()
            taken = tuple(self.said[self.given :])
            self.given = len(self.said)
            yield SpeechPiece(wave, rate, units, new, taken)
