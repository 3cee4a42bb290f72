"""What every measure of audio looks like.

Enters: recordings of a set, and what they are compared with. Leaves: one number an
utterance and column, or the reason why an utterance has none. A measure whose package
or weights are absent cannot be built: its constructor says in one line what is missing
and how to get it, and the results then hold that line in place of numbers.

Legend: S samples of the rendition, R samples of its reference.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata

import numpy as np

from espnet2_taste.data.audio import load_speech


@dataclass(frozen=True)
class SetScores:
    """Numbers of a set.

    Attributes:
        values: Utterance to number, by column.
        left_out: Utterances without numbers, with the reason.
    """

    values: dict[str, dict[str, float]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


class AbsAudioMetric(ABC):
    """One measure; the constructor takes its options.

    Attributes:
        needs_reference: Whether a recording is compared with another.
        settings: What decides the numbers (model, sample rate, reference), for people.
    """

    needs_reference: bool = True
    settings: dict[str, str]

    @abstractmethod
    def score_set(
        self, wavs: Mapping[str, str], references: Mapping[str, str]
    ) -> SetScores:
        """Measure all recordings of a set.

        Args:
            wavs: Audio of each utterance.
            references: What each is compared with; may lack utterances.

        Returns:
            Numbers; every utterance of ``wavs`` has some or is left out with a reason.
        """


class RecordingMetric(AbsAudioMetric):
    """A measure of single recordings.

    Attributes:
        columns: Names of its numbers.
        sample_rate: Of the audio that enters, Hz.
    """

    columns: tuple[str, ...]
    sample_rate: int = 16000

    def describe(self, model: str, reference: str) -> dict[str, str]:
        """``settings`` of a model, as people call it, at the metric's rate.

        Args:
            model: What gives the numbers.
            reference: What the recording is compared with.
        """
        rate = f"{self.sample_rate} Hz"
        return {"model": model, "sample rate": rate, "reference": reference}

    @abstractmethod
    def score(
        self, speech: np.ndarray, reference: np.ndarray | None
    ) -> tuple[float, ...]:
        """Measure one recording.

        Args:
            speech: (S,) float32 in [-1, 1].
            reference: (R,), None if the measure needs none.

        Returns:
            One number a column.

        Raises:
            ValueError: The measure does not exist for this recording.
        """

    def score_set(self, wavs, references):
        """See ``AbsAudioMetric.score_set``."""
        from tqdm import tqdm

        scores = SetScores({column: {} for column in self.columns})
        for name, path in tqdm(wavs.items(), desc=type(self).__name__):
            try:
                numbers = self.score(*self._read(name, path, references))
                _check_finite(numbers)
            except ValueError as error:
                scores.left_out[name] = str(error)
                continue
            for column, number in zip(self.columns, numbers, strict=True):
                scores.values[column][name] = float(number)
        return scores

    def _read(
        self, name: str, path: str, references: Mapping[str, str]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Samples of a recording and, if needed, of its reference."""
        reference = None
        if self.needs_reference:
            if name not in references:
                raise ValueError("there is no reference recording of it")
            reference = load_speech(references[name], self.sample_rate)
        return load_speech(path, self.sample_rate), reference


def _check_finite(numbers: tuple[float, ...]) -> None:
    if not np.isfinite(numbers).all():
        raise ValueError(f"expected finite numbers, found {numbers}")


def package_version(name: str) -> str:
    """Name and version of an installed distribution, as results show it."""
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return name


def common_length(
    speech: np.ndarray, reference: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Cut two recordings, which begin together, to the shorter one.

    Args:
        speech: (S,).
        reference: (R,).

    Returns:
        Two arrays of (min(S, R),).
    """
    size = min(len(speech), len(reference))
    return speech[:size], reference[:size]
