"""TASLM: text-aligned spoken language model (paper, section 3.3).

Enters: text ids with word ids, and one TASTE code a word. Leaves: for each row the
text that comes next and, where a word belongs, a prediction of its code.

    rows = layout(text, words); inputs = fuse(text embedding, word vector)
    hidden = LM(inputs); text = LM head(hidden); code = TASTE head(hidden)

Legend: B utterances, N text tokens, W words, L rows, Q codebooks, H hidden size,
V text vocabulary, D word-vector size.
"""

from dataclasses import dataclass
from typing import Any, Optional

import torch
from torch import nn

from espnet2_taste.slm.backbone import AbsBackbone, freeze
from espnet2_taste.slm.heads import AbsTasteHead
from espnet2_taste.slm.input_fusion import AbsCodeEmbedding, AbsInputFusion
from espnet2_taste.slm.layouts.text_aligned import (
    IGNORE,
    AbsTextAlignedLayout,
    TextAlignedGrid,
    unplace_words,
)


@dataclass(frozen=True)
class TaslmOutput:
    """Teacher-forced predictions of a batch.

    Attributes:
        grid: What each row reads and predicts.
        text_states: Hidden states that say the text, of rows 0 .. N, (B, N + 1, H);
            ``backbone.logits`` turns them into logits.
        text_labels: Of the same rows, (B, N + 1), ``IGNORE`` without a target.
        prediction: Of the TASTE head, one entry a word, (B, W, ...).
        codes: Codes of the words, (B, W, Q).
        word_mask: True at words that exist, (B, W).
    """

    grid: TextAlignedGrid
    text_states: torch.Tensor
    text_labels: torch.Tensor
    prediction: Any
    codes: torch.Tensor
    word_mask: torch.Tensor


class Taslm(nn.Module):
    """Language model over text and TASTE codes.

    Args:
        backbone: The adapted text LM.
        quantizer: The trained TASTE quantizer; it is frozen here.
        layout: Where words belong among the rows.
        code_embedding: Codes to a vector a row.
        input_fusion: Text and speech to the LM's input.
        head: Hidden states to codes.
        bos_id: Text id that begins every utterance.
        eos_id: Text id that ends speech.
    """

    def __init__(
        self,
        backbone: AbsBackbone,
        quantizer: nn.Module,
        layout: AbsTextAlignedLayout,
        code_embedding: AbsCodeEmbedding,
        input_fusion: AbsInputFusion,
        head: AbsTasteHead,
        bos_id: int,
        eos_id: int,
    ):
        super().__init__()
        self.backbone = backbone
        self.quantizer = quantizer
        self.layout = layout
        self.code_embedding = code_embedding
        self.input_fusion = input_fusion
        self.head = head
        self.bos_id = bos_id
        self.eos_id = eos_id
        self.pad_text = nn.Parameter(torch.zeros(backbone.hidden_size))
        freeze(quantizer)

    def train(self, mode: bool = True):
        """Set the mode of what trains; the quantizer stays in evaluation mode."""
        super().train(mode)
        self.quantizer.eval()
        return self

    def forward(
        self,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        word_ids: torch.Tensor,
        codes: torch.Tensor,
        noise: Optional[torch.Tensor] = None,
    ) -> TaslmOutput:
        """Predict text and codes with the truth as history.

        Args:
            text: Text ids, (B, N); any value after the end.
            text_lengths: (B,).
            word_ids: Word of each token, (B, N); any value after the end.
            codes: One row a word, (B, W, Q); any value after the last word.
            noise: Standard normal (B, W, C) for a latent head; drawn when absent.

        Returns:
            Hidden states, predictions and their targets.

        Raises:
            ValueError: Fewer codes than words.
        """
        grid = self.layout.encode(text, text_lengths, word_ids, self.eos_id)
        positions, num_words = unplace_words(grid.word_labels)  # (B, W)
        word_mask = positions != IGNORE
        if codes.size(1) < positions.size(1):
            raise ValueError(
                f"the batch has up to {positions.size(1)} words but only "
                f"{codes.size(1)} rows of codes; tokenize the set again (stage 9)"
            )
        hidden = self.backbone(self.inputs(grid, codes), layers=self.head.layers)
        states = [rows_at(state, positions) for state in hidden.states]
        spoken = codes[:, : positions.size(1)]
        rows = text.size(1) + 1  # the delay rows after the text predict no text
        return TaslmOutput(
            grid=grid,
            text_states=hidden.last[:, :rows],
            text_labels=grid.text_labels[:, :rows],
            prediction=self.head(states, noise),
            codes=torch.where(word_mask[..., None], spoken, IGNORE),
            word_mask=word_mask,
        )

    def inputs(self, grid: TextAlignedGrid, codes: torch.Tensor) -> torch.Tensor:
        """Embed the rows of a grid.

        Args:
            grid: From the layout.
            codes: Codes of the words it refers to, (B, W, Q).

        Returns:
            Input embeddings, (B, L, H), zero after the end of an utterance.
        """
        text = torch.where(
            (grid.text == IGNORE)[..., None],
            self.pad_text,
            self.backbone.embed(grid.text.clamp(min=0)),
        )
        speech = self.code_embedding(codes, grid.words, grid.arrivals, self.quantizer)
        fused = self.fuse(text, speech)  # (B, L, H)
        rows = torch.cat([self.begin(len(fused)), fused[:, 1:]], dim=1)
        return torch.where(grid.mask[..., None], rows, torch.zeros_like(rows))

    def fuse(self, text: torch.Tensor, speech: torch.Tensor) -> torch.Tensor:
        """Join text embeddings and word vectors in float32.

        Args:
            text: (..., H).
            speech: (..., D).

        Returns:
            (..., H) of the type of ``text``.
        """
        return self.join(text, self.project(speech))

    def project(self, speech: torch.Tensor) -> torch.Tensor:
        """Return what :meth:`join` takes of word vectors, (..., D) -> (..., P)."""
        return self.input_fusion.project(speech.float())

    def join(self, text: torch.Tensor, projected: torch.Tensor) -> torch.Tensor:
        """Join text embeddings (..., H) and projected word vectors (..., P)."""
        return self.input_fusion.join(text.float(), projected).to(text.dtype)

    def begin(self, batch: int) -> torch.Tensor:
        """Return row 0: the embedding of BOS, not fused, (batch, 1, H)."""
        bos = torch.full((batch, 1), self.bos_id, device=self.pad_text.device)
        return self.backbone.embed(bos)

    def base_states(self, text: torch.Tensor) -> torch.Tensor:
        """Return the base LM's hidden states on the same text.

        Args:
            text: Text ids, (B, N); any value after the end.

        Returns:
            Of rows 0 .. N, (B, N + 1, H), without gradient; ``backbone.base_logits``
            turns them into logits.
        """
        bos = torch.full_like(text[:, :1], self.bos_id)
        return self.backbone.base_states(torch.cat([bos, text.clamp(min=0)], dim=1))


def rows_at(state: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Take the rows that predict words.

    Args:
        state: (B, L, H).
        positions: (B, W), ``IGNORE`` for no word (row 0 is taken).

    Returns:
        (B, W, H).
    """
    index = positions.clamp(min=0)[..., None].expand(-1, -1, state.size(-1))
    return state.gather(1, index)
