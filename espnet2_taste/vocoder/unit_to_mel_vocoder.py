"""The recipe's small vocoder: a trained units-to-mel model, then a renderer.

Legend: B utterances, U units, R mel frames a unit, F frames, M mel bands, S samples,
D speaker embedding size. Unit u covers mel frames offset + u R .. offset + u R + R - 1:
an encoder whose first output is centred later than R / 2 frames needs an offset.
"""

import math

import torch

from espnet2_taste.masks import length_mask
from espnet2_taste.prosody import (
    MELODY_SCALE,
    PITCH_RATE,
    REFERENCE_F0,
    measure_prosody,
)
from espnet2_taste.ranks import joint_mean
from espnet2_taste.vocoder.mel_vocoder import MelVocoder, PredictedMel
from espnet2_taste.vocoder.unit_to_mel import MelPrediction, UnitToMel
from espnet2_taste.vocoder.wave_stream import (
    AbsWaveStream,
    FrameStream,
    MelWaveStream,
    WholeWaveStream,
)

MEL_MEAN = -5.0
MEL_SCALE = 2.0


def frames_per_unit(sample_rate: int, hop_length: int, unit_rate: float) -> int:
    """Mel frames a unit, R.

    Args:
        sample_rate: Samples a second.
        hop_length: Samples a mel frame.
        unit_rate: Units a second.

    Returns:
        R.

    Raises:
        ValueError: R is not a whole number.

    Example:
        >>> frames_per_unit(16000, 160, 25.0)
        4
    """
    ratio = sample_rate / hop_length / unit_rate
    if ratio < 1 or abs(ratio - round(ratio)) > 1e-6:
        raise ValueError(
            f"{sample_rate} Hz / hop_length {hop_length} / unit_rate {unit_rate} gives "
            f"{ratio:.4f} mel frames a unit; choose mel_conf.hop_length so that this "
            "is a whole number"
        )
    return round(ratio)


