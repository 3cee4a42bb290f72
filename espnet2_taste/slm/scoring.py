"""How likely an utterance is: by its text, its speech, or both; summed or averaged.

Enters: the network of any design and a padded batch. Leaves: the log likelihood of each
of its entries, and the reductions that an evaluation asks for.

Legend: B utterances, T rows, S streams, E entries: those of text are the cells of the
streams, row by row (T x S); in those of speech the codes of a word stand behind the
cells of their row (T x (S + 1)), and the units of a tail (U) come last.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from espnet2_taste.masks import length_mask
from espnet2_taste.slm.core import Batch, Reading, SpokenLMCore, TextCells
from espnet2_taste.slm.losses import cell_nats, cross_entropy
from espnet2_taste.slm.sampling import NEVER


@dataclass(frozen=True)
class BaseScores:
    """The same text by the base LM, which reads no speech.

    Attributes:
        text: Log likelihood of each cell that is scored as text, (B, T).
        tokens: True at the text tokens, the end apart, (B, T).
    """

    text: torch.Tensor
    tokens: torch.Tensor


@dataclass(frozen=True)
class UtteranceScores:
    """Log likelihoods of a batch; zero where the masks are False.

    Attributes:
        text: Of each text token and of the end, (B, E).
        text_mask: (B, E) bool.
        speech: Of each unit, or of the codes of a word, (B, E), in the unit of the
            head.
        speech_mask: (B, E) bool.
        speech_nats: The same in nats (or log density), where that may differ, (B, E).
        base: Of the same text by the base LM, where there is text and the LM was kept.
    """

    text: torch.Tensor
    text_mask: torch.Tensor
    speech: torch.Tensor
    speech_mask: torch.Tensor
    speech_nats: torch.Tensor | None = None
    base: BaseScores | None = None

    @property
    def text_sum(self) -> torch.Tensor:
        """Log likelihood of the text, (B,)."""
        return self.text.sum(dim=1)

    @property
    def text_mean(self) -> torch.Tensor:
        """The same per token, (B,)."""
        return self.text_sum / self.text_mask.sum(dim=1).clamp(min=1)

    @property
    def speech_sum(self) -> torch.Tensor:
        """Log likelihood of the codes, (B,)."""
        return self.speech.sum(dim=1)

    @property
    def speech_mean(self) -> torch.Tensor:
        """The same per word, (B,)."""
        return self.speech_sum / self.speech_mask.sum(dim=1).clamp(min=1)

    @property
    def both_sum(self) -> torch.Tensor:
        """Log likelihood of text and codes, (B,)."""
        return self.text_sum + self.speech_sum

    def both_mean(
        self, text_weight: float = 0.5, speech_weight: float = 0.5
    ) -> torch.Tensor:
        """Weighted sum of the two means; with the defaults the published score.

        Args:
            text_weight: Share of the text.
            speech_weight: Share of the speech.

        Returns:
            (B,), higher is likelier.
        """
        return text_weight * self.text_mean + speech_weight * self.speech_mean

    def table(self) -> dict[str, torch.Tensor]:
        """All reductions by name, each (B,).

        ``tokens_*`` are of the text without its end, ``base_*`` by the base LM.
        """
        table = {
            "text_sum": self.text_sum,
            "text_mean": self.text_mean,
            "speech_sum": self.speech_sum,
            "speech_mean": self.speech_mean,
            "both_sum": self.both_sum,
            "both_mean": self.both_mean(),
        }
        if self.speech_nats is not None:
            table["speech_nats_sum"] = self.speech_nats.sum(dim=1)
        if self.base is not None:
            own = self.text.unflatten(1, (self.base.text.size(1), -1))[..., 0]
            for prefix, values in (("", own), ("base_", self.base.text)):
                total = (values * self.base.tokens).sum(dim=1)
                table[f"{prefix}tokens_sum"] = total
                count = self.base.tokens.sum(dim=1).clamp(min=1)
                table[f"{prefix}tokens_mean"] = total / count
            total, count = self.base.text.sum(dim=1), self.text_mask.sum(dim=1)
            table["base_text_sum"] = total
            table["base_text_mean"] = total / count.clamp(min=1)
        return table


@torch.no_grad()
def utterance_scores(
    core: SpokenLMCore,
    batch: Batch,
    mask_other_vocab: bool = False,
    guidance: float = 0.0,
) -> UtteranceScores:
    """Score a batch; padding never changes a score.

    Args:
        core: The network, in evaluation mode.
        batch: Fields of the preprocessor, with their lengths.
        mask_other_vocab: Where one stream holds text and speech, normalise a text cell
            over text and a speech cell over speech.
        guidance: Share of the base LM in the text, see ``slm/guidance.py``.

    Returns:
        Scores; a tail without a CTC path is minus infinity.
    """
    found, count, states = core.read(batch["grid"]), len(core.layout.streams), None
    grid, padding = batch["grid"][..., :count], batch["padding"][..., :count]
    logits = core.stream_logits(found)
    if core.text_size:
        cells = core.text_cells(batch, found)
        grid = torch.cat([cells.labels[..., None], grid[..., 1:]], dim=-1)
    if mask_other_vocab:
        logits = mask_other_kind(core, logits, grid)
    core.mixture(guidance if core.text_size else 0.0)  # refuses what it cannot mix
    if core.text_size and not core.backbone.base_changes:
        states = core.base_states(cells.text)
        logits[0] = core.guided(logits[0], cells, states, guidance)
    scores = -cell_nats(logits, grid)  # (B, T, S)
    filled, is_text = (grid >= 0) & (padding != 1), text_mask(core, grid)
    text, spoken = filled & is_text, filled & ~is_text
    base = None
    if states is not None:
        tokens = cells.is_text & (batch["grid"][..., 0] >= 0)  # not published padding
        base = BaseScores(base_likelihoods(core, cells, states, text[..., 0]), tokens)
    tail, units = tail_scores(core, batch, found)
    speech = [scores]
    if core.code_head:
        codes, arrives = code_scores(core, batch, found)
        spoken = torch.cat([spoken, arrives[..., None]], dim=-1)  # (B, T, S + 1)
        speech = [torch.cat([scores, each[..., None]], dim=-1) for each in codes]
    mask = torch.cat([spoken.flatten(1), units], dim=1)
    speech = [torch.cat([each.flatten(1), tail], dim=1) for each in speech]
    return UtteranceScores(
        text=scores.where(text, 0.0).flatten(1),
        text_mask=text.flatten(1),
        speech=speech[0].where(mask, 0.0),
        speech_mask=mask,
        speech_nats=speech[1].where(mask, 0.0) if core.code_head else None,
        base=base,
    )


def tail_scores(
    core: SpokenLMCore, batch: Batch, found: Reading
) -> tuple[torch.Tensor, torch.Tensor]:
    """Equal shares of the units of a tail, (B, U), and which exist, (B, U) bool."""
    lengths, tails = batch["tail_lengths"], core.tail_loss(batch, found)
    units = length_mask(lengths, batch["tail"].size(1))
    scores = (-tails.per_utterance).masked_fill(~tails.feasible, NEVER)
    return (scores / lengths.clamp(min=1))[:, None].expand(units.shape), units


def code_scores(
    core: SpokenLMCore, batch: Batch, found: Reading
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores of the codes of rows, in the unit of the head and in nats, (2, B, T), and
    which rows have any, (B, T) bool."""
    prediction, codes, mask = core.predicted_codes(batch, found)
    given = (prediction, codes, core.quantizer)
    rows = torch.zeros(2, *mask.shape, device=codes.device)
    rows[0, mask] = core.code_head.log_likelihood(*given).float()
    rows[1, mask] = core.code_head.nats(*given).float()
    return rows, mask


