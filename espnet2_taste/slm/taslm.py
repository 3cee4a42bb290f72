"""TASLM: text-aligned spoken language model (paper, section 3.3).

Enters: text ids with word ids, and one TASTE code a word. Leaves: for each row the
text that comes next and, where a word belongs, a prediction of its code.

    rows = layout(text, words); inputs = fuse(text embedding, word vector)
    hidden = LM(inputs); text = LM head(hidden); code = TASTE head(hidden)

Legend: B utterances, N text tokens, W words, L rows, Q codebooks, H hidden size,
V text vocabulary, D word-vector size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.masks import length_mask
from espnet2_taste.slm import losses
from espnet2_taste.slm.abs_core import (
    AbsCore,
    Batch,
    GroupLosses,
    TextCells,
)
from espnet2_taste.slm.backbone import AbsBackbone, BackboneOutput, freeze
from espnet2_taste.slm.heads import AbsTasteHead, HeadLoss
from espnet2_taste.slm.input_fusion import AbsCodeEmbedding, AbsInputFusion
from espnet2_taste.slm.layouts.streams import SPEECH
from espnet2_taste.slm.layouts.text_aligned import (
    IGNORE,
    AbsTextAlignedLayout,
    TextAlignedGrid,
    unplace_words,
)
from espnet2_taste.slm.scoring import BaseScores, UtteranceScores
from espnet2_taste.slm.turns import TurnFrame, turn_rows
from espnet2_taste.slm.word_inputs import WordInputs


@dataclass(frozen=True)
class TaslmOutput:
    """Teacher-forced predictions of a batch.

    Attributes:
        grid: What each row reads and predicts.
        text_states: Hidden states that predict the text, of rows 0 .. N, (B, N + 1, H);
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


class Taslm(AbsCore):
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
        turn_frame: Text around turns that are answered; None if there are none.
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
        turn_frame: TurnFrame | None = None,
    ):
        super().__init__(backbone, layout, bos_id, eos_id)
        self.turn_frame = turn_frame
        self.quantizer = quantizer
        self.code_embedding = code_embedding
        self.input_fusion = input_fusion
        self.head = head
        self.pad_text = nn.Parameter(torch.zeros(backbone.hidden_size))
        freeze(quantizer)

    @property
    def speech_unit(self) -> str:
        """See :class:`AbsCore`: that of the head."""
        return self.head.score_unit

    @property
    def layers(self):
        """See :class:`AbsCore`: those of the head."""
        return self.head.layers

    @property
    def text_size(self):
        """See :attr:`AbsCore.text_size`: V."""
        return self.backbone.vocab_size

    def next_logits(self, hidden, row):
        """See :meth:`AbsCore.next_logits`: of the text, the only stream of ids."""
        return self.backbone.logits(hidden)

    def row_inputs(self, grammar):
        """See :meth:`AbsCore.row_inputs`."""
        return WordInputs(self, grammar)

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
        before: Sequence[torch.Tensor] | None = None,
    ) -> TaslmOutput:
        """Predict text and codes with the truth as history.

        Args:
            text: Text ids, (B, N); any value after the end.
            text_lengths: (B,).
            word_ids: Word of each token, (B, N); any value after the end.
            codes: One row a word, (B, W, Q); any value after the last word.
            noise: Standard normal (B, W, C) for a latent head; drawn when absent.
            before: Rows (P, H) that each utterance follows, in place of BOS.

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
        hidden = self._states(self.inputs(grid, codes), grid.lengths, before)
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

    def _states(
        self,
        inputs: torch.Tensor,
        lengths: torch.Tensor,
        before: Sequence[torch.Tensor] | None,
    ) -> BackboneOutput:
        """States (B, L, H) of the rows of a grid (B, L, H), perhaps behind others."""
        if before is None:
            return self.backbone(inputs, layers=self.head.layers)
        rows = [
            torch.cat([first, own[1:length]])
            for first, own, length in zip(before, inputs, lengths.tolist())
        ]
        found = self.backbone(pad_sequence(rows, True), layers=self.head.layers)
        first = torch.tensor([len(one) - 1 for one in before], device=inputs.device)
        places = first[:, None] + torch.arange(inputs.size(1), device=inputs.device)
        places = places.clamp(max=found.last.size(1) - 1)
        states = tuple(rows_at(state, places) for state in found.states)
        return replace(found, states=states, last=rows_at(found.last, places))

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

    def read(self, batch: Batch) -> TaslmOutput:
        """See :meth:`AbsCore.read`: :meth:`forward`, behind turns if there are any.

        Raises:
            RuntimeError: There are turns, and no text to stand around them.
        """
        names = ("text", "text_lengths", "word_ids", "codes")
        before = turn_rows(self, batch) if "turn" in batch else None
        return self(*(batch[name] for name in names), before=before)

    def text_cells(self, batch, found):
        """See :meth:`AbsCore.text_cells`."""
        labels = found.text_labels
        places = torch.arange(labels.size(1), device=labels.device)
        return TextCells(
            states=found.text_states,
            labels=labels,
            weights=torch.ones(labels.shape, device=labels.device),
            is_text=found.grid.base_rows[:, : labels.size(1)],
            places=places.expand_as(labels),
            text=batch["text"],
            text_lengths=batch["text_lengths"],
        )

    def speech_losses(self, batch, found):
        """See :meth:`AbsCore.speech_losses`; of answers to turns only."""
        head = self.head.loss(found.prediction, found.codes, self.quantizer)
        speech = losses.weighted_mean(head.per_word, found.word_mask)
        return GroupLosses({SPEECH: speech}, self.code_stats(found, head))

    @torch.no_grad()
    def code_stats(
        self, output: TaslmOutput, head: HeadLoss
    ) -> dict[str, torch.Tensor]:
        """Collect the terms of the head's loss and the accuracy of each codebook."""
        mask = output.word_mask
        stats = {}
        for name, values in head.parts.items():
            per_word = values.reshape(*mask.shape, -1).mean(dim=-1)
            stats[f"loss_{name}"] = losses.masked_mean(per_word, mask)
        codes = self.head.codes(output.prediction, self.quantizer)
        hits = (codes == output.codes).float()  # (B, W, Q)
        for q in range(hits.size(-1)):
            stats[f"code_acc_{q + 1}"] = losses.masked_mean(hits[..., q], mask)
        return stats

    @torch.no_grad()
    def scores(self, batch, mask_other_vocab=False, guidance=0.0):
        """See :meth:`AbsCore.scores`; here no stream holds text and speech."""
        output = self.read(batch)
        labels, mask = output.text_labels, output.word_mask
        logits = self.backbone.logits(output.text_states)
        states = self.base_states(batch["text"])
        base = self.backbone.base_logits(states)
        if guidance:
            cells = self.text_cells(batch, output)
            logits = self.guided(logits, cells, states, guidance)
        given = (output.prediction, output.codes, self.quantizer)
        return UtteranceScores(
            text=-losses.cross_entropy(logits, labels),
            text_mask=labels != IGNORE,
            speech=self.head.log_likelihood(*given).where(mask, 0.0),
            speech_mask=mask,
            speech_nats=self.head.nats(*given).where(mask, 0.0),
            base=BaseScores(
                -losses.cross_entropy(base, labels),
                length_mask(batch["text_lengths"], labels.size(1)),
            ),
        )


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