class UnitToMelVocoder(MelVocoder):
    """Units to F0 and log-mel by a small network, then to a wave by a renderer.

    Units that have times of their own last as many frames as these say.

    Args:
        num_units: Size of the unit inventory.
        spembs_size: D.
        unit_rate: Units a second.
        frame_offset: Mel frames before those of the first unit.
        pitch_weight: Of the F0 loss.
        voicing_weight: Of the voicing loss.
        prosody: Take pitch, voicing and loudness of units where they are given.
        prosody_dropout: Share of the utterances that are trained without them, so that
            units can be spoken that come without prosody.
        prosody_noise: Deviation of noise on measured voicing and loudness in training,
            a fifth of it on log F0: what a unit decoder predicts is less exact.
        mel_conf: Options of ``LogMel``.
        network_conf: Options of ``UnitToMel``.
        renderer: In ``renderer_choices``.
        renderer_conf: Options of the renderer.
    """

    takes_times = takes_mixtures = True

    def __init__(
        self,
        num_units: int = 200,
        spembs_size: int = 192,
        unit_rate: float = 25.0,
        frame_offset: int = 0,
        pitch_weight: float = 2.0,
        voicing_weight: float = 0.5,
        prosody: bool = False,
        prosody_dropout: float = 0.3,
        prosody_noise: float = 0.0,
        mel_conf: dict | None = None,
        network_conf: dict | None = None,
        renderer: str = "griffin_lim",
        renderer_conf: dict | None = None,
    ):
        super().__init__(
            num_units, spembs_size, unit_rate, mel_conf, renderer, renderer_conf
        )
        self.frame_offset = frame_offset
        self.pitch_weight = pitch_weight
        self.voicing_weight = voicing_weight
        self.takes_prosody = prosody
        self.prosody_dropout = prosody_dropout
        self.prosody_noise = prosody_noise
        self.frames_per_unit = frames_per_unit(
            self.sample_rate, self.hop_length, unit_rate
        )
        self.network = UnitToMel(
            num_units,
            spembs_size,
            self.log_mel.band_frequencies(),
            self.frames_per_unit,
            prosody=prosody,
            **(network_conf or {}),
        )

    @property
    def context(self) -> int | None:
        """See ``AbsUnitVocoder.context``; that of Griffin-Lim is approximate."""
        if self.renderer.context is None:
            return None
        rendered = math.ceil(self.renderer.context / self.frames_per_unit)
        return self.mel_context(timed=False) + rendered

    def stream(self, spembs: torch.Tensor) -> AbsWaveStream:
        """See ``AbsUnitVocoder.stream``."""
        if self.context is None:
            return WholeWaveStream(self, spembs)
        frames = FrameStream(self.renderer, self.hop_length)
        return MelWaveStream(self, spembs, frames)

    def mel_context(self, timed: bool) -> int:
        """Units to each side that a frame depends on, audibly if no more is asked for.

        Units with times of their own last at least half as long as others.
        """
        least = self.frames_per_unit / (2 if timed else 1)
        exact, network = self.renderer.exact, self.network
        context = network.context if exact else network.audible_context
        return context(least) + timed  # borders are rounded to frames

    def forward(self, units, units_lengths, spembs, speech, speech_lengths, pitch):
        """Training loss; see ``AbsUnitVocoder.forward``."""
        units = self.check_inputs(units, units_lengths, spembs)
        num_frames = units.size(1) * self.frames_per_unit
        mel, mel_lengths = self.log_mel(speech, speech_lengths)
        mel = self._frames_of_units(mel, num_frames)
        f0 = self._f0_of_frames(pitch, num_frames)
        prosody = self._measured(pitch, speech, speech_lengths, units.size(1))
        prediction = self.network(units, units_lengths, spembs, f0, prosody)
        known = (mel_lengths - self.frame_offset).clamp(min=0)
        mask = length_mask(torch.minimum(prediction.lengths, known), num_frames)
        return self._losses(prediction, (mel - MEL_MEAN) / MEL_SCALE, f0, mask)

    def predict(self, units, units_lengths, spembs, prosody=None, times=None):
        """See ``MelVocoder.predict``."""
        sizes = None if times is None else self.unit_frames(units, times)
        found = self.network(units, units_lengths, spembs, None, prosody, sizes)
        mel = found.mel * MEL_SCALE + MEL_MEAN
        return PredictedMel(mel, found.lengths, found.f0, self.frame_offset)

    def unit_frames(
        self, units: torch.Tensor, times: torch.Tensor | None
    ) -> torch.Tensor:
        """Frames of each unit (B, U) by its times (B, U, 2), if there are any."""
        if times is None:
            shape = units.shape[:2]
            return units.new_full(shape, self.frames_per_unit, dtype=torch.int64)
        edges = (times * (self.sample_rate / self.hop_length)).round().long()
        return edges.diff(dim=-1).squeeze(-1)

    def _measured(
        self,
        pitch: torch.Tensor,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        units: int,
    ) -> torch.Tensor | None:
        """Prosody for the loss, (B, U, 3).

        In training with noise, and zeros where it is hidden.
        """
        if not self.takes_prosody:
            return None
        prosody = measure_prosody(
            pitch, speech, speech_lengths, self.sample_rate, units, self.unit_rate
        )
        if not self.training:
            return prosody
        chance = torch.rand(len(pitch), 1, 1, device=pitch.device)
        scales = prosody.new_tensor([MELODY_SCALE, 1.0, 1.0]) * self.prosody_noise
        noisy = prosody + torch.randn_like(prosody) * scales
        return noisy * (chance >= self.prosody_dropout)

    def _frames_of_units(self, x: torch.Tensor, num_frames: int) -> torch.Tensor:
        """Frames offset .. offset + num_frames of (B, F, M), zeros past its end."""
        x = x[:, self.frame_offset : self.frame_offset + num_frames]
        return torch.nn.functional.pad(x, (0, 0, 0, num_frames - x.size(1)))

    def _f0_of_frames(self, pitch: torch.Tensor, num_frames: int) -> torch.Tensor:
        """F0 every 10 ms (B, P) to F0 at the mel frames of the units (B, F)."""
        seconds = torch.arange(num_frames, device=pitch.device) + self.frame_offset
        seconds = seconds * (self.hop_length / self.sample_rate)
        index = (seconds * PITCH_RATE).round().long()
        known = index < pitch.size(1)
        return pitch[:, index.clamp(max=pitch.size(1) - 1)].clamp(min=0.0) * known

    def _losses(
        self,
        prediction: MelPrediction,
        mel: torch.Tensor,
        f0: torch.Tensor,
        mask: torch.Tensor,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Mel L1 + L2, log-F0 L1 where voiced, voicing cross-entropy."""
        error = (prediction.mel - mel)[mask]  # (frames, M)
        voiced = mask & (f0 > 0)
        log_f0 = (f0.clamp(min=1.0) / REFERENCE_F0).log()
        pitch_errors = (prediction.log_f0 - log_f0).abs() * voiced
        pitch_error = joint_mean(pitch_errors.sum(), voiced.sum())
        voicing = torch.nn.functional.binary_cross_entropy_with_logits(
            prediction.voicing[mask], (f0 > 0)[mask].to(mel.dtype), reduction="sum"
        )
        voicing = joint_mean(voicing, mask.sum())
        wrong = ((prediction.voicing > 0) != (f0 > 0))[mask].to(mel.dtype).mean()
        mel_l1 = joint_mean(error.abs().sum(), error.numel())
        mel_l2 = joint_mean(error.square().sum(), error.numel())
        loss = (
            mel_l1
            + mel_l2
            + self.pitch_weight * pitch_error
            + self.voicing_weight * voicing
        )
        stats = dict(
            mel_l1=mel_l1,
            mel_l2=mel_l2,
            log_f0_l1=pitch_error,
            voicing_bce=voicing,
            voicing_error=wrong,
        )
        return loss, stats


class UnitToMelGriffinLim(UnitToMelVocoder):
    """The same with Griffin-Lim, which needs no other file.

    Args:
        griffin_lim_conf: Options of ``GriffinLim``.
        **unit_to_mel_conf: Options of ``UnitToMelVocoder`` but the renderer.
    """

    def __init__(self, griffin_lim_conf: dict | None = None, **unit_to_mel_conf):
        super().__init__(renderer_conf=griffin_lim_conf, **unit_to_mel_conf)
