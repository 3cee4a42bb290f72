"""Does a rendition keep the voice? Cosine of two speaker embeddings.

Enters: a rendition (S,) and its reference (R,). Leaves: their similarity, -1 to 1.
Cosines of different embedders lie on different scales, so the column holds the name of
the embedder.

Legend: S and R samples, D embedding size.
"""

import numpy as np

from espnet2_taste.evaluation.audio_metrics.abs_metric import RecordingMetric


class SpeakerSimilarity(RecordingMetric):
    """Similarity in the recipe's own speaker embedder (``exp/units``).

    Args:
        units_dir: Where the embedder was fitted or is named.

    Raises:
        ValueError: There is no such directory.
    """

    def __init__(self, units_dir: str = "exp/units"):
        from espnet2_taste.units.unit_exp import load_speaker_embedder, read_config

        name = read_config(units_dir)["speaker_embedder"]
        self._take(load_speaker_embedder(units_dir), name, f"{name} of {units_dir}")

    def _take(self, embedder, name: str, model: str) -> None:
        """Set what all embedders share."""
        self.embedder = embedder
        self.sample_rate = embedder.sample_rate
        self.columns = (f"speaker_{name}",)
        self.settings = self.describe(
            f"cosine, {model}", "the original of the same utterance"
        )

    def score(self, speech, reference):
        """See ``RecordingMetric.score``."""
        return (float(self._embedding(speech) @ self._embedding(reference)),)

    def _embedding(self, speech: np.ndarray):
        """Embedding of length one, (D,)."""
        import torch

        length = torch.tensor([len(speech)])
        return self.embedder(torch.from_numpy(speech)[None], length)[0]


class CampplusSimilarity(SpeakerSimilarity):
    """Similarity in CAM++, the embedder of the published models.

    Args:
        onnx_file: The network; there is no default.

    Raises:
        RuntimeError: No file is given, or onnxruntime is not installed.
        ValueError: The file is absent or another kind of graph.
    """

    def __init__(self, onnx_file: str | None = None):
        from espnet2_taste.units.campplus import CampplusEmbedder

        if onnx_file is None:
            raise RuntimeError(
                "CAM++ needs its network, none is given: name the ONNX file with "
                "--metric_conf campplus.onnx_file=FILE"
            )
        embedder = CampplusEmbedder(onnx_file).eval()
        self._take(embedder, "campplus", f"CAM++ of {onnx_file}")


class ResemblyzerSimilarity(SpeakerSimilarity):
    """Similarity in Resemblyzer.

    Args:
        model: Its weights, see ``ResemblyzerEmbedder``; there is no default.

    Raises:
        RuntimeError: No weights are given.
        ValueError: The file is absent or another network.
    """

    def __init__(self, model: str | None = None):
        from espnet2_taste.units.resemblyzer import ResemblyzerEmbedder

        if model is None:
            raise RuntimeError(
                "Resemblyzer needs its weights, none are given: name their folder with "
                "--metric_conf resemblyzer.model=DIR"
            )
        embedder = ResemblyzerEmbedder(model).eval()
        self._take(embedder, "resemblyzer", f"Resemblyzer of {model}")
