"""Any trained design, from a set's prompts to what is spoken.

Enters: the folder of a set. Leaves: its prompts, their continuations, and files of
speech. Whatever the design, one loop (``bin/slm_inference.py``) reads, generates and
writes; what differs between TASLM and the grids is here.

Legend: B utterances, U units, E speaker features.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.data.grid_sets import read_fields
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.inference.continuer import TaslmContinuer
from espnet2_taste.inference.prompt_sets import CONTINUATION, AbsPromptSet, cut
from espnet2_taste.slm.continuation import Continuation
from espnet2_taste.slm.grid_data import GridPreprocessor
from espnet2_taste.slm.grid_generation import GridGenerator
from espnet2_taste.slm.layouts.utterance import Row, Utterance
from espnet2_taste.slm.sampling import UniformStreams
from espnet2_taste.speech_decoder.resynthesis import look_up, read_spembs
from espnet2_taste.speech_decoder.speakers import (
    AbsSpeaker,
    CodeSpeaker,
    SpokenUnits,
    UnitSpeaker,
)
from espnet2_taste.units.durations import UnitDurationPredictor


class AbsDesign(ABC):
    """A spoken LM with what turns its output into speech.

    Args:
        speaker: Speaks the items of :meth:`parts`.
    """

    folders: tuple[str, ...] = ("prompt", "full", CONTINUATION)
    """Of the results; the continuations come last."""

    def __init__(self, speaker: AbsSpeaker):
        self.speaker = speaker

    @abstractmethod
    def read(self, folder: Path) -> dict[str, Any]:
        """Prompts of a set by utterance id; each has ``words``."""

    def voices(self, folder: Path, names: Sequence[str]) -> Mapping[str, np.ndarray]:
        """Speaker embeddings (E,) by utterance id."""
        return read_spembs(folder)

    @abstractmethod
    def generate(self, names: Sequence[str], prompts: Sequence) -> list:
        """Continue B prompts; each continuation has ``rows`` and ``ended``."""

    @abstractmethod
    def parts(
        self,
        names: Sequence[str],
        prompts: Sequence,
        found: Sequence,
        spembs: Mapping[str, np.ndarray],
    ) -> Sequence[Sequence]:
        """What is spoken into each of :attr:`folders`, B items each."""


class TaslmDesign(AbsDesign):
    """TASLM: words with codes, spoken by the TASTE decoder.

    Args:
        continuer: The model.
        speaker: Of words with codes.
        prompt_set: Kind of the prompts.
        codes_dir: Parent of ``<set>/codes.scp``.
    """

    def __init__(
        self,
        continuer: TaslmContinuer,
        speaker: CodeSpeaker,
        prompt_set: AbsPromptSet,
        codes_dir: Path,
    ):
        super().__init__(speaker)
        self.continuer = continuer
        self.prompt_set = prompt_set
        self.codes_dir = codes_dir
        self.folders = prompt_set.folders

    def read(self, folder):
        """See :meth:`AbsDesign.read`."""
        return self.prompt_set.read(folder, self.codes_dir / folder.name)

    def voices(self, folder, names):
        """See :meth:`AbsDesign.voices`."""
        return self.prompt_set.voices(folder, names)

    def generate(self, names, prompts) -> list[Continuation]:
        """See :meth:`AbsDesign.generate`."""
        return self.continuer.continuations(names, prompts)

    def parts(self, names, prompts, found, spembs):
        """See :meth:`AbsDesign.parts`."""
        added = [self.continuer.words(item) for item in found]
        return self.prompt_set.parts(prompts, added)


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


@dataclass(frozen=True)
class UnitPrompt:
    """The beginning of an utterance.

    Attributes:
        text: Its words, joined by spaces.
        utterance: The same with units.
    """

    text: str
    utterance: Utterance

    @property
    def words(self) -> Sequence:
        """Its words as token ids."""
        return self.utterance.words


class GridDesign(AbsDesign):
    """A design that writes units, or text whose units another model makes.

    Args:
        generator: Of a model whose adapters are merged.
        preprocessor: Its data side.
        speaker: Of units.
        writer: Makes the units of what is written.
        ctm: File with word times in the sets.
        prompt_words: Words of a prompt without a table ``prompt_words``, 0 for all.
        seed: With its name, all an utterance's randomness depends on.
    """

    def __init__(
        self,
        generator: GridGenerator,
        preprocessor: GridPreprocessor,
        speaker: UnitSpeaker,
        writer: "AbsUnitWriter",
        ctm: str = "ctm",
        prompt_words: int = 0,
        seed: int = 0,
    ):
        super().__init__(speaker)
        self.generator = generator
        self.layout = generator.layout
        self.reader = preprocessor.reader
        self.writer = writer
        self.ctm = ctm
        self.prompt_words = prompt_words
        self.seed = seed

    def read(self, folder):
        """See :meth:`AbsDesign.read`."""
        needs = self.layout.needs | {"units", "word_times"}
        fields = read_fields(folder, self.ctm, needs)
        texts = read_table(folder / "text")
        utterances = {n: self.reader(n, field) for n, field in fields.items()}
        return {
            name: UnitPrompt(" ".join(texts[name].split()[: len(item.words)]), item)
            for name, item in cut(utterances, folder, self.prompt_words).items()
        }

    def generate(self, names, prompts) -> list[SpokenText]:
        """See :meth:`AbsDesign.generate`; each gets what it would get alone."""
        grids = [self.layout.prompt(prompt.utterance) for prompt in prompts]
        streams = UniformStreams.from_ids(names, self.seed)
        found = self.generator(grids, streams)
        tails = self._tails([item.ids for item in found], [len(g) for g in grids])
        rows = zip(prompts, grids, found, tails)
        return [self._added(item.utterance, *others) for item, *others in rows]

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
        rows = len(item.ids) - item.prompt_rows
        return SpokenText(
            text=" ".join(word for word in spelt if word),
            units=tuple(unit[0] for unit in units),
            ended=item.ended,
            rows=rows,
        )

    def parts(self, names, prompts, found, spembs):
        """See :meth:`AbsDesign.parts`; the prompt keeps its own units."""
        own = self.writer(names, found, spembs)
        before, whole, after = [], [], []
        for prompt, item, units in zip(prompts, found, own):
            first = torch.tensor([frame[0] for frame in prompt.utterance.units])
            before.append(SpokenUnits(prompt.text, first))
            text = f"{prompt.text} {item.text}".strip()
            whole.append(SpokenUnits(text, torch.cat([first, units])))
            after.append(SpokenUnits(item.text, units))
        return before, whole, after


class AbsUnitWriter(ABC):
    """Makes the units that are spoken from what a design writes."""

    unit_seconds: Sequence[float] | None = None
    """How long each unit lasts, None for units of one length."""

    @abstractmethod
    def __call__(
        self,
        names: Sequence[str],
        found: Sequence[SpokenText],
        spembs: Mapping[str, np.ndarray],
    ) -> list[torch.Tensor]:
        """Write units.

        Args:
            names: B utterance ids.
            found: Of a design.
            spembs: Speaker embeddings (E,) by utterance id.

        Returns:
            Units of each, (U,) int64; empty where nothing was written.
        """


class OwnUnits(AbsUnitWriter):
    """The design's units, each as long as it is written."""

    def __call__(self, names, found, spembs):
        """See :meth:`AbsUnitWriter.__call__`."""
        return [torch.tensor(item.units, dtype=torch.int64) for item in found]


