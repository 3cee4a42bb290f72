"""Text-aligned sequence layout: one row a text token, one code a word, delayed.

Enters: text ids, word ids and the number of words of a padded batch. Leaves: a
:class:`TextAlignedGrid` of plain integer tensors that says what each row of the
language model reads and predicts. No parameters, no code values: a row refers to a
word by its index, so that the same grid places codes, vectors or scores.

Legend: B utterances, N text tokens, W words, L rows, Q codebooks, d delay.

Rows of an utterance of N tokens and W words (paper, section 3.3)::

    row        0      1 .. N                      N+1 .. N+d
    text in    BOS    text[0] .. text[N-1]        pad
    words in   -      delayed words, kept until the next one arrives
    text out   text[0] .. text[N-1] at rows 0 .. N-1, EOS at row N
    words out  word w at the row that predicts the token where it belongs

Append ``d`` virtual word starts ``N, N+1, ...`` behind the text; then the code of
word ``w`` belongs at start ``w + d`` (word delay) or at position ``start(w) + d``
(token delay): it is predicted in row ``p`` and read from row ``p + 1`` on.

The end of speech is the text token EOS, predicted in row N, i.e. where the next word
would start. It owns no word and no code: the delayed codes of the last words are
predicted in rows N .. N+d-1 as for any other word start, and the rows after N read
the text padding, never EOS. The published system has no such label
(``reference_compat``), so its generation has no learned end.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

import torch

from espnet2_taste.masks import length_mask
from espnet2_taste.slm.layouts.abs_layout import AbsLayout

IGNORE = -1
"""Label, word index or id that carries nothing."""


@dataclass(frozen=True)
class TextAlignedGrid:
    """What each row of a batch reads and predicts.

    Attributes:
        text: Text id read at each row, (B, L); ``IGNORE`` at row 0 (BOS), at the
            ``d`` text-padding rows and after the end.
        words: Index of the word read at each row, filled forward, (B, L);
            ``IGNORE`` where no word has arrived yet.
        arrivals: True where a word is read for the first time, (B, L).
        text_labels: Text id to predict at each row, (B, L), or ``IGNORE``.
        word_labels: Index of the word to predict at each row, (B, L), or ``IGNORE``.
        base_rows: True where the text prediction is compared with the base text LM,
            (B, L): the rows that predict a token of the text, not EOS.
        text_lengths: Tokens of each utterance, (B,).
        lengths: Rows of each utterance, ``text_lengths + d + 1``, (B,).
    """

    text: torch.Tensor
    words: torch.Tensor
    arrivals: torch.Tensor
    text_labels: torch.Tensor
    word_labels: torch.Tensor
    base_rows: torch.Tensor
    text_lengths: torch.Tensor
    lengths: torch.Tensor

    @property
    def mask(self) -> torch.Tensor:
        """True at rows inside an utterance, (B, L)."""
        return length_mask(self.lengths, self.text.size(1))


def word_start_mask(word_ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Mark the first token of every word.

    Args:
        word_ids: Word of each token, equal within a word, (B, N); padding is ignored.
        lengths: Valid tokens, (B,).

    Returns:
        Mask, (B, N) bool.
    """
    changes = torch.ones_like(word_ids, dtype=torch.bool)
    changes[:, 1:] = word_ids[:, 1:] != word_ids[:, :-1]
    return changes & length_mask(lengths, word_ids.size(1))


def word_starts(
    word_ids: torch.Tensor, lengths: torch.Tensor
) -> Tuple[torch.Tensor, torch.Tensor]:
    """Find the token where each word begins.

    Args:
        word_ids: Word of each token, (B, N).
        lengths: Valid tokens, (B,).

    Returns:
        Position of the first token of each word, (B, W), ``IGNORE`` after the last
        word, and the number of words of each utterance, (B,).
    """
    mask = word_start_mask(word_ids, lengths)
    num_words = mask.sum(dim=1)
    width = int(num_words.max()) if num_words.numel() else 0
    positions = torch.arange(word_ids.size(1), device=word_ids.device)
    ordered = torch.where(mask, positions, word_ids.size(1)).sort(dim=1).values
    starts = ordered[:, :width]  # (B, N) -> (B, W)
    return starts.masked_fill(~length_mask(num_words, width), IGNORE), num_words


