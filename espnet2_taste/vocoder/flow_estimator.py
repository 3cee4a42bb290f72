"""The network inside the flow: a U-Net over time that predicts a velocity.

Enters: a noisy mel, the mel prior, a speaker vector, a condition, a time and a mask.
Leaves: the velocity. Parameter names are those of the published voice generator.

Two differences from the published code matter for batches only: group norms count valid
frames alone, and padding is really hidden from attention (there, the 0/1 mask is
added to the scores). One unpadded item gives the same result in both.

Legend: B utterances, T mel frames, M mel bands, C channels, H heads, E head size.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional


class MaskedGroupNorm(nn.GroupNorm):
    """Group norm over the valid frames only."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B, C, T) and a mask (B, 1, T) of ones and zeros to (B, C, T)."""
        grouped = x.unflatten(1, (self.num_groups, -1))  # (B, G, C / G, T)
        valid = mask.unsqueeze(1)  # (B, 1, 1, T)
        count = valid.sum(dim=(2, 3), keepdim=True) * grouped.size(2)
        mean = (grouped * valid).sum(dim=(2, 3), keepdim=True) / count
        centred = grouped - mean
        variance = (centred.square() * valid).sum(dim=(2, 3), keepdim=True) / count
        normed = (centred * torch.rsqrt(variance + self.eps)).flatten(1, 2)
        return normed * self.weight[:, None] + self.bias[:, None]


class TimeEmbedding(nn.Module):
    """Flow time to a vector: sinusoids, then two linear layers.

    Args:
        sinusoid_size: Even number of sinusoids.
        size: Features of the result.
    """

    def __init__(self, sinusoid_size: int, size: int):
        super().__init__()
        self.sinusoid_size = sinusoid_size
        self.linear_1 = nn.Linear(sinusoid_size, size)
        self.linear_2 = nn.Linear(size, size)

    def sinusoids(self, time: torch.Tensor) -> torch.Tensor:
        """Sines, then cosines, of 1000 t at geometric rates, (B,) to (B, size)."""
        half = self.sinusoid_size // 2
        index = torch.arange(half, device=time.device, dtype=torch.float32)
        rates = torch.exp(index * (-math.log(10000.0) / (half - 1)))
        angles = 1000.0 * time[:, None] * rates
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    def forward(self, time: torch.Tensor) -> torch.Tensor:
        """(B,) to (B, size)."""
        hidden = functional.silu(self.linear_1(self.sinusoids(time)))
        return self.linear_2(hidden)