def base_likelihoods(
    core: SpokenLMCore, cells: TextCells, states: torch.Tensor, scored: torch.Tensor
) -> torch.Tensor:
    """Log likelihood by the base LM, given its states (B, N + 1, H), of the cells that
    are scored as text (B, T) and that it knows, (B, T); zero at others."""
    labels = cells.labels.where(scored & (cells.labels < core.text_size), -1)
    index = cells.places[..., None].expand(-1, -1, states.size(-1))
    logits = core.base_logits(states.gather(1, index))
    return -cross_entropy(logits, labels)


def text_mask(core: SpokenLMCore, grid: torch.Tensor) -> torch.Tensor:
    """Cells that count as text, (B, T, S') bool of the first S' streams."""
    columns = []
    for stream, ids in zip(core.layout.streams, grid.unbind(dim=-1)):
        is_text = torch.from_numpy(stream.is_text).to(grid.device)
        columns.append(is_text[ids.clamp(min=0)] & (ids >= 0))
    return torch.stack(columns, dim=-1)


def mask_other_kind(
    core: SpokenLMCore, logits: Sequence[torch.Tensor], grid: torch.Tensor
) -> list[torch.Tensor]:
    """Leave a text cell only ids of text, and any other cell only the others.

    Args:
        core: The network.
        logits: Of each stream, S times (B, T, X).
        grid: (B, T, S).

    Returns:
        Logits with ``NEVER`` at ids of the other kind.
    """
    masked = []
    for index, (stream, scores) in enumerate(zip(core.layout.streams, logits)):
        is_text = torch.from_numpy(stream.is_text).to(grid.device)
        label = is_text[grid[..., index].clamp(min=0)]
        masked.append(scores.masked_fill(label[..., None] != is_text, NEVER))
    return masked
