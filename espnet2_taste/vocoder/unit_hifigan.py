"""HiFi-GAN from speech units: ESPnet's GAN-TTS modules with units instead of mels.

Unit embeddings are widened by one convolution and enter the generator, which makes
``sample_rate / unit_rate`` samples a unit; the speaker embedding is its global
condition. The discriminators and losses are those of ESPnet's HiFi-GAN (Kong et al.
2020); units in place of mels follow Polyak et al. 2021.

Legend: B utterances, U units, D speaker embedding size, E embedding size, S samples,
C units of a training segment.
"""

import math

import torch

from espnet2_taste.masks import length_mask
from espnet2_taste.precision import in_float32
from espnet2_taste.vocoder.abs_vocoder import by_length
from espnet2_taste.vocoder.gan_vocoder import AbsGanUnitVocoder
from espnet2_taste.vocoder.unit_embedding import UnitEmbedding
from espnet2_taste.vocoder.wave_stream import AbsWaveStream, WindowedWaveStream

DEFAULT_HIFIGAN = dict(
    upsample_scales=[10, 8, 4, 2], upsample_kernel_sizes=[20, 16, 8, 4]
)
DEFAULT_MEL_LOSS = dict(
    n_fft=1024, hop_length=256, win_length=None, n_mels=80, log_base=None
)


