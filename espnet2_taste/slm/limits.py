"""How much a continuation may hold, in words and in seconds of speech.

Enters: cells as they are generated. Leaves: kinds of ids that may not come next. What
counts is what was generated, never an estimate from the number of rows: a design that
writes text is held to the words, a design that writes units to their seconds, and one
that writes both to both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from espnet2_taste.slm.layouts.abs_layout import HOLE, AbsGrammar
from espnet2_taste.slm.layouts.streams import (
    END,
    PAD,
    START,
    TEXT,
    TEXT_KINDS,
    UNIT,
    IdSet,
    Stream,
)

ROUNDING = 1e-6
"""Seconds by which a sum of many units may be wrong."""


@dataclass(frozen=True)
class Limits:
    """Shortest and longest continuation.

    Attributes:
        min_words: Fewest words before the end may be chosen.
        max_words: Most words of a continuation.
        min_seconds: Least speech of written units, seconds, before its end may be
            chosen.
        max_seconds: Most speech of written units, seconds.
        sentence_end_after: Words after which a full stop ends the text too.

    Raises:
        ValueError: A least value above its most.
    """

    min_words: int = 1
    max_words: int = 16
    min_seconds: float = 0.0
    max_seconds: float = 6.0
    sentence_end_after: int | None = None

    def __post_init__(self):
        least, most = self.min_words, self.max_words
        if not 0 <= least <= most or most < 1:
            raise ValueError(
                "the number of words must satisfy 0 <= min_words <= max_words and "
                f"max_words >= 1, found {least} and {most}"
            )
        if not 0 <= self.min_seconds <= self.max_seconds or self.max_seconds <= 0:
            raise ValueError(
                "the seconds of speech must satisfy 0 <= min_seconds <= max_seconds "
                f"and max_seconds > 0, found {self.min_seconds:g} and "
                f"{self.max_seconds:g}"
            )

    @property
    def max_tokens(self) -> int:
        """Most text tokens, in case that no new word ever begins."""
        return 16 * self.max_words

    def max_rows(self, unit_rate: float) -> int:
        """Most rows, in case that nothing that counts is ever written."""
        return self.max_tokens + int(4 * self.max_seconds * unit_rate)


@dataclass
class Amount:
    """What one continuation holds so far.

    Attributes:
        words: Words begun.
        tokens: Text tokens.
        seconds: Speech of the units written.
        stopped: A full stop came after enough words.
    """

    words: int = 0
    tokens: int = 0
    seconds: float = 0.0
    stopped: bool = False


class LimitKeeper:
    """Counts what is generated and says what may not follow.

    Args:
        layout: Of the design.
        limits: To be kept.
        unit_seconds: How long each unit lasts, as many as there are units; None for
            units of one length.
    """

    def __init__(
        self,
        layout: AbsGrammar,
        limits: Limits,
        unit_seconds: Sequence[float] | None = None,
    ):
        self.layout = layout
        self.limits = limits
        inventory = layout.inventory
        lasting = [1.0 / inventory.unit_rate] * inventory.units
        self.unit_seconds = lasting if unit_seconds is None else list(unit_seconds)
        streams = enumerate(layout.streams)
        self.units = next((i for i, s in streams if UNIT in s.kinds), None)
        self.has_text = any(stream.group == TEXT for stream in layout.streams)

    def add(self, amount: Amount, known: Sequence[int], row: Sequence[int]) -> None:
        """Count a row.

        Args:
            amount: Of the continuation, changed.
            known: Cells of the prompt, ``HOLE`` where they were generated.
            row: All its cells.
        """
        for index, stream in enumerate(self.layout.streams):
            if known[index] != HOLE:
                continue
            cell = row[index]
            if any(stream.is_kind(kind, cell) for kind in TEXT_KINDS):
                self._add_text(amount, stream, cell)
            if index == self.units and stream.is_kind(UNIT, cell):
                amount.seconds += self.unit_seconds[stream.index(UNIT, cell)]

    def _add_text(self, amount: Amount, stream: Stream, token: int) -> None:
        """Count a text token; the first one begins a word whatever it is."""
        amount.tokens += 1
        amount.words += stream.is_kind(START, token) or not amount.words
        least, ends = self.limits.sentence_end_after, self.layout.inventory.text
        if least is not None and amount.words >= least:
            amount.stopped = amount.stopped or bool(ends.sentence_end[token])

    def banned(self, amount: Amount, stream: Stream) -> frozenset[str]:
        """Kinds that may not come next where something else may.

        Args:
            amount: Of the continuation.
            stream: Whose cell is to be chosen.

        Returns:
            Names of kinds.
        """
        if amount.stopped and stream.text_size:
            return frozenset(stream.kinds) - {END}
        limits = self.limits
        few = self.has_text and amount.words < limits.min_words
        long = self._is_long(amount)
        if stream.group != TEXT:
            short = amount.seconds < limits.min_seconds - ROUNDING
            few = (few or short) and not long
        kinds = {END} if few else set()
        return frozenset(kinds | {UNIT} if long else kinds)

    def _is_long(self, amount: Amount) -> bool:
        return amount.seconds >= self.limits.max_seconds - ROUNDING

    def within(
        self, amount: Amount, stream: Stream, allowed: IdSet, chosen: int
    ) -> int:
        """Let text end where one word or token too many would be written.

        Args:
            amount: Of the continuation.
            stream: Of the cell.
            allowed: Ids that the grammar allows.
            chosen: The id that was drawn.

        Returns:
            END, or padding in a stream without an end, in place of a word's beginning
            once there are words enough; otherwise the id itself.
        """
        kinds: frozenset[str] = frozenset()
        if amount.words >= self.limits.max_words:
            kinds = self.layout.word_kinds
        if amount.tokens >= self.limits.max_tokens:
            kinds |= TEXT_KINDS
        if any(stream.is_kind(kind, chosen) for kind in kinds):
            for kind in (END, PAD):
                if kind in allowed.kinds:
                    return int(stream.kinds[kind].argmax())
        return chosen

    def reached(self, amount: Amount) -> bool:
        """Whether a continuation is as long as it may be."""
        full = amount.words >= self.limits.max_words
        endless = amount.tokens >= self.limits.max_tokens
        return full or endless or self._is_long(amount)
