"""How likely an utterance is to a grid language model: text, speech, or both.

Enters: a padded batch of grids, with the tails of a CTC head. Leaves: the same
:class:`~espnet2_taste.slm.scoring.UtteranceScores` as for TASLM, so that every design
is reduced alike (sum or mean; text, speech or both). Padding is never scored.

Legend: B utterances, T rows, S streams, C = T x S cells, U units of a tail.
"""

from collections.abc import Sequence

import torch

from espnet2_taste.espnet_grid_lm_model import ESPnetGridLMModel
from espnet2_taste.masks import length_mask
from espnet2_taste.slm.grid_losses import cell_nats
from espnet2_taste.slm.layouts.abs_layout import AbsLayout
from espnet2_taste.slm.sampling import NEVER
from espnet2_taste.slm.scoring import UtteranceScores


def mask_other_kind(
    layout: AbsLayout, logits: Sequence[torch.Tensor], grid: torch.Tensor
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


@torch.no_grad()
def score_grids(
    model: ESPnetGridLMModel,
    grid: torch.Tensor,
    grid_lengths: torch.Tensor,
    padding: torch.Tensor,
    tail: torch.Tensor,
    tail_lengths: torch.Tensor,
    mask_other_vocab: bool = False,
    **_,
) -> UtteranceScores:
    """Score a padded batch; padding never changes a score.

    Args:
        model: In evaluation mode.
        grid: (B, T, S).
        grid_lengths: (B,).
        padding: (B, T, S), 1 at cells that carry nothing.
        tail: (B, U).
        tail_lengths: (B,).
        mask_other_vocab: Normalise a text cell over text and a speech cell over
            speech, where one stream holds both.

    Returns:
        Scores of every cell, and of the tail as a whole: minus infinity where it has
        no CTC path.
    """
    grid_lm = model.grid_lm
    logits, hidden = grid_lm(grid)
    if mask_other_vocab:
        logits = mask_other_kind(grid_lm.layout, logits, grid)
    scores = -cell_nats(logits, grid).flatten(1)  # (B, C)
    text = model.text_mask(grid).flatten(1)
    said = ((grid >= 0) & (padding != 1)).flatten(1)
    tails = grid_lm.tail_loss(hidden, grid_lengths, tail, tail_lengths)
    tail_scores = (-tails.per_utterance).masked_fill(~tails.feasible, NEVER)
    units = length_mask(tail_lengths, tail.size(1))
    each = (tail_scores / tail_lengths.clamp(min=1))[:, None].expand(units.shape)
    speech = torch.cat([scores, each], dim=1)
    speech_mask = torch.cat([said & ~text, units], dim=1)
    return UtteranceScores(
        text=scores.where(said & text, 0.0),
        text_mask=said & text,
        speech=speech.where(speech_mask, 0.0),
        speech_mask=speech_mask,
    )
