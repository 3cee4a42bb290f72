"""Speech units and a speaker embedding to F0 and log-mel, the trained part of the
recipe's small vocoder (after FastPitch, Lancucki 2021, with units in place of phones).

Legend: B utterances, U units, K unit classes, R mel frames a unit, F = U * R frames, M
mel bands, D speaker embedding size, H hidden size. Convolutions see zeros at padding,
so padding never changes a result. F0 is predicted first and then given back as features
(the true one while training): the mel decoder knows where harmonics lie and keeps them
sharp.
"""

import math
from dataclasses import dataclass

import torch

from espnet2_taste.dropout import Dropout
from espnet2_taste.masks import length_mask
from espnet2_taste.prosody import FEATURES, REFERENCE_F0
from espnet2_taste.speech_decoder.segments import UnitRows, unit_rows
from espnet2_taste.vocoder.unit_embedding import UnitEmbedding

RESOLVED_HZ = 1500.0


@dataclass(frozen=True)
class MelPrediction:
    """What ``UnitToMel`` predicts.

    Attributes:
        mel: Standardised log-mel, (B, F, M).
        log_f0: Natural log of F0 / 150 Hz, meaningful where voiced, (B, F).
        voicing: Logit of "voiced", (B, F).
        lengths: Valid frames, (B,).
    """

    mel: torch.Tensor
    log_f0: torch.Tensor
    voicing: torch.Tensor
    lengths: torch.Tensor

    @property
    def f0(self) -> torch.Tensor:
        """F0 in Hz, 0 where unvoiced, (B, F)."""
        return torch.where(self.voicing > 0, REFERENCE_F0 * self.log_f0.exp(), 0.0)


class ConvBlock(torch.nn.Module):
    """Residual block: layer norm, convolution over time, GELU, dropout.

    Args:
        size: H.
        kernel_size: Odd.
        dilation: Spacing of the taps.
        dropout: Probability.
    """

    def __init__(self, size: int, kernel_size: int, dilation: int, dropout: float):
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, found {kernel_size}")
        padding = (kernel_size - 1) // 2 * dilation
        self.norm = torch.nn.LayerNorm(size)
        self.conv = torch.nn.Conv1d(
            size, size, kernel_size, padding=padding, dilation=dilation
        )
        self.dropout = Dropout(dropout)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B, T, H) and a mask (B, T, 1) of ones and zeros to (B, T, H)."""
        hidden = (self.norm(x) * mask).transpose(1, 2)  # (B, H, T)
        hidden = torch.nn.functional.gelu(self.conv(hidden)).transpose(1, 2)
        return x + self.dropout(hidden)


class ConvStack(torch.nn.Module):
    """Residual blocks whose dilation cycles through 1, 2, 4, and a final norm."""

    def __init__(self, size: int, num_layers: int, kernel_size: int, dropout: float):
        super().__init__()
        self.blocks = torch.nn.ModuleList(
            ConvBlock(size, kernel_size, 2 ** (layer % 3), dropout)
            for layer in range(num_layers)
        )
        self.norm = torch.nn.LayerNorm(size)

    @property
    def context(self) -> int:
        """Positions to each side that an output depends on."""
        return sum(block.conv.padding[0] for block in self.blocks)

    @property
    def variance(self) -> float:
        """Of the distance of the inputs of an output, if all weights are alike."""
        sizes = ((b.conv.kernel_size[0], b.conv.dilation[0]) for b in self.blocks)
        return sum(step**2 * (taps**2 - 1) / 12 for taps, step in sizes)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B, T, H) and a mask (B, T, 1) to (B, T, H)."""
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x)


def harmonic_features(f0: torch.Tensor, frequencies: torch.Tensor) -> torch.Tensor:
    """Where the harmonics of F0 lie on the mel bands.

    Args:
        f0: Hz, 0 where unvoiced, (B, F).
        frequencies: Centre of each band, Hz, (M,).

    Returns:
        Voicing, for each band a cosine that is 1 at a harmonic and -1 half-way between
        two (fading out above 1.5 kHz, where bands are wider than that), and log F0,
        (B, F, M + 2); zeros where unvoiced.
    """
    voiced = (f0 > 0).to(frequencies.dtype)
    safe = torch.where(f0 > 0, f0, REFERENCE_F0)
    comb = torch.cos(2 * math.pi * frequencies / safe[:, :, None])  # (B, F, M)
    comb = comb * torch.exp(-((frequencies / RESOLVED_HZ) ** 2))
    log_f0 = (safe / REFERENCE_F0).log()
    features = torch.cat([torch.ones_like(safe)[:, :, None], comb], dim=2)
    features = torch.cat([features, log_f0[:, :, None]], dim=2)
    return features * voiced[:, :, None]


