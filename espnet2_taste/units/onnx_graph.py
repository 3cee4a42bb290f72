"""Published networks given as ONNX files, run by onnxruntime on single utterances.

Enters: a padded batch (B, S) and the path of a graph. Leaves: each utterance alone
(S,), and the first output of the graph for one utterance.

Legend: B utterances, S samples.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from espnet2_taste.optional import require

DTYPES = {
    "tensor(float)": np.float32,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}
# One frame of 25 ms at 16 kHz: less gives no features at all.
SHORTEST = 400


class OnnxGraph:
    """A graph whose inputs are what the caller will give.

    Args:
        path: ONNX file.
        inputs: Shape of each input in order, None where any size goes.
        feature: What the file is, in words, for errors.
        option: The configuration entry that names the file, for errors.
        num_threads: CPU threads of onnxruntime; 0 lets it choose.
        provider: Execution provider of onnxruntime.

    Raises:
        RuntimeError: onnxruntime is not installed.
        ValueError: The file is absent or no graph, its inputs are others, or the
            provider is not there.
    """

    def __init__(
        self,
        path: str,
        inputs: Sequence[Sequence[int | None]],
        feature: str,
        option: str,
        num_threads: int = 1,
        provider: str = "CPUExecutionProvider",
    ):
        self.feature = feature
        self.path = path
        self.option = option
        runtime = require("onnxruntime", feature=feature, extra="onnx")
        if provider not in runtime.get_available_providers():
            raise ValueError(
                f"{feature}: provider {provider} is not among onnxruntime's "
                f"{runtime.get_available_providers()}; set provider to one of them"
            )
        options = runtime.SessionOptions()
        options.intra_op_num_threads = num_threads
        self.session = self._open(runtime, options, provider)
        self.names, self.dtypes = self._checked_inputs(inputs)

    def __call__(self, *arrays: np.ndarray) -> np.ndarray:
        """Run the graph.

        Args:
            arrays: One for each input; integers and floats take the graph's type.

        Returns:
            Its first output.
        """
        feeds = {
            name: np.ascontiguousarray(array, dtype=dtype)
            for name, dtype, array in zip(self.names, self.dtypes, arrays, strict=True)
        }
        return self.session.run(None, feeds)[0]

    def _open(self, runtime, options, provider: str):
        if not Path(self.path).is_file():
            raise ValueError(
                f"{self.feature}: {self.path} not found; name the ONNX file in "
                f"{self.option}"
            )
        try:
            return runtime.InferenceSession(
                str(self.path), sess_options=options, providers=[provider]
            )
        # onnxruntime's exceptions share no other base.
        except Exception as error:
            raise ValueError(
                f"{self.feature}: onnxruntime cannot load {self.path} ({error}); name "
                f"another ONNX file in {self.option}"
            ) from error

    def _checked_inputs(self, expected) -> tuple[list[str], list[type]]:
        """Names and types of the inputs, once they have the expected shapes."""
        inputs = self.session.get_inputs()
        fits = len(inputs) == len(expected) and all(
            given.type in DTYPES and shapes_agree(given.shape, shape)
            for given, shape in zip(inputs, expected)
        )
        if not fits:
            found = [(given.name, given.type, given.shape) for given in inputs]
            wanted = [["any" if size is None else size for size in s] for s in expected]
            raise ValueError(
                f"{self.feature}: expected a graph with inputs of shapes {wanted}, "
                f"found {found} in {self.path}; name another ONNX file in {self.option}"
            )
        return [each.name for each in inputs], [DTYPES[each.type] for each in inputs]


def shapes_agree(given: Sequence, expected: Sequence[int | None]) -> bool:
    """Whether a graph's shape, with names or None for free sizes, allows another.

    Args:
        given: Of the graph.
        expected: None where any size goes.

    Returns:
        False when the ranks or two fixed sizes differ.
    """
    return len(given) == len(expected) and all(
        not isinstance(size, int) or wanted is None or size == wanted
        for size, wanted in zip(given, expected)
    )


def single_waves(
    speech: torch.Tensor,
    lengths: torch.Tensor,
    sample_rate: int,
    feature: str,
    longest: int | None = None,
) -> Iterator[torch.Tensor]:
    """Each utterance without its padding.

    Args:
        speech: (B, S).
        lengths: Valid samples, (B,).
        sample_rate: Hz.
        feature: What the utterances are for, in words, for errors.
        longest: Samples an utterance may have; any number by default.

    Yields:
        (S,) on the CPU.

    Raises:
        ValueError: An utterance is too short or too long; the message gives its place
            in the batch and its number of samples.
    """
    for row, (wave, length) in enumerate(zip(speech.cpu(), lengths.tolist())):
        which = (
            f"{feature}: utterance {row + 1} of the batch's {len(speech)} has "
            f"{length} samples ({length / sample_rate:.2f} s)"
        )
        if length < SHORTEST:
            raise ValueError(
                f"{which}, less than one frame of {SHORTEST}: leave out short audio "
                "(data format --min_duration 0.3)"
            )
        if longest is not None and length > longest:
            seconds = longest // sample_rate
            raise ValueError(
                f"{which}, more than {seconds} s: leave out or cut long audio "
                f"(data format --max_duration {seconds})"
            )
        yield wave[:length]
