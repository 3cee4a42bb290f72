"""Waves of unit vocoders while the units of an utterance arrive.

Enters: units, piece by piece. Leaves: the samples that no later unit changes, or
changes audibly. A piece is made again with the units around it that the vocoder depends
on, its context; where a network is convolutional, the pieces together are the wave of
the whole.

Legend: U units, S samples, D speaker embedding size, P frames before a piece.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from espnet2_taste.vocoder.abs_vocoder import AbsUnitVocoder


class AbsWaveStream(ABC):
    """Speaks one utterance while its units arrive.

    Args:
        vocoder: In evaluation mode.
        spembs: The speaker, (1, D), on the vocoder's device.
    """

    def __init__(self, vocoder: "AbsUnitVocoder", spembs: torch.Tensor):
        self.vocoder = vocoder
        self.spembs = spembs
        self.units = torch.empty(0, dtype=torch.int64, device=spembs.device)

    @torch.no_grad()
    def extend(self, units: torch.Tensor, last: bool) -> torch.Tensor:
        """Take more units.

        Args:
            units: (U,), perhaps none.
            last: Whether the utterance ends with them.

        Returns:
            The next samples, (S,) in [-1, 1], perhaps none.

        Raises:
            ValueError: A unit or the embedding does not fit the vocoder.
        """
        self.units = torch.cat([self.units, units.to(self.units)])
        return self._next(last) if len(self.units) else self.spembs.new_empty(0)

    @abstractmethod
    def _next(self, last: bool) -> torch.Tensor:
        """Samples that are final and were not given yet, (S,)."""

    def _speak(self, units: torch.Tensor) -> torch.Tensor:
        """All samples (S,) of units (U,)."""
        lengths = torch.tensor([len(units)], device=units.device)
        return self.vocoder.synthesize(units[None], lengths, self.spembs)[0][0]


class WholeWaveStream(AbsWaveStream):
    """Speaks when the last unit is known."""

    def _next(self, last):
        """See ``AbsWaveStream._next``."""
        return self._speak(self.units) if last else self.spembs.new_empty(0)


class WindowedWaveStream(AbsWaveStream):
    """Speaks units as soon as their context is known.

    Args:
        vocoder: With a context.
        spembs: (1, D).
        hop: Samples a unit.
        lead: Samples before those of the first unit.
    """

    def __init__(self, vocoder, spembs, hop: int, lead: int):
        super().__init__(vocoder, spembs)
        self.hop = hop
        self.lead = lead
        self.spoken = 0  # units

    def _next(self, last):
        """See ``AbsWaveStream._next``."""
        before, context = self.spoken, self.vocoder.context
        ready = len(self.units) - (0 if last else context)
        if ready <= before:
            return self.spembs.new_empty(0)
        start = max(0, before - context)
        wave = self._window(start, ready)
        first = before - start  # of the window, in units
        begin = self.lead + first * self.hop if before else 0
        self.spoken = ready
        return wave[begin : self.lead + (ready - start) * self.hop]

    def _window(self, start: int, ready: int) -> torch.Tensor:
        """Samples of all units from a start on, after the lead.

        Units up to ``ready`` are given away now, those behind it again.
        """
        return self._speak(self.units[start:])


class VoicedWaveStream(WindowedWaveStream):
    """The same for voiced renderers, whose source goes on through the utterance.

    Args:
        vocoder: A ``UnitToMelVocoder``.
        spembs: (1, D).
        hop: See ``WindowedWaveStream``.
        lead: Likewise.
    """

    def __init__(self, vocoder, spembs, hop: int, lead: int):
        super().__init__(vocoder, spembs, hop, lead)
        self.f0 = spembs.new_empty(1, 0)  # of the units given away, (1, P)

    def _window(self, start, ready):
        """See ``WindowedWaveStream._window``."""
        vocoder, frames = self.vocoder, self.vocoder.frames_per_unit
        units = self.units[None, start:]
        lengths = torch.tensor([units.size(1)], device=units.device)
        units = vocoder.check_inputs(units, lengths, self.spembs)
        made = vocoder.predict(units, lengths, self.spembs)
        known = (self.spoken - start) * frames  # their F0 was made with all its context
        f0 = torch.cat([self.f0[:, start * frames :], made.f0[:, known:]], dim=1)
        earlier = self.f0[:, : start * frames]
        wave, _ = vocoder.renderer(made.mel, made.lengths, f0, earlier)
        self.f0 = torch.cat([earlier, f0[:, : (ready - start) * frames]], dim=1)
        return torch.nn.functional.pad(wave[0], (self.lead, 0))
