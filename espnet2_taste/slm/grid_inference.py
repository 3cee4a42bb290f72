"""How a trained grid language model continues utterances.

Enters: utterances (words, units, times). Leaves: continuations as text and units.

Legend: B utterances, W words, U units.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.espnet_spoken_lm_model import ESPnetSpokenLMModel
from espnet2_taste.slm.grid_data import GridPreprocessor
from espnet2_taste.slm.grid_generation import GridGenerator
from espnet2_taste.slm.layouts.utterance import Row, Utterance
from espnet2_taste.slm.limits import Limits
from espnet2_taste.slm.sampling import GenerationOptions, UniformStreams


@dataclass(frozen=True)
class SpokenText:
    """What a design says.

    Attributes:
        text: Words, if the design writes any, joined by spaces.
        units: Units of one codebook, perhaps without repetitions.
        ended: It ended by itself.
        rows: Rows that were written.
    """

    text: str
    units: Row
    ended: bool
    rows: int


class GridContinuer:
    """Beginnings of utterances -> what follows.

    Args:
        model: In evaluation mode; its adapters are merged.
        preprocessor: Its data side.
        options: How ids are drawn.
        limits: How much is generated.
        unit_seconds: How long each unit lasts; None for units of one length.
        seed: With its name, all an utterance's randomness depends on.
    """

    def __init__(
        self,
        model: ESPnetSpokenLMModel,
        preprocessor: GridPreprocessor,
        options: GenerationOptions = GenerationOptions(),
        limits: Limits = Limits(),
        unit_seconds: Sequence[float] | None = None,
        seed: int = 0,
    ):
        self.grid_lm = model.core
        self.grid_lm.backbone = self.grid_lm.backbone.merged()
        self.layout = self.grid_lm.layout
        self.preprocessor = preprocessor
        self.generator = GridGenerator(self.grid_lm, options, limits, unit_seconds)
        self.seed = seed

    def __call__(
        self, names: Sequence[str], prompts: Sequence[Utterance]
    ) -> list[SpokenText]:
        """Continue a batch; each utterance gets what it would get alone.

        Args:
            names: B utterance ids.
            prompts: Their beginnings, see ``Utterance.first``.

        Returns:
            The continuation of each, without the prompt.
        """
        grids = [self.layout.prompt(prompt) for prompt in prompts]
        streams = UniformStreams.from_ids(names, self.seed)
        found = self.generator(grids, streams)
        tails = self._tails([item.ids for item in found], [len(g) for g in grids])
        return [
            self._added(prompt, grid, item, tail)
            for prompt, grid, item, tail in zip(prompts, grids, found, tails)
        ]

    def _tails(self, grids, firsts) -> list[Row]:
        """Units of a tail head, of what was added, B of them."""
        end = self.layout.inventory.text.end_id
        rows = [torch.from_numpy(ids[ids[:, 0] != end]) for ids in grids]
        device = self.generator.device
        lengths = torch.tensor([len(row) for row in rows], device=device)
        padded = pad_sequence(rows, True, -1).to(device)
        first = torch.tensor(firsts, device=device).minimum(lengths)
        return self.grid_lm.tail_units(padded, lengths, first)

    def _added(self, prompt: Utterance, grid, item, tail: Row) -> SpokenText:
        """Take the prompt away from what was decoded."""
        whole = self.layout.decode(item.ids, tail)
        before = self.layout.decode(grid) if (grid >= 0).all() else prompt
        words = whole.words[len(before.words) :]
        units = whole.units[len(before.units) :]
        tokenizer = self.preprocessor.reader.tokenizer
        spelt = ["".join(tokenizer.decode(word).split()) for word in words]
        rows = len(item.ids) - item.prompt_rows
        return SpokenText(
            text=" ".join(word for word in spelt if word),
            units=tuple(unit[0] for unit in units),
            ended=item.ended,
            rows=rows,
        )
