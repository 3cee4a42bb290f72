"""What makes the units that are spoken from what a design writes.

Enters: text and units of a design. Leaves: units, each as long as it is spoken.

Legend: B utterances, U units, K unit classes, E speaker features.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from espnet2_taste.inference.resynthesis import look_up_speakers
from espnet2_taste.slm.layouts.abs_layout import AbsGridLayout
from espnet2_taste.slm.layouts.utterance import Row
from espnet2_taste.slm.unit_durations import UnitDurationPredictor
from espnet2_taste.speech_decoder.abs_unit_decoder import GeneratedUnits


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
    ) -> list[GeneratedUnits]:
        """Write units.

        Args:
            names: B utterance ids.
            found: Of a design.
            spembs: Speaker embeddings (E,) by utterance id.

        Returns:
            Units of each, without prosody and times; none where nothing was written.
        """


class OwnUnits(AbsUnitWriter):
    """The design's units, each as long as it is written or predicted.

    Args:
        durations: Predictor, for units without repetitions.
        unit_rate: Units a second.
    """

    def __init__(
        self, durations: UnitDurationPredictor | None = None, unit_rate: float = 1.0
    ):
        self.durations = durations
        if durations is not None:
            self.unit_seconds = (durations.mean_frames / unit_rate).tolist()

    def __call__(self, names, found, spembs):
        """See :meth:`AbsUnitWriter.__call__`."""
        rows = [torch.tensor(item.units, dtype=torch.int64) for item in found]
        if self.durations is not None:
            rows = self.durations.expand([item.units for item in found])
        return list(map(GeneratedUnits, rows))


class UnitsFromText(AbsUnitWriter):
    """Units of the words alone: the text-only renderer of the cascade.

    Args:
        generator: A ``UnitGenerator`` of a text-only TASTE experiment.
    """

    def __init__(self, generator):
        self.generator = generator

    def __call__(self, names, found, spembs):
        """See :meth:`AbsUnitWriter.__call__`."""
        units = [self._nothing() for _ in found]
        spoken = [index for index, item in enumerate(found) if item.text]
        if spoken:
            chosen = [names[index] for index in spoken]
            texts = [found[index].text for index in spoken]
            ids = self.generator.encoder.texts(chosen, texts)
            speakers = look_up_speakers(spembs, chosen)
            rows = self.generator(chosen, ids, None, speakers)
            for index, row in zip(spoken, rows):
                units[index] = GeneratedUnits(row.units, mixture=row.mixture)
        return units

    def _nothing(self) -> GeneratedUnits:
        """No units, mixed like others."""
        decoder, mixing = self.generator.unit_decoder, self.generator.settings.mixing
        mixture = torch.zeros(0, decoder.num_units) if mixing > 0 else None
        return GeneratedUnits(torch.zeros(0, dtype=torch.int64), mixture=mixture)


def unit_writer(
    layout: AbsGridLayout, durations: str | Path | None, option: str
) -> AbsUnitWriter:
    """What makes the units of a layout that writes units.

    Args:
        layout: Of the design.
        durations: Folder or ``config.yaml`` of units durations.
        option: That names it, for the error.

    Raises:
        ValueError: The layout leaves repeated units out and there are no durations.
    """
    if not layout.deduplicates:
        return OwnUnits()
    if not durations:
        raise ValueError(
            f"this design leaves repeated units out: give {option} (units durations)"
        )
    predictor = UnitDurationPredictor.load(durations)
    return OwnUnits(predictor, layout.inventory.unit_rate)
