"""Guided attention: where attention should lie, given the times of the words.

Enters: attention over steps in time, or from them, and word times in seconds
(B, W, 2). Leaves: a loss that is zero when all attention lies on the right words.

The published system starts from a recognizer and much speech, where tokens find their
frames, and units their tokens. On an hour of speech both are slow to come: a
recognizer's decoder learns the grammar first, and a unit decoder its own history.
Losses of this kind are common in speech synthesis; this one takes word times from a
forced alignment. Words of unknown time, whose end is not after their begin, are left
out.

Legend: B utterances, N text tokens, W words, T steps (encoder frames or units).
"""

from dataclasses import dataclass

import torch

from espnet2_taste.masks import length_mask
from espnet2_taste.ranks import joint_mean

SMALLEST = 1e-6  # attention below it pulls no harder


def token_steps(
    word_times: torch.Tensor,
    word_ids: torch.Tensor,
    step_rate: torch.Tensor,
    num_steps: int,
    margin: float = 0.0,
) -> torch.Tensor:
    """Which steps overlap the word of each token.

    Args:
        word_times: Begin and end in seconds, (B, W, 2).
        word_ids: Word of each token, (B, N), -1 at padding.
        step_rate: Steps a second in each utterance, (B,).
        num_steps: T.
        margin: Steps by which words are widened on both sides.

    Returns:
        Boolean mask, (B, N, T); all False at padding and for words of unknown time.
    """
    spans = word_times * step_rate[:, None, None]  # (B, W, 2), in steps
    index = word_ids.clamp(min=0).unsqueeze(-1).expand(-1, -1, 2)
    begin, end = spans.gather(1, index).unsqueeze(-1).unbind(2)  # (B, N, 1)
    left = torch.arange(num_steps, device=word_times.device)
    overlap = (left + 1 > begin - margin) & (left < end + margin)  # (B, N, T)
    return overlap & (end > begin) & (word_ids >= 0).unsqueeze(-1)


def guided_attention_loss(
    attention: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Mean of -log(attention on the targets) over the rows that have any.

    Args:
        attention: Rows (B, ..., Q, K) that sum to at most one; the dimensions between
            are blocks and heads.
        targets: Where a row's attention should lie, (B, Q, K).

    Returns:
        Scalar; zero when no row has a target.
    """
    between = attention.dim() - targets.dim()
    wide = targets.reshape(len(targets), *[1] * between, *targets.shape[1:])
    inside = (attention.float() * wide).sum(-1).clamp(min=SMALLEST)  # (B, ..., Q)
    losses = -inside.log().flatten(1, -2).mean(1) if between else -inside.log()
    known = targets.any(-1)  # (B, Q)
    return joint_mean((losses * known).sum(), known.sum())


@dataclass(frozen=True)
class WordSteps:
    """Times of the words of a batch, asked for in the steps of any sequence.

    Attributes:
        word_times: Begin and end in seconds, (B, W, 2).
        word_ids: (B, N), -1 at padding.
        seconds: Length of each utterance, (B,).
    """

    word_times: torch.Tensor
    word_ids: torch.Tensor
    seconds: torch.Tensor

    def of_tokens(
        self, lengths: torch.Tensor, size: int, margin: float = 0.0
    ) -> torch.Tensor:
        """Steps (B, N, size) of each token's word in sequences of lengths (B,)."""
        rates = lengths / self.seconds
        steps = token_steps(self.word_times, self.word_ids, rates, size, margin)
        inside = length_mask(lengths, size)
        return steps & inside.unsqueeze(1)