class UnitToMel(torch.nn.Module):
    """Units to F0 and log-mel.

    Args:
        num_units: Size of the unit inventory.
        spembs_size: D.
        frequencies: Centre of each mel band, Hz; their number is M.
        frames_per_unit: R.
        unit_size: H of the stack that runs at unit rate.
        unit_layers: Its blocks.
        frame_size: H of the stacks that run at mel rate.
        pitch_layers: Blocks of the F0 predictor.
        frame_layers: Blocks of the mel decoder.
        unit_kernel_size: Taps of the convolutions at unit rate.
        frame_kernel_size: Taps of the convolutions at mel rate.
        dropout: Probability.
        prosody: Whether the prosody of the units may be given.
    """

    def __init__(
        self,
        num_units: int,
        spembs_size: int,
        frequencies: torch.Tensor,
        frames_per_unit: int,
        unit_size: int = 192,
        unit_layers: int = 5,
        frame_size: int = 128,
        pitch_layers: int = 2,
        frame_layers: int = 4,
        unit_kernel_size: int = 5,
        frame_kernel_size: int = 3,
        dropout: float = 0.1,
        prosody: bool = False,
    ):
        super().__init__()
        n_mels = frequencies.numel()
        self.frames_per_unit = frames_per_unit
        self.embedding = UnitEmbedding(num_units, unit_size)
        self.speaker = torch.nn.Linear(spembs_size, unit_size)
        if prosody:
            self.prosody = torch.nn.Linear(FEATURES, unit_size, bias=False)
        self.unit_stack = ConvStack(unit_size, unit_layers, unit_kernel_size, dropout)
        self.to_frames = torch.nn.Linear(unit_size, frames_per_unit * frame_size)
        self.pitch_stack = ConvStack(
            frame_size, pitch_layers, frame_kernel_size, dropout
        )
        self.pitch_head = torch.nn.Linear(frame_size, 2)
        self.pitch_features = torch.nn.Linear(n_mels + 2, frame_size)
        self.mel_stack = ConvStack(frame_size, frame_layers, frame_kernel_size, dropout)
        self.mel_head = torch.nn.Linear(frame_size, n_mels)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def context(self, frames: float) -> int:
        """Units to each side that a frame depends on.

        Args:
            frames: Fewest of a unit.
        """
        around = self.pitch_stack.context + self.mel_stack.context
        return self.unit_stack.context + math.ceil(around / frames)

    def audible_context(self, frames: float) -> int:
        """Units to each side that a frame depends on audibly; see :meth:`context`.

        Two and a half deviations of its receptive field, which is nearly normal (Luo et
        al. 2016, "Understanding the effective receptive field").
        """
        variance = self.pitch_stack.variance + self.mel_stack.variance
        variance = self.unit_stack.variance + variance / frames**2
        return min(self.context(frames), math.ceil(2.5 * math.sqrt(variance)))

    def forward(
        self,
        units: torch.Tensor,
        units_lengths: torch.Tensor,
        spembs: torch.Tensor,
        f0: torch.Tensor | None = None,
        prosody: torch.Tensor | None = None,
        sizes: torch.Tensor | None = None,
    ) -> MelPrediction:
        """Predict F0, and the mel of the given or, without one, the predicted F0.

        Args:
            units: (B, U), valid indices at padding too, or mixtures (B, U, K).
            units_lengths: (B,).
            spembs: (B, D), normalised to unit length here.
            f0: Hz, 0 where unvoiced, (B, F).
            prosody: Of the units, (B, U, 3), for a network that takes it; zeros are
                as good as none.
            sizes: Frames of each unit, (B, U), any value at padding; R by default.

        Returns:
            The prediction at mel rate.
        """
        valid = length_mask(units_lengths, units.size(1))  # (B, U)
        equal = valid.long().fill_(self.frames_per_unit)  # at padding too
        rows = unit_rows(equal if sizes is None else sizes * valid)
        spoken = rows.valid & valid.gather(1, rows.segment)  # (B, F)
        unit_mask, frame_mask = (x.unsqueeze(2).to(spembs) for x in (valid, spoken))
        speaker = self.speaker(torch.nn.functional.normalize(spembs, dim=1))
        hidden = self.embedding(units) + speaker[:, None, :]  # (B, U, H)
        if prosody is not None:
            hidden = hidden + self.prosody(prosody)
        hidden = self.to_frames(self.unit_stack(hidden, unit_mask))
        hidden = self._at_frames(hidden, rows)
        pitch = self.pitch_head(self.pitch_stack(hidden, frame_mask))  # (B, F, 2)
        log_f0, voicing = pitch.unbind(2)
        if prosody is not None:  # what is learned is how frames differ from their unit
            log_f0 = log_f0 + prosody[..., 0].gather(1, rows.segment)
        if f0 is None:
            f0 = torch.where(voicing > 0, REFERENCE_F0 * log_f0.exp(), 0.0)
        features = harmonic_features(f0, self.frequencies)
        hidden = hidden + self.pitch_features(features)
        mel = self.mel_head(self.mel_stack(hidden, frame_mask))  # (B, F, M)
        return MelPrediction(mel, log_f0, voicing, spoken.sum(1))

    def _at_frames(self, hidden: torch.Tensor, rows: UnitRows) -> torch.Tensor:
        """Features of R frames a unit (B, U, R * H) to those of its own (B, F, H)."""
        per_unit = self.frames_per_unit
        hidden = hidden.unflatten(2, (per_unit, -1)).flatten(1, 2)
        inside = (rows.phase * per_unit).long().clamp(max=per_unit - 1)
        index = rows.segment * per_unit + inside
        return hidden.gather(1, index.unsqueeze(2).expand(-1, -1, hidden.size(2)))
