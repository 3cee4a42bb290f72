"""Mel frames of an utterance by flow matching, chunk by chunk.

Enters: units, perhaps while they arrive. Leaves: mel frames. The flow's attention sees
whole utterances; here it sees a chunk of units and some units around it, so that speech
begins before its last unit is known. Chunks lie on a fixed grid and noise belongs to
frames, so it makes no difference in which pieces the units come. Where a chunk begins,
its frames fade in over those that the chunk before it made of the same units, as in the
streaming of CosyVoice (Du et al. 2024).

Legend: U units, K unit classes, T mel frames, M mel bands, D speaker embedding size.
"""

from typing import TYPE_CHECKING

import torch

from espnet2_taste.vocoder.excitation import NoiseSource

if TYPE_CHECKING:
    from espnet2_taste.vocoder.flow_vocoder import FlowVocoder


class FlowChunks:
    """Makes the frames of one utterance.

    Args:
        vocoder: With a ``chunk``.
        spembs: The speaker, (1, D).
    """

    def __init__(self, vocoder: "FlowVocoder", spembs: torch.Tensor):
        self.vocoder, self.spembs = vocoder, spembs
        n_mels, seed = vocoder.flow.n_mels, vocoder.flow.seed
        self.source = NoiseSource(n_mels, seed)  # a frame has as many numbers as bands
        self.units: torch.Tensor | None = None
        self.noise = spembs.new_empty(0, n_mels)  # of the frames of the kept units
        self.tail = spembs.new_empty(0, n_mels)  # what fades out, (T', M)
        self.first = self.done = 0  # unit that the kept ones begin with; units made

    @torch.no_grad()
    def extend(self, units: torch.Tensor, last: bool) -> torch.Tensor:
        """Take more units.

        Args:
            units: (U,), perhaps none, or mixtures (U, K).
            last: Whether the utterance ends with them.

        Returns:
            The next frames, (T, M), perhaps none.
        """
        known = units[:0] if self.units is None else self.units
        self.units = torch.cat([known, units])
        parts, vocoder = [self.noise[:0]], self.vocoder
        total = self.first + len(self.units)
        needed = 1 if last else vocoder.chunk + vocoder.chunk_context
        while total - self.done >= needed:
            stop = min(total, self.done + vocoder.chunk)
            parts.append(self._chunk(stop, min(total, stop + vocoder.chunk_context)))
        return torch.cat(parts)

    def _frame(self, unit: int) -> int:
        """Frames before a unit."""
        return int(self.vocoder.mel_lengths(torch.tensor([unit]))) if unit else 0

    def _chunk(self, stop: int, end: int) -> torch.Tensor:
        """Frames (T, M) of the units up to ``stop``, from those up to ``end``."""
        begin, frames = self._frame(self.first), self._frame(end)
        missing = frames - begin - len(self.noise)
        more = self.source.extend(self.spembs.new_zeros(1, max(0, missing)), False)
        self.noise = torch.cat([self.noise, more.view(-1, self.noise.size(1))])
        mel = self.vocoder.flow.synthesize(
            self.units[None, : end - self.first],
            torch.tensor([end - self.first], device=self.units.device),
            self.spembs,
            torch.tensor([frames - begin], device=self.units.device),
            self.noise[None, : frames - begin].mT,
        )[0].T
        new = mel[self._frame(self.done) - begin :]
        count = min(len(self.tail), len(new))
        weight = torch.arange(1, count + 1).to(new).unsqueeze(1) / (count + 1)
        faded = torch.lerp(self.tail[:count], new[:count], weight)
        new = torch.cat([faded, new[count:]])
        size = self._frame(stop) - self._frame(self.done)
        self.tail = new[size:]
        self._forget(stop)
        return new[:size]

    def _forget(self, done: int) -> None:
        """Keep what the next chunk sees of the units that are done."""
        first = max(0, done - self.vocoder.chunk_context)
        self.noise = self.noise[self._frame(first) - self._frame(self.first) :]
        self.units = self.units[first - self.first :]
        self.first, self.done = first, done
