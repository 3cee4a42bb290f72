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

import torch
from torch import nn

from espnet2_taste.slm.backbone import AbsBackbone
from espnet2_taste.slm.guidance import TextMixture
from espnet2_taste.slm.layouts.abs_layout import AbsGrammar
from espnet2_taste.slm.prompts import PromptRows
from espnet2_taste.slm.scoring import UtteranceScores

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

    Attributes:
        quantizer: Of the codes of words; None for a design of ids alone.
        speech_unit: Unit of the speech in :meth:`scores`.
        layers: Hidden states that its heads read beside the last one.
    """

    speech_unit = "nats"
    layers: Sequence[int] = ()

    def __init__(self, backbone: AbsBackbone, layout, bos_id: int):
        super().__init__()
        self.backbone = backbone
        self.layout = layout
        self.bos_id = bos_id
        self.quantizer: nn.Module | None = None

    @abstractmethod
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
        """

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

    def mixture(self, share: float, text_size: int, end_id: int) -> TextMixture:
        """How text is guided by the base LM; see ``TextMixture``.

        Raises:
            ValueError: A share outside 0 to 1, or of a base LM that training changed.
        """
        if share and self.backbone.base_changes:
            raise ValueError(
                "guidance needs the base LM, which this model has not kept: set "
                "guidance to 0, or train with adaptation_conf.keep_base true"
            )
        return TextMixture(share, text_size, end_id)

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
        """Say, before training, that :meth:`base_rows` are kept for later steps."""

    def base_rows(self, text: torch.Tensor) -> torch.Tensor:
        """Return what :meth:`losses` needs to know of the base LM.

        Args:
            text: Text ids, (B, N); any value after the end.

        Returns:
            Of rows 0 .. N, (B, N + 1, X), without gradient; by default the states.
        """
        return self.base_states(text)


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