def delay_by_words(
    starts: torch.Tensor, num_words: torch.Tensor, lengths: torch.Tensor, delay: int
) -> torch.Tensor:
    """Move each word to the start of the word ``delay`` words later.

    Args:
        starts: First token of each word, (B, W), ``IGNORE`` after the last.
        num_words: Words of each utterance, (B,).
        lengths: Tokens of each utterance, (B,).
        delay: Words to wait; virtual words begin at ``lengths, lengths + 1, ...``.

    Returns:
        Row that predicts each word, (B, W), ``IGNORE`` after the last word.
    """
    width = starts.size(1)
    index = torch.arange(width + delay, device=starts.device)
    virtual = lengths[:, None] + index - num_words[:, None]  # (B, W + d)
    real = torch.nn.functional.pad(starts, (0, delay), value=IGNORE)
    extended = torch.where(index < num_words[:, None], real, virtual)
    mask = length_mask(num_words, width)
    return extended[:, delay:].masked_fill(~mask, IGNORE)


def delay_by_tokens(starts: torch.Tensor, delay: int) -> torch.Tensor:
    """Move each word ``delay`` tokens behind its own start.

    Args:
        starts: First token of each word, (B, W), ``IGNORE`` after the last.
        delay: Tokens to wait.

    Returns:
        Row that predicts each word, (B, W), ``IGNORE`` after the last word.
    """
    return torch.where(starts == IGNORE, starts, starts + delay)


def place_words(positions: torch.Tensor, num_rows: int) -> torch.Tensor:
    """Write the index of each word at its row.

    Args:
        positions: Row of each word, (B, W), ``IGNORE`` for no word.
        num_rows: L.

    Returns:
        Word index at each row, (B, L), ``IGNORE`` elsewhere.
    """
    batch, width = positions.shape
    rows = positions.new_full((batch, num_rows + 1), IGNORE)
    target = torch.where(positions == IGNORE, num_rows, positions)
    index = torch.arange(width, device=positions.device).expand(batch, width)
    return rows.scatter(1, target, index)[:, :num_rows]


