"""Tokenizers over an ESPnet token list: characters and sentencepiece.

Enters: one word (str). Leaves: its token ids, places in the token list, and text again
from ids.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from espnet2_taste.data.files import read_text
from espnet2_taste.text.abs_tokenizer import AbsTextTokenizer

_OWSM_PREFIX = ("<sos>", "<eng>", "<asr>", "<notimestamps>")


def read_token_list(token_list: str | Path | Sequence[str]) -> list[str]:
    """Read an ESPnet token list.

    Args:
        token_list: File with one token a line, or the tokens.

    Returns:
        The tokens; the place in the list is the id.

    Raises:
        ValueError: The list is empty, names a token twice or misses ``<unk>``.
    """
    if isinstance(token_list, (str, Path)):
        # only "\n" ends a line: a token may be U+2028 or another separator
        lines = read_text(token_list).split("\n")
        tokens = [line.rstrip("\r") for line in lines]
        if tokens[-1] == "":
            tokens.pop()
    else:
        tokens = list(token_list)
    twice = sorted(token for token, times in Counter(tokens).items() if times > 1)
    if not tokens or twice or "<unk>" not in tokens:
        raise ValueError(
            f"--token_list must hold distinct tokens, among them <unk>: found "
            f"{len(tokens)} tokens, repeated: {twice[:5]}; train it with prepare_text"
        )
    return tokens


class _TokenListTokenizer(AbsTextTokenizer):
    """What characters and sentencepiece share: an ESPnet token list."""

    _SPECIAL: ClassVar[dict[str, str]] = {
        "blank": "<blank>",
        "unk": "<unk>",
        "bos": "<sos/eos>",
        "eos": "<sos/eos>",
    }

    def __init__(self, token_list: str | Path | Sequence[str]) -> None:
        super().__init__()
        self.token_list = read_token_list(token_list)
        self._ids = {token: index for index, token in enumerate(self.token_list)}

    @property
    def vocab_size(self) -> int:
        """Number of tokens in the list."""
        return len(self.token_list)

    def special_id(self, name: str) -> int:
        """See :meth:`AbsTextTokenizer.special_id`."""
        token = self._SPECIAL.get(name)
        if token not in self._ids:
            known = [key for key, value in self._SPECIAL.items() if value in self._ids]
            raise ValueError(f"the token list has no '{name}' token; it has {known}")
        return self._ids[token]

    def decoder_prefix(self) -> list[int] | None:
        """OWSM's beginning, with English and transcription, if the list has one."""
        if _OWSM_PREFIX[0] not in self._ids:
            return None
        return [self._ids[token] for token in _OWSM_PREFIX if token in self._ids]

    def count_unknown(self, ids: Sequence[int]) -> int:
        """See :meth:`AbsTextTokenizer.count_unknown`."""
        return list(ids).count(self._ids["<unk>"])

    def token_bytes(self) -> list[bytes]:
        """See :meth:`AbsTextTokenizer.token_bytes`; ``<...>`` writes nothing."""

        def written(token: str) -> bytes:
            if byte := re.fullmatch("<0x([0-9A-F]{2})>", token):
                return bytes.fromhex(byte[1])
            special = re.fullmatch("<.+>", token)
            return b"" if special else token.strip("\u2581").encode()

        return [written(token) for token in self.token_list]

    def _lookup(self, tokens: Sequence[str]) -> list[int]:
        unknown = self._ids["<unk>"]
        return [self._ids.get(token, unknown) for token in tokens]


class CharacterTokenizer(_TokenListTokenizer):
    """ESPnet characters; ``<space>`` begins a word where the list has it."""

    SPACE = "<space>"
    needs = ("token_list",)

    def _encode(self, word: str, first: bool) -> list[int]:
        marked = not first and self.SPACE in self._ids
        letters = [self.SPACE if char == " " else char for char in word]
        return self._lookup([self.SPACE] * marked + letters)

    def decode(self, ids: Sequence[int]) -> str:
        """See :meth:`AbsTextTokenizer.decode`."""
        tokens = (self.token_list[index] for index in ids)
        return "".join(" " if t == self.SPACE else t for t in tokens).strip()


class SentencePieceTokenizer(_TokenListTokenizer):
    """ESPnet's ``bpe``: a sentencepiece model and the token list made from it.

    sentencepiece marks the beginning of every text, so the first word looks like the
    others and ``first`` changes nothing.
    """

    needs = ("token_list", "bpemodel")

    def __init__(self, token_list: str | Path | Sequence[str], bpemodel: str) -> None:
        super().__init__(token_list)
        import sentencepiece

        if not Path(bpemodel).is_file():
            raise ValueError(f"--bpemodel: no such file: '{bpemodel}'")
        self.model = sentencepiece.SentencePieceProcessor(model_file=str(bpemodel))

    def _encode(self, word: str, first: bool) -> list[int]:
        return self._lookup(self.model.encode(word, out_type=str))

    def decode(self, ids: Sequence[int]) -> str:
        """See :meth:`AbsTextTokenizer.decode`."""
        pieces = [self.token_list[index] for index in ids]
        return self.model.decode(pieces).strip()
