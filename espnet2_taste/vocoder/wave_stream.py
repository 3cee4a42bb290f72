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
        self.prosody: torch.Tensor | None = None  # (U, 3)

    @torch.no_grad()
    def extend(
        self, units: torch.Tensor, last: bool, prosody: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Take more units.

        Args:
            units: (U,), perhaps none.
            last: Whether the utterance ends with them.
            prosody: Of the units, (U, 3), for all of an utterance or for none.

        Returns:
            The next samples, (S,) in [-1, 1], perhaps none.

        Raises:
            ValueError: A unit or the embedding does not fit the vocoder.
        """
        self.units = torch.cat([self.units, units.to(self.units)])
        if prosody is not None:
            before = prosody[:0] if self.prosody is None else self.prosody
            self.prosody = torch.cat([before.to(self.spembs), prosody.to(self.spembs)])
        return self._next(last) if len(self.units) else self.spembs.new_empty(0)

    @abstractmethod
    def _next(self, last: bool) -> torch.Tensor:
        """Samples that are final and were not given yet, (S,)."""

    def _inputs_from(self, start: int) -> tuple[torch.Tensor, ...]:
        """Units from a place on, as ``AbsUnitVocoder.synthesize`` takes them."""
        units = self.units[None, start:]
        lengths = torch.tensor([units.size(1)], device=units.device)
        prosody = None if self.prosody is None else self.prosody[None, start:]
        return units, lengths, self.spembs, prosody

    def _speak(self, start: int) -> torch.Tensor:
        """All samples (S,) of the units from a place on."""
        return self.vocoder.synthesize(*self._inputs_from(start))[0][0]


class WholeWaveStream(AbsWaveStream):
    """Speaks when the last unit is known."""

    def _next(self, last):
        """See ``AbsWaveStream._next``."""
        return self._speak(0) if last else self.spembs.new_empty(0)


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
        return self._speak(start)


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
        inputs = self._inputs_from(start)
        made = vocoder.predict(vocoder.check_inputs(*inputs), *inputs[1:])
        known = (self.spoken - start) * frames  # their F0 was made with all its context
        f0 = torch.cat([self.f0[:, start * frames :], made.f0[:, known:]], dim=1)
        earlier = self.f0[:, : start * frames]
        wave, _ = vocoder.renderer(made.mel, made.lengths, f0, earlier)
        self.f0 = torch.cat([earlier, f0[:, : (ready - start) * frames]], dim=1)
        return torch.nn.functional.pad(wave[0], (self.lead, 0))
