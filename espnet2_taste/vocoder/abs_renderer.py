"""What every mel renderer offers: log-mel in, waveform out.

Legend: B utterances, F frames, M mel bands, S = F * hop samples. A renderer belongs to
one mel front end: what it needs of it (sample rate, hop, bands) is checked when it is
built, and both numbers are named when they differ. A renderer never trains; its weights
come from its own file and are not in the checkpoint of the vocoder.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property

import torch

from espnet2_taste.data.log_mel import LogMel
from espnet2_taste.vocoder.excitation import AbsSource

SHORTEST = 16
FURTHEST = 64
"""Frames to each side within which a network's context is looked for."""


class AbsRenderer(torch.nn.Module, ABC):
    """Log-mel to a waveform.

    Args:
        mel: The front end that the log-mel comes from.

    Attributes:
        exact: Whether pieces with their context give the samples of the whole.
    """

    exact = True

    def __init__(self, mel: LogMel):
        super().__init__()
        self.mel = mel

    @property
    def context(self) -> int | None:
        """Frames to each side that samples depend on audibly; None for all."""
        return None

    def source(self) -> AbsSource | None:
        """What the waves of utterances are made from, if the mel is not all.

        Pieces of an utterance go on with the source of the pieces before.
        """
        return None

    @abstractmethod
    def forward(
        self,
        log_mel: torch.Tensor,
        lengths: torch.Tensor,
        f0: torch.Tensor | None = None,
        source: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Synthesize a batch. Deterministic; a batch gives what its items give alone.

        Args:
            log_mel: (B, F, M).
            lengths: Valid frames, (B,).
            f0: Hz, 0 where unvoiced, (B, F), for renderers that can use it.
            source: Samples of :meth:`source` for pieces of utterances, (B, F * hop);
                None makes those of whole utterances.

        Returns:
            Waveforms (B, S), zero at padding, and lengths (B,).
        """


class SingleRenderer(AbsRenderer):
    """A renderer that gets utterances one by one, since padding changes what it gives.

    Utterances of fewer than ``SHORTEST`` frames, which some networks cannot mirror at
    the edges, are followed by silence.
    """

    @cached_property
    @torch.no_grad()
    def context(self) -> int | None:
        """See ``AbsRenderer.context``.

        It is found with one frame that is not a number: neither are the samples that
        depend on it.
        """
        log_mel = self.mel.filters.new_zeros(2 * FURTHEST + 1, self.mel.n_mels)
        log_mel[FURTHEST] = torch.nan
        source = log_mel.new_zeros(len(log_mel) * self.mel.hop_length)
        wave = self.render_one(log_mel, source)
        reach = lost_frames(wave, self.mel.hop_length)
        return None if reach is None else max(reach, SHORTEST)

    @abstractmethod
    def render_one(
        self, log_mel: torch.Tensor, source: torch.Tensor | None
    ) -> torch.Tensor:
        """Log-mel of one utterance (F, M) to its waveform (S',), S' near F * hop.

        The source is (F * hop,), None for a renderer that has none.
        """

    @torch.no_grad()
    def forward(self, log_mel, lengths, f0=None, source=None):
        """See ``AbsRenderer.forward``."""
        samples = lengths * self.mel.hop_length
        waves = log_mel.new_zeros(len(log_mel), int(samples.max()))
        made = self.source()
        if source is None and made is not None:
            frames = max(SHORTEST, log_mel.size(1))
            source = made.extend(log_mel.new_zeros(len(log_mel), frames), last=True)
        for row, frames, size in zip(range(len(waves)), lengths, samples):
            mel, missing = log_mel[row, :frames], max(0, SHORTEST - int(frames))
            silence = mel.new_full((missing, mel.size(1)), math.log(self.mel.floor))
            mel, own = torch.cat([mel, silence]), None
            if source is not None:
                own = source[row, : len(mel) * self.mel.hop_length]
            wave = self.render_one(mel, own)[:size]
            waves[row, : len(wave)] = wave.clamp(-1.0, 1.0)
        return waves, samples


def lost_frames(wave: torch.Tensor, hop_length: int) -> int | None:
    """How far a frame that is not a number reaches.

    Args:
        wave: (S,), of frames of which ``FURTHEST`` come before that one.
        hop_length: Samples a frame.

    Returns:
        Frames to each side, None if it may be more than ``FURTHEST``.
    """
    frames = wave.isnan().nonzero()[:, 0] // hop_length - FURTHEST
    reach = int(frames.abs().max()) + 1
    return reach if reach < FURTHEST else None


def check_front_end(mel: LogMel, wanted: Mapping[str, object], source: str) -> None:
    """Refuse a mel front end that a renderer was not trained on.

    Args:
        mel: Of the vocoder.
        wanted: Attribute of ``LogMel`` -> value of the renderer.
        source: File that says so, for errors.

    Raises:
        ValueError: They differ; all differences are named.
    """
    different = [
        f"{name}: {getattr(mel, name)}, expected {value}"
        for name, value in wanted.items()
        if getattr(mel, name) != value
    ]
    if different:
        raise ValueError(
            f"the mel of the unit vocoder is not the one of {source}: "
            f"{'; '.join(different)}. Change vocoder_conf.mel_conf and train again, or "
            "name another renderer"
        )
