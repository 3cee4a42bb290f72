"""Units of an ESPnet neural codec: one of its code streams.

Enters: waveforms (B, S) at the codec's rate. Leaves: units (B, U), the codes of one
residual level, of which the first holds most of what is said. The codec is an
experiment directory of ESPnet's ``codec1`` recipe (SoundStream, Encodec, DAC ...).

Legend: B utterances, S samples, U units, Q code streams.
"""

import torch

from espnet2_taste.experiment_files import (
    config_of,
    find_checkpoint,
    load_model,
    local_place,
)
from espnet2_taste.units.abs_unit_extractor import AbsUnitExtractor
from espnet2_taste.units.batches import padded_units
from espnet2_taste.units.onnx_graph import single_waves

FEATURE = "ESPnet codec units"
CHECKPOINTS = ("latest.pth", "train.total_count.best.pth", "valid.loss.best.pth")


class EspnetCodecUnits(AbsUnitExtractor):
    """Codes of one stream of a trained codec; nothing is learned.

    Args:
        codec_exp: Experiment directory, or its ``config.yaml``.
        model_file: Checkpoint; the default one of the directory by default.
        stream: Which code stream, from 0.

    Raises:
        ValueError: A file is missing, or the codec has fewer streams.
        RuntimeError: The checkpoint does not fit or is refused.
    """

    def __init__(self, codec_exp: str, model_file: str | None = None, stream: int = 0):
        super().__init__()
        from espnet2.tasks.gan_codec import GANCodecTask

        config = config_of(local_place(codec_exp))
        if not config.is_file():
            raise ValueError(
                f"{config} not found: give an ESPnet codec experiment directory "
                "(unit_extractor_conf.codec_exp)"
            )
        option = "unit_extractor_conf.model_file"
        weights = model_file or find_checkpoint(config.parent, CHECKPOINTS, option)
        model, _ = load_model(GANCodecTask.build_model, config, weights)
        self.codec = model.codec.requires_grad_(False)
        info = self.codec.meta_info()
        if not 0 <= stream < info["num_streams"]:
            raise ValueError(
                f"unit_extractor_conf.stream is {stream}, {codec_exp} has streams 0 .. "
                f"{info['num_streams'] - 1}"
            )
        self.stream = stream
        self.sample_rate = info["fs"]
        self.unit_rate = info["fs"] / info["frame_shift"]
        self.num_units = info["code_size_per_stream"][stream]

    @torch.no_grad()
    def forward(self, speech, speech_lengths):
        """See ``AbsUnitExtractor.forward``; utterances are encoded one by one."""
        waves = single_waves(speech, speech_lengths, self.sample_rate, FEATURE)
        device = next(self.codec.parameters()).device
        rows = [
            self.codec.encode(wave[None, None].to(device))[self.stream, 0]  # (U,)
            for wave in waves
        ]
        units, lengths = padded_units(rows)
        return units.to(speech.device), lengths.to(speech.device)
