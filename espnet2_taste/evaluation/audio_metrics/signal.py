"""Measures that compare the signal of a recording with that of its reference.

Enters: a rendition (S,) and its reference (R,) at 16 kHz. Leaves: PESQ, STOI, ViSQOL.
Speech that is generated anew is not in step with its reference. PESQ and ViSQOL look
for delays themselves; STOI does not, so it falls with every word that comes earlier or
later, however well it is said.

Legend: S and R samples.
"""

import warnings

from espnet2_taste.evaluation.audio_metrics.abs_metric import (
    RecordingMetric,
    common_length,
    package_version,
)
from espnet2_taste.optional import require

BANDS = {"wb": "wide band (ITU-T P.862.2)", "nb": "narrow band (ITU-T P.862.1)"}


class Pesq(RecordingMetric):
    """Perceptual evaluation of speech quality, as MOS-LQO.

    Args:
        band: ``wb`` or ``nb``.

    Raises:
        RuntimeError: The package ``pesq`` is not installed.
        ValueError: There is no such band.
    """

    def __init__(self, band: str = "wb"):
        if band not in BANDS:
            raise ValueError(
                f"PESQ: expected band {' or '.join(BANDS)}, found '{band}'"
            )
        self.package = require("pesq", feature="PESQ", extra="metrics_compiled")
        self.band = band
        self.columns = (f"pesq_{band}",)
        self.settings = self.describe(
            f"{package_version('pesq')}, {BANDS[band]}",
            "the original; delays found by PESQ itself",
        )

    def score(self, speech, reference):
        """See ``RecordingMetric.score``."""
        try:
            value = self.package.pesq(self.sample_rate, reference, speech, self.band)
        except self.package.PesqError as error:
            raise ValueError(f"PESQ: {error}") from error
        return (value,)


class Stoi(RecordingMetric):
    """Short-time objective intelligibility.

    Args:
        extended: The extended measure (ESTOI).

    Raises:
        RuntimeError: The package ``pystoi`` is not installed.
    """

    def __init__(self, extended: bool = False):
        self.package = require("pystoi", feature="STOI", extra="metrics")
        self.extended = extended
        self.columns = ("estoi" if extended else "stoi",)
        self.settings = self.describe(
            package_version("pystoi"),
            "the original from its beginning, cut to the shorter of both; "
            "not aligned in time",
        )

    def score(self, speech, reference):
        """See ``RecordingMetric.score``."""
        speech, reference = common_length(speech, reference)
        with warnings.catch_warnings():
            # too little speech is a warning and a made-up number of the package
            warnings.simplefilter("error", RuntimeWarning)
            try:
                value = self.package.stoi(
                    reference, speech, self.sample_rate, extended=self.extended
                )
            except RuntimeWarning as error:
                raise ValueError(f"STOI: {error}") from error
        return (value,)


class Visqol(RecordingMetric):
    """ViSQOL in speech mode, as MOS-LQO.

    Args:
        mapper: How similarity becomes an opinion: ``lattice`` (the original's own, a
            learned model of the package) or ``polynomial``. Their scales differ.

    Raises:
        RuntimeError: A package is not installed.
        ValueError: There is no such mapper.
    """

    def __init__(self, mapper: str = "lattice"):
        if mapper not in ("lattice", "polynomial"):
            raise ValueError(
                f"ViSQOL: expected mapper lattice or polynomial, found '{mapper}'"
            )
        package = require("visqol", feature="ViSQOL", extra="metrics_compiled")
        lattice = mapper == "lattice"
        if lattice:
            require(
                "ai_edge_litert.interpreter",
                feature="ViSQOL's lattice (another mapper: visqol.mapper=polynomial)",
                extra="metrics_compiled",
            )
        self.api = package.VisqolApi()
        self.api.create(mode="speech", use_lattice_model=lattice)
        self.columns = (f"visqol_{mapper}",)
        self.settings = self.describe(
            f"{package_version('visqol-python')}, speech, {mapper} mapper",
            "the original; delays found by ViSQOL itself",
        )

    def score(self, speech, reference):
        """See ``RecordingMetric.score``."""
        result = self.api.measure_from_arrays(reference, speech, self.sample_rate)
        return (result.moslqo,)
