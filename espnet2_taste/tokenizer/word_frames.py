"""The frames of words: which of them a token may attend to, and how many there are.

Enters: begin and end of words in frames (B, W, 2), equal where they are unknown, and
the word of each token (B, N). Leaves: a mask (B, P + N, F); lengths of words and of the
pauses behind them (B, N, 2). Legend: B utterances, N text tokens, P prefix tokens, W
words, F frames, D features.
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


class WordLengths(nn.Module):
    """What a vector holds of the length of its word and of the pause behind it.

    It starts with no influence.

    Args:
        size: Features D.
    """

    def __init__(self, size: int):
        super().__init__()
        self.proj = nn.Linear(2, size)
        nn.init.zeros_(self.proj.weight)
        nn.init.zeros_(self.proj.bias)

    def forward(self, states: EncoderStates, word_ids: torch.Tensor) -> torch.Tensor:
        """States with ``word_frames`` and word ids (B, N) -> (B, N, D)."""
        return self.proj(lengths_of_words(states, word_ids))
