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
        self.times: torch.Tensor | None = None  # (U, 2)

    @torch.no_grad()
    def extend(
        self,
        units: torch.Tensor,
        last: bool,
        prosody: torch.Tensor | None = None,
        times: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Take more units.

        Args:
            units: (U,), perhaps none.
            last: Whether the utterance ends with them.
            prosody: Of the units, (U, 3), for all of an utterance or for none.
            times: Of the units, (U, 2), likewise.

        Returns:
            The next samples, (S,) in [-1, 1], perhaps none.

        Raises:
            ValueError: A unit or the embedding does not fit the vocoder.
        """
        self.units = torch.cat([self.units, units.to(self.units)])
        self.prosody = self._joined(self.prosody, prosody)
        self.times = self._joined(self.times, times)
        return self._next(last) if len(self.units) else self.spembs.new_empty(0)

    def _joined(
        self, before: torch.Tensor | None, rows: torch.Tensor | None
    ) -> torch.Tensor | None:
        """Rows that came before and new ones, if there are any."""
        if rows is None:
            return before
        rows = rows.to(self.spembs)
        return rows if before is None else torch.cat([before, rows])

    @abstractmethod
    def _next(self, last: bool) -> torch.Tensor:
        """Samples that are final and were not given yet, (S,)."""

    def _inputs_from(self, start: int) -> tuple[torch.Tensor, ...]:
        """Units from a place on, as ``AbsUnitVocoder.synthesize`` takes them."""
        units = self.units[None, start:]
        lengths = torch.tensor([units.size(1)], device=units.device)
        rows = (self.prosody, self.times)
        more = (None if x is None else x[None, start:] for x in rows)
        return units, lengths, self.spembs, *more

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
        before = self.spoken
        ready = len(self.units) if last else self._ready()
        if ready <= before:
            return self.spembs.new_empty(0)
        start = self._start(before)
        wave = self._window(start, ready)
        offset = self.lead - self._place(start)
        begin = offset + self._place(before) if before else 0
        self.spoken = ready
        return wave[begin : offset + self._place(ready)]

    def _ready(self) -> int:
        """Units whose context is known."""
        return len(self.units) - self.vocoder.context

    def _start(self, unit: int) -> int:
        """The first unit that the samples of a unit depend on."""
        return max(0, unit - self.vocoder.context)

    def _place(self, unit: int) -> int:
        """Samples of the units before one, without the lead."""
        return unit * self.hop

    def _window(self, start: int, ready: int) -> torch.Tensor:
        """Samples of all units from a start on, after the lead.

        Units up to ``ready`` are given away now, those behind it again.
        """
        return self._speak(start)


class FrameWaveStream(WindowedWaveStream):
    """The same where each unit has frames of its own number.

    Args:
        vocoder: A ``UnitToMelVocoder``.
        spembs: (1, D).
    """

    def __init__(self, vocoder, spembs):
        frame = vocoder.hop_length
        hop, lead = vocoder.frames_per_unit * frame, vocoder.frame_offset * frame
        super().__init__(vocoder, spembs, hop, lead)

    @property
    def _edges(self) -> torch.Tensor:
        """Frames before each unit, and of all, (U + 1,)."""
        if self.times is None:
            count = torch.arange(len(self.units) + 1, device=self.units.device)
            return count * self.vocoder.frames_per_unit
        ends = torch.cat([self.times[:, 0], self.times[-1:, 1]])
        return self.vocoder.frames_at(ends)

    def _before(self, unit: int) -> int:
        """The last unit that ends a frame context before a unit begins."""
        edges = self._edges
        limit = edges[unit] - self.vocoder.frame_context
        return int(torch.searchsorted(edges, limit, right=True)) - 1

    def _ready(self):
        """See ``WindowedWaveStream._ready``."""
        return self._before(max(0, len(self.units) - self.vocoder.unit_context))

    def _start(self, unit):
        """See ``WindowedWaveStream._start``."""
        return max(0, self._before(unit) - self.vocoder.unit_context)

    def _place(self, unit):
        """See ``WindowedWaveStream._place``."""
        return int(self._edges[unit]) * self.vocoder.hop_length


class VoicedWaveStream(FrameWaveStream):
    """The same for voiced renderers, whose source goes on through the utterance.

    Args:
        vocoder: A ``UnitToMelVocoder``.
        spembs: (1, D).
    """

    def __init__(self, vocoder, spembs):
        super().__init__(vocoder, spembs)
        self.f0 = spembs.new_empty(1, 0)  # of the units given away, (1, P)

    def _window(self, start, ready):
        """See ``WindowedWaveStream._window``."""
        vocoder = self.vocoder
        inputs = self._inputs_from(start)
        made = vocoder.predict(vocoder.check_inputs(*inputs), *inputs[1:])
        first, spoken, stop = self._edges[[start, self.spoken, ready]].tolist()
        # F0 of the frames that were given away was made with all its context
        f0 = torch.cat([self.f0[:, first:], made.f0[:, spoken - first :]], dim=1)
        earlier = self.f0[:, :first]
        wave, _ = vocoder.renderer(made.mel, made.lengths, f0, earlier)
        self.f0 = torch.cat([earlier, f0[:, : stop - first]], dim=1)
        return torch.nn.functional.pad(wave[0], (self.lead, 0))
