"""What is left of a generated utterance: text, words and codes.

Enters: the steps of one utterance, row by row. Leaves: a :class:`Continuation`.

Legend: N text tokens, W words, Q codebooks.
"""

from dataclasses import dataclass

import torch

from espnet2_taste.slm.stepper import Step


@dataclass(frozen=True)
class Continuation:
    """What was generated after one prompt.

    Attributes:
        text: Text ids, (N,) int64 on the CPU.
        word_ids: Word of each token, (N,), from 0.
        codes: (W, Q) int64 on the CPU.
        ended: Speech ended by itself, not by a limit.
        rows: Rows that were generated.
    """

    text: torch.Tensor
    word_ids: torch.Tensor
    codes: torch.Tensor
    ended: bool
    rows: int


class ContinuationWriter:
    """Collects the continuation of one prompt."""

    def __init__(self) -> None:
        self.text: list[int] = []
        self.word_ids: list[int] = []
        self.codes: list[torch.Tensor] = []
        self.words = self.rows = 0
        self.final: int | None = None

    def write(self, step: Step, text: torch.Tensor, codes: torch.Tensor) -> None:
        """Add one row.

        Args:
            step: What follows from its token.
            text: The token, ().
            codes: (Q,), -1 if none was sampled.
        """
        self.rows += 1
        if step.emits_text:
            self.words += step.starts_word
            self.text.append(int(text))
            self.word_ids.append(self.words - 1)
        elif self.final is None:
            self.final = int(text)
        if step.due is not None and step.due >= 0:
            self.codes.append(codes)

    def finish(self, num_codebooks: int, end_id: int | None) -> Continuation:
        """Return the continuation."""
        empty = torch.empty(0, num_codebooks, dtype=torch.int64)
        return Continuation(
            text=torch.tensor(self.text, dtype=torch.int64),
            word_ids=torch.tensor(self.word_ids, dtype=torch.int64),
            codes=torch.stack(self.codes) if self.codes else empty,
            ended=self.final is not None and self.final == end_id,
            rows=self.rows,
        )
