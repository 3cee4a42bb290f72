"""The interface of all text tokenizers.

Enters: one word (str). Leaves: its token ids, and text again from ids. ESPnet token
lists (characters, sentencepiece), Hugging Face and Whisper vocabularies are adapters
of the same four members, so that no caller asks which kind it holds.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from espnet2_taste.text.normalizers import written_forms

_CACHE_LIMIT = 100_000


class AbsTextTokenizer(ABC):
    """A vocabulary, seen word by word.

    Attributes:
        needs: Options that its constructor takes, of those every recipe has:
            ``token_list``, ``bpemodel``, ``tokenizer_path``.
    """

    needs: ClassVar[tuple[str, ...]]

    def __init__(self) -> None:
        self._cache: dict[tuple[str, bool], list[int]] = {}

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """Number of ids."""

    @abstractmethod
    def special_id(self, name: str) -> int:
        """Id of a special token.

        Args:
            name: "bos", "eos", "unk", "pad" or, in ESPnet lists, "blank".

        Returns:
            The id.

        Raises:
            ValueError: The vocabulary has no such token.
        """

    def decoder_prefix(self) -> list[int] | None:
        """Ids before the text in a decoder; None leaves them to the kind of decoder."""
        return None

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids.

        Args:
            ids: Token ids, N of them, without special tokens.

        Returns:
            The text, without a leading space.
        """

    def unwritable(self, words: Sequence[str]) -> list[str]:
        """Words that the vocabulary writes with its token for the unknown.

        Args:
            words: W words.

        Returns:
            Those, in order.
        """
        return [word for word in words if self.count_unknown(self.encode_word(word))]

    @abstractmethod
    def token_bytes(self) -> list[bytes]:
        """What each token writes, in UTF-8 and without marks of a word's beginning.

        Returns:
            One entry an id, empty for tokens that write nothing. A token may hold a
            part of a character.
        """

    @abstractmethod
    def _encode(self, word: str, first: bool) -> list[int]:
        """Encode one word; see :meth:`encode_word`."""

    @abstractmethod
    def count_unknown(self, ids: Sequence[int]) -> int:
        """How many of the token ids of a text stand for what is not in the vocabulary.

        Args:
            ids: Token ids, N of them, as :meth:`encode_word` gives them.
        """

    def encode_word(self, word: str, first: bool = False) -> list[int]:
        """Token ids of one word, in the first form that the vocabulary can write.

        Letter case and punctuation follow the vocabulary: ``Dog,`` is written as it
        is, else in lower or upper case, else without the comma.

        Args:
            word: A word without whitespace.
            first: Leave out the mark of a word's beginning (the leading space).

        Returns:
            Token ids, at least one unless the vocabulary cannot write the word. Where
            every form has unknown characters, the form with the fewest is taken.
        """
        key = (word, first)
        if key not in self._cache:
            if len(self._cache) >= _CACHE_LIMIT:
                self._cache.clear()
            self._cache[key] = self._encode_known(word, first)
        return list(self._cache[key])

    def _encode_known(self, word: str, first: bool) -> list[int]:
        """Encode the form of a word that has the fewest unknown tokens."""
        found: list[list[int]] = []
        for form in written_forms(word):
            found.append(self._encode(form, first))
            if found[-1] and not self.count_unknown(found[-1]):
                return found[-1]
        return min(filter(None, found), key=self.count_unknown, default=[])
