"""VERSA's measures, run where VERSA is installed.

Enters: recordings, their references, and VERSA's own configuration. Leaves: every
number it gives, under columns that begin with ``versa_``. It runs as a process of an
interpreter that may be another environment's: its measures pin packages of their own.
"""

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from espnet2_taste.data.audio import as_file
from espnet2_taste.data.kaldi_dir import write_table
from espnet2_taste.evaluation.audio_metrics.abs_metric import AbsAudioMetric, SetScores

SCORER = "versa.bin.scorer"
PREFIX = "versa_"


class Versa(AbsAudioMetric):
    """All that a configuration of VERSA asks for.

    Args:
        score_config: YAML file of VERSA.
        interpreter: Python that can import VERSA; this one by default.

    Raises:
        RuntimeError: No configuration is given, or that Python cannot import VERSA.
        ValueError: The configuration is absent.
    """

    def __init__(
        self, score_config: str | None = None, interpreter: str = sys.executable
    ):
        if score_config is None:
            raise RuntimeError(
                "VERSA needs a list of measures, none is given: "
                "--metric_conf versa.score_config=conf/versa_recon.yaml"
            )
        if not Path(score_config).is_file():
            raise ValueError(f"VERSA: expected {score_config}, found no such file")
        _check_importable(interpreter)
        self.score_config, self.interpreter = score_config, interpreter
        self.settings = {
            "model": f"the measures of {score_config}",
            "sample rate": "as each measure asks for",
            "reference": "the original",
        }

    def score_set(self, wavs, references):
        """See ``AbsAudioMetric.score_set``.

        Raises:
            RuntimeError: The process failed; its last lines are in the message.
        """
        scores = SetScores()
        for name in wavs.keys() - references.keys():
            scores.left_out[name] = "there is no reference recording of it"
        wavs = {name: path for name, path in wavs.items() if name in references}
        if not wavs:
            return scores
        with tempfile.TemporaryDirectory() as folder:
            lines = self._run(Path(folder), wavs, references)
        found = read_scores(lines)
        for name in wavs:
            numbers = found.get(name, {})
            if not numbers:
                scores.left_out[name] = "VERSA gives no number for it"
            for column, number in numbers.items():
                scores.values.setdefault(column, {})[name] = number
        return scores

    def _run(
        self, folder: Path, wavs: Mapping[str, str], references: Mapping[str, str]
    ) -> list[str]:
        """Lines that VERSA writes, one an utterance."""
        for table, paths in (("pred", wavs), ("gt", references)):
            copies = {n: as_file(paths[n], folder / table / f"{n}.wav") for n in wavs}
            entries = {name: str(file.resolve()) for name, file in copies.items()}
            write_table(folder / f"{table}.scp", entries)
        command = [self.interpreter, "-m", SCORER, "--io", "soundfile"]
        for option, value in (
            ("--pred", folder / "pred.scp"),
            ("--gt", folder / "gt.scp"),
            ("--score_config", self.score_config),
            ("--output_file", folder / "scores.jsonl"),
        ):
            command += [option, str(value)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not (folder / "scores.jsonl").is_file():
            tail = " | ".join(done.stderr.strip().splitlines()[-3:])
            raise RuntimeError(f"VERSA failed (status {done.returncode}): {tail}")
        return (folder / "scores.jsonl").read_text("utf-8").splitlines()


def read_scores(lines: list[str]) -> dict[str, dict[str, float]]:
    """Numbers of VERSA's lines.

    Args:
        lines: JSON objects with ``key`` and scores; texts among them are passed by.

    Returns:
        Finite numbers by utterance, then column.

    Example:
        >>> read_scores(['{"key": "u1", "pesq": 3.5, "ref_text": "a"}'])
        {'u1': {'versa_pesq': 3.5}}
    """
    found = {}
    for line in lines:
        scores = json.loads(line)
        name = scores.pop("key")
        found[name] = {
            PREFIX + column: float(number)
            for column, number in scores.items()
            if isinstance(number, (int, float)) and math.isfinite(number)
        }
    return found


def _check_importable(interpreter: str) -> None:
    """Refuse a Python without VERSA (PyPI's package of that name is another one)."""
    probe = (
        f"import importlib.util as u, sys; sys.exit(u.find_spec('{SCORER}') is None)"
    )
    try:
        done = subprocess.run(
            [interpreter, "-c", probe], capture_output=True, check=False
        )
        status = done.returncode
    except OSError as error:
        status = error
    if status:
        raise RuntimeError(
            f"{Path(interpreter).name} cannot import VERSA: install VERSA from its own "
            "repository (it is not on PyPI) and name that environment's Python with "
            "--metric_conf versa.interpreter=PYTHON"
        )
