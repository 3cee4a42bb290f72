"""Continuations: those under way, and what is left of them.

Enters: prompts. Leaves: rows of ids, and codes of words where a design has them.

Legend: B prompts under way, T rows, S streams, X ids of a stream, W words, Q codebooks,
N text tokens, H hidden size.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from espnet2_taste.slm.guidance import TextGuide
from espnet2_taste.slm.layouts.abs_layout import HOLE
from espnet2_taste.slm.limits import Amount
from espnet2_taste.slm.prompts import PromptRows
from espnet2_taste.slm.row_embedding import AbsRowInputs
from espnet2_taste.slm.row_reader import RowReader, States
from espnet2_taste.slm.sampling import UniformStreams


@dataclass(frozen=True, eq=False)
class Continuation:
    """A prompt and what was added to it.

    Attributes:
        ids: All rows, (T, S); of a prompt that is no rows of ids, those after it.
        prompt_rows: Rows of the prompt, holes filled.
        ended: The utterance is complete, and no limit made it so.
        state: Of the grammar.
        codes: Codes that were chosen, (W, Q) int64 on the CPU.
    """

    ids: np.ndarray
    prompt_rows: int
    ended: bool
    state: Any
    codes: torch.Tensor

    @property
    def rows(self) -> int:
        """Rows that were generated."""
        return len(self.ids) - self.prompt_rows

    @property
    def text(self) -> torch.Tensor:
        """Text ids of words with codes, (N,) int64."""
        return torch.from_numpy(self.ids[: len(self.ids) - self.state.drained, 0])

    @property
    def word_ids(self) -> torch.Tensor:
        """Word of each of them, (N,), from 0."""
        starts = torch.tensor(self.state.starts, dtype=torch.int64)
        return starts[: len(self.text)].cumsum(dim=0) - 1


@dataclass
class Item:
    """One prompt under way.

    Attributes:
        prompt: The prompt.
        state: Of the grammar.
        rows: Those of the prompt that are known whole, and those written so far.
        codes: Chosen so far.
        arrived: Codes of the prompt that arrived since.
        resumed: The prompt's text is over.
        amount: What was generated.
        unfinished: State of ``PieceRules``.
    """

    prompt: PromptRows
    state: Any
    rows: list[list[int]]
    codes: list[list[int]] = field(default_factory=list)
    arrived: int = 0
    resumed: bool = False
    amount: Amount = field(default_factory=Amount)
    unfinished: int = 0

    @classmethod
    def of(cls, prompt: PromptRows) -> "Item":
        """A prompt that nothing was added to."""
        return cls(prompt, prompt.state, list(prompt.rows))

    @property
    def prompt_rows(self) -> int:
        """Rows of the prompt, those with holes among them."""
        return len(self.prompt.rows) + len(self.prompt.known)

    def known(self, num_streams: int) -> list[int]:
        """Cells of the next row, ``HOLE`` where it is to be chosen."""
        place = len(self.rows) - len(self.prompt.rows)
        if place < len(self.prompt.known):
            return list(self.prompt.known[place])
        return [HOLE] * num_streams


@dataclass
class Batch:
    """Prompts under way, and what was found for their last row.

    Attributes:
        items: B of them.
        streams: Random streams.
        reader: The text LM, with what it keeps of earlier rows.
        guide: The base LM.
        row_inputs: What the LM reads of rows.
        seen: Text ids of prompt and continuation, (B, X) bool; (B, 0) if nobody asks.
        last: Hidden states asked for, then the last one, each (B, H).
        inputs: The row that they come from, (B, H).
        logits: Of the text, guided, before anything is banned, (B, X).
        prediction: Of a TASTE head.
        codes: Codes chosen for the row, (B, Q), -1 for none.
        arriving: The same with those of the prompt.
    """

    items: list[Item]
    streams: UniformStreams
    reader: RowReader
    guide: TextGuide
    row_inputs: AbsRowInputs
    seen: torch.Tensor
    last: States
    inputs: torch.Tensor
    logits: torch.Tensor | None = None
    prediction: Any = None
    codes: torch.Tensor | None = None
    arriving: torch.Tensor | None = None

    def select(self, kept: torch.Tensor) -> None:
        """Keep only some prompts, given as indices on the model's device."""
        self.items = [self.items[row] for row in kept.tolist()]
        for part in (self.reader, self.guide, self.row_inputs):
            part.select(kept)
        self.streams.select(kept.cpu())
        self.seen = self.seen[kept]
