"""What generation must know of a text vocabulary, found out once a tokenizer.

Enters: the text of every token. Leaves: three masks over the vocabulary: tokens that
begin a word, tokens that may end a sentence, tokens that cannot be spoken.

Legend: V text vocabulary.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

SENTENCE_END = "."
SPOKEN = re.compile(r"[^\W_]|[.,']")
REFERENCE_SPOKEN = re.compile(r"[.,'a-zA-Z0-9]")
REFERENCE_JOINED = re.compile(r" ([.?!,]|n't|'m|'s|'ve|'re)")


@dataclass(frozen=True)
class VocabularyMasks:
    """Properties of each token.

    Attributes:
        word_start: Begins a word, (V,) bool.
        sentence_end: Holds a full stop, (V,) bool.
        banned: Must not be generated, (V,) bool; special tokens are among them.
    """

    word_start: torch.Tensor
    sentence_end: torch.Tensor
    banned: torch.Tensor

    @classmethod
    def from_strings(
        cls,
        strings: Sequence[str],
        special_ids: Collection[int] = (),
        word_space: bool = True,
    ) -> "VocabularyMasks":
        """Sort the tokens by their text.

        Args:
            strings: Text of each token alone, V of them.
            special_ids: Tokens that are no text.
            word_space: A leading space marks a word; without it every token is one.

        Returns:
            The masks.
        """
        special = set(special_ids)
        starts = [not word_space or text.startswith(" ") for text in strings]
        banned = [
            index in special or "\n" in text or not SPOKEN.search(text)
            for index, text in enumerate(strings)
        ]
        return cls(torch.tensor(starts), _sentence_ends(strings), torch.tensor(banned))

    @classmethod
    def from_reference_rules(
        cls, strings: Sequence[str], special_start: int, eos_id: int
    ) -> "VocabularyMasks":
        """Sort the tokens as the published system does.

        Its special tokens other than the end begin words and are not banned; its
        decoder joins punctuation and contractions to the word before, so that " ."
        begins none.

        Args:
            strings: Text of each token alone.
            special_start: First special id.
            eos_id: The end, which is banned.

        Returns:
            The masks.
        """
        strings = [joined(text) for text in strings]
        starts = [
            index >= special_start or text.startswith(" ")
            for index, text in enumerate(strings)
        ]
        banned = [
            index == eos_id
            or (text != SENTENCE_END and not _plain(REFERENCE_SPOKEN, text))
            for index, text in enumerate(strings)
        ]
        return cls(torch.tensor(starts), _sentence_ends(strings), torch.tensor(banned))

    def resized(self, size: int) -> "VocabularyMasks":
        """Masks for a model whose output has more rows than the tokenizer has tokens.

        Args:
            size: Rows of the output.

        Returns:
            Masks of (size,); the added tokens are banned.
        """
        extra = (0, size - len(self.banned))
        return VocabularyMasks(
            functional.pad(self.word_start, extra),
            functional.pad(self.sentence_end, extra),
            functional.pad(self.banned, extra, value=True),
        )


def joined(text: str) -> str:
    """Text of a token after the published decoder's cleaning of spaces."""
    return REFERENCE_JOINED.sub(r"\1", text)


def _plain(pattern: re.Pattern, text: str) -> bool:
    return bool(pattern.search(text)) and "\n" not in text


def _sentence_ends(strings: Sequence[str]) -> torch.Tensor:
    return torch.tensor([SENTENCE_END in text for text in strings])


def token_strings(tokenizer) -> list[str]:
    """Text of every token alone, with its leading space.

    Args:
        tokenizer: A ``transformers`` tokenizer.

    Returns:
        V strings.
    """
    size = len(tokenizer)
    tokens = tokenizer.convert_ids_to_tokens(list(range(size)))
    texts = tokenizer.batch_decode(
        [[index] for index in range(size)], clean_up_tokenization_spaces=False
    )
    return [
        " " + text.lstrip() if str(token).startswith("\u2581") else text
        for token, text in zip(tokens, texts)
    ]


def vocabulary_masks(tokenizer, word_space: bool = True) -> VocabularyMasks:
    """Masks of a tokenizer.

    Args:
        tokenizer: A ``transformers`` tokenizer.
        word_space: Words begin with a space.

    Returns:
        The masks.
    """
    return VocabularyMasks.from_strings(
        token_strings(tokenizer), tokenizer.all_special_ids, word_space
    )


def reference_masks(tokenizer, eos_id: int) -> VocabularyMasks:
    """Masks of a tokenizer by the published rules; added tokens come last in it.

    Args:
        tokenizer: A ``transformers`` tokenizer.
        eos_id: Text id that ends speech.

    Returns:
        The masks.
    """
    return VocabularyMasks.from_reference_rules(
        token_strings(tokenizer), tokenizer.vocab_size, eos_id
    )
