"""CAM++ speaker embeddings, which condition the published unit decoder and vocoder.

Enters: waveforms (B, S) at 16 kHz. Leaves: one vector of length one for each utterance
(B, D), D = 192. The network is an ONNX file of the published model; it takes Kaldi
filter banks with their mean over time taken out (TASTE.md, section 1).

Legend: B utterances, S samples, F frames, M mel bands, D embedding size.
"""

import torch
from torch.nn import functional
from torchaudio.compliance import kaldi

from espnet2_taste.units.onnx_graph import OnnxGraph, single_waves
from espnet2_taste.units.speaker import AbsSpeakerEmbedder

FEATURE = "CAM++ speaker embeddings"
SAMPLE_RATE = 16000


def mean_free_fbank(wave: torch.Tensor, num_mels: int = 80) -> torch.Tensor:
    """Kaldi log filter banks of one utterance, their mean over time taken out.

    Args:
        wave: (S,) at 16 kHz, in [-1, 1].
        num_mels: M.

    Returns:
        (F, M), each column of mean zero.
    """
    fbank = kaldi.fbank(
        wave.unsqueeze(0),
        num_mel_bins=num_mels,
        dither=0.0,
        sample_frequency=SAMPLE_RATE,
    )
    return fbank - fbank.mean(dim=0, keepdim=True)


class CampplusEmbedder(AbsSpeakerEmbedder):
    """Embeddings of a speaker network given as an ONNX file; nothing is learned.

    Args:
        onnx_file: Graph with the input filter banks (1, F, M) and the embedding as
            its first output.
        size: D.
        num_mels: M.
        **session: ``num_threads`` and ``provider`` of ``OnnxGraph``.

    Raises:
        RuntimeError: onnxruntime is not installed.
        ValueError: The file is absent or is another kind of graph.
    """

    def __init__(
        self,
        onnx_file: str,
        size: int = 192,
        num_mels: int = 80,
        **session: int | str,
    ):
        super().__init__()
        self.size = size
        self.num_mels = num_mels
        self.sample_rate = SAMPLE_RATE
        self.graph = OnnxGraph(
            onnx_file,
            inputs=[(1, None, num_mels)],
            feature=FEATURE,
            option="speaker_embedder_conf onnx_file",
            **session,
        )

    @torch.no_grad()
    def forward(self, speech, speech_lengths):
        """See ``AbsSpeakerEmbedder.forward``.

        Raises:
            ValueError: An utterance is shorter than a frame, or the embedding has
                another size.
        """
        waves = single_waves(speech, speech_lengths, self.sample_rate, FEATURE)
        spembs = torch.stack([self._embedding(wave) for wave in waves])  # (B, D)
        return functional.normalize(spembs, dim=-1).to(speech.device)

    def _embedding(self, wave: torch.Tensor) -> torch.Tensor:
        """Embedding (D,) of one utterance (S,)."""
        fbank = mean_free_fbank(wave, self.num_mels).unsqueeze(0)  # (1, F, M)
        vector = torch.from_numpy(self.graph(fbank.numpy())).flatten()
        if len(vector) != self.size:
            raise ValueError(
                f"{FEATURE}: expected {self.size} numbers, found {len(vector)} from "
                f"{self.graph.path}; set size to that of the graph"
            )
        return vector
