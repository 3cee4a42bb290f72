"""What the language model reads in a row: text embedding and word vector, fused.

Two small families of modules.

- Code embeddings turn word codes into one vector a row. Enters: the codes that arrive
  in each row (B, T, Q). Leaves: (B, T, D).
- Input fusions join it with the text. Enters: text (..., H) and speech (..., D).
  Leaves: (..., H).

Legend: B utterances, T rows, Q codebooks, K codes, D word-vector size of the
quantizer, H hidden size of the LM.
"""

from abc import ABC, abstractmethod

import torch
from torch import nn

from espnet2_taste.slm.layouts.text_aligned import NOTHING
from espnet2_taste.tokenizer.quantizers.codebooks import code_spread


class AbsCodeEmbedding(nn.Module, ABC):
    """Word codes to one vector a row, with a learned vector before the first word.

    Args:
        quantizer: Gives the sizes; it is not kept.
    """

    def __init__(self, quantizer: nn.Module):
        super().__init__()
        self.pad = nn.Parameter(torch.zeros(quantizer.dim))

    @abstractmethod
    def embed(self, codes: torch.Tensor, quantizer: nn.Module) -> torch.Tensor:
        """Return the vector of newly arrived codes, (..., Q) -> (..., D)."""

    @property
    def between(self) -> torch.Tensor | None:
        """Vector of rows where the word of the row before goes on, (D,).

        None if they repeat the vector of that word.
        """
        return None

    def is_sum(self, quantizer: nn.Module) -> bool:
        """Whether :meth:`embed` is a sum of one vector a code and a constant."""
        return False

    def hold(self, current: torch.Tensor) -> torch.Tensor:
        """Return the vector of a row where the word of the row before goes on.

        Args:
            current: Vector of that word, (..., D).
        """
        return current if self.between is None else self.between.expand_as(current)

    def forward(self, codes: torch.Tensor, quantizer: nn.Module) -> torch.Tensor:
        """Embed what each row reads.

        Args:
            codes: That arrive in it, (B, T, Q), -1 where none do; from ``NOTHING`` on
                it is as if none had come before.
            quantizer: The frozen quantizer.

        Returns:
            (B, T, D).
        """
        arrives, ends = (codes >= 0).any(dim=-1), (codes == NOTHING).all(dim=-1)
        rows = torch.arange(codes.size(1), device=codes.device).expand_as(arrives)
        last = torch.where(arrives | ends, rows, -1).cummax(dim=1).values  # (B, T)
        index = last.clamp(min=0)
        vectors = self.embed(codes.clamp(min=-1), quantizer)  # (B, T, D)
        held = vectors.gather(1, index[..., None].expand_as(vectors))
        vectors = torch.where(arrives[..., None], vectors, self.hold(held))
        spoken = arrives.gather(1, index) & (last >= 0)
        return torch.where(spoken[..., None], vectors, self.pad)


class FillForwardEmbedding(AbsCodeEmbedding):
    """The quantizer's output vector, repeated until the next word (published).

    Args:
        quantizer: Gives the sizes, and where its vectors lie.
        standardize: Take away the mean of the codebooks and divide by the root mean
            square around it; published: no. Vectors of a real recognizer's values have
            a mean of many times their spread, which would drown the text embedding.

    Raises:
        ValueError: ``standardize`` with a quantizer whose output is no sum over
            codebooks.
    """

    def __init__(self, quantizer: nn.Module, standardize: bool = False):
        super().__init__(quantizer)
        mean, scale = torch.zeros(()), torch.ones(())
        if standardize and not quantizer.is_sum:
            raise ValueError(
                "code_embedding_conf: standardize needs a quantizer whose vectors are "
                f"sums over codebooks, found {type(quantizer).__name__}: leave it out"
            )
        if standardize:
            mean, scale = code_spread(quantizer, quantizer.decode)
        self.register_buffer("mean", mean, persistent=standardize)
        self.register_buffer("scale", scale, persistent=standardize)

    def embed(self, codes, quantizer):
        """See :meth:`AbsCodeEmbedding.embed`."""
        return (quantizer.decode(codes) - self.mean) / self.scale

    def is_sum(self, quantizer):
        """See :meth:`AbsCodeEmbedding.is_sum`."""
        return quantizer.is_sum


class ArrivalEmbedding(FillForwardEmbedding):
    """The quantizer's output vector in the row where it arrives, else a learned one."""

    def __init__(self, quantizer: nn.Module, standardize: bool = False):
        super().__init__(quantizer, standardize)
        self.empty = nn.Parameter(torch.zeros(quantizer.dim))

    @property
    def between(self):
        """See :attr:`AbsCodeEmbedding.between`."""
        return self.empty