class LengthenedUnits(AbsUnitWriter):
    """The design's units without repetitions, each as long as predicted.

    Args:
        durations: Predictor.
        unit_rate: Units a second.
    """

    def __init__(self, durations: UnitDurationPredictor, unit_rate: float):
        self.durations = durations
        self.unit_seconds = (durations.mean_frames / unit_rate).tolist()

    def __call__(self, names, found, spembs):
        """See :meth:`AbsUnitWriter.__call__`."""
        return self.durations.expand([item.units for item in found])


class UnitsFromText(AbsUnitWriter):
    """Units of the words alone: the text-only renderer of the cascade.

    Args:
        generator: A ``UnitGenerator`` of a text-only TASTE experiment.
    """

    def __init__(self, generator):
        self.generator = generator

    def __call__(self, names, found, spembs):
        """See :meth:`AbsUnitWriter.__call__`."""
        units = [torch.zeros(0, dtype=torch.int64) for _ in found]
        spoken = [index for index, item in enumerate(found) if item.text]
        if spoken:
            chosen = [names[index] for index in spoken]
            texts = [found[index].text for index in spoken]
            ids = self.generator.encoder.texts(chosen, texts)
            vectors = look_up(spembs, chosen, "spembs.scp")
            speakers = torch.from_numpy(np.stack(vectors))
            rows = self.generator(chosen, ids, None, speakers)
            for index, row in zip(spoken, rows):
                units[index] = row.units
        return units
