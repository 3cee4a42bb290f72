"""Guided attention: a word's tokens are pulled towards the frames of their word.

Enters: cross-attention of the aggregator (B, L, H, N, F) and the time of each word in
seconds (B, W, 2). Leaves: a loss that is zero when all attention lies on the words.

The published aggregator starts from a decoder that has learned from much speech where
a token is heard. One that has seen an hour has learned the grammar instead, and
reconstruction alone moves its attention to the words only slowly. Attention losses of
this kind are common in speech synthesis; this one takes word times of a forced
alignment. Words of unknown time, whose end is not after their begin, are left out.

Legend: B utterances, L blocks, H heads, N text tokens, W words, F frames.
"""

import torch

SMALLEST = 1e-6  # attention below it pulls no harder


def word_frames(
    word_times: torch.Tensor, frame_rate: float, num_frames: int, margin: float
) -> torch.Tensor:
    """Which frames overlap each word.

    Args:
        word_times: Begin and end in seconds, (B, W, 2).
        frame_rate: Frames a second.
        num_frames: F.
        margin: Seconds by which words are widened on both sides.

    Returns:
        Boolean mask, (B, W, F); all False for words of unknown time.
    """
    begin, end = word_times.unsqueeze(-1).unbind(2)  # (B, W, 1)
    left = torch.arange(num_frames, device=word_times.device) / frame_rate
    right = left + 1 / frame_rate
    return (right > begin - margin) & (left < end + margin) & (end > begin)


def guided_attention_loss(
    attention: torch.Tensor,
    word_ids: torch.Tensor,
    word_times: torch.Tensor,
    frame_rate: float,
    margin: float = 0.04,
) -> torch.Tensor:
    """Mean of -log(share of a token's attention that lies on its word).

    Args:
        attention: Rows sum to one over the frames, (B, L, H, N, F).
        word_ids: Word of each token, (B, N), -1 at padding.
        word_times: Begin and end of each word in seconds, (B, W, 2).
        frame_rate: Frames a second.
        margin: Seconds by which words are widened on both sides.

    Returns:
        Scalar; zero when no word's time is known.
    """
    frames = word_frames(word_times, frame_rate, attention.size(-1), margin)
    index = word_ids.clamp(min=0).unsqueeze(-1).expand(-1, -1, frames.size(-1))
    frames = frames.gather(1, index)  # (B, N, F)
    known = (frames.any(-1) & (word_ids >= 0)).to(attention)  # (B, N)
    inside = (attention * frames[:, None, None]).sum(-1)  # (B, L, H, N)
    losses = -inside.clamp(min=SMALLEST).log().mean((1, 2))  # (B, N)
    return (losses * known).sum() / known.sum().clamp(min=1)