class SpokenUnits(torch.nn.Module):
    """Units and speaker to a waveform: the generator's side.

    Args:
        num_units: Size of the unit inventory.
        spembs_size: D.
        embed_size: E.
        hifigan_conf: Options of ESPnet's ``HiFiGANGenerator`` but its input sizes.
    """

    def __init__(
        self, num_units: int, spembs_size: int, embed_size: int, hifigan_conf: dict
    ):
        from espnet2.gan_tts.hifigan import HiFiGANGenerator

        super().__init__()
        self.embedding = UnitEmbedding(num_units, embed_size)
        self.context = torch.nn.Conv1d(embed_size, embed_size, 5, padding=2)
        self.network = HiFiGANGenerator(
            in_channels=embed_size, global_channels=spembs_size, **hifigan_conf
        )

    @property
    def reach(self) -> int:
        """Units to each side that the samples of a unit depend on."""
        network, rate = self.network, 1
        reach = self.context.padding[0] + network.input_conv.padding[0]
        for index, upsample in enumerate(network.upsamples):
            reach += 1 / rate  # a transposed convolution reads two neighbours
            rate *= upsample[-1].stride[0]
            first = index * network.num_blocks
            blocks = network.blocks[first : first + network.num_blocks]
            reach += max(map(_padding, blocks)) / rate
        return math.ceil(reach + _padding(network.output_conv) / rate)

    def features(self, units: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Input of the generator, units of lengths (B,) to (B, E, U)."""
        mask = length_mask(lengths, units.size(1)).unsqueeze(1)
        x = self.embedding(units).transpose(1, 2) * mask
        return (x + torch.nn.functional.gelu(self.context(x))) * mask

    def forward(self, features: torch.Tensor, spembs: torch.Tensor) -> torch.Tensor:
        """Features (B, E, U) and speakers (B, D) to a waveform (B, 1, S)."""
        return self.network(features, g=spembs.unsqueeze(2))


def _padding(module: torch.nn.Module) -> int:
    """Positions to each side that convolutions one after the other depend on."""
    convs = (m for m in module.modules() if isinstance(m, torch.nn.Conv1d))
    return sum(conv.padding[0] for conv in convs)


class UnitHiFiGAN(AbsGanUnitVocoder):
    """HiFi-GAN on units and speaker embeddings (``--vocoder unit_hifigan``).

    Args:
        num_units: Size of the unit inventory.
        spembs_size: D.
        unit_rate: Units a second.
        sample_rate: Samples a second of the waveform.
        unit_offset: Seconds from the start of the audio to the start of unit 0's own
            stretch; encoders whose first output is centred late need one.
        embed_size: E.
        segment_units: C, what a training step sees of each utterance.
        hifigan_conf: Options of ``HiFiGANGenerator``.
        discriminator_conf: Options of ``HiFiGANMultiScaleMultiPeriodDiscriminator``.
        mel_loss_conf: Options of ``MelSpectrogramLoss`` but the sample rate.
        mel_weight: Of the mel loss.
        feature_weight: Of the feature matching loss.
        adversarial_weight: Of the adversarial loss.

    Raises:
        ValueError: The generator's scales do not multiply to the samples of a unit.
    """

    takes_mixtures = True

    def __init__(
        self,
        num_units: int = 200,
        spembs_size: int = 192,
        unit_rate: float = 25.0,
        sample_rate: int = 16000,
        unit_offset: float = 0.0,
        embed_size: int = 128,
        segment_units: int = 16,
        hifigan_conf: dict | None = None,
        discriminator_conf: dict | None = None,
        mel_loss_conf: dict | None = None,
        mel_weight: float = 45.0,
        feature_weight: float = 2.0,
        adversarial_weight: float = 1.0,
    ):
        from espnet2.gan_tts.hifigan import (
            HiFiGANMultiScaleMultiPeriodDiscriminator,
            loss,
        )

        super().__init__()
        self.num_units = num_units
        self.spembs_size = spembs_size
        self.sample_rate = sample_rate
        self.segment_units = segment_units
        self.lead = round(unit_offset * sample_rate)
        conf = DEFAULT_HIFIGAN | (hifigan_conf or {})
        self.hop_length = samples_per_unit(
            sample_rate, unit_rate, conf["upsample_scales"]
        )
        self.generator = SpokenUnits(num_units, spembs_size, embed_size, conf)
        self.discriminator = HiFiGANMultiScaleMultiPeriodDiscriminator(
            **(discriminator_conf or {})
        )
        mel_loss_conf = DEFAULT_MEL_LOSS | (mel_loss_conf or {})
        self.mel_loss = loss.MelSpectrogramLoss(fs=sample_rate, **mel_loss_conf)
        self.mel_loss.requires_grad_(False)
        self.feature_loss = loss.FeatureMatchLoss()
        self.adversarial_loss = loss.GeneratorAdversarialLoss()
        self.judgement_loss = loss.DiscriminatorAdversarialLoss()
        self.weights = (mel_weight, feature_weight, adversarial_weight)

    @property
    def context(self) -> int:
        """See ``AbsUnitVocoder.context``."""
        return self.generator.reach

    def stream(self, spembs: torch.Tensor) -> AbsWaveStream:
        """See ``AbsUnitVocoder.stream``."""
        return WindowedWaveStream(self, spembs, self.hop_length, self.lead)

    def generator_loss(self, *batch):
        """See ``AbsGanUnitVocoder.generator_loss``."""
        made, true = self._segments(*batch)
        judged = self.discriminator(made)
        with torch.no_grad():
            wanted = self.discriminator(true)
        stats = dict(
            mel=in_float32(self.mel_loss)(made, true),
            feature_match=self.feature_loss(judged, wanted),
            adversarial=self.adversarial_loss(judged),
        )
        loss = sum(w * part for w, part in zip(self.weights, stats.values()))
        return loss, {f"generator_{name}": part for name, part in stats.items()}

    def discriminator_loss(self, *batch):
        """See ``AbsGanUnitVocoder.discriminator_loss``."""
        with torch.no_grad():
            made, true = self._segments(*batch)
        real, fake = self.judgement_loss(
            self.discriminator(made), self.discriminator(true)
        )
        return real + fake, dict(discriminator_real=real, discriminator_fake=fake)

    @torch.no_grad()
    def synthesize(self, units, units_lengths, spembs, prosody=None, times=None):
        """Speak the units; see ``AbsUnitVocoder.synthesize``."""
        units = self.check_inputs(units, units_lengths, spembs, prosody, times)
        features = self.generator.features(units, units_lengths)
        waves, samples = by_length(
            lambda rows, length: self.generator(
                features[rows, :, :length], spembs[rows]
            )[:, 0],
            units_lengths,
            self.hop_length,
        )
        waves = torch.nn.functional.pad(waves, (self.lead, 0))
        return waves, samples + self.lead

    def _segments(self, units, units_lengths, spembs, speech, speech_lengths):
        """Generated and true speech of a random piece of each utterance, (B, 1, S).

        The context of the first convolution is that of the whole utterance.
        """
        from espnet2.gan_tts.utils import get_random_segments, get_segments

        units = self.check_inputs(units, units_lengths, spembs)
        known = (speech_lengths - self.lead) // self.hop_length
        lengths = torch.minimum(units_lengths, known.clamp(min=0))
        count = min(self.segment_units, units.size(1))
        pieces, starts = get_random_segments(
            self.generator.features(units, units_lengths), lengths, count
        )
        made = self.generator(pieces, spembs)
        speech = speech[:, None, self.lead :]
        missing = units.size(1) * self.hop_length - speech.size(2)
        speech = torch.nn.functional.pad(speech, (0, max(0, missing)))
        size = count * self.hop_length
        return made, get_segments(speech, starts * self.hop_length, size)


def samples_per_unit(sample_rate: int, unit_rate: float, scales: list[int]) -> int:
    """Samples that the generator makes of a unit.

    Args:
        sample_rate: Samples a second.
        unit_rate: Units a second.
        scales: Of the generator's upsampling.

    Returns:
        Their product.

    Raises:
        ValueError: The unit lasts another number of samples.

    Example:
        >>> samples_per_unit(16000, 25.0, [10, 8, 4, 2])
        640
    """
    made, wanted = math.prod(scales), sample_rate / unit_rate
    if made != wanted:
        raise ValueError(
            f"the generator makes {made} samples a unit ({scales}), a unit "
            f"lasts {wanted:g} ({sample_rate} Hz / {unit_rate:g}); change "
            "hifigan_conf.upsample_scales (and upsample_kernel_sizes, each "
            "twice its scale)"
        )
    return made
