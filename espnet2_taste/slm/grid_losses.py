"""Cross entropy over grids, and the base LM's view of the text in them.

Enters: logits and ids of a batch of grids. Leaves: nats a cell; text cells in a row.

Legend: B utterances, T rows, S streams, X ids of a stream, N text cells of the
utterance that has most, V ids of the text LM.
"""

from collections.abc import Sequence

import torch
from torch.nn import functional

from espnet2_taste.slm import losses
from espnet2_taste.slm.abs_core import BaseStates
from espnet2_taste.slm.backbone import AbsBackbone
from espnet2_taste.slm.layouts.abs_layout import AbsGridLayout
from espnet2_taste.slm.sampling import NEVER


def cell_nats(logits: Sequence[torch.Tensor], grid: torch.Tensor) -> torch.Tensor:
    """Cross entropy of every cell.

    Args:
        logits: Of each stream, S times (B, T, X).
        grid: (B, T, S), -1 at padding.

    Returns:
        Nats, (B, T, S), zero at padding.
    """
    streams = [
        functional.cross_entropy(
            scores.float().flatten(0, 1),
            grid[..., index].flatten(),
            ignore_index=-1,
            reduction="none",
        ).view(grid.shape[:2])
        for index, scores in enumerate(logits)
    ]
    return torch.stack(streams, dim=-1)


def compact(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Find the marked rows of each utterance, in order.

    Args:
        mask: (B, T) bool.

    Returns:
        Their rows, (B, N), 0 after the last, and which of the N exist, (B, N) bool.
    """
    counts = mask.sum(dim=1)
    order = (~mask).to(torch.int8).argsort(dim=1, stable=True)
    size = int(counts.max()) if counts.numel() else 0
    exists = torch.arange(size, device=mask.device) < counts[:, None]
    return order[:, :size].masked_fill(~exists, 0), exists


def mask_other_kind(
    layout: AbsGridLayout, logits: Sequence[torch.Tensor], grid: torch.Tensor
) -> list[torch.Tensor]:
    """Leave a text cell only ids of text, and any other cell only the others.

    Args:
        layout: Knows which ids are text.
        logits: Of each stream, S times (B, T, X).
        grid: (B, T, S).

    Returns:
        Logits with ``NEVER`` at ids of the other kind.
    """
    masked = []
    for index, (stream, scores) in enumerate(zip(layout.streams, logits)):
        is_text = torch.from_numpy(stream.is_text).to(grid.device)
        label = is_text[grid[..., index].clamp(min=0)]
        masked.append(scores.masked_fill(label[..., None] != is_text, NEVER))
    return masked


def base_divergence(
    backbone: AbsBackbone,
    base: BaseStates,
    logits: torch.Tensor,
    ids: torch.Tensor,
    is_text: torch.Tensor,
) -> torch.Tensor:
    """KL(base || model) over the text cells of one stream, END among them.

    The base LM reads the text alone. The model's distribution is that over the ids of
    the text LM. Cells that are not text are left out (the published code keeps only
    these by mistake).

    Args:
        backbone: Turns the base LM's states into logits.
        base: Gives these states.
        logits: Of the stream, (B, T, X).
        ids: Of the stream, (B, T).
        is_text: Cells that are text or END, (B, T) bool.

    Returns:
        Mean over the cells, a scalar; see ``losses.weighted_mean``.
    """
    rows, exists = compact(is_text)
    text = ids.gather(1, rows).masked_fill(~exists, 0)  # (B, N)
    states = base(text[:, :-1], (exists.sum(dim=1) - 1).clamp(min=0))  # (B, N, H)
    expected = backbone.base_logits(states[:, : text.size(1)])
    size = min(expected.size(-1), logits.size(-1))
    index = rows[..., None].expand(-1, -1, size)
    model = logits[..., :size].gather(1, index)  # (B, N, V)
    nats = losses.kl_to_base(model, expected[..., :size])
    return losses.weighted_mean(nats, exists)
