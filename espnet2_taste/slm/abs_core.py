"""What the training and the scoring of every design ask of its network.

Enters: a padded batch of one design's fields. Leaves: the losses of its groups (text,
speech, mixed, tail) with statistics, or log-likelihoods. Two networks do this:
:class:`~espnet2_taste.slm.taslm.Taslm`, whose speech is a quantizer's vectors, and
:class:`~espnet2_taste.slm.grid_lm.GridLM`, whose streams are all ids.

Legend: B utterances, N text tokens, H hidden size.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from espnet2_taste.ranks import joint_mean
from espnet2_taste.slm.backbone import AbsBackbone
from espnet2_taste.slm.guidance import TextMixture
from espnet2_taste.slm.layouts.abs_layout import AbsGrammar
from espnet2_taste.slm.layouts.streams import TEXT
from espnet2_taste.slm.layouts.text_aligned import IGNORE
from espnet2_taste.slm.prompts import PromptRows
from espnet2_taste.slm.scoring import UtteranceScores
from espnet2_taste.slm.tangents import tangent_loss
from espnet2_taste.slm.text_loss import TextLoss, TextTargets, states_loss

Batch = Mapping[str, torch.Tensor]
BaseRows = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Text (B, N) and its lengths (B,) to :meth:`AbsCore.base_rows`, (B, N + 1, X)."""


@dataclass(frozen=True)
class GroupLosses:
    """Losses of a batch.

    Attributes:
        groups: Mean loss of each group of cells, scalars with gradient.
        stats: Statistics by name, without gradient; the same names for every batch.
    """

    groups: dict[str, torch.Tensor]
    stats: dict[str, torch.Tensor]


@dataclass(frozen=True)
class TextCells:
    """The stream that holds the text of a batch, and perhaps more.

    Attributes:
        states: Hidden states that predict its cells, (B, T, H).
        labels: Its ids, (B, T), ``IGNORE`` without a target.
        weights: Of each cell's cross entropy, (B, T).
        is_text: Cells compared with the base LM, (B, T) bool.
        places: Text tokens before each cell, (B, T).
        text: All text tokens, (B, N); any value after the end.
        text_lengths: (B,).
    """

    states: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor
    is_text: torch.Tensor
    places: torch.Tensor
    text: torch.Tensor
    text_lengths: torch.Tensor


class AbsRowInputs(ABC):
    """What the LM reads of rows that are written."""

    def begin(self, prompts: Sequence[PromptRows]) -> "AbsRowInputs":
        """The same for a batch, with what it must remember of each prompt."""
        return self

    def select(self, kept: torch.Tensor) -> None:
        """Keep only some prompts, given as indices."""

    @abstractmethod
    def __call__(self, row: torch.Tensor, codes: torch.Tensor | None) -> torch.Tensor:
        """Embed a row.

        Args:
            row: (B, S).
            codes: Codes that arrive with it, (B, Q), -1 where there are none.

        Returns:
            (B, H).
        """


