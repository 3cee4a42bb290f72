"""Vocos, a Fourier-based neural vocoder, as a renderer (extra ``vocoders``).

Enters: log-mel (F, M) of the front end Vocos was trained on (htk bands without area
norm: ``mel_conf: {mel_scale: htk, mel_norm: null, floor: 1.0e-7}``). Leaves: a waveform
(F * hop,). Its configuration names classes by path, of which only those listed here are
built; its weights are read as weights only.

Legend: F frames, M mel bands.
"""

from pathlib import Path

import torch

from espnet2_taste.data.files import read_yaml
from espnet2_taste.data.log_mel import LogMel
from espnet2_taste.experiment_files import load_part, load_weights
from espnet2_taste.optional import require
from espnet2_taste.vocoder.abs_renderer import SingleRenderer, check_front_end

PARTS = {
    "feature_extractor": ("vocos.feature_extractors.MelSpectrogramFeatures",),
    "backbone": ("vocos.models.VocosBackbone", "vocos.models.VocosResNetBackbone"),
    "head": (
        "vocos.heads.ISTFTHead",
        "vocos.heads.IMDCTSymExpHead",
        "vocos.heads.IMDCTCosHead",
    ),
}


class Vocos(SingleRenderer):
    """A trained Vocos model.

    Args:
        mel: The front end of the vocoder; checked against that of the model.
        model_file: ``pytorch_model.bin`` or another state dict.
        config_file: ``config.yaml``; beside the model by default.

    Raises:
        ValueError: A file is missing, the configuration names an unknown class, or the
            model was trained on another mel.
        RuntimeError: vocos is not installed, or the weights are refused or do not fit.
    """

    def __init__(self, mel: LogMel, model_file: str, config_file: str | None = None):
        super().__init__(mel)
        require("vocos", feature="the renderer 'vocos'", extra="vocoders")
        path = Path(config_file or Path(model_file).parent / "config.yaml")
        if not path.is_file():
            raise ValueError(f"{path} not found: name it in renderer_conf.config_file")
        config = read_yaml(path)
        parts = {name: _build(name, config[name], path) for name in PARTS}
        features = parts.pop("feature_extractor")
        self.head, self.backbone = parts["head"], parts["backbone"]
        check_front_end(mel, _front_end(features), str(path))
        self._load(Path(model_file), path)
        self.eval()

    def render_one(self, log_mel, source):
        """See ``SingleRenderer.render_one``."""
        return self.head(self.backbone(log_mel.T.unsqueeze(0)))[0]

    def _load(self, model_file: Path, config: Path) -> None:
        state = load_weights(model_file)
        for name in ("backbone", "head"):
            try:
                load_part(getattr(self, name), name, state)
            except RuntimeError as error:
                raise RuntimeError(
                    f"{model_file} does not fit {config}: {error}"
                ) from error


def _build(name: str, entry: dict, source: Path) -> torch.nn.Module:
    """Build a part if its class is among ``PARTS``."""
    import importlib

    if entry["class_path"] not in PARTS[name]:
        raise ValueError(
            f"{source}: {name} names the class '{entry['class_path']}', expected one "
            f"of {', '.join(PARTS[name])}"
        )
    module, _, cls = entry["class_path"].rpartition(".")
    built = getattr(importlib.import_module(module), cls)
    return built(**entry.get("init_args", {}))


def _front_end(features) -> dict[str, object]:
    """Attributes of ``LogMel`` that a Vocos feature extractor asks for."""
    mel = features.mel_spec
    return {
        "sample_rate": mel.sample_rate,
        "hop_length": mel.hop_length,
        "n_mels": mel.n_mels,
        "n_fft": mel.n_fft,
        "win_length": mel.win_length,
        "center": features.padding == "center",
        "mel_scale": "htk",
        "mel_norm": None,
    }
