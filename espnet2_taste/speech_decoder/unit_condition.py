"""What the unit language model reads before the first unit, and where each part stands.

Enters: vectors of start, speaker, fused text and task. Leaves: the condition (B, P, D),
padded on the left, and in it the places of the text tokens.

With the padding on the left, the first unit of all utterances stands in the same
column. Padding stands before start and speaker, so that tokens keep the last columns.

Legend: B utterances, N text tokens, U units, P positions of the condition (N + 3),
L watched blocks, D features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

_BEFORE, _AFTER = 2, 1  # start and speaker before the text, the task after it


@dataclass(frozen=True)
class UnitCondition:
    """What the unit language model reads before the first unit.

    Attributes:
        embeds: Start, speaker, fused text and task, padded on the left, (B, P, D).
        mask: True at real positions, (B, P).
    """

    embeds: torch.Tensor
    mask: torch.Tensor


def join_condition(
    start: torch.Tensor,
    speaker: torch.Tensor,
    fused: torch.Tensor,
    task: torch.Tensor,
    text_lengths: torch.Tensor,
) -> UnitCondition:
    """Put the parts of the condition one after the other.

    Args:
        start: (B, 1, D).
        speaker: (B, 1, D).
        fused: Text and TASTE, padded on the right, (B, N, D).
        task: (B, 1, D).
        text_lengths: (B,).

    Returns:
        The condition, padded on the left.
    """
    tokens = fused.size(1)
    left = torch.cat([start, speaker, fused], dim=1)  # (B, N + 2, D)
    padding = (tokens - text_lengths).unsqueeze(1)  # (B, 1)
    source = torch.arange(tokens + _BEFORE, device=fused.device) - padding
    index = source.clamp(min=0).unsqueeze(-1).expand_as(left)
    embeds = torch.cat([left.gather(1, index), task], dim=1)
    return UnitCondition(embeds, functional.pad(source >= 0, (0, _AFTER), value=True))


def text_attention(
    maps: Sequence[torch.Tensor], text_lengths: torch.Tensor, num_tokens: int
) -> torch.Tensor:
    """Attention of the predicted units over the text, out of that of all positions.

    Args:
        maps: Attention of each watched block over condition and units, L of
            (B, P + U, P + U).
        text_lengths: (B,).
        num_tokens: N.

    Returns:
        (B, L, U, N), arbitrary at padded tokens.
    """
    last = num_tokens + _BEFORE  # position of the task
    rows = torch.stack(list(maps), dim=1)[:, :, last:-1]  # (B, L, U, P + U)
    tokens = torch.arange(num_tokens, device=rows.device)
    columns = (num_tokens - text_lengths).unsqueeze(1) + _BEFORE + tokens  # (B, N)
    index = columns.clamp(max=last)[:, None, None]
    return rows.gather(3, index.expand(*rows.shape[:3], -1))


def condition_words(word_ids: torch.Tensor, text_lengths: torch.Tensor) -> torch.Tensor:
    """The word at each position of the condition.

    Args:
        word_ids: Word of each token, -1 at padding, (B, N).
        text_lengths: (B,).

    Returns:
        (B, P), -1 where there is none.
    """
    tokens = word_ids.size(1)
    source = torch.arange(tokens, device=word_ids.device)
    source = source - (tokens - text_lengths).unsqueeze(1)  # (B, N)
    words = word_ids.gather(1, source.clamp(min=0)).masked_fill(source < 0, -1)
    return functional.pad(words, (_BEFORE, _AFTER), value=-1)
