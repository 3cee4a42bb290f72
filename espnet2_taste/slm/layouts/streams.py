"""The ids of a stream, sorted into kinds.

Enters: a text vocabulary and the sizes of the other inventories. Leaves: streams with
an id for everything they can hold. The ids of the text LM come first, where a stream
has text; what is added follows, kind after kind.

Legend: V ids of the text LM, X ids of a stream.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from espnet2_taste.slm.vocabulary import PieceRules, VocabularyMasks

START, INSIDE, END = "start", "inside", "end"
UNIT, PAD = "unit", "pad"
TEXT_KINDS = frozenset((START, INSIDE))
TEXT, SPEECH, MIXED, TAIL = "text", "speech", "mixed", "tail"


@dataclass(frozen=True, eq=False)
class TextVocabulary:
    """What layouts know of the text LM's vocabulary.

    Attributes:
        starts: Tokens that begin a word, (V,) bool.
        special: Tokens that are no text, (V,) bool; the end is among them.
        end_id: The token that ends text.
        plain_first: The first word of an utterance has no mark of its beginning.
        rules: Which tokens must not be generated; None for no rules.
        sentence_end: Tokens that hold a full stop, (V,) bool; None for none.
    """

    starts: np.ndarray
    special: np.ndarray
    end_id: int
    plain_first: bool = False
    rules: PieceRules | None = None
    sentence_end: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        masks: VocabularyMasks,
        special: Collection[int],
        end_id: int,
        plain_first: bool = False,
    ) -> "TextVocabulary":
        """Describe a vocabulary by its masks.

        Args:
            masks: Of the vocabulary.
            special: Tokens that are no text.
            end_id: The token that ends text.
            plain_first: The first word of an utterance has no mark of its beginning.
        """
        is_special = np.zeros(len(masks.banned), dtype=bool)
        is_special[[*special, end_id]] = True
        return cls(
            starts=masks.word_start.numpy(),
            special=is_special,
            end_id=end_id,
            plain_first=plain_first,
            rules=PieceRules(masks),
            sentence_end=masks.sentence_end.numpy(),
        )

    def ending_with(self, end_id: int) -> "TextVocabulary":
        """The same with another token that ends text."""
        special = self.special.copy()
        special[end_id] = True
        return replace(self, special=special, end_id=end_id)

    @property
    def first(self) -> frozenset[str]:
        """Kinds that begin an utterance."""
        return TEXT_KINDS if self.plain_first else frozenset((START,))

    @cached_property
    def kinds(self) -> dict[str, np.ndarray]:
        """Masks by kind, each (V,) bool."""
        end = np.zeros(len(self.starts), dtype=bool)
        end[self.end_id] = True
        return {
            START: self.starts & ~self.special,
            INSIDE: ~self.starts & ~self.special,
            END: end,
        }

    def group(self, tokens: Sequence[int]) -> tuple[tuple[int, ...], ...]:
        """Gather tokens into words; the first token begins one whatever it is."""
        words: list[list[int]] = []
        for token in tokens:
            if not words or self.starts[token]:
                words.append([])
            words[-1].append(int(token))
        return tuple(tuple(word) for word in words)


@dataclass(frozen=True)
class Inventory:
    """Everything that an utterance's ids are drawn from.

    Attributes:
        text: The text LM's vocabulary.
        units: Units of each codebook.
        codebooks: Codebooks of a unit.
        pitch: Pitch tokens.
        style: Style tokens.
        unit_rate: Units a second.
    """

    text: TextVocabulary
    units: int
    codebooks: int = 1
    pitch: int = 0
    style: int = 0
    unit_rate: float = 25.0

    def need_one_codebook(self, layout: str) -> None:
        """Refuse units of several codebooks.

        Args:
            layout: Name of who asks, for the message.

        Raises:
            ValueError: There are several.
        """
        if self.codebooks != 1:
            raise ValueError(
                f"layout '{layout}' writes units in one string and needs units of 1 "
                f"codebook, found {self.codebooks}: choose a layout with parallel "
                "streams, or other units"
            )


@dataclass(frozen=True)
class IdSet:
    """Ids that may come next: all of some kinds, but for a few.

    Attributes:
        kinds: Names of kinds.
        without: Ids that are left out, e.g. the unit just written.
    """

    kinds: frozenset[str]
    without: frozenset[int] = frozenset()

    def banning(self, kinds: frozenset[str]) -> "IdSet":
        """The same without some kinds, unless nothing else would be left."""
        return IdSet(self.kinds - kinds or self.kinds, self.without)


class Stream:
    """One column of a grid.

    Args:
        name: For messages and statistics.
        group: Which share of the loss it belongs to: text, speech or mixed.
        text: The text LM's vocabulary, if the stream has its ids.
        extra: Added kinds with their sizes, in the order of their ids; none of the
            kinds of text where there is text.
        text_kinds: Kinds that count as text when an utterance is scored; all ids do
            where there are those of text alone.

    Attributes:
        text_size: Ids that are the text LM's own.
        size: X.
        kinds: Masks by kind, each (X,) bool.
        is_text: Ids that count as text, (X,) bool.
    """

    def __init__(
        self,
        name: str,
        group: str,
        text: TextVocabulary | None,
        extra: Sequence[tuple[str, int]],
        text_kinds: frozenset[str] = frozenset(),
    ):
        self.name, self.group = name, group
        self.text_size = len(text.starts) if text else 0
        self.size = self.text_size + sum(size for _, size in extra)
        self.kinds: dict[str, np.ndarray] = {}
        self._first: dict[str, int] = {}
        if text:
            for kind, mask in text.kinds.items():
                self.kinds[kind] = np.pad(mask, (0, self.size - self.text_size))
        offset = self.text_size
        for kind, size in extra:
            self._first[kind] = offset
            mask = np.zeros(self.size, dtype=bool)
            mask[offset : offset + size] = True
            self.kinds[kind] = mask
            offset += size
        self.is_text = np.full(self.size, bool(text) and not extra)
        for kind in text_kinds:
            self.is_text |= self.kinds[kind]
        self._mask = lru_cache(maxsize=256)(self._union)

    def id(self, kind: str, index: int = 0) -> int:
        """Id of the index-th member of an added kind."""
        return self._first[kind] + index

    def index(self, kind: str, ident: int) -> int:
        """The inverse of :meth:`id`."""
        return ident - self._first[kind]

    def mask(self, ids: IdSet) -> np.ndarray:
        """Ids of a set, (X,) bool, not to be changed."""
        return self._mask(ids.kinds, ids.without)

    def has(self, ids: IdSet, ident: int) -> bool:
        """Whether a set holds an id."""
        if not 0 <= ident < self.size or ident in ids.without:
            return False
        return any(self.kinds[kind][ident] for kind in ids.kinds)

    def is_kind(self, kind: str, ident: int) -> bool:
        """Whether an id is of a kind; no id is of a kind that the stream lacks."""
        known = kind in self.kinds and 0 <= ident < self.size
        return known and bool(self.kinds[kind][ident])

    def _union(self, kinds: frozenset[str], without: frozenset[int]) -> np.ndarray:
        mask = np.zeros(self.size, dtype=bool)
        for kind in kinds:
            mask |= self.kinds[kind]
        mask[list(without)] = False
        return mask


def text_of(streams: Sequence[Stream], row: Sequence[int]) -> list[int]:
    """Text ids of a row of S cells."""
    pairs = zip(streams, row)
    return [c for s, c in pairs if any(s.is_kind(kind, c) for kind in TEXT_KINDS)]
