"""What of a text the aligned unit decoder reads: its letters, phones, or tokens.

Enters: token ids (B, N) and the word of each token. Leaves: embedded symbols
(B, C, D), in order, with borders between words.

Of the tokens of a large vocabulary, an hour of speech has many once or never; letters
occur often and are known for every token. Scripts without letters are read by the
bytes of their UTF-8. Phones spare the decoder the spelling of a language, which an hour
does not teach either.

Legend: B utterances, N text tokens, C symbols, D features.
"""

import logging
import unicodedata
from abc import ABC, abstractmethod
from functools import lru_cache
from itertools import chain

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.speech_decoder.spelling import Symbols, lay_out, spelling_table
from espnet2_taste.text.abs_tokenizer import AbsTextTokenizer
from espnet2_taste.text.espeak import phones_of
from espnet2_taste.text.words import words_of_tokens

BYTES = 256
IPA = "".join(
    map(
        chr,
        chain(
            range(ord("a"), ord("z") + 1),
            range(ord("0"), ord("9") + 1),  # tones
            map(ord, "æðøħŋœβθχⁿ"),
            range(0x250, 0x370),  # IPA extensions, modifiers, combining marks
            range(0x1D00, 0x1DC0),  # phonetic extensions
        ),
    )
)
"""Symbols of phones in all languages, whatever a training set has of them."""


class AbsTextInput(nn.Module, ABC):
    """Symbols and their embedding.

    Args:
        num_symbols: Symbols besides the border.
        size: Features D.
    """

    def __init__(self, num_symbols: int, size: int):
        super().__init__()
        self.embed = nn.Embedding(num_symbols + 1, size)

    @abstractmethod
    def symbols(self, text: torch.Tensor, word_ids: torch.Tensor) -> Symbols:
        """Symbols of texts.

        Args:
            text: Token ids, any valid id at padding, (B, N).
            word_ids: Word of each token, -1 at padding, (B, N).

        Returns:
            The symbols; ``embed`` knows their ids.
        """


class LetterInput(AbsTextInput):
    """The letters of each token, in lower case; bytes of other scripts.

    Args:
        size: Features D.
        tokenizer: Knows how its tokens are spelled.
    """

    def __init__(self, size: int, tokenizer: AbsTextTokenizer):
        super().__init__(BYTES, size)
        table = spelling_table(tokenizer.token_bytes())
        self.register_buffer("table", table, persistent=False)  # the tokenizer has it

    def symbols(self, text: torch.Tensor, word_ids: torch.Tensor) -> Symbols:
        """See ``AbsTextInput.symbols``."""
        return lay_out(self.table[text], word_ids)


class TokenInput(AbsTextInput):
    """A row of a table for each token.

    Args:
        size: Features D.
        tokenizer: Knows how many tokens there are.
    """

    def __init__(self, size: int, tokenizer: AbsTextTokenizer):
        super().__init__(tokenizer.vocab_size, size)

    def symbols(self, text: torch.Tensor, word_ids: torch.Tensor) -> Symbols:
        """See ``AbsTextInput.symbols``."""
        return lay_out(text.unsqueeze(-1) + 1, word_ids)


class PhoneInput(AbsTextInput):
    """The phones of each word, as eSpeak says it alone and in lower case.

    Stress and length marks are symbols of their own. A word of a language that is
    written without spaces is what the segmenter makes one.

    Args:
        size: Features D.
        tokenizer: Knows how its tokens are spelled.
        language: One of eSpeak's, e.g. ``"en-us"``.

    Raises:
        RuntimeError: eSpeak is not installed.
        ValueError: It does not know the language.
    """

    def __init__(self, size: int, tokenizer: AbsTextTokenizer, language: str):
        super().__init__(len(IPA) + 1, size)
        self.spelled = tokenizer.token_bytes()
        self.language = language
        phones_of("a", language)  # what is missing is named before training

    def symbols(self, text: torch.Tensor, word_ids: torch.Tensor) -> Symbols:
        """See ``AbsTextInput.symbols``."""
        count = int(word_ids.max()) + 1
        phones = [
            torch.tensor(_phone_ids(word.lower(), self.language), dtype=torch.long)
            for row in zip(text.tolist(), word_ids.tolist())
            for word in words_of_tokens(self.spelled, *row, count)
        ]
        letters = pad_sequence(phones, batch_first=True).unflatten(0, (-1, count))
        words = torch.arange(count, device=text.device).expand(len(text), -1)
        known = words <= word_ids.amax(1, keepdim=True)
        return lay_out(letters.to(text.device), torch.where(known, words, -1))


@lru_cache(100_000)
def _phone_ids(word: str, language: str) -> tuple[int, ...]:
    """Symbols of a word; what has none is named, once."""
    phones = unicodedata.normalize("NFD", phones_of(word, language)) if word else ""
    if word and not phones:
        logging.warning(f"eSpeak has no phones for the word '{word}' ({language})")
    unknown = sorted(set(phones) - set(IPA))
    if unknown:
        logging.warning(
            f"the phones '{phones}' of the word '{word}' ({language}) have symbols "
            f"outside the IPA, which are all read as one: {' '.join(unknown)}"
        )
    return tuple(IPA.find(phone) % (len(IPA) + 1) + 1 for phone in phones)
