"""Losses of a batch of any spoken LM, by groups of cells.

Enters: the network and a padded batch. Leaves: the mean loss of the text, of each other
group of streams (speech, mixed), of the codes of words (speech) and of the tail, with
statistics.

Legend: B utterances, T rows, S streams, Q codebooks, N text tokens, H hidden size.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from espnet2_taste.ranks import joint_mean
from espnet2_taste.slm import losses
from espnet2_taste.slm.core import Batch, Reading, SpokenLMCore, TextCells
from espnet2_taste.slm.layouts.streams import SPEECH, TAIL
from espnet2_taste.slm.tangents import tangent_loss
from espnet2_taste.slm.text_loss import TextLoss, TextTargets, states_loss

BaseRows = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Text (B, N) and its lengths (B,) to ``SpokenLMCore.base_rows``, (B, N + 1, X)."""


@dataclass(frozen=True)
class GroupLosses:
    """Losses of a batch.

    Attributes:
        groups: Mean loss of each group of cells, scalars with gradient.
        stats: Statistics by name, without gradient; the same names for every batch.
    """

    groups: dict[str, torch.Tensor]
    stats: dict[str, torch.Tensor]


def group_losses(
    core: SpokenLMCore,
    batch: Batch,
    kl_weight: float,
    base: BaseRows,
    kl_every: int = 1,
) -> GroupLosses:
    """Compute the losses with the truth as history.

    Means are weighted by the cells' own weights.

    Args:
        core: The network.
        batch: Fields of the preprocessor, with their lengths.
        kl_weight: Share of KL(base || model) in the loss of the group that holds the
            text, 0 to 1; the rest is cross entropy. At 0 the base LM does not run.
        base: Gives what the base LM says of texts.
        kl_every: One utterance of so many is compared with the base LM, and counts so
            many times; see :func:`comparison_weights`.
    """
    found = core.read(batch["grid"])
    groups, stats = {}, {}
    if core.text_size:
        cells = core.text_cells(batch, found)
        text, stats = text_group(core, cells, kl_weight, base, kl_every)
        groups[core.layout.streams[0].group] = text
    parts = [stream_losses, tail_losses] + [code_losses] * bool(core.code_head)
    for part in parts:
        more = part(core, batch, found)
        groups, stats = groups | more.groups, stats | more.stats
    return GroupLosses(groups, stats)


def stream_losses(core: SpokenLMCore, batch: Batch, found: Reading) -> GroupLosses:
    """Losses of the groups of streams, that of the text apart."""
    grid, weights = batch["grid"], batch["weights"]
    columns: dict[str, list[int]] = {}
    for index, stream in enumerate(core.layout.streams):
        if index or not core.text_size:
            columns.setdefault(stream.group, []).append(index)
    padded = (batch["padding"] == 1).float()
    groups = {}
    stats = {
        "rows": batch["grid_lengths"].float().mean(),
        "padding_share": losses.masked_mean(padded, batch["padding"] >= 0),
    }
    for group, own in columns.items():
        logits = [core.logits(s, found.streams[s]) for s in own]
        nats = losses.cell_nats(logits, grid[..., own])
        groups[group] = losses.weighted_mean(nats, weights[..., own])
        best = torch.stack([scores.argmax(dim=-1) for scores in logits], dim=-1)
        hits = (best == grid[..., own]).float()
        stats[f"{group}_acc"] = losses.masked_mean(hits, weights[..., own] > 0)
    return GroupLosses(groups, stats)


def tail_losses(core: SpokenLMCore, batch: Batch, found: Reading) -> GroupLosses:
    """Loss of the tail, in nats a unit."""
    tail = core.tail_loss(batch, found)
    a_unit = tail.per_utterance / batch["tail_lengths"].clamp(min=1)
    stats = {"infeasible": 1.0 - tail.feasible.float().mean()}
    return GroupLosses({TAIL: losses.weighted_mean(a_unit, tail.feasible)}, stats)


def code_losses(core: SpokenLMCore, batch: Batch, found: Reading) -> GroupLosses:
    """Loss of the codes of words, its terms and the accuracy of each codebook."""
    prediction, codes, _ = core.predicted_codes(batch, found)
    loss = core.code_head.loss(prediction, codes, core.quantizer)
    every = torch.ones(len(codes), dtype=torch.bool, device=codes.device)
    stats = {
        f"loss_{name}": losses.masked_mean(
            values.detach().reshape(len(codes), -1).mean(dim=-1), every
        )
        for name, values in loss.parts.items()
    }
    with torch.no_grad():
        hits = core.code_head.codes(prediction, core.quantizer) == codes
    for q, column in enumerate(hits.float().unbind(dim=-1), 1):
        stats[f"code_acc_{q}"] = losses.masked_mean(column, every)
    return GroupLosses({SPEECH: losses.weighted_mean(loss.per_word, every)}, stats)


def text_group(
    core: SpokenLMCore,
    cells: TextCells,
    kl_weight: float,
    base: BaseRows,
    kl_every: int = 1,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Compute the loss of the stream that holds the text.

    Args:
        core: The network.
        cells: Of the stream.
        kl_weight: See :func:`group_losses`, as all that follow.
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
    has_target = (labels != -1) & (cells.weights[order] > 0)
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
    found = _rows_loss(core, cells.states[order][has_target], targets, known)
    ends = (labels == core.eos_id).float()
    stats = {
        "loss_text_ce": found.nll @ _shares(torch.ones_like(rows)),
        "text_ppl": (found.nll @ _shares(rows)).exp(),
        "text_acc": found.hits @ _shares(rows),
        "eos_acc": found.hits @ _shares(ends),
        "other_acc": found.hits @ _shares((1.0 - rows) * (1.0 - ends)),
    }
    if kl_weight:
        stats["loss_text_kl"] = found.kl @ _shares(rows * (again > 0))
        base_nll = found.base_nll @ _shares(rows * (again > 0))
        stats["base_text_ppl"] = base_nll.exp()
    return found.loss, stats


def _rows_loss(
    core: SpokenLMCore,
    states: torch.Tensor,
    targets: TextTargets,
    known: torch.Tensor | None,
) -> TextLoss:
    """Loss of rows (R, H), the first of which have ``base_rows`` (R', X)."""

    def head(rows: torch.Tensor) -> torch.Tensor:
        return core.next_logits(rows, ())

    size = head(states[:0]).size(1)
    if known is None:
        return states_loss(states, head, size, targets)
    count = len(known)
    first = (states[:count], head, size, targets[:count])
    if core.uses_tangents:
        found = tangent_loss(*first, known)
    else:
        found = states_loss(*first, lambda part: core.base_logits(known[part]))
    if count == len(states):
        return found
    rest = _rows_loss(core, states[count:], targets[count:], None)
    return TextLoss.joined([found, rest])


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
