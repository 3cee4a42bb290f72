"""Vocoders of the ParallelWaveGAN collection (``.pkl`` with ``config.yml``).

Enters: log-mel (F, M). Leaves: a waveform (F * hop,). The generators are ESPnet's own,
whose parameters have the names of that collection, so nothing else is installed; the
file is read as weights only. Statistics of the features (``stats.h5`` or
``stats.npy``, beside the checkpoint) normalise log10-mel as in training.

Legend: F frames, M mel bands.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from espnet2_taste.data.files import read_yaml
from espnet2_taste.data.log_mel import LogMel
from espnet2_taste.experiment_files import load_weights
from espnet2_taste.optional import require
from espnet2_taste.vocoder.abs_renderer import SingleRenderer, check_front_end
from espnet2_taste.vocoder.excitation import AbsSource, NoiseSource

PUBLISHED_TYPE = "ParallelWaveGANGenerator"  # where a configuration names none
STATS = ("stats.h5", "stats.npy")


class ParallelWaveGAN(SingleRenderer):
    """A generator of the ParallelWaveGAN collection.

    Args:
        mel: The front end of the vocoder; checked against the generator's.
        model_file: ``checkpoint-...steps.pkl``.
        config_file: ``config.yml``; beside the checkpoint by default.
        stats_file: Mean and scale of log10-mel; beside the checkpoint by default, none
            if there is none.
        seed: Of the noise that some generators start from.

    Raises:
        ValueError: A file is missing, the generator is of another kind or was trained
            on another mel.
        RuntimeError: The checkpoint holds more than weights, or does not fit.
    """

    def __init__(
        self,
        mel: LogMel,
        model_file: str,
        config_file: str | None = None,
        stats_file: str | None = None,
        seed: int = 0,
    ):
        super().__init__(mel)
        folder = Path(model_file).parent
        path = Path(config_file or folder / "config.yml")
        config = _read(path)
        check_front_end(mel, front_end(config), str(path))
        self.generator = load_generator(Path(model_file), config, path)
        self.seed = seed
        mean, scale = torch.zeros(mel.n_mels), torch.ones(mel.n_mels)
        found = [folder / name for name in STATS if (folder / name).is_file()]
        if stats_file or found:
            mean, scale = read_statistics(Path(stats_file or found[0]), mel.n_mels)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("scale", scale, persistent=False)

    def source(self) -> AbsSource | None:
        """See ``AbsRenderer.source``: the noise that some generators shape."""
        noisy = isinstance(self.generator, generator_classes()[PUBLISHED_TYPE])
        return NoiseSource(self.mel.hop_length, self.seed) if noisy else None

    def render_one(self, log_mel, source):
        """See ``SingleRenderer.render_one``."""
        features = (log_mel / math.log(10) - self.mean) / self.scale
        if self.source() is None:
            return self.generator.inference(features).flatten()
        return self.generator.inference(features, source.unsqueeze(1)).flatten()


def front_end(config: Mapping) -> dict[str, object]:
    """What a configuration of the collection says about its mel.

    Args:
        config: Content of ``config.yml``.

    Returns:
        Attributes of ``LogMel`` -> values.
    """
    wanted = {
        "sample_rate": config["sampling_rate"],
        "hop_length": config["hop_size"],
        "n_mels": config["num_mels"],
        "n_fft": config["fft_size"],
        "win_length": config.get("win_length") or config["fft_size"],
    }
    optional = {"fmin": config.get("fmin"), "fmax": config.get("fmax")}
    return wanted | {key: float(v) for key, v in optional.items() if v is not None}


def generator_classes() -> dict[str, type[torch.nn.Module]]:
    """Generators of the collection that ESPnet has, by their names there."""
    from espnet2.gan_tts.hifigan import HiFiGANGenerator
    from espnet2.gan_tts.melgan import MelGANGenerator
    from espnet2.gan_tts.parallel_wavegan import ParallelWaveGANGenerator

    classes = (HiFiGANGenerator, MelGANGenerator, ParallelWaveGANGenerator)
    return {class_.__name__: class_ for class_ in classes}


def load_generator(model_file: Path, config: Mapping, source: Path) -> torch.nn.Module:
    """Build a generator and load its weights, safely and strictly.

    Args:
        model_file: The checkpoint.
        config: Content of ``config.yml``.
        source: Path of ``config.yml``, for errors.

    Returns:
        The generator in evaluation mode, weight norm folded.

    Raises:
        ValueError: It is of a kind that ESPnet does not have.
        RuntimeError: The weights are refused or do not fit.
    """
    name = config.get("generator_type", PUBLISHED_TYPE)
    known = generator_classes()
    if name not in known:
        raise ValueError(
            f"{source}: generator_type is '{name}', expected one of {sorted(known)}"
        )
    options = dict(config["generator_params"])
    options["upsample_params"] = dict(options.get("upsample_params") or {})
    if options.get("out_channels", 1) != 1:
        raise ValueError(
            f"{source}: out_channels is {options['out_channels']}, expected 1; "
            "multi-band generators are not supported"
        )
    if name != PUBLISHED_TYPE:
        del options["upsample_params"]
    generator = known[name](**options)
    state = load_weights(model_file)
    state = state.get("model", state)
    try:
        generator.load_state_dict(state.get("generator", state))
    except RuntimeError as error:
        raise RuntimeError(f"{model_file} does not fit {source}: {error}") from error
    generator.remove_weight_norm()
    return generator.eval()


def _read_rows(path: Path) -> np.ndarray:
    """Mean and scale as rows, (2, M)."""
    if path.suffix == ".h5":
        h5py = require("h5py", feature="statistics in HDF5", extra="vocoders")
        with h5py.File(path, "r") as file:
            return np.stack([file["mean"][()], file["scale"][()]])
    return np.load(path, allow_pickle=False)


def read_statistics(path: Path, n_mels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and scale of the features.

    Args:
        path: ``.h5`` with ``mean`` and ``scale``, or ``.npy`` with both as rows.
        n_mels: M.

    Returns:
        Both, (M,) float32.

    Raises:
        ValueError: The file is missing or holds something else.
    """
    if not path.is_file():
        raise ValueError(f"{path} not found: name the statistics in stats_file")
    try:
        rows = _read_rows(path)
    except (ValueError, OSError, EOFError, KeyError) as error:
        raise ValueError(
            f"{path}: expected mean and scale in .h5 or .npy, but found {error}; "
            "get the file again"
        ) from error
    if rows.shape != (2, n_mels):
        raise ValueError(
            f"{path}: expected mean and scale of {n_mels} bands, found an array "
            f"{rows.shape}"
        )
    mean, scale = torch.from_numpy(rows.astype(np.float32))
    return mean, scale


def _read(path: Path) -> dict:
    if not path.is_file():
        raise ValueError(f"{path} not found: name it in renderer_conf.config_file")
    return read_yaml(path)
