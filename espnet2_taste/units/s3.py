"""S3 units: the supervised-semantic units the published unit decoder predicts.

Enters: waveforms (B, S) at 16 kHz. Leaves: units (B, U), 0 .. 4095, 50 a second. The
quantized speech recogniser is an ONNX file of the published model; it takes Whisper's
log-mel of the audio as it is, not padded to 30 s (paper, section 4.1).

Legend: B utterances, S samples, T mel frames, M mel bins, U units.
"""

import numpy as np
import torch

from espnet2_taste.tokenizer.logmel import SAMPLE_RATE, WINDOW_SAMPLES, WhisperLogMel
from espnet2_taste.units.abs_unit_extractor import AbsUnitExtractor
from espnet2_taste.units.batches import padded_units
from espnet2_taste.units.onnx_graph import OnnxGraph, single_waves

FEATURE = "S3 speech units"
# Strided layers may round up or down, and so may the frames of the log-mel.
ROUNDING = 2


class S3Units(AbsUnitExtractor):
    """Units of an S3 tokenizer given as an ONNX file; nothing is learned.

    Args:
        onnx_file: Graph with inputs log-mel (1, M, T) and frame count (1,), and the
            units as its first output.
        num_units: Size of the inventory.
        unit_rate: Units a second.
        num_mels: M.
        **session: ``num_threads`` and ``provider`` of ``OnnxGraph``.

    Raises:
        RuntimeError: onnxruntime is not installed.
        ValueError: The file is absent or is another kind of graph.
    """

    def __init__(
        self,
        onnx_file: str,
        num_units: int = 4096,
        unit_rate: float = 50.0,
        num_mels: int = 128,
        **session: int | str,
    ):
        super().__init__()
        self.num_units = num_units
        self.unit_rate = unit_rate
        self.sample_rate = SAMPLE_RATE
        self.log_mel = WhisperLogMel(num_mels)
        self.graph = OnnxGraph(
            onnx_file,
            inputs=[(1, num_mels, None), (1,)],
            feature=FEATURE,
            option="unit_extractor_conf onnx_file",
            **session,
        )

    @torch.no_grad()
    def forward(self, speech, speech_lengths):
        """See ``AbsUnitExtractor.forward``.

        Raises:
            ValueError: An utterance is longer than 30 s or shorter than a frame, or
                the graph's units are not those of the options.
        """
        waves = single_waves(
            speech, speech_lengths, self.sample_rate, FEATURE, WINDOW_SAMPLES
        )
        units, lengths = padded_units([self._units(wave) for wave in waves])
        return units.to(speech.device), lengths.to(speech.device)

    def _units(self, wave: torch.Tensor) -> torch.Tensor:
        """Units (U,) of one utterance (S,)."""
        window = self.log_mel.window
        mel = self.log_mel(wave.to(window).unsqueeze(0))  # (1, T, M)
        frames = np.array([mel.size(1)])
        output = self.graph(mel.transpose(1, 2).cpu().numpy(), frames)  # (1, M, T)
        units = torch.from_numpy(output.astype(np.int64)).flatten()
        self._check(units, len(wave) / self.sample_rate)
        return units

    def _check(self, units: torch.Tensor, seconds: float) -> None:
        expected = seconds * self.unit_rate
        if abs(len(units) - expected) > ROUNDING:
            raise ValueError(
                f"{FEATURE}: expected about {expected:.1f} units for {seconds:.2f} s "
                f"at unit_rate {self.unit_rate:g}, found {len(units)} from "
                f"{self.graph.path}; set unit_rate to that of the graph"
            )
        outside = units[(units < 0) | (units >= self.num_units)]
        if len(outside):
            raise ValueError(
                f"{FEATURE}: expected units 0 .. {self.num_units - 1}, found "
                f"{int(outside[0])} from {self.graph.path}; set num_units to that of "
                "the graph"
            )
