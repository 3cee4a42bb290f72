"""Text normalisers: one piece of a raw transcript -> cleaned text.

Enters: a whitespace-separated piece of a transcript (str). Leaves: the cleaned piece,
which may be empty or hold several words. A normaliser is chosen by name
(``--normalizer``); others register theirs in ``normalizer_choices.classes``.
"""

import re
import unicodedata
from abc import ABC, abstractmethod
from functools import lru_cache

from espnet2.train.class_choices import ClassChoices

_APOSTROPHES = dict.fromkeys(map(ord, "\u2018\u2019\u201b\u02bc\uff07`\u00b4"), "'")
_EDGE_APOSTROPHES = re.compile(r"(?<!\w)'+|'+(?!\w)")

_PLAIN = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*[,;:!?]?")


def has_letter_or_digit(text: str) -> bool:
    """Whether a word can be spoken, i.e. holds a letter or a digit.

    Args:
        text: Any string.

    Returns:
        True when at least one character is a letter or a number in any script.

    Example:
        >>> has_letter_or_digit("--"), has_letter_or_digit("b2")
        (False, True)
    """
    return any(char.isalnum() for char in text)


def written_forms(word: str) -> tuple[str, ...]:
    """Ways to write a word for a vocabulary that may lack capitals or punctuation.

    Args:
        word: A word without whitespace.

    Returns:
        The word as it is, in lower and in upper case, then both without punctuation;
        each once. Without punctuation a word may fall apart: ``well-known``.

    Example:
        >>> written_forms("Dog,")
        ('Dog,', 'dog,', 'DOG,', 'dog', 'DOG')
    """
    bare = BasicNormalizer()(word)
    forms = (word, word.lower(), word.upper(), bare, bare.upper())
    return tuple(dict.fromkeys(filter(None, forms)))


class AbsNormalizer(ABC):
    """Base of all normalisers."""

    @abstractmethod
    def __call__(self, text: str) -> str:
        """Clean a piece of text.

        Args:
            text: Raw text.

        Returns:
            Cleaned text with single spaces; "" when nothing is left.
        """


class BasicNormalizer(AbsNormalizer):
    """Lower case without punctuation, letters of every script kept.

    Curly quotes become straight, an apostrophe stays inside a word, other punctuation
    and symbols separate words, invisible format characters vanish.

    Example:
        >>> BasicNormalizer()("“Don’t stop”, she said…\\r")
        "don't stop she said"
    """

    def __call__(self, text: str) -> str:
        """See :meth:`AbsNormalizer.__call__`."""
        text = unicodedata.normalize("NFC", text).translate(_APOSTROPHES).lower()
        text = unicodedata.normalize("NFC", "".join(map(self._clean_char, text)))
        return " ".join(_EDGE_APOSTROPHES.sub(" ", text).split())

    @staticmethod
    def _clean_char(char: str) -> str:
        category = unicodedata.category(char)
        if category == "Cf":  # byte order mark, zero-width space
            return ""
        if char == "'" or category[0] in "LNM":
            return char
        return " "


class CompatibilityNormalizer(BasicNormalizer):
    """The same with one form of each character: full and half width, ligatures.

    Chinese and Japanese texts write letters, digits and kana in several widths.

    Example:
        >>> CompatibilityNormalizer()("ＡＢｃ１、ｶﾞ")
        'abc1 ガ'
    """

    def __call__(self, text: str) -> str:
        """See :meth:`AbsNormalizer.__call__`."""
        return super().__call__(unicodedata.normalize("NFKC", text))


class WrittenNormalizer(BasicNormalizer):
    """The same with written forms of English in words, by ``wetext`` (extra written).

    Pieces that are no plain words, such as amounts, times, ordinals and abbreviations,
    become what is said.

    Example:
        >>> WrittenNormalizer()("$43,000.50")  # doctest: +SKIP
        'forty three thousand point five dollars'
    """

    def __call__(self, text: str) -> str:
        """See :meth:`AbsNormalizer.__call__`."""
        plain = all(map(_PLAIN.fullmatch, text.split()))
        return super().__call__(text if plain else _said(text))


@lru_cache(maxsize=1)
def _verbalizer():
    """Loaded when it is first needed; not part of the normalizer, which is copied."""
    from espnet2_taste.optional import require

    wetext = require("wetext", feature="normalizer 'written'", extra="written")
    return wetext.Normalizer(lang="en", operator="tn")


@lru_cache(maxsize=100_000)
def _said(text: str) -> str:
    """A piece of text as it is said; pieces come again and take 10 ms and more."""
    return _verbalizer().normalize(text)


class KeepNormalizer(AbsNormalizer):
    """The text as it is, but for whitespace and line ends.

    Example:
        >>> KeepNormalizer()("Hello,\\t World!\\r\\n")
        'Hello, World!'
    """

    def __call__(self, text: str) -> str:
        """See :meth:`AbsNormalizer.__call__`."""
        return " ".join(text.replace("\ufeff", "").split())


normalizer_choices = ClassChoices(
    "normalizer",
    classes={
        "basic": BasicNormalizer,
        "nfkc": CompatibilityNormalizer,
        "written": WrittenNormalizer,
        "keep": KeepNormalizer,
    },
    type_check=AbsNormalizer,
    default="basic",
)
