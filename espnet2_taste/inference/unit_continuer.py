"""How a trained design that writes units, or text, continues words with units.

Enters: beginnings of utterances. Leaves: text and units that were added.

Legend: B utterances, U units.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.slm.grid_data import GridPreprocessor
from espnet2_taste.slm.grid_generation import GridGenerator
from espnet2_taste.slm.layouts.utterance import Row, Utterance
from espnet2_taste.slm.sampling import UniformStreams


@dataclass(frozen=True)
class SpokenText:
    """What a design writes.

    Attributes:
        text: Words, if there are any, joined by spaces.
        units: Units of one codebook, perhaps without repetitions.
        ended: It ended by itself.
        rows: Rows that were written.
    """

    text: str
    units: Row
    ended: bool
    rows: int


class UnitContinuer:
    """Words with units -> more of them.

    Args:
        generator: Of a model that is prepared to generate.
        preprocessor: Its data side.
        seed: With its name, all an utterance's randomness depends on.
    """

    def __init__(
        self, generator: GridGenerator, preprocessor: GridPreprocessor, seed: int = 0
    ):
        self.generator = generator
        self.layout = generator.layout
        self.reader = preprocessor.reader
        self.seed = seed

    def __call__(
        self, names: Sequence[str], prompts: Sequence[Utterance]
    ) -> list[SpokenText]:
        """Continue a batch; each utterance gets what it would get alone.

        Args:
            names: B utterance ids.
            prompts: Beginnings.

        Returns:
            What was added to each.
        """
        grids = [self.layout.prompt(prompt) for prompt in prompts]
        streams = UniformStreams.from_ids(names, self.seed)
        found = self.generator(grids, streams)
        tails = self._tails([item.ids for item in found], [len(g) for g in grids])
        return [self._added(*row) for row in zip(prompts, grids, found, tails)]

    def _tails(self, grids, firsts) -> list[Row]:
        """Units of a tail head, of what was added, B of them."""
        end = self.layout.inventory.text.end_id
        rows = [torch.from_numpy(ids[ids[:, 0] != end]) for ids in grids]
        device = self.generator.device
        lengths = torch.tensor([len(row) for row in rows], device=device)
        padded = pad_sequence(rows, True, -1).to(device)
        first = torch.tensor(firsts, device=device).minimum(lengths)
        return self.generator.grid_lm.tail_units(padded, lengths, first)

    def _added(self, prompt: Utterance, grid, item, tail: Row) -> SpokenText:
        """Take the prompt away from what was decoded."""
        whole = self.layout.decode(item.ids, tail)
        before = self.layout.decode(grid) if (grid >= 0).all() else prompt
        words = whole.words[len(before.words) :]
        units = whole.units[len(before.units) :]
        tokenizer = self.reader.tokenizer
        spelt = ["".join(tokenizer.decode(word).split()) for word in words]
        return SpokenText(
            text=" ".join(word for word in spelt if word),
            units=tuple(unit[0] for unit in units),
            ended=item.ended,
            rows=len(item.ids) - item.prompt_rows,
        )
