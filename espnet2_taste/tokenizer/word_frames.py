"""The frames of words: which a token may attend to, how many, and what comes first.

Enters: begin and end of words in frames (B, W, 2), equal where they are unknown, and
the word of each token (B, N). Leaves: a mask (B, P + N, F); lengths of words and of the
pauses behind them (B, N, 2); means of the values over equal parts of each word
(B, N, S * D). Legend: B utterances, N text tokens, P prefix tokens, W words, S parts of
a word, F frames, D features.
"""

import torch
from torch import nn
from torch.nn import functional

from espnet2_taste.align.guided_attention import token_steps
from espnet2_taste.masks import length_mask
from espnet2_taste.structures import EncoderStates

TYPICAL = 12.0  # frames of a word


def frames_of_words(
    states: EncoderStates, word_ids: torch.Tensor, prefix: int
) -> torch.Tensor:
    """Frames that tokens may attend to: of their word, or all where it is unknown.

    Args:
        states: With ``word_frames``.
        word_ids: (B, N), -1 at padding.
        prefix: Tokens P before the text, which attend to all frames.

    Returns:
        (B, P + N, F), with at least one frame in each row.
    """
    num_frames = states.keys.size(1)
    valid = length_mask(states.lengths, num_frames)[:, None]  # (B, 1, F)
    rate = torch.ones_like(states.lengths)
    own = token_steps(states.word_frames, word_ids, rate, num_frames) & valid
    own = torch.where(own.any(-1, keepdim=True), own, valid)  # (B, N, F)
    return torch.cat([valid.expand(-1, prefix, -1), own], dim=1)


def lengths_of_words(states: EncoderStates, word_ids: torch.Tensor) -> torch.Tensor:
    """Logarithms of the lengths of each token's word and of the pause behind it.

    Args:
        states: With ``word_frames``.
        word_ids: (B, N), -1 at padding.

    Returns:
        (B, N, 2), zeros for words of unknown time and at padding.
    """
    begin, end = states.word_frames.unbind(-1)  # (B, W)
    last = word_ids.amax(1, keepdim=True)
    words = torch.arange(begin.size(1), device=begin.device)
    after = functional.pad(begin[:, 1:], (0, 1))
    after = torch.where(words == last, states.lengths[:, None].to(begin), after)
    length = ((end - begin).clamp(min=1) / TYPICAL).log()
    pause = (after - end).clamp(min=0).log1p()
    both = torch.stack([length, pause], dim=-1) * (end > begin).unsqueeze(-1)
    index = word_ids.clamp(min=0).unsqueeze(-1).expand(-1, -1, 2)
    return both.gather(1, index) * (word_ids >= 0).unsqueeze(-1)


def means_of_parts(
    states: EncoderStates, word_ids: torch.Tensor, parts: int
) -> torch.Tensor:
    """Values in the order in which they are spoken: means over equal parts of a word.

    A frame counts by the share of it that lies in the part. Attention says what is in
    a word, not in which order.

    Args:
        states: With ``word_frames``.
        word_ids: (B, N), -1 at padding.
        parts: S.

    Returns:
        (B, N, S * D), each mean normalised over its features; zeros for words of
        unknown time and at padding.
    """
    edges = torch.linspace(0, 1, parts + 1, device=word_ids.device)
    begin, end = states.word_frames.unsqueeze(-1).unbind(2)  # (B, W, 1)
    edges = (begin + (end - begin) * edges).unsqueeze(-1)  # (B, W, S + 1, 1)
    num_frames = states.values.size(1)
    left = torch.arange(num_frames, device=edges.device)
    right = torch.minimum(left + 1, states.lengths[:, None, None, None])
    inside = torch.minimum(edges[:, :, 1:], right) - torch.maximum(
        edges[:, :, :-1], left
    )
    share = functional.normalize(inside.clamp(min=0), p=1, dim=-1)  # (B, W, S, F)
    values = states.values
    means = (share.flatten(1, 2).to(values) @ values).unflatten(1, (-1, parts))
    means = functional.layer_norm(means, means.shape[-1:]).flatten(2)  # (B, W, S * D)
    means = means * (share.sum(-1) > 0).all(-1, keepdim=True)
    index = word_ids.clamp(min=0).unsqueeze(-1).expand(-1, -1, means.size(-1))
    return means.gather(1, index) * (word_ids >= 0).unsqueeze(-1)


class WordLengths(nn.Module):
    """What a vector holds of its word in time, beside what attention finds in it.

    That is its length and the pause behind it, and the values of its parts in order. It
    starts with no influence.

    Args:
        size: Features D.
        value_size: Features of the encoder's values.
        parts: Parts S of a word; 0 takes length and pause only.
    """

    def __init__(self, size: int, value_size: int = 0, parts: int = 0):
        super().__init__()
        self.parts = parts
        self.proj = nn.Linear(2 + parts * value_size, size)
        nn.init.zeros_(self.proj.weight)
        nn.init.zeros_(self.proj.bias)

    def forward(self, states: EncoderStates, word_ids: torch.Tensor) -> torch.Tensor:
        """States with ``word_frames`` and word ids (B, N) -> (B, N, D)."""
        shape = lengths_of_words(states, word_ids)
        if self.parts:
            means = means_of_parts(states, word_ids, self.parts)
            shape = torch.cat([shape, means], dim=-1)
        return self.proj(shape)
