"""Text-aligned sequence layout: one row a text token, one code a word, delayed.

Enters: the words of an utterance with their codes. Leaves: rows of a text id and Q
codes, (T, 1 + Q), -1 where there are none. Columns behind the stream of text hold the
codes of a word whose vector a quantizer gives; it is read until the next one arrives.

Legend: N text tokens, W words, T rows, Q codebooks, d delay.

Rows of an utterance of N tokens and W words (paper, section 3.3), each predicted from
those before it::

    row      0 .. N-1                  N      N+1 .. N+d-1
    text     text[0] .. text[N-1]      EOS    -
    codes    of word w, where word w + d begins

Append ``d`` virtual word starts ``N, N+1, ...`` behind the text; then the code of
word ``w`` belongs at start ``w + d`` (word delay) or at position ``start(w) + d``
(token delay).

The end of speech is the text token EOS, where the next word would start. It owns no
word and no code; the LM reads the text padding in its place and in the rows behind it.
The published system has no such label (``reference_compat``), so its generation has no
learned end.

An answer stands behind the turn that it answers, whose rows have no targets: text
before it, its words, text padding until all their codes have arrived, text after it.
"""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch

from espnet2_taste.slm.layouts.abs_layout import AbsLayout, Grid
from espnet2_taste.slm.layouts.streams import END, TEXT, TEXT_KINDS, Inventory, Stream
from espnet2_taste.slm.layouts.utterance import Turn, Utterance

IGNORE = -1
"""Id or code that carries nothing."""
NOTHING = -2
"""Codes of text around a turn: from there on it is as if no word had come before."""


class AbsTextAlignedLayout(AbsLayout):
    """Text clock with one code a word; subclasses say where a word's code belongs.

    Args:
        inventory: What ids are drawn from.
        delay: Words or tokens between a word and its code, at least 0.
        reference_compat: Keep the published labels: no EOS, and the pad id 0 as a
            spurious target after the end of the shorter utterances of a batch.

    Raises:
        ValueError: Negative delay.
    """

    needs = frozenset(("codes",))

    def __init__(
        self, inventory: Inventory, delay: int = 1, reference_compat: bool = False
    ):
        if delay < 0:
            raise ValueError(f"layout_conf: delay must be >= 0, found {delay}")
        self.inventory = inventory
        self.streams = (Stream("text", TEXT, inventory.text, (), TEXT_KINDS | {END}),)
        self.delay = delay
        self.reference_compat = reference_compat

    @abstractmethod
    def positions(self, starts: np.ndarray, tokens: int) -> np.ndarray:
        """Return the row that holds the code of each word, (W,).

        Args:
            starts: First token of each word, (W,).
            tokens: N.
        """

    @abstractmethod
    def due(self, starts: Sequence[bool]) -> int | None:
        """Return the word whose code belongs to the last row of a continuation.

        Args:
            starts: Whether each row so far chose the first token of a word (or is a
                virtual start behind the text).

        Returns:
            Generated word from 0 on; a negative number for one of the ``delay`` words
            or rows that were open when the prompt ended; None for no word.
        """

    def encode(self, utterance, rng=None):
        """See :meth:`AbsLayout.encode`; T = N + max(d, 1) without a turn."""
        ids, count = self.rows(utterance), 0
        if not self.reference_compat:
            ids[len(utterance.tokens), 0] = self.inventory.text.end_id
        if utterance.turn is not None:
            before = self.turn_rows(utterance.turn)
            ids, count = np.concatenate([before, ids]), len(before)
            if (ids[count, 1:] == IGNORE).all():
                ids[count, 1:] = NOTHING
        padding = ids < 0
        padding[:, 0] &= not self.reference_compat
        padding[:count] = True
        return Grid(ids, (~padding).astype(np.float32), padding)

    def rows(self, utterance: Utterance) -> np.ndarray:
        """Rows without the end, (N + max(d, 1), 1 + Q).

        Raises:
            ValueError: Words and codes differ in number.
        """
        words, codes = utterance.words, np.array(utterance.codes, dtype=np.int64)
        if len(words) != len(codes):
            raise ValueError(
                f"expected the codes of {len(words)} words, found {len(codes)}: "
                "tokenize the set (stage 9)"
            )
        count = len(utterance.tokens)
        shape = (count + max(self.delay, 1), 1 + codes.shape[1])
        ids = np.full(shape, IGNORE, dtype=np.int64)
        ids[:count, 0] = utterance.tokens
        starts = np.cumsum([0, *map(len, words)])[:-1]
        ids[self.positions(starts, count), 1:] = codes
        return ids

    def turn_rows(self, turn: Turn) -> np.ndarray:
        """Rows before an answer, (T, 1 + Q); BOS is in none of them."""
        spoken = self.rows(turn.spoken)[: len(turn.spoken.tokens) + self.delay]
        parts = [spoken]
        for place, text in ((0, turn.before[1:]), (2, turn.after)):
            written = np.full((len(text), spoken.shape[1]), NOTHING, dtype=np.int64)
            written[:, 0] = text
            parts.insert(place, written)
        return np.concatenate(parts)

    def prompt(self, utterance: Utterance) -> np.ndarray:
        """The text of a beginning, (N, 1)."""
        return np.array(utterance.tokens, dtype=np.int64).reshape(-1, 1)

    def published_labels(
        self, labels: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """Labels of ``reference_compat``: 0 from the end of each text to that of the
        longest one, at most d + 1 times.

        Args:
            labels: Text ids, (B, T), -1 behind them.
            lengths: Rows of each utterance, (B,).

        Returns:
            (B, T).
        """
        rows = torch.arange(labels.size(1), device=labels.device)
        inside = rows < lengths[:, None] + (self.delay > 0)
        inside &= rows < labels.size(1) - max(self.delay, 1)
        return labels.masked_fill(inside & (labels == IGNORE), 0)


class WordDelayLayout(AbsTextAlignedLayout):
    """The code of word w comes with the first token of word w + delay (published)."""

    def positions(self, starts, tokens):
        """See :meth:`AbsTextAlignedLayout.positions`."""
        return np.append(starts, tokens + np.arange(self.delay))[self.delay :]

    def due(self, starts):
        """See :meth:`AbsTextAlignedLayout.due`."""
        return sum(starts) - 1 - self.delay if starts[-1] else None


class TokenDelayLayout(AbsTextAlignedLayout):
    """The code of a word comes ``delay`` tokens after the first token of the word."""

    def positions(self, starts, tokens):
        """See :meth:`AbsTextAlignedLayout.positions`."""
        return starts + self.delay

    def due(self, starts):
        """See :meth:`AbsTextAlignedLayout.due`."""
        row = len(starts) - 1 - self.delay
        if row < 0:
            return row
        return sum(starts[: row + 1]) - 1 if starts[row] else None
