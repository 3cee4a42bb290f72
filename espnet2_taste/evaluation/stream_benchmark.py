"""How soon speech begins with a language model of any size.

Enters: a packed TASLM, whose unit decoder and vocoder speak, a recording, and the sizes
of a random language model. Leaves: seconds. A random model writes no words that can be
spoken: it reads and chooses a row a word, and each row brings a word with codes that
the trained model wrote.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from espnet2_taste.evaluation.benchmark import (
    LmSize,
    make_generator,
    make_prompts,
    make_taslm,
)
from espnet2_taste.evaluation.speaking import stream_speed
from espnet2_taste.inference.results import SpeechPiece, SpeechTokens, StreamedWord
from espnet2_taste.inference.spoken_lm import SpokenLM
from espnet2_taste.inference.taste_tokenizer import TasteTokenizer
from espnet2_taste.slm.generator import Generator
from espnet2_taste.slm.sampling import UniformStreams
from espnet2_taste.structures import WordCodes

WORDS = 30


class RandomWriter:
    """What ``stream_speed`` needs of a ``SpokenLM``, with a random language model.

    Args:
        tokenizer: Of the package.
        generator: Writes as many words as are spoken.
        spoken: Words with codes in their place.
    """

    def __init__(
        self,
        tokenizer: TasteTokenizer,
        generator: Generator,
        spoken: SpeechTokens,
    ):
        self.tokenizer, self.generator, self.spoken = tokenizer, generator, spoken
        self.prompts = make_prompts(generator.core, 1)

    def words(self) -> Iterator[StreamedWord]:
        """Each word at the row that brings its codes."""
        known = map(StreamedWord, self.spoken.words, self.spoken.codes)
        streams = UniformStreams.from_ids(["0"], 0)
        for batch in self.generator.trace(self.prompts, streams):
            if (batch.codes >= 0).all():
                yield next(known)

    def continue_(self, prompt: WordCodes) -> SpeechTokens:
        """The words, after all rows; any prompt is of as many words."""
        words = [word.word for word in self.words()]
        codes = self.spoken.codes[: len(words)]
        return SpeechTokens(tuple(words), codes, model=self.spoken.model)

    def stream_speech(
        self, prompt: WordCodes, voice: np.ndarray
    ) -> Iterator[SpeechPiece]:
        """Their speech, while the rows are read."""
        return self.tokenizer.stream(self.words(), voice)


def stream_rows(
    model: str,
    cache_dir: str | Path | None,
    wav: str | Path,
    random_lm: tuple[LmSize, str, torch.dtype],
    turns: int,
) -> list[dict[str, float]]:
    """Measure how soon the speech of 30 words begins.

    Args:
        model: Packed TASLM.
        cache_dir: Where archives are unpacked.
        wav: Recording that is continued, by its speaker.
        random_lm: Sizes, device and type of the language model.
        turns: See ``stream_speed``.

    Returns:
        One row, see ``stream_speed``.
    """
    limits = {"max_words": WORDS, "min_words": WORDS}
    lm = SpokenLM.from_pretrained(model, cache_dir, device=random_lm[1], **limits)
    prompt, voice = lm.tokenizer(wav), lm.tokenizer.embed_speaker(wav)
    taslm = make_taslm(*random_lm)
    taslm.backbone = taslm.backbone.merged()
    spoken = lm.continue_(prompt)
    generator = make_generator(taslm, len(spoken.words))
    writer = RandomWriter(lm.tokenizer, generator, spoken)
    return [stream_speed(writer, [prompt], [voice], turns)]
