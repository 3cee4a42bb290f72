"""Units and a speaker embedding to log-mel by conditional flow matching.

Enters: speech units (B, U) and speaker embeddings (B, D). Leaves: log-mel (B, M, T).
Parameter names are those of the published voice generator below ``flow.``. Sources:
Lipman et al. 2023; Matcha-TTS; CosyVoice; specification, section 5.

Legend: B utterances, U units, K unit classes, D speaker embedding size, T mel frames, M
mel bands, H encoder size.
"""

import math

import torch
from torch import nn
from torch.nn import functional

from espnet2_taste.masks import length_mask
from espnet2_taste.ranks import joint_mean
from espnet2_taste.speech_decoder.rel_transformer import RelTransformer
from espnet2_taste.vocoder.excitation import white_noise
from espnet2_taste.vocoder.flow_estimator import FlowEstimator, MaskedGroupNorm
from espnet2_taste.vocoder.unit_embedding import UnitEmbedding


def cosine_times(num_steps: int) -> torch.Tensor:
    """Times 0 .. 1 of the Euler solver, dense near 0, (num_steps + 1,)."""
    return 1 - torch.cos(torch.linspace(0, 1, num_steps + 1) * 0.5 * math.pi)


def stretch_index(lengths: torch.Tensor, new_lengths: torch.Tensor) -> torch.Tensor:
    """Source position of each frame when sequences are stretched by repetition.

    Args:
        lengths: Valid positions before, (B,).
        new_lengths: Valid positions after, (B,).

    Returns:
        floor(t * U / T) for t < T, the last position beyond, (B, max T) int64; rounded
        as ``torch.nn.functional.interpolate(mode="nearest")`` rounds.
    """
    frames = torch.arange(int(new_lengths.max()), device=lengths.device)
    scale = lengths.float() / new_lengths.float()
    index = (frames.float()[None, :] * scale[:, None]).long()
    return torch.minimum(index, lengths[:, None] - 1)


class LengthRegulator(nn.Module):
    """Stretches vectors from unit rate to mel rate and smooths them.

    Args:
        channels: M.
        num_layers: Convolutions with group norm and Mish before the last, linear one.
    """

    def __init__(self, channels: int, num_layers: int = 4):
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(num_layers):
            layers.append(nn.Conv1d(channels, channels, 3, padding=1))
            layers += [MaskedGroupNorm(1, channels), nn.Mish()]
        self.model = nn.ModuleList([*layers, nn.Conv1d(channels, channels, 1)])

    def forward(
        self, x: torch.Tensor, lengths: torch.Tensor, new_lengths: torch.Tensor
    ) -> torch.Tensor:
        """(B, U, M) with lengths (B,) to (B, M, T) with new lengths (B,)."""
        index = stretch_index(lengths, new_lengths)  # (B, T)
        x = x.gather(1, index.unsqueeze(2).expand(-1, -1, x.size(2))).transpose(1, 2)
        mask = length_mask(new_lengths, index.size(1)).unsqueeze(1).to(x)
        layers = list(self.model)
        for conv, norm, activation in zip(layers[0::3], layers[1::3], layers[2::3]):
            x = activation(norm(conv(x * mask), mask))
        return layers[-1](x * mask) * mask


class FlowDecoder(nn.Module):
    """Conditional flow matching around the estimator.

    Args:
        estimator: Predicts the velocity.
        sigma_min: Noise left at time 1.
        condition_drop: Share of utterances trained without condition.
        guidance: Weight of classifier-free guidance at synthesis.
        num_steps: Euler steps at synthesis.
    """

    def __init__(
        self,
        estimator: FlowEstimator,
        sigma_min: float = 1.0e-6,
        condition_drop: float = 0.2,
        guidance: float = 0.7,
        num_steps: int = 10,
    ):
        super().__init__()
        self.estimator = estimator
        self.sigma_min = sigma_min
        self.condition_drop = condition_drop
        self.guidance = guidance
        self.num_steps = num_steps

    def solve(
        self,
        noise: torch.Tensor,
        mask: torch.Tensor,
        mu: torch.Tensor,
        speaker: torch.Tensor,
    ) -> torch.Tensor:
        """Integrate from noise to mel; both branches of the guidance run as one batch.

        Args:
            noise: State at time 0, (B, M, T).
            mask: Ones at valid frames, (B, 1, T).
            mu: Mel prior, (B, M, T).
            speaker: Projected speaker vectors, (B, M).

        Returns:
            Log-mel, (B, M, T).
        """
        times = cosine_times(self.num_steps).to(noise)
        x, masks = noise, torch.cat([mask, mask])
        mu = torch.cat([mu, torch.zeros_like(mu)])
        speaker = torch.cat([speaker, torch.zeros_like(speaker)])
        for start, end in zip(times[:-1], times[1:]):
            velocity = self.estimator(
                torch.cat([x, x]),
                masks,
                mu,
                start.expand(mu.size(0)),
                speaker,
                torch.zeros_like(mu),
            )
            with_units, without = velocity.chunk(2)
            velocity = (1 + self.guidance) * with_units - self.guidance * without
            x = x + (end - start) * velocity
        return x

    def loss(
        self,
        mel: torch.Tensor,
        mask: torch.Tensor,
        mu: torch.Tensor,
        speaker: torch.Tensor,
    ) -> torch.Tensor:
        """Squared error of the velocity at a random time.

        Args:
            mel: Wanted log-mel, (B, M, T).
            mask: Ones at valid frames, (B, 1, T).
            mu: Mel prior, (B, M, T).
            speaker: Projected speaker vectors, (B, M).

        Returns:
            Mean over valid frames and bands, scalar, this rank's share of it.
        """
        batch = mel.size(0)
        time = 1 - torch.cos(torch.rand(batch, device=mel.device) * 0.5 * math.pi)
        at, noise = time[:, None, None], torch.randn_like(mel)
        state = (1 - (1 - self.sigma_min) * at) * noise + at * mel
        wanted = mel - (1 - self.sigma_min) * noise
        keep = (torch.rand(batch, device=mel.device) > self.condition_drop).to(mel)
        velocity = self.estimator(
            state * mask,
            mask,
            mu * keep[:, None, None],
            time,
            speaker * keep[:, None],
            torch.zeros_like(mu),
        )
        error = (velocity.float() - wanted).square() * mask
        return joint_mean(error.sum(), mask.sum() * mel.size(1))


