"""Waves of unit vocoders while the units of an utterance arrive.

Enters: units, piece by piece. Leaves: the samples that no later unit changes, or
changes audibly. A piece is made again with the units around it that the vocoder depends
on, its context; where a network is convolutional, the pieces together are the wave of
the whole. A vocoder of two parts has two contexts: units around those whose mel frames
are made, and frames around those that are rendered.

Legend: U units, K unit classes, F mel frames, M mel bands, S samples, D speaker
embedding size.
"""

import math
import sys
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch

from espnet2_taste.context_window import ContextWindow
from espnet2_taste.vocoder.abs_renderer import AbsRenderer

if TYPE_CHECKING:
    from espnet2_taste.vocoder.abs_vocoder import AbsUnitVocoder
    from espnet2_taste.vocoder.hift import HiFTGenerator


class AbsWaveStream(ABC):
    """Speaks one utterance while its units arrive.

    Args:
        vocoder: In evaluation mode.
        spembs: The speaker, (1, D), on the vocoder's device.
    """

    def __init__(self, vocoder: "AbsUnitVocoder", spembs: torch.Tensor):
        self.vocoder = vocoder
        self.spembs = spembs
        self.window: ContextWindow | None = None  # units that are still needed
        self.kinds: tuple[str, ...] = ()  # what is known of them
        self.begun = False  # whether samples were given

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
            units: (U,), perhaps none, or mixtures (U, K).
            last: Whether the utterance ends with them.
            prosody: Of the units, (U, 3), for all of an utterance or for none.
            times: Of the units, (U, 2), likewise.

        Returns:
            The next samples, (S,) in [-1, 1], perhaps none.

        Raises:
            ValueError: A unit or the embedding does not fit the vocoder.
        """
        rows = []
        if len(units):
            given = {"units": units, "prosody": prosody, "times": times}
            given = {key: x for key, x in given.items() if x is not None}
            self.kinds = tuple(given)
            self.window = self.window or self._new_window(times is not None)
            rows = [x.to(self.spembs.device) for x in given.values()]
        if self.window is None:
            return self.spembs.new_empty(0)
        kept, place = self.window.extend(*rows, last=last)
        if place.start == place.stop and not last:
            return self.spembs.new_empty(0)
        wave = self._next(kept, place, last)
        self.begun = self.begun or len(wave) > 0
        return wave

    @abstractmethod
    def _new_window(self, timed: bool) -> ContextWindow:
        """What keeps the units; they have times of their own or not."""

    @abstractmethod
    def _next(
        self, kept: tuple[torch.Tensor, ...], place: slice, last: bool
    ) -> torch.Tensor:
        """Samples that are final and were not given yet, (S,).

        Args:
            kept: Units (U,) and what is known of them.
            place: Those that have their context now.
            last: Whether the utterance ends with them.
        """

    def _inputs(self, kept: tuple[torch.Tensor, ...]) -> tuple:
        """Kept units as ``AbsUnitVocoder.synthesize`` takes them."""
        known = dict(zip(self.kinds, (x[None] for x in kept)))
        units = known["units"]
        lengths = torch.tensor([units.size(1)], device=units.device)
        more = (known.get(name) for name in ("prosody", "times"))
        return units, lengths, self.spembs, *more


class WholeWaveStream(AbsWaveStream):
    """Speaks when the last unit is known."""

    def _new_window(self, timed):
        """See ``AbsWaveStream._new_window``."""
        return ContextWindow(0, sys.maxsize)

    def _next(self, kept, place, last):
        """See ``AbsWaveStream._next``."""
        return self.vocoder.synthesize(*self._inputs(kept))[0][0]


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
        self.hop, self.lead = hop, lead

    def _new_window(self, timed):
        """See ``AbsWaveStream._new_window``."""
        return ContextWindow(*[self.vocoder.context] * 3)

    def _next(self, kept, place, last):
        """See ``AbsWaveStream._next``."""
        wave = self.vocoder.synthesize(*self._inputs(kept))[0][0]
        begin = self.lead + place.start * self.hop if self.begun else 0
        return wave[begin : self.lead + place.stop * self.hop]


class FrameStream:
    """Renders the mel frames of one utterance while they arrive.

    Args:
        renderer: With a context.
        hop_length: Samples a frame.
    """

    def __init__(self, renderer: "AbsRenderer | HiFTGenerator", hop_length: int):
        self.renderer, self.hop_length = renderer, hop_length
        self.source = renderer.source()
        self.window = ContextWindow(renderer.context, renderer.context)
        self.waiting: torch.Tensor | None = None  # frames without source, (F, M)

    @property
    def needed(self) -> int:
        """Frames without which there are no samples; a source may wait for one more."""
        return self.renderer.context + 2

    def extend(
        self, mel: torch.Tensor, f0: torch.Tensor | None, last: bool
    ) -> torch.Tensor:
        """Take more frames.

        Args:
            mel: Log-mel, (F, M).
            f0: Hz, 0 where unvoiced, (F,); None is a noise source.
            last: Whether the utterance ends with them.

        Returns:
            The next samples, (S,), perhaps none.
        """
        rows = (mel,) if self.source is None else self._with_source(mel, f0, last)
        (mel, *source), place = self.window.extend(*rows, last=last)
        if place.start == place.stop:
            return mel.new_empty(0)
        wave = self._render(mel, source[0].flatten() if source else None)
        return wave[place.start * self.hop_length : place.stop * self.hop_length]

    def _render(self, mel: torch.Tensor, source: torch.Tensor | None) -> torch.Tensor:
        """Frames (F, M) with their source (F * hop_length,) to (F * hop_length,)."""
        lengths = torch.tensor([len(mel)], device=mel.device)
        given = None if source is None else source[None]
        return self.renderer(mel[None], lengths, source=given)[0][0]

    def _with_source(
        self, mel: torch.Tensor, f0: torch.Tensor | None, last: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames whose source is known (F', M), with it (F', hop_length)."""
        track = mel.new_zeros(len(mel)) if f0 is None else f0
        source = self.source.extend(track[None], last).view(-1, self.hop_length)
        known = mel if self.waiting is None else torch.cat([self.waiting, mel])
        self.waiting = known[len(source) :]
        return known[: len(source)], source


