"""What of a text the aligned unit decoder reads: its letters, or its tokens.

Enters: token ids (B, N) and the word of each token. Leaves: embedded symbols
(B, C, D), in order, with borders between words.

Of the tokens of a large vocabulary, an hour of speech has many once or never; letters
occur often and are known for every token. Scripts without letters are read by the
bytes of their UTF-8.

Legend: B utterances, N text tokens, C symbols, D features.
"""

from abc import ABC, abstractmethod

import torch
from torch import nn

from espnet2_taste.speech_decoder.spelling import Symbols, lay_out, spelling_table
from espnet2_taste.text.abs_tokenizer import AbsTextTokenizer

BYTES = 256


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
