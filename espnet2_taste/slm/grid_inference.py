"""A trained grid language model from its experiment, and what speaks its output.

Enters: utterances (words, units, times). Leaves: continuations as text and units, and
likelihoods.

Legend: B utterances, W words, U units.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.espnet_grid_lm_model import ESPnetGridLMModel
from espnet2_taste.experiment_files import (
    config_of,
    load_model,
    read_config,
    trained_files,
)
from espnet2_taste.slm.grid_data import GridPreprocessor
from espnet2_taste.slm.grid_generation import GridGenerator, GridSampling
from espnet2_taste.slm.grid_scoring import score_grids
from espnet2_taste.slm.inference import MODEL_FILE
from espnet2_taste.slm.layouts.utterance import Row, Utterance
from espnet2_taste.slm.sampling import UniformStreams
from espnet2_taste.units.durations import UnitDurationPredictor


def load_grid_lm_exp(
    exp: str | Path, model_file: str | Path | None = None, device: str = "cpu"
) -> tuple[ESPnetGridLMModel, GridPreprocessor]:
    """Load a trained design with what lays its data out.

    Args:
        exp: Experiment directory, or its ``config.yaml``.
        model_file: Checkpoint; the best one by default.
        device: Where the model goes.

    Returns:
        The model in evaluation mode, and the preprocessor.

    Raises:
        ValueError: A file is missing.
    """
    from espnet2_taste.tasks.build_grid_lm import (
        build_grid_lm,
        build_grid_preprocessor,
    )

    remedy = "train the design first (grid_lm_train), or name another model file"
    config, path = trained_files(exp, model_file, MODEL_FILE, remedy)
    model, args = load_model(build_grid_lm, config, path, device)
    return model, build_grid_preprocessor(args, False)


def build_untrained(
    config: str | Path, tokenizer_path: str, lm: str, device: str = "cpu"
) -> tuple[ESPnetGridLMModel, GridPreprocessor]:
    """Build a design that trains nothing: the cascade's text LM as it is.

    Args:
        config: Its YAML.
        tokenizer_path: The language model's.
        lm: The language model.
        device: Where it goes.

    Returns:
        See :func:`load_grid_lm_exp`.

    Raises:
        ValueError: The design does train something.
    """
    from espnet2_taste.tasks.build_grid_lm import (
        build_grid_lm,
        build_grid_preprocessor,
        complete_options,
    )

    given = read_config(config_of(config))
    args = complete_options({**given, "tokenizer_path": tokenizer_path, "init_lm": lm})
    if args.adaptation != "frozen" or args.layout != "text":
        raise ValueError(
            f"{config} trains its layout '{args.layout}': give the experiment instead "
            "of the YAML"
        )
    model = build_grid_lm(args).to(device).eval()
    return model, build_grid_preprocessor(args, False)


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
        sampling: How ids are drawn.
        seconds: Shortest and longest continuation; the shortest is kept where the
            layout's grammar leaves a choice.
        seed: With its name, all an utterance's randomness depends on.
    """

    def __init__(
        self,
        model: ESPnetGridLMModel,
        preprocessor: GridPreprocessor,
        sampling: GridSampling = GridSampling(),
        seconds: tuple[float, float] = (0.0, 6.0),
        seed: int = 0,
    ):
        if not 0 <= seconds[0] <= seconds[1]:
            raise ValueError(
                f"--min_seconds {seconds[0]:g} and --max_seconds {seconds[1]:g}: "
                "expected 0 <= min <= max"
            )
        self.grid_lm = model.grid_lm
        self.grid_lm.backbone = self.grid_lm.backbone.merged()
        self.layout = self.grid_lm.layout
        self.preprocessor = preprocessor
        self.generator = GridGenerator(self.grid_lm, sampling)
        self.seconds = seconds
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
        rate = self.layout.rows_per_second(prompts[0].unit_rate)
        least, limits = (
            [len(grid) + int(seconds * rate) for grid in grids]
            for seconds in self.seconds
        )
        streams = UniformStreams.from_ids(names, self.seed)
        found = self.generator(grids, limits, streams, least)
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


class AbsUnitWriter(ABC):
    """Makes units to be spoken from what a design says."""

    @abstractmethod
    def __call__(
        self, names: Sequence[str], said: Sequence[SpokenText], spembs: torch.Tensor
    ) -> list[torch.Tensor]:
        """Write units.

        Args:
            names: B utterance ids.
            said: By a design.
            spembs: Speaker embeddings, (B, E).

        Returns:
            Units of each, (U,) int64; empty where nothing was said.
        """


class OwnUnits(AbsUnitWriter):
    """The design's units, drawn out if it leaves repetitions out.

    Args:
        durations: Predictor, None for units with their repetitions.
    """

    def __init__(self, durations: UnitDurationPredictor | None):
        self.durations = durations

    def __call__(self, names, said, spembs):
        """See :meth:`AbsUnitWriter.__call__`."""
        if self.durations is None:
            return [torch.tensor(item.units, dtype=torch.int64) for item in said]
        return self.durations.expand([item.units for item in said])


class UnitsFromText(AbsUnitWriter):
    """Units of the words alone: the text-only renderer of the cascade.

    Args:
        generator: A ``UnitGenerator`` of a text-only TASTE experiment.
    """

    def __init__(self, generator):
        self.generator = generator

    def __call__(self, names, said, spembs):
        """See :meth:`AbsUnitWriter.__call__`."""
        units = [torch.zeros(0, dtype=torch.int64) for _ in said]
        spoken = [index for index, item in enumerate(said) if item.text]
        if spoken:
            chosen = [names[index] for index in spoken]
            texts = [said[index].text for index in spoken]
            ids = self.generator.encoder.texts(chosen, texts)
            found = self.generator(chosen, ids, None, spembs[spoken])
            for index, row in zip(spoken, found):
                units[index] = row.cpu()
        return units