class FirstCodebookEmbedding(ArrivalEmbedding):
    """A new learned table for the first codebook, in the row where it arrives."""

    def __init__(self, quantizer: nn.Module):
        super().__init__(quantizer)
        self.table = nn.Embedding(quantizer.codebook_size, quantizer.dim)

    def embed(self, codes, quantizer):
        """See :meth:`AbsCodeEmbedding.embed`."""
        return self.table(codes[..., 0].clamp(min=0))

    def is_sum(self, quantizer):
        """See :meth:`AbsCodeEmbedding.is_sum`: an absent code counts as code 0."""
        return False


class AbsInputFusion(nn.Module, ABC):
    """Joins the text embedding and the word vector of a row.

    What becomes of the word vector alone is a part of its own, so that generation can
    keep it while a word goes on.

    Args:
        text_size: H.
        speech_size: D.
    """

    def __init__(self, text_size: int, speech_size: int):
        super().__init__()
        self.text_size = text_size
        self.speech_size = speech_size

    def project(self, speech: torch.Tensor) -> torch.Tensor:
        """The part without the text, affine: (..., D) -> (..., P)."""
        return speech

    @abstractmethod
    def join(self, text: torch.Tensor, projected: torch.Tensor) -> torch.Tensor:
        """Fuse text (..., H) and projected speech (..., P) into (..., H)."""

    def forward(self, text: torch.Tensor, speech: torch.Tensor) -> torch.Tensor:
        """Fuse text (..., H) and speech (..., D) into (..., H)."""
        return self.join(text, self.project(speech))


class WeightedSumFusion(AbsInputFusion):
    """softmax(w)[0] * Linear(speech) + softmax(w)[1] * text (published).

    Args:
        text_size: H.
        speech_size: D.
        speech_init: First logit of w; the published start is -2 (weight 0.018).
        text_init: Second logit of w.
    """

    def __init__(
        self,
        text_size: int,
        speech_size: int,
        speech_init: float = -2.0,
        text_init: float = 2.0,
    ):
        super().__init__(text_size, speech_size)
        self.linear = nn.Linear(speech_size, text_size)
        self.weights = nn.Parameter(torch.tensor([speech_init, text_init]))

    def project(self, speech):
        """See :meth:`AbsInputFusion.project`."""
        return self.weights.softmax(dim=0)[0] * self.linear(speech)

    def join(self, text, projected):
        """See :meth:`AbsInputFusion.join`."""
        return projected + self.weights.softmax(dim=0)[1] * text


class SimpleSumFusion(AbsInputFusion):
    """text + relu(alpha) * Linear(speech).

    Args:
        text_size: H.
        speech_size: D.
        init: Start of alpha. The published 0 has no gradient and never learns.
    """

    def __init__(self, text_size: int, speech_size: int, init: float = 0.1):
        super().__init__(text_size, speech_size)
        self.linear = nn.Linear(speech_size, text_size)
        self.alpha = nn.Parameter(torch.tensor(init))

    def project(self, speech):
        """See :meth:`AbsInputFusion.project`."""
        return self.alpha.relu() * self.linear(speech)

    def join(self, text, projected):
        """See :meth:`AbsInputFusion.join`."""
        return text + projected


class MixLayer(nn.Module):
    """text + sigmoid(three Linears of [text; speech]) * Linear(speech)."""

    def __init__(self, text_size: int, speech_size: int):
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(text_size + speech_size, text_size),
            nn.Linear(text_size, text_size),
            nn.Linear(text_size, text_size),
        )
        self.value = nn.Linear(speech_size, text_size)

    def forward(self, text: torch.Tensor, speech: torch.Tensor) -> torch.Tensor:
        """Fuse text (..., H) and speech (..., D) into (..., H)."""
        gate = self.gate(torch.cat([text, speech], dim=-1)).sigmoid()
        return text + gate * self.value(speech)


class ReferenceMixFusion(AbsInputFusion):
    """Several gated layers that add the speech to the text.

    Args:
        text_size: H.
        speech_size: D.
        num_layers: Layers, 3 as published.
    """

    def __init__(self, text_size: int, speech_size: int, num_layers: int = 3):
        super().__init__(text_size, speech_size)
        self.layers = nn.ModuleList(
            MixLayer(text_size, speech_size) for _ in range(num_layers)
        )

    def join(self, text, projected):
        """See :meth:`AbsInputFusion.join`."""
        for layer in self.layers:
            text = layer(text, projected)
        return text