class ConvNormMish(nn.Module):
    """Convolution over 3 frames, group norm, Mish; nothing leaves padding."""

    def __init__(self, in_channels: int, out_channels: int, groups: int = 8):
        super().__init__()
        self.block = nn.ModuleList(
            [
                nn.Conv1d(in_channels, out_channels, 3, padding=1),
                MaskedGroupNorm(groups, out_channels),
            ]
        )

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B, C_in, T) and (B, 1, T) to (B, C_out, T)."""
        conv, norm = self.block
        return functional.mish(norm(conv(x * mask), mask)) * mask


class ResnetBlock(nn.Module):
    """Two convolutions with the time added in between, and a skip connection."""

    def __init__(self, in_channels: int, out_channels: int, time_size: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Mish(), nn.Linear(time_size, out_channels))
        self.block1 = ConvNormMish(in_channels, out_channels)
        self.block2 = ConvNormMish(out_channels, out_channels)
        self.res_conv = nn.Conv1d(in_channels, out_channels, 1)

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, time: torch.Tensor
    ) -> torch.Tensor:
        """(B, C_in, T), (B, 1, T) and a time vector (B, D) to (B, C_out, T)."""
        hidden = self.block1(x, mask) + self.mlp(time).unsqueeze(2)
        return self.block2(hidden, mask) + self.res_conv(x * mask)


class Attention(nn.Module):
    """Self-attention over all valid frames, without positions.

    Args:
        size: C.
        heads: H.
        head_size: E.
        dropout_rate: Dropout of the result.
    """

    def __init__(self, size: int, heads: int, head_size: int, dropout_rate: float):
        super().__init__()
        inner = heads * head_size
        self.heads = heads
        self.to_q = nn.Linear(size, inner, bias=False)
        self.to_k = nn.Linear(size, inner, bias=False)
        self.to_v = nn.Linear(size, inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, size), nn.Dropout(dropout_rate))

    def forward(self, x: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        """(B, T, C) and visible keys (B, 1, 1, T) to (B, T, C)."""
        query, key, value = (
            project(x).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, H, T, E)
            for project in (self.to_q, self.to_k, self.to_v)
        )
        attended = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=visible
        )
        return self.to_out(attended.transpose(1, 2).flatten(2))


def feed_forward(size: int, dropout_rate: float) -> nn.Module:
    """Two linear layers, four times as wide inside, (B, T, C) to (B, T, C)."""
    wider = {"proj": nn.Linear(size, 4 * size), "gelu": nn.GELU()}
    narrower = nn.Linear(4 * size, size)
    return nn.Sequential(
        nn.Sequential(OrderedDict(wider)), nn.Dropout(dropout_rate), narrower
    )


class TransformerBlock(nn.Module):
    """Pre-norm attention and feed-forward."""

    def __init__(self, size: int, heads: int, head_size: int, dropout_rate: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(size)
        self.attn1 = Attention(size, heads, head_size, dropout_rate)
        self.norm3 = nn.LayerNorm(size)
        self.ff = nn.ModuleDict({"net": feed_forward(size, dropout_rate)})

    def forward(self, x: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        """(B, T, C) and visible keys (B, 1, 1, T) to (B, T, C)."""
        x = x + self.attn1(self.norm1(x), visible)
        return x + self.ff["net"](self.norm3(x))


def _resample(conv: nn.Module) -> nn.Module:
    """A (transposed) convolution to half or twice the rate, published as ``conv``."""
    return nn.Sequential(OrderedDict(conv=conv))


class FlowEstimator(nn.Module):
    """Velocity of the flow (Matcha-TTS decoder; specification, section 5).

    Args:
        n_mels: M.
        channels: C of each level; all but the last halve the frame rate.
        num_blocks: Transformer blocks after each residual block.
        num_mid_blocks: Levels in the middle.
        heads: H.
        head_size: E.
        dropout_rate: Dropout of attention and feed-forward.
    """

    def __init__(
        self,
        n_mels: int = 80,
        channels: Sequence[int] = (256, 256),
        num_blocks: int = 4,
        num_mid_blocks: int = 12,
        heads: int = 8,
        head_size: int = 64,
        dropout_rate: float = 0.0,
    ):
        super().__init__()
        time_size = 4 * channels[0]
        blocks = (num_blocks, heads, head_size, dropout_rate)
        last = len(channels) - 1
        self.time_mlp = TimeEmbedding(4 * n_mels, time_size)
        self.down_blocks = nn.ModuleList()
        for index, size in enumerate(channels):
            entering = channels[index - 1] if index else 4 * n_mels
            strided = nn.Conv1d(size, size, 3, stride=2, padding=1)
            resample = _same_rate(size) if index == last else _resample(strided)
            self.down_blocks.append(_level(entering, size, time_size, blocks, resample))
        self.mid_blocks = nn.ModuleList(
            _level(channels[-1], channels[-1], time_size, blocks)
            for _ in range(num_mid_blocks)
        )
        self.up_blocks = nn.ModuleList()
        upward = [*reversed(channels), channels[0]]
        for index, size in enumerate(upward[1:]):
            strided = nn.ConvTranspose1d(size, size, 4, stride=2, padding=1)
            resample = _same_rate(size) if index == last else _resample(strided)
            self.up_blocks.append(
                _level(2 * upward[index], size, time_size, blocks, resample)
            )
        self.final_block = ConvNormMish(channels[0], channels[0])
        self.final_proj = nn.Conv1d(channels[0], n_mels, 1)

    def forward(
        self,
        x: torch.Tensor,
        mask: torch.Tensor,
        mu: torch.Tensor,
        time: torch.Tensor,
        speaker: torch.Tensor,
        condition: torch.Tensor,
    ) -> torch.Tensor:
        """Velocity at ``x``.

        Args:
            x: State of the flow, (B, M, T).
            mask: Ones at valid frames, (B, 1, T).
            mu: Mel prior from the units, (B, M, T).
            time: Flow time in [0, 1], (B,).
            speaker: Projected speaker vector, (B, M).
            condition: Known mel frames, zeros elsewhere, (B, M, T).

        Returns:
            Velocity, (B, M, T), zero at padding.
        """
        time = self.time_mlp(time)
        speaker = speaker.unsqueeze(2).expand(-1, -1, x.size(2))
        x = torch.cat([x, mu, speaker, condition], dim=1)  # (B, 4 M, T)
        masks, skips = [mask], []
        for resnet, blocks, downsample in self.down_blocks:
            x = _run_level(x, masks[-1], time, resnet, blocks)
            skips.append(x)
            x = downsample(x * masks[-1])
            halved = x.size(2) < masks[-1].size(2)
            masks.append(masks[-1][:, :, ::2] if halved else masks[-1])
        masks.pop()
        for resnet, blocks in self.mid_blocks:
            x = _run_level(x, masks[-1], time, resnet, blocks)
        for resnet, blocks, upsample in self.up_blocks:
            current, skip = masks.pop(), skips.pop()
            x = torch.cat([x[:, :, : skip.size(2)], skip], dim=1)
            x = upsample(_run_level(x, current, time, resnet, blocks) * current)
        return self.final_proj(self.final_block(x, mask)) * mask


def _same_rate(size: int) -> nn.Module:
    """What stands for a change of rate where there is none."""
    return nn.Conv1d(size, size, 3, padding=1)


def _level(
    in_channels: int,
    out_channels: int,
    time_size: int,
    blocks: tuple[int, int, int, float],
    *resample: nn.Module,
) -> nn.ModuleList:
    """A residual block, its transformer blocks (number, H, E, dropout), a resampler."""
    num_blocks, heads, head_size, dropout_rate = blocks
    transformers = nn.ModuleList(
        TransformerBlock(out_channels, heads, head_size, dropout_rate)
        for _ in range(num_blocks)
    )
    resnet = ResnetBlock(in_channels, out_channels, time_size)
    return nn.ModuleList([resnet, transformers, *resample])


def _run_level(
    x: torch.Tensor,
    mask: torch.Tensor,
    time: torch.Tensor,
    resnet: ResnetBlock,
    transformers: nn.ModuleList,
) -> torch.Tensor:
    """A level without its resampler, (B, C_in, T) to (B, C, T)."""
    x = resnet(x, mask, time).transpose(1, 2)  # (B, T, C)
    visible = (mask > 0).unsqueeze(1)  # (B, 1, 1, T)
    for block in transformers:
        x = block(x, visible)
    return x.transpose(1, 2)
