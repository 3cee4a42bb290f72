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

from espnet2_taste.data.grid_sets import read_fields
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.inference.continuer import AbsContinuer, TaslmContinuer
from espnet2_taste.inference.prompt_sets import CONTINUATION, AbsPromptSet, cut
from espnet2_taste.inference.resynthesis import read_spembs
from espnet2_taste.inference.speakers import (
    AbsSpeaker,
    CodeSpeaker,
    SpokenUnits,
    UnitSpeaker,
)
from espnet2_taste.inference.unit_continuer import UnitContinuer
from espnet2_taste.slm.layouts.utterance import Utterance
from espnet2_taste.speech_decoder.abs_unit_decoder import GeneratedUnits


class AbsDesign(ABC):
    """A spoken LM with what turns its output into speech.

    Args:
        continuer: The model.
        speaker: Speaks the items of :meth:`parts`.
    """

    folders: tuple[str, ...] = ("prompt", "full", CONTINUATION)
    """Of the results; the continuations come last."""

    def __init__(self, continuer: AbsContinuer, speaker: AbsSpeaker):
        self.continuer = continuer
        self.speaker = speaker

    @abstractmethod
    def read(self, folder: Path) -> dict[str, Any]:
        """Prompts of a set by utterance id; each has ``words``."""

    def voices(self, folder: Path, names: Sequence[str]) -> Mapping[str, np.ndarray]:
        """Speaker embeddings (E,) by utterance id."""
        return read_spembs(folder)

    def generate(self, names: Sequence[str], prompts: Sequence) -> list:
        """Continue B prompts; see ``AbsContinuer.continuations``."""
        return self.continuer.continuations(names, prompts)

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
        super().__init__(continuer, speaker)
        self.prompt_set = prompt_set
        self.codes_dir = codes_dir
        self.folders = prompt_set.folders

    def read(self, folder):
        """See :meth:`AbsDesign.read`."""
        return self.prompt_set.read(folder, self.codes_dir / folder.name)

    def voices(self, folder, names):
        """See :meth:`AbsDesign.voices`."""
        return self.prompt_set.voices(folder, names)

    def parts(self, names, prompts, found, spembs):
        """See :meth:`AbsDesign.parts`."""
        added = [self.continuer.words(item) for item in found]
        return self.prompt_set.parts(prompts, added)


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
        continuer: The model.
        speaker: Of units.
        ctm: File with word times in the sets.
        prompt_words: Words of a prompt without a table ``prompt_words``, 0 for all.
    """

    def __init__(
        self,
        continuer: UnitContinuer,
        speaker: UnitSpeaker,
        ctm: str = "ctm",
        prompt_words: int = 0,
    ):
        super().__init__(continuer, speaker)
        self.ctm = ctm
        self.prompt_words = prompt_words

    def read(self, folder):
        """See :meth:`AbsDesign.read`."""
        needs = self.continuer.layout.needs | {"units", "word_times"}
        fields = read_fields(folder, self.ctm, needs)
        texts = read_table(folder / "text")
        utterances = {n: self.continuer.reader(n, field) for n, field in fields.items()}
        return {
            name: UnitPrompt(" ".join(texts[name].split()[: len(item.words)]), item)
            for name, item in cut(utterances, folder, self.prompt_words).items()
        }

    def generate(self, names, prompts):
        """See :meth:`AbsDesign.generate`."""
        return super().generate(names, [prompt.utterance for prompt in prompts])

    def parts(self, names, prompts, found, spembs):
        """See :meth:`AbsDesign.parts`; the prompt keeps its own units."""
        own = self.continuer.writer(names, found, spembs)
        before, whole, after = [], [], []
        for prompt, item, units in zip(prompts, found, own):
            first = torch.tensor([frame[0] for frame in prompt.utterance.units])
            before.append(SpokenUnits(prompt.text, GeneratedUnits(first)))
            text = f"{prompt.text} {item.text}".strip()
            whole.append(SpokenUnits(text, units.behind(first)))
            after.append(SpokenUnits(item.text, units))
        return before, whole, after
