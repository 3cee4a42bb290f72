"""Any Hugging Face tokenizer as a text tokenizer.

Enters: one word (str). Leaves: its token ids, and text again from ids.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from espnet2_taste.experiment_files import from_hub
from espnet2_taste.text.abs_tokenizer import AbsTextTokenizer


def load_tokenizer(path: str | Path):
    """Load a Hugging Face tokenizer without running code from its repository.

    Args:
        path: Directory, any file in the directory, or name on the hub.

    Returns:
        A ``transformers`` tokenizer.

    Raises:
        ValueError: The directory holds no tokenizer.
    """
    from transformers import AutoTokenizer

    try:
        return from_hub(AutoTokenizer, path, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"no Hugging Face tokenizer can be loaded from '{path}' "
            f"({str(error).splitlines()[0]}); give a directory written by "
            "save_pretrained or the name of a public model"
        ) from error


class HuggingFaceTokenizer(AbsTextTokenizer):
    """Any Hugging Face tokenizer, e.g. the language model's own."""

    needs = ("tokenizer_path",)

    def __init__(self, tokenizer_path: str | Path) -> None:
        super().__init__()
        self.tokenizer = load_tokenizer(tokenizer_path)

    @property
    def vocab_size(self) -> int:
        """Number of ids, special tokens included."""
        return len(self.tokenizer)

    def special_id(self, name: str) -> int:
        """Id by name; a model without a beginning token begins with its end token."""
        index = getattr(self.tokenizer, f"{name}_token_id", None)
        if index is None and name == "bos":
            index = self.tokenizer.eos_token_id
        if index is None:
            known = self.tokenizer.special_tokens_map
            raise ValueError(f"the tokenizer has no '{name}' token; it has {known}")
        return int(index)

    def count_unknown(self, ids: Sequence[int]) -> int:
        """See :meth:`AbsTextTokenizer.count_unknown`."""
        return list(ids).count(self.tokenizer.unk_token_id)

    def decoder_prefix(self) -> list[int] | None:
        """The language model's beginning token."""
        return [self.special_id("bos")]

    def token_bytes(self) -> list[bytes]:
        """See :meth:`AbsTextTokenizer.token_bytes`."""
        special = set(self.tokenizer.all_special_tokens)
        tokens = self.tokenizer.convert_ids_to_tokens(range(self.vocab_size))
        written = [None if token in special else token for token in tokens]
        return [_written(token) if token else b"" for token in written]

    def _encode(self, word: str, first: bool) -> list[int]:
        text = word if first else " " + word
        return self.tokenizer.encode(text, add_special_tokens=False)

    def decode(self, ids: Sequence[int]) -> str:
        """See :meth:`AbsTextTokenizer.decode`."""
        return self.tokenizer.decode(list(map(int, ids))).strip()


@cache
def _byte_letters() -> dict[str, int]:
    """The letters by which byte-level vocabularies write bytes that cannot be read."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return {letter: byte for byte, letter in bytes_to_unicode().items()}


def _written(token: str) -> bytes:
    """Bytes of a token of a byte-level vocabulary, or of a readable one."""
    letters = _byte_letters()
    if all(letter in letters for letter in token):
        return bytes(letters[letter] for letter in token).strip()
    return token.strip("\u2581 ").encode()
