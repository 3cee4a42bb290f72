"""Training models of the unit vocoders: one batch in, ESPnet's loss, stats, weight out.

Legend: B utterances, S samples, U units, D speaker embedding size, P pitch frames
(one every 10 ms).
"""

import torch
import torchaudio
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.abs_espnet_model import AbsESPnetModel
from espnet2.train.abs_gan_espnet_model import AbsGANESPnetModel

from espnet2_taste.ranks import joint_weight
from espnet2_taste.trainable_state import TrainableState
from espnet2_taste.vocoder.abs_vocoder import AbsUnitVocoder


class ESPnetUnitVocoderModel(TrainableState, AbsESPnetModel):
    """Hands batches of the trainer to a unit vocoder.

    Checkpoints leave a renderer out, whose weights have a file of their own.

    Args:
        vocoder: The vocoder to train.
        fs: Sample rate of the data; speech is resampled to the vocoder's own.
        extract_feats_in_collect_stats: Kept for ESPnet, which reads it before it
            builds the model in the statistics stage.
    """

    frozen_prefixes = ("vocoder.renderer.",)

    def __init__(
        self,
        vocoder: AbsUnitVocoder,
        fs: int = 16000,
        extract_feats_in_collect_stats: bool = False,
    ):
        super().__init__()
        self.vocoder = vocoder
        self.fs = fs
        self.extract_feats_in_collect_stats = extract_feats_in_collect_stats

    def forward(
        self,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        units: torch.Tensor,
        units_lengths: torch.Tensor,
        spembs: torch.Tensor,
        pitch: torch.Tensor,
        pitch_lengths: torch.Tensor,
        **kwargs,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
        """Loss of one batch.

        Args:
            speech: (B, S) at ``fs``.
            speech_lengths: (B,).
            units: (B, U), -1 at padding.
            units_lengths: (B,).
            spembs: (B, D).
            pitch: F0 in Hz, 0 where unvoiced and at padding, (B, P).
            pitch_lengths: (B,).
            **kwargs: ``utt_id`` of ESPnet's trainer.

        Returns:
            Loss, statistics and weight (the batch size; with several ranks that of all,
            divided by their number).
        """
        speech, speech_lengths = self._resample(speech, speech_lengths)
        loss, stats = self.vocoder(
            units, units_lengths, spembs, speech, speech_lengths, pitch
        )
        stats = {name: value.detach() for name, value in stats.items()}
        stats["loss"] = loss.detach()
        weight = joint_weight(units.size(0), loss.device)
        return force_gatherable((loss, stats, weight), loss.device)

    def collect_feats(self, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Nothing: the shapes of the inputs are all that the batches need."""
        return {}

    def _resample(
        self, speech: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        rate = self.vocoder.sample_rate
        if rate == self.fs:
            return speech, lengths
        speech = torchaudio.functional.resample(speech, self.fs, rate)
        return speech, lengths * rate // self.fs


class ESPnetGanUnitVocoderModel(ESPnetUnitVocoderModel, AbsGANESPnetModel):
    """The same for a vocoder with a discriminator and ESPnet's GAN trainer."""

    def forward(
        self,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        units: torch.Tensor,
        units_lengths: torch.Tensor,
        spembs: torch.Tensor,
        forward_generator: bool = True,
        **kwargs,
    ) -> dict:
        """Loss of the generator or of the discriminator.

        Args:
            speech: (B, S) at ``fs``.
            speech_lengths: (B,).
            units: (B, U), -1 at padding.
            units_lengths: (B,).
            spembs: (B, D).
            forward_generator: Which of the two is asked for.
            **kwargs: ``pitch`` and ``utt_id``, not used.

        Returns:
            ``loss``, ``stats``, ``weight`` and ``optim_idx`` (0 generator, 1 not).
        """
        speech, speech_lengths = self._resample(speech, speech_lengths)
        batch = (units, units_lengths, spembs, speech, speech_lengths)
        turns = (self.vocoder.generator_loss, self.vocoder.discriminator_loss)
        names = ("generator_loss", "discriminator_loss")
        index = 0 if forward_generator else 1
        loss, stats = turns[index](*batch)
        stats = {name: value.detach() for name, value in stats.items()}
        stats[names[index]] = loss.detach()
        if forward_generator:  # what keeps the best epoch: the distance of the mels
            stats["loss"] = stats["generator_mel"]
        loss, stats, weight = force_gatherable(
            (loss, stats, units.size(0)), loss.device
        )
        return dict(loss=loss, stats=stats, weight=weight, optim_idx=index)