class AbsCore(nn.Module, ABC):
    """The text LM with everything around it that a design needs.

    Args:
        backbone: The adapted text LM.
        layout: What the rows mean.
        bos_id: Text id that begins texts of the base LM.
        eos_id: Text id that ends text.

    Attributes:
        quantizer: Of the codes of words; None for a design of ids alone.
        speech_unit: Unit of the speech in :meth:`scores`.
        layers: Hidden states that its heads read beside the last one.
        text_group: Group of the stream that holds the text.
    """

    speech_unit = "nats"
    layers: Sequence[int] = ()
    text_group = TEXT

    def __init__(self, backbone: AbsBackbone, layout, bos_id: int, eos_id: int):
        super().__init__()
        self.backbone = backbone
        self.layout = layout
        self.bos_id, self.eos_id = bos_id, eos_id
        self.uses_tangents = False
        self.quantizer: nn.Module | None = None

    def losses(
        self, batch: Batch, kl_weight: float, base: BaseRows, kl_every: int = 1
    ) -> GroupLosses:
        """Compute the losses with the truth as history.

        Args:
            batch: Fields of the preprocessor, with their lengths.
            kl_weight: Share of KL(base || model) in the loss of the group that holds
                the text, 0 to 1; the rest is cross entropy. At 0 the base LM does not
                run.
            base: Gives what the base LM says of texts.
            kl_every: One utterance of so many is compared with the base LM, and counts
                so many times; see :func:`comparison_weights`.

        Raises:
            ValueError: The base LM, which reads no turns, is to be compared with.
        """
        if kl_weight and "turn" in batch:
            raise ValueError(
                f"model_conf.kl_weight is {kl_weight}, but the base LM does not read "
                "the turns before answers: set it to 0"
            )
        found = self.read(batch)
        speech = self.speech_losses(batch, found)
        if not self.text_size:
            return speech
        cells = self.text_cells(batch, found)
        text, stats = self.text_loss(cells, kl_weight, base, kl_every)
        groups = {self.text_group: text, **speech.groups}
        return GroupLosses(groups, {**stats, **speech.stats})

    @abstractmethod
    def read(self, batch: Batch) -> Any:
        """Run the model on a batch; the result is for the methods that follow."""

    @abstractmethod
    def text_cells(self, batch: Batch, found: Any) -> TextCells:
        """The stream that holds the text, of a batch and what :meth:`read` found."""

    @abstractmethod
    def speech_losses(self, batch: Batch, found: Any) -> GroupLosses:
        """Losses of all other streams, likewise."""

    @property
    @abstractmethod
    def text_size(self) -> int:
        """Ids of the text LM that the stream of text has."""

    @abstractmethod
    def next_logits(
        self, hidden: torch.Tensor, row: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Logits of the next cell of a row.

        Args:
            hidden: State before the row, (B, H).
            row: Cells written so far, n times (B,).

        Returns:
            (B, X) of stream n.
        """

    @abstractmethod
    def row_inputs(self, grammar: AbsGrammar) -> AbsRowInputs:
        """What the LM reads of rows of a grammar, prepared once for all batches."""

    @abstractmethod
    def scores(
        self, batch: Batch, mask_other_vocab: bool = False, guidance: float = 0.0
    ) -> UtteranceScores:
        """Score a batch; padding never changes a score.

        Args:
            batch: Fields of the preprocessor, with their lengths.
            mask_other_vocab: Where one stream holds text and speech, normalise a text
                cell over text and a speech cell over speech.
            guidance: Share of the base LM in the text, see ``slm/guidance.py``.
        """

    def text_loss(
        self, cells: TextCells, kl_weight: float, base: BaseRows, kl_every: int = 1
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute the loss of the stream that holds the text.

        Args:
            cells: Of the stream.
            kl_weight: See :meth:`losses`, as all that follow.
            base: Likewise.
            kl_every: Likewise.

        Returns:
            Scalar and statistics by name; both perplexities are over the same tokens,
            EOS apart, that of the base over the utterances that are compared.
        """
        labels = cells.labels
        weights = comparison_weights(len(labels), kl_every, labels.device)
        weights, order = weights.sort(descending=True, stable=True)
        labels = labels[order]  # compared utterances first
        has_target = (labels != IGNORE) & (cells.weights[order] > 0)
        labels, ce = labels[has_target], cells.weights[order][has_target]
        rows = cells.is_text[order][has_target].float()
        again = weights[:, None].expand_as(has_target)[has_target]
        targets = TextTargets(
            labels,
            (1.0 - kl_weight) * joint_mean(ce, ce.sum()),
            kl_weight * again * joint_mean(rows, rows.sum()),
        )
        known = None
        if kl_weight:
            compared = order[weights > 0]
            known = base(cells.text[compared], cells.text_lengths[compared])
            utts, places = has_target[: len(compared)].nonzero(as_tuple=True)
            known = known[utts, cells.places[compared][utts, places]]
        found = self._rows_loss(cells.states[order][has_target], targets, known)
        ends = (labels == self.eos_id).float()
        words = rows * (1.0 - ends)
        stats = {
            "loss_text_ce": found.nll @ _shares(torch.ones_like(rows)),
            "text_ppl": (found.nll @ _shares(words)).exp(),
            "text_acc": found.hits @ _shares(words),
            "eos_acc": found.hits @ _shares(ends),
            "other_acc": found.hits @ _shares((1.0 - words) * (1.0 - ends)),
        }
        if kl_weight:
            stats["loss_text_kl"] = found.kl @ _shares(rows * (again > 0))
            base_nll = found.base_nll @ _shares(words * (again > 0))
            stats["base_text_ppl"] = base_nll.exp()
        return found.loss, stats

    def _rows_loss(
        self, states: torch.Tensor, targets: TextTargets, known: torch.Tensor | None
    ) -> TextLoss:
        """Loss of rows (R, H), the first of which have :meth:`base_rows` (R', X)."""

        def head(rows: torch.Tensor) -> torch.Tensor:
            return self.next_logits(rows, ())

        size = head(states[:0]).size(1)
        if known is None:
            return states_loss(states, head, size, targets)
        count = len(known)
        first = (states[:count], head, size, targets[:count])
        if self.uses_tangents:
            found = tangent_loss(*first, known)
        else:
            found = states_loss(*first, lambda part: self.base_logits(known[part]))
        if count == len(states):
            return found
        rest = self._rows_loss(states[count:], targets[count:], None)
        return TextLoss.joined([found, rest])

    def base_logits(self, states: torch.Tensor) -> torch.Tensor:
        """Logits of the base LM at its states (..., H), of the ids of the text LM that
        the stream of text has, (..., V)."""
        return self.backbone.base_logits(states)[..., : self.text_size]

    def guided(
        self,
        logits: torch.Tensor,
        cells: TextCells,
        base: torch.Tensor,
        guidance: float,
    ) -> torch.Tensor:
        """Mix the base LM's text into the cells that are text.

        Args:
            logits: Of the stream, (B, T, X).
            cells: Of the stream.
            base: :meth:`base_states` of its text, (B, N + 1, H).
            guidance: See :meth:`scores`.

        Returns:
            (B, T, X).
        """
        mixture = self.mixture(guidance)
        words = cells.is_text & (cells.labels != self.eos_id)
        utts, rows = words.nonzero(as_tuple=True)
        states = base[utts, cells.places[utts, rows]]
        mixed = logits.clone()
        mixed[utts, rows] = mixture(logits[utts, rows], self.base_logits(states))
        return mixed

    def mixture(self, share: float) -> TextMixture:
        """How text is guided by the base LM; see ``TextMixture``.

        Raises:
            ValueError: A share outside 0 to 1, or of a base LM that training changed.
        """
        if share and self.backbone.base_changes:
            raise ValueError(
                "guidance needs the base LM, which this model has not kept: set "
                "guidance to 0, or train with adaptation_conf.keep_base true"
            )
        return TextMixture(share, self.text_size, self.eos_id)

    def base_states(self, text: torch.Tensor) -> torch.Tensor:
        """Return the base LM's hidden states on the same text.

        Args:
            text: Text ids, (B, N); any value after the end.

        Returns:
            Of rows 0 .. N, (B, N + 1, H), without gradient; ``backbone.base_logits``
            turns them into logits.
        """
        bos = text.new_full((len(text), 1), self.bos_id)
        return self.backbone.base_states(torch.cat([bos, text.clamp(min=0)], dim=1))

    def keep_base_rows(self) -> None:
        """Say, before training, that :meth:`base_rows` are kept for later steps: where
        the stream of text has the text LM's ids alone, they need no logits then."""
        fixed = self.backbone.has_fixed_output()
        like = self.backbone.causal_lm.get_input_embeddings().weight[:0]
        size = self.next_logits(like, ()).size(1) if fixed else 0
        self.uses_tangents = fixed and size == self.backbone.vocab_size

    def base_rows(self, text: torch.Tensor) -> torch.Tensor:
        """Return what :meth:`losses` needs to know of the base LM.

        Args:
            text: Text ids, (B, N); any value after the end.

        Returns:
            Of rows 0 .. N, (B, N + 1, X), without gradient: states, or tangents at
            them.
        """
        states = self.base_states(text)
        if not self.uses_tangents:
            return states
        following = functional.pad(text.clamp(min=0), (0, 1), value=self.eos_id)
        rows = self.backbone.base_tangents(states.flatten(0, 1), following.flatten())
        return rows.view(*states.shape[:2], -1)


def _shares(marked: torch.Tensor) -> torch.Tensor:
    """Weights (R,) of a mean over the marked rows, whose mark is 1; zeros for none."""
    return marked / marked.sum().clamp(min=1)


def comparison_weights(
    count: int, every: int, device: torch.device | str
) -> torch.Tensor:
    """Draw the utterances of a batch that are compared with the base LM.

    Every one is drawn with the same probability and weighs its inverse, so that the
    expected gradient is that of all. About count / every are drawn, at least one.

    Args:
        count: B.
        every: One of so many; 1 takes all and draws no random number.
        device: Of the result.

    Returns:
        Weights (B,), zero at those that are not compared.
    """
    every = min(every, count)
    first = int(torch.randint(every, ())) if every > 1 else 0
    places = torch.arange(count, device=device) + first
    return torch.where(places % every == 0, float(every), 0.0)
