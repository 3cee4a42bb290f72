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

    What there is to know of each word is laid out before the first unit, so that a
    step looks up two rows.

    Args:
        window: How far one may look.
        words: Word of each position of the condition, -1 where it is none, (B, P).
    """

    def __init__(self, window: ReadingWindow, words: torch.Tensor):
        last = words.amax(1).clamp(min=0)  # (B,)
        count = int(last.max()) + 1
        numbers = torch.arange(count, device=words.device)[:, None]  # (W, 1)
        away = words.unsqueeze(1) - numbers  # (B, W, P)
        hidden = (away < -window.back) | (away > window.ahead)
        hidden &= (words >= 0).unsqueeze(1)
        self.bias = torch.zeros(hidden.shape, device=words.device)
        self.bias = self.bias.masked_fill_(hidden, float("-inf")).flatten(0, 1)
        self.onwards = ((away == 1).float() - (away == 0).float()).flatten(0, 1)
        self.row = count * torch.arange(len(words), device=words.device)  # (B,)
        self.last = self.row + last

    def visible(self) -> torch.Tensor:
        """Of the positions the head may look at 0, else minus infinity, (B, P).

        It may look at all that are no word.
        """
        return self.bias.index_select(0, self.row)

    def finished(self) -> torch.Tensor:
        """Whether the last word is being said, (B,)."""
        return self.row >= self.last

    def advance(self, attention: torch.Tensor) -> None:
        """Go to the next word where it gets more attention than the present one.

        Args:
            attention: Of the head, over the condition, (B, P).
        """
        gain = (attention * self.onwards.index_select(0, self.row)).sum(1)
        self.row = self.row + ((gain > 0) & ~self.finished())

    def select(self, rows: torch.Tensor) -> None:
        """Keep only these utterances, given as indices (B',)."""
        self.row, self.last = self.row[rows], self.last[rows]