class UnitFlow(nn.Module):
    """Units to log-mel; default sizes are those of the published voice generator.

    Args:
        num_units: Size of the unit inventory.
        spembs_size: D.
        n_mels: M.
        encoder_size: H.
        encoder_blocks: Blocks of the unit encoder.
        attention_heads: Its heads.
        linear_units: Width of its feed-forward layers.
        dropout_rate: Its dropout.
        attention_dropout_rate: Dropout of its attention weights.
        estimator_conf: Options of ``FlowEstimator`` but the mel size.
        decoder_conf: Options of ``FlowDecoder`` but the estimator.
        seed: Of the noise at synthesis.
    """

    def __init__(
        self,
        num_units: int = 4096,
        spembs_size: int = 192,
        n_mels: int = 80,
        encoder_size: int = 512,
        encoder_blocks: int = 6,
        attention_heads: int = 8,
        linear_units: int = 2048,
        dropout_rate: float = 0.1,
        attention_dropout_rate: float = 0.1,
        estimator_conf: dict | None = None,
        decoder_conf: dict | None = None,
        seed: int = 0,
    ):
        super().__init__()
        self.n_mels = n_mels
        self.seed = seed
        self.input_embedding = UnitEmbedding(num_units, encoder_size)
        self.spk_embed_affine_layer = nn.Linear(spembs_size, n_mels)
        self.encoder = RelTransformer(
            encoder_size,
            encoder_size,
            encoder_blocks,
            attention_heads,
            linear_units,
            causal=False,
            dropout_rate=dropout_rate,
            attention_dropout_rate=attention_dropout_rate,
        )
        self.encoder_proj = nn.Linear(encoder_size, n_mels)
        self.length_regulator = LengthRegulator(n_mels)
        estimator = FlowEstimator(n_mels, **(estimator_conf or {}))
        self.decoder = FlowDecoder(estimator, **(decoder_conf or {}))

    def encode(
        self,
        units: torch.Tensor,
        units_lengths: torch.Tensor,
        spembs: torch.Tensor,
        mel_lengths: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What conditions the flow.

        Args:
            units: (B, U), valid indices at padding too, or mixtures (B, U, K).
            units_lengths: (B,).
            spembs: (B, D), normalised to unit length here.
            mel_lengths: Wanted mel frames, (B,).

        Returns:
            Mel prior (B, M, T), mask (B, 1, T) and speaker vectors (B, M).
        """
        speaker = self.spk_embed_affine_layer(functional.normalize(spembs, dim=1))
        valid = length_mask(units_lengths, units.size(1))
        hidden = self.encoder(self.input_embedding(units), valid)  # (B, U, H)
        mu = self.length_regulator(
            self.encoder_proj(hidden), units_lengths, mel_lengths
        )
        mask = length_mask(mel_lengths, mu.size(2)).unsqueeze(1).to(mu)
        return mu, mask, speaker

    def forward(
        self,
        units: torch.Tensor,
        units_lengths: torch.Tensor,
        spembs: torch.Tensor,
        mel: torch.Tensor,
        mel_lengths: torch.Tensor,
    ) -> torch.Tensor:
        """Training loss, scalar; ``mel`` is (B, M, T), the rest as in ``encode``."""
        mu, mask, speaker = self.encode(units, units_lengths, spembs, mel_lengths)
        return self.decoder.loss(mel[:, :, : mu.size(2)], mask, mu, speaker)

    @torch.no_grad()
    def synthesize(
        self,
        units: torch.Tensor,
        units_lengths: torch.Tensor,
        spembs: torch.Tensor,
        mel_lengths: torch.Tensor,
        noise: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Log-mel of a batch.

        Args:
            units: (B, U), valid indices at padding too, or mixtures (B, U, K).
            units_lengths: (B,).
            spembs: (B, D).
            mel_lengths: Wanted mel frames, (B,).
            noise: State at time 0, (B, M, T); None draws it from ``seed``, the same
                for each item whatever its padding.

        Returns:
            (B, M, T), zero at padding.
        """
        mu, mask, speaker = self.encode(units, units_lengths, spembs, mel_lengths)
        if noise is None:
            drawn = white_noise(mu.size(2) * self.n_mels, mu, self.seed)
            noise = drawn.view(-1, self.n_mels).T.expand_as(mu)
        return self.decoder.solve(noise * mask, mask, mu, speaker) * mask
