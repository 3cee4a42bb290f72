"""Measures that predict what listeners would say of a recording alone.

Enters: a recording (S,) at 16 kHz. Leaves: predicted opinions on a scale of 1 to 5.
Both are networks trained on ratings: their numbers compare only among recordings that
the same weights have rated.

Legend: S samples.
"""

from pathlib import Path

import numpy as np

from espnet2_taste.evaluation.audio_metrics.abs_metric import (
    RecordingMetric,
    package_version,
)
from espnet2_taste.experiment_files import load_weights
from espnet2_taste.optional import require


class Dnsmos(RecordingMetric):
    """DNSMOS P.835 (speech, background, overall) and P.808, at the recorded level.

    The weights come with the package. What is shorter than its window of 9 s is
    repeated until it fills it, as its authors do.

    Raises:
        RuntimeError: The package ``speechmos`` is not installed.
    """

    needs_reference = False
    columns = ("dnsmos_ovrl", "dnsmos_sig", "dnsmos_bak", "dnsmos_p808")

    def __init__(self):
        self.package = require("speechmos.dnsmos", feature="DNSMOS", extra="metrics")
        self.settings = self.describe(
            f"{package_version('speechmos')}, P.835 and P.808, no peak "
            "normalisation",
            "none",
        )

    def score(self, speech, reference):
        """See ``RecordingMetric.score``."""
        found = self.package.run(np.clip(speech, -1.0, 1.0), self.sample_rate)
        return tuple(found[name] for name in ("ovrl_mos", "sig_mos", "bak_mos")) + (
            found["p808_mos"],
        )


class Utmos(RecordingMetric):
    """UTMOS22 (strong learner), the whole recording at once, without padding.

    Args:
        weights: State dict of the strong learner in a local file.

    Raises:
        RuntimeError: No weights are given, or ``utmos-pytorch`` is not installed.
        ValueError: The file is absent or lacks weights of the network.
    """

    needs_reference = False
    columns = ("utmos22_strong",)

    def __init__(self, weights: str | None = None):
        if weights is None:
            raise RuntimeError(
                "UTMOS needs its weights in a local file, none is given: name the "
                "state dict of the UTMOS22 strong learner with "
                "--metric_conf utmos.weights=FILE"
            )
        self.network = _load_utmos(Path(weights))
        self.settings = self.describe(
            f"{package_version('utmos-pytorch')}, UTMOS22 strong, "
            f"weights {Path(weights).name}",
            "none",
        )

    def score(self, speech, reference):
        """See ``RecordingMetric.score``."""
        import torch

        with torch.no_grad():
            return (float(self.network(torch.from_numpy(speech)[None])),)


def _load_utmos(weights: Path):
    """Network with every one of its weights taken from the file."""
    package = require("utmos_pytorch", feature="UTMOS", extra="utmos")
    if not weights.is_file():
        raise ValueError(f"UTMOS: expected weights in {weights}, found no such file")
    expected = package.utmos_torch.UTMOSModel().state_dict().keys()
    found = load_weights(weights).keys()
    missing = sorted(expected - found)
    if missing:
        raise ValueError(
            f"UTMOS: {weights} lacks {len(missing)} of {len(expected)} weights, for "
            f"example '{missing[0]}'; give the state dict of the UTMOS22 strong learner"
        )
    return package.UTMOSScoreTorch(ckpt_path=str(weights)).eval()
