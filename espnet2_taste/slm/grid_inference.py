"""How a trained grid language model continues and scores utterances.

Enters: utterances (words, units, times). Leaves: continuations as text and units, and
likelihoods.

Legend: B utterances, W words, U units.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.espnet_grid_lm_model import ESPnetGridLMModel
from espnet2_taste.slm.grid_data import GridPreprocessor
from espnet2_taste.slm.grid_generation import GridGenerator
from espnet2_taste.slm.grid_scoring import score_grids
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
        model: ESPnetGridLMModel,
        preprocessor: GridPreprocessor,
        options: GenerationOptions = GenerationOptions(),
        limits: Limits = Limits(),
        unit_seconds: Sequence[float] | None = None,
        seed: int = 0,
    ):
        self.grid_lm = model.grid_lm
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
        padded = torch.nn.utils.rnn.pad_sequence(rows, True, -1).to(device)
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


class GridScorer:
    """Utterances -> log-likelihoods.

    Args:
        model: In evaluation mode.
        preprocessor: Its data side; lays out the form that is scored.
        mask_other_vocab: See ``score_grids``.
    """

    def __init__(
        self,
        model: ESPnetGridLMModel,
        preprocessor: GridPreprocessor,
        mask_other_vocab: bool = False,
    ):
        self.model = model
        self.preprocessor = preprocessor
        self.mask_other_vocab = mask_other_vocab

    def __call__(
        self, names: Sequence[str], items: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, float]]:
        """Score a batch; padding changes no score.

        Args:
            names: B utterance ids.
            items: Their fields, as the preprocessor reads them.

        Returns:
            Of each the reductions of ``UtteranceScores.table``.
        """
        batch = padded([self.preprocessor(name, d) for name, d in zip(names, items)])
        device = self.model.grid_lm.embedding.start.device
        batch = {name: value.to(device) for name, value in batch.items()}
        options = {"mask_other_vocab": self.mask_other_vocab}
        table = score_grids(self.model, **batch, **options).table()
        columns = {name: values.tolist() for name, values in table.items()}
        return [
            {name: values[row] for name, values in columns.items()}
            for row in range(len(names))
        ]


def padded(items: Sequence[Mapping[str, np.ndarray]]) -> dict[str, torch.Tensor]:
    """Utterances as a batch, as the task's collate function makes it.

    Args:
        items: Fields of B utterances, each (N, ...); the fields are the same.

    Returns:
        Fields (B, N, ...), padded with -1 or, numbers with fractions, with 0, and
        ``<field>_lengths`` (B,).
    """
    batch = {}
    for name in items[0]:
        rows = [torch.from_numpy(item[name]) for item in items]
        value = 0.0 if rows[0].is_floating_point() else -1
        batch[name] = pad_sequence(rows, batch_first=True, padding_value=value)
        batch[f"{name}_lengths"] = torch.tensor([len(row) for row in rows])
    return batch