class HiFTStream(FrameStream):
    """The same for HiFT, which finds F0 itself, from frames around each frame.

    Args:
        hift: Its context is known.
    """

    def __init__(self, hift: "HiFTGenerator"):
        super().__init__(hift, hift.hop_length)
        around = hift.f0_predictor.context
        self.frames = ContextWindow(around, around)

    def extend(self, mel, f0, last):
        """See ``FrameStream.extend``; F0 that is given is not read."""
        (mel,), place = self.frames.extend(mel, last=last)
        found = mel.new_empty(0)
        if place.start < place.stop:
            found = self.renderer.f0_predictor(mel.T[None])[0, place]
        return super().extend(mel[place], found, last)

    def _render(self, mel, source):
        """See ``FrameStream._render``."""
        return self.renderer.decode(mel.T[None], source[None, None])[0]


class MelWaveStream(AbsWaveStream):
    """Makes mel frames as soon as the context of their units is known, then renders.

    Args:
        vocoder: A ``UnitToMelVocoder``.
        spembs: (1, D).
        frames: Renders them.
    """

    def __init__(self, vocoder, spembs, frames: FrameStream):
        super().__init__(vocoder, spembs)
        self.frames = frames

    def _new_window(self, timed):
        """See ``AbsWaveStream._new_window``."""
        context, vocoder = self.vocoder.mel_context(timed), self.vocoder
        wanted = self.frames.needed / vocoder.frames_per_unit  # of usual length
        return ContextWindow(*[context] * 3, first=math.ceil(wanted))

    def _next(self, kept, place, last):
        """See ``AbsWaveStream._next``."""
        inputs = self._inputs(kept)
        made = self.vocoder.predict(self.vocoder.check_inputs(*inputs), *inputs[1:])
        sizes = self.vocoder.unit_frames(inputs[0], inputs[-1])[0].cumsum(0)
        ends = torch.nn.functional.pad(sizes, (1, 0))  # frames before each unit
        new = slice(*ends[[place.start, place.stop]].tolist())
        f0 = None if made.f0 is None else made.f0[0, new]
        wave = self.frames.extend(made.mel[0, new], f0, last)
        if self.begun or not len(wave):
            return wave
        lead = made.lead * self.vocoder.hop_length
        return torch.nn.functional.pad(wave, (lead, 0))


class FlowWaveStream(AbsWaveStream):
    """Makes mel frames chunk by chunk with a flow, then renders.

    Args:
        vocoder: A ``FlowVocoder``.
        spembs: (1, D).
        chunks: Makes the frames.
        frames: Renders them.
    """

    def __init__(self, vocoder, spembs, chunks, frames: FrameStream):
        super().__init__(vocoder, spembs)
        self.chunks, self.frames = chunks, frames

    def _new_window(self, timed):
        """See ``AbsWaveStream._new_window``."""
        return ContextWindow(0, 0)

    def _next(self, kept, place, last):
        """See ``AbsWaveStream._next``."""
        units = kept[0][place]
        if len(units):
            self.vocoder.check_inputs(*self._inputs(kept))
        return self.frames.extend(self.chunks.extend(units, last), None, last)
