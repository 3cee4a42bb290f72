"""Unit vocoders in two parts: units to log-mel by a network, then a renderer.

Legend: B utterances, U units, D speaker embedding size, F mel frames, M mel bands,
S samples.
"""

from abc import abstractmethod
from dataclasses import dataclass

import torch

from espnet2_taste.data.log_mel import LogMel
from espnet2_taste.vocoder.abs_vocoder import AbsUnitVocoder
from espnet2_taste.vocoder.renderers import build_renderer


@dataclass(frozen=True)
class PredictedMel:
    """What the network of a mel vocoder hands to the renderer.

    Attributes:
        mel: Log-mel, (B, F, M).
        lengths: Valid frames, (B,).
        f0: Hz, 0 where unvoiced, (B, F), or None.
        lead: Frames of silence before the first.
    """

    mel: torch.Tensor
    lengths: torch.Tensor
    f0: torch.Tensor | None = None
    lead: int = 0


class MelVocoder(AbsUnitVocoder):
    """Units to log-mel to a waveform.

    Args:
        num_units: Size of the unit inventory.
        spembs_size: D.
        unit_rate: Units a second.
        mel_conf: Options of ``LogMel``.
        renderer: In ``renderer_choices``; None if the subclass has one of its own.
        renderer_conf: Options of the renderer but the mel front end.
    """

    def __init__(
        self,
        num_units: int,
        spembs_size: int,
        unit_rate: float,
        mel_conf: dict | None,
        renderer: str | None,
        renderer_conf: dict | None,
    ):
        super().__init__()
        self.num_units = num_units
        self.spembs_size = spembs_size
        self.unit_rate = unit_rate
        self.log_mel = LogMel(**(mel_conf or {}))
        self.sample_rate = self.log_mel.sample_rate
        self.hop_length = self.log_mel.hop_length
        if renderer is not None:
            self.renderer = build_renderer(renderer, self.log_mel, renderer_conf)

    @abstractmethod
    def predict(
        self, units, units_lengths, spembs, prosody=None, times=None
    ) -> PredictedMel:
        """Log-mel of checked inputs, see ``AbsUnitVocoder.synthesize``."""

    @torch.no_grad()
    def synthesize(self, units, units_lengths, spembs, prosody=None, times=None):
        """Speak the units; see ``AbsUnitVocoder.synthesize``."""
        units = self.check_inputs(units, units_lengths, spembs, prosody, times)
        return self.speak(self.predict(units, units_lengths, spembs, prosody, times))

    def speak(self, predicted: PredictedMel) -> tuple[torch.Tensor, torch.Tensor]:
        """Waves (B, S) and lengths (B,) of predicted mels, silence before them."""
        wave, lengths = self.render(predicted.mel, predicted.lengths, predicted.f0)
        lead = predicted.lead * self.hop_length
        return torch.nn.functional.pad(wave, (lead, 0)), lengths + lead

    def render(
        self, mel: torch.Tensor, lengths: torch.Tensor, f0: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-mel (B, F, M) of these lengths (B,) to waves (B, S) and lengths (B,)."""
        return self.renderer(mel, lengths, f0)
