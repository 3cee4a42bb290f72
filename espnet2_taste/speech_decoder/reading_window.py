"""Where in the text the unit decoder is reading, and how far it may look.

Enters: after each unit, how one attention head weighs the positions of the condition
(B, P). Leaves: which of them that head may look at for the next unit (B, P), and
whether the last word has been reached (B,).

A unit decoder loses its place where a sentence says a word twice: it jumps back or
skips. With a head that was trained to look at the word being said
(``model_conf.alignment_weight``), the place is known, moves forward only, word by
word, and that head sees nothing but the words around it. Speech synthesis knows this
as an attention constraint. Everything else the decoder attends to stays free.

Legend: B utterances, N text tokens, P positions of the condition, W words.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class ReadingWindow:
    """Words that are visible around the one being said.

    Attributes:
        back: Words before it.
        ahead: Words after it, at least 1.

    Raises:
        ValueError: There would be no way forward.
    """

    back: int = 1
    ahead: int = 2

    def __post_init__(self):
        if self.back < 0 or self.ahead < 1:
            raise ValueError(
                "a reading window needs back >= 0 and ahead >= 1, got "
                f"{self.back} and {self.ahead}"
            )


class ReadingPlace:
    """The word each utterance of a batch is at.

    Args:
        window: How far one may look.
        words: Word of each position of the condition, -1 where it is none, (B, P).
    """

    def __init__(self, window: ReadingWindow, words: torch.Tensor):
        self.window = window
        self.words = words
        self.last = words.amax(1).clamp(min=0)  # (B,)
        self.word = torch.zeros_like(self.last)  # (B,)

    def visible(self) -> torch.Tensor:
        """Positions the head may look at, all that are no word included, (B, P)."""
        distance = self.words - self.word.unsqueeze(1)
        near = (distance >= -self.window.back) & (distance <= self.window.ahead)
        return near | (self.words < 0)

    def finished(self) -> torch.Tensor:
        """Whether the last word is being said, (B,)."""
        return self.word >= self.last

    def advance(self, attention: torch.Tensor) -> None:
        """Go to the next word where it gets more attention than the present one.

        Args:
            attention: Of the head, over the condition, (B, P).
        """
        shares = attention.new_zeros(len(self.words), int(self.last.max()) + 2)
        weights = attention * (self.words >= 0)
        shares.scatter_add_(1, self.words.clamp(min=0), weights)  # (B, W + 1)
        here = shares.gather(1, self.word.unsqueeze(1)).squeeze(1)
        after = shares.gather(1, self.word.unsqueeze(1) + 1).squeeze(1)
        self.word = self.word + ((after > here) & ~self.finished())

    def select(self, rows: torch.Tensor) -> None:
        """Keep only these utterances, given as indices (B',)."""
        self.words, self.last = self.words[rows], self.last[rows]
        self.word = self.word[rows]