def unplace_words(word_labels: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """Find the row of each word: the inverse of :func:`place_words`.

    Args:
        word_labels: Word index at each row, (B, L), ``IGNORE`` elsewhere.

    Returns:
        Row of each word, (B, W), ``IGNORE`` after the last, and the number of words
        of each utterance, (B,).
    """
    mask = word_labels != IGNORE
    num_words = mask.sum(dim=1)
    width = int(num_words.max()) if num_words.numel() else 0
    positions = word_labels.new_full((word_labels.size(0), width + 1), IGNORE)
    rows = torch.arange(word_labels.size(1), device=word_labels.device)
    target = torch.where(mask, word_labels, width)
    positions = positions.scatter(1, target, rows.expand_as(word_labels))
    return positions[:, :width], num_words


def fill_forward(placed: torch.Tensor) -> torch.Tensor:
    """Repeat each entry until the next one.

    Args:
        placed: Values at some rows, (B, L), ``IGNORE`` elsewhere.

    Returns:
        Filled values, (B, L); ``IGNORE`` before the first entry.
    """
    rows = torch.arange(placed.size(1), device=placed.device)
    last = torch.where(placed == IGNORE, IGNORE, rows).cummax(dim=1).values
    filled = placed.gather(1, last.clamp(min=0))
    return torch.where(last == IGNORE, IGNORE, filled)


def gather_words(values: torch.Tensor, words: torch.Tensor, fill) -> torch.Tensor:
    """Bring word-level values to rows.

    Args:
        values: One entry a word, (B, W, X).
        words: Word of each row, (B, L), ``IGNORE`` for none.
        fill: Value for rows without a word; broadcast to (X,).

    Returns:
        Row-level values, (B, L, X).
    """
    index = words.clamp(min=0)[..., None].expand(-1, -1, values.size(-1))
    if values.size(1) == 0:
        rows = values.new_zeros(*words.shape, values.size(-1))
    else:
        rows = values.gather(1, index)  # (B, W, X) -> (B, L, X)
    return torch.where((words == IGNORE)[..., None], fill, rows)


class AbsTextAlignedLayout(AbsLayout):
    """Text clock with one code a word; subclasses say where a word's code belongs.

    Args:
        delay: Words or tokens between a word and its code, at least 0.
        reference_compat: Keep the published labels: no EOS, and the pad id 0 as a
            spurious target after the end of the shorter utterances of a batch.

    Raises:
        ValueError: Negative delay.
    """

    def __init__(self, delay: int = 1, reference_compat: bool = False):
        if delay < 0:
            raise ValueError(f"layout_conf: delay must be >= 0, found {delay}")
        self.delay = delay
        self.reference_compat = reference_compat

    @abstractmethod
    def positions(
        self, starts: torch.Tensor, num_words: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """Return the row that predicts each word, (B, W).

        Args:
            starts: First token of each word, (B, W), ``IGNORE`` after the last.
            num_words: Words of each utterance, (B,).
            lengths: Tokens of each utterance, (B,).
        """

    @abstractmethod
    def due(self, starts: Sequence[bool]) -> Optional[int]:
        """Return the word whose code belongs to the last row of a continuation.

        Args:
            starts: Whether each row so far chose the first token of a word (or is a
                virtual start behind the text).

        Returns:
            Generated word from 0 on; a negative number for one of the ``delay`` words
            or rows that were open when the prompt ended; None for no word.
        """

    def encode(
        self,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        word_ids: torch.Tensor,
        eos_id: int,
    ) -> TextAlignedGrid:
        """Lay a padded batch out in rows.

        Args:
            text: Text ids, (B, N); any value after the end.
            text_lengths: (B,).
            word_ids: Word of each token, (B, N); any value after the end.
            eos_id: The text id that ends speech.

        Returns:
            The grid of L = N + delay + 1 rows.
        """
        text_lengths = text_lengths.to(torch.int64)
        num_rows = text.size(1) + self.delay + 1
        valid = length_mask(text_lengths, text.size(1))
        ids = torch.where(valid, text, IGNORE)
        starts, num_words = word_starts(word_ids, text_lengths)
        positions = self.positions(starts, num_words, text_lengths)
        lengths = text_lengths + self.delay + 1
        inside = length_mask(lengths, num_rows)
        word_labels = place_words(positions, num_rows)
        text_labels = self.text_labels(ids, text_lengths, eos_id)
        arrived = place_words(delay_by_tokens(positions, 1), num_rows)
        return TextAlignedGrid(
            text=torch.nn.functional.pad(ids, (1, self.delay), value=IGNORE),
            words=torch.where(inside, fill_forward(arrived), IGNORE),
            arrivals=arrived != IGNORE,
            text_labels=text_labels,
            word_labels=word_labels,
            base_rows=self.base_rows(text_labels, text_lengths),
            text_lengths=text_lengths,
            lengths=lengths,
        )

    def text_labels(
        self, ids: torch.Tensor, text_lengths: torch.Tensor, eos_id: int
    ) -> torch.Tensor:
        """Return the text id to predict at each row.

        Args:
            ids: Text ids, (B, N), ``IGNORE`` after the end.
            text_lengths: (B,).
            eos_id: The text id that ends speech.

        Returns:
            Labels, (B, N + delay + 1).
        """
        labels = torch.nn.functional.pad(ids, (0, self.delay + 1), value=IGNORE)
        rows = torch.arange(labels.size(1), device=labels.device)
        if self.reference_compat:
            after = rows >= text_lengths[:, None]
            inside = rows < (text_lengths + self.delay + 1)[:, None]
            return labels.masked_fill(after & inside & (rows < ids.size(1)), 0)
        return labels.masked_fill(rows == text_lengths[:, None], eos_id)

    def base_rows(
        self, text_labels: torch.Tensor, text_lengths: torch.Tensor
    ) -> torch.Tensor:
        """Return the rows whose text prediction is held near the base LM.

        Args:
            text_labels: (B, L), ``IGNORE`` elsewhere.
            text_lengths: (B,).

        Returns:
            Mask, (B, L) bool.
        """
        if self.reference_compat:
            return text_labels != IGNORE
        return length_mask(text_lengths, text_labels.size(1))

    def decode(self, grid: TextAlignedGrid) -> Tuple[torch.Tensor, torch.Tensor]:
        """Recover text and the row of each word: the inverse of :meth:`encode`.

        Args:
            grid: A grid of this layout.

        Returns:
            Text ids, (B, N), ``IGNORE`` after the end, and the row that predicts each
            word, (B, W), ``IGNORE`` after the last word.
        """
        num_tokens = grid.text.size(1) - self.delay - 1
        return grid.text[:, 1 : num_tokens + 1], unplace_words(grid.word_labels)[0]


class WordDelayLayout(AbsTextAlignedLayout):
    """The code of word w comes with the first token of word w + delay (published)."""

    def positions(self, starts, num_words, lengths):
        """See :meth:`AbsTextAlignedLayout.positions`."""
        return delay_by_words(starts, num_words, lengths, self.delay)

    def due(self, starts):
        """See :meth:`AbsTextAlignedLayout.due`."""
        return sum(starts) - 1 - self.delay if starts[-1] else None


class TokenDelayLayout(AbsTextAlignedLayout):
    """The code of a word comes ``delay`` tokens after the first token of the word."""

    def positions(self, starts, num_words, lengths):
        """See :meth:`AbsTextAlignedLayout.positions`."""
        return delay_by_tokens(starts, self.delay)

    def due(self, starts):
        """See :meth:`AbsTextAlignedLayout.due`."""
        row = len(starts) - 1 - self.delay
        if row < 0:
            return row
        return sum(starts[: row + 1]) - 1 if starts[row] else None
