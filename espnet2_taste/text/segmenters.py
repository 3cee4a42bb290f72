"""Word segmenters: cleaned text -> words.

Enters: a cleaned piece of text (str). Leaves: its words (list of str). The prefix a
word gets before it is tokenised belongs to the segmenter, because languages written
without spaces want none. Chosen by name (``--segmenter``).
"""

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import lru_cache

from espnet2.train.class_choices import ClassChoices

_UNSPACED_SCRIPTS = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
_LONGEST_MEAN = 5  # letters a word; Thai has three to four, Chinese two


class AbsSegmenter(ABC):
    """Base of all segmenters."""

    @abstractmethod
    def __call__(self, text: str) -> list[str]:
        """Cut text into words.

        Args:
            text: Cleaned text.

        Returns:
            Words in order; none is empty or holds whitespace.
        """


class WhitespaceSegmenter(AbsSegmenter):
    """Words are what whitespace separates.

    Example:
        >>> WhitespaceSegmenter()("the red  dog")
        ['the', 'red', 'dog']
    """

    def __call__(self, text: str) -> list[str]:
        """See :meth:`AbsSegmenter.__call__`."""
        return text.split()


class CharacterSegmenter(AbsSegmenter):
    """Every character of a script written without spaces is a word.

    Letters of case-bearing scripts and digits stay together, so a foreign name in a
    Chinese or Japanese sentence remains one word; combining marks and the Japanese
    length mark join the character before them.

    Example:
        >>> CharacterSegmenter()("我用python3")
        ['我', '用', 'python3']
    """

    def __call__(self, text: str) -> list[str]:
        """See :meth:`AbsSegmenter.__call__`."""
        words: list[str] = []
        previous = ""
        for char in text:
            if char.isspace():
                previous = ""
                continue
            if previous and (self._joins(char) or self._in_run(previous, char)):
                words[-1] += char
            else:
                words.append(char)
            previous = char
        return words

    @staticmethod
    def _joins(char: str) -> bool:
        """Combining marks and letter modifiers never stand alone."""
        return unicodedata.category(char) in ("Mn", "Mc", "Me", "Lm")

    @staticmethod
    def _in_run(previous: str, char: str) -> bool:
        """Both characters belong to a word of a script written with spaces."""

        def spaced(item: str) -> bool:
            return unicodedata.category(item) in ("Ll", "Lu", "Lt", "Nd") or item == "'"

        return spaced(previous) and spaced(char)


@lru_cache(maxsize=None)
def _unspaced(char: str) -> bool:
    """Whether a character is a letter of a script written without spaces."""
    script = unicodedata.name(char, "").split(" ")[0]
    return script in _UNSPACED_SCRIPTS and unicodedata.category(char) == "Lo"


def looks_unsegmented(sentences: Iterable[str]) -> bool:
    """Whether whole phrases of a script without spaces stand as words.

    Args:
        sentences: Words separated by spaces.

    Returns:
        True where the words in such scripts have more than five letters on average.

    Example:
        >>> looks_unsegmented(["我今天很高兴地去北京"]), looks_unsegmented(["我 今天"])
        (True, False)
    """
    letters = [sum(map(_unspaced, word)) for text in sentences for word in text.split()]
    counts = [count for count in letters if count]
    return sum(counts) > _LONGEST_MEAN * len(counts)


segmenter_choices = ClassChoices(
    "segmenter",
    classes={"whitespace": WhitespaceSegmenter, "character": CharacterSegmenter},
    type_check=AbsSegmenter,
    default="whitespace",
)
