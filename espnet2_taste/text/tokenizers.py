"""Text tokenizers behind one small interface.

Enters: one word (str). Leaves: its token ids, and text again from ids. ESPnet token
lists (characters, sentencepiece), Hugging Face and Whisper vocabularies are adapters
of the same four members, so that no caller asks which kind it holds. Chosen by name
(``--token_type``).
"""

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar

from espnet2.train.class_choices import ClassChoices

from espnet2_taste.data.files import read_text
from espnet2_taste.text.normalizers import written_forms

_CACHE_LIMIT = 100_000
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

    place = Path(path)
    if place.is_file():
        place = place.parent
    local = place.is_dir()
    try:
        return AutoTokenizer.from_pretrained(
            str(place), local_files_only=local, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise ValueError(
            f"no Hugging Face tokenizer can be loaded from '{path}' "
            f"({str(error).splitlines()[0]}); give a directory written by "
            "save_pretrained or the name of a public model"
        ) from error


class AbsTextTokenizer(ABC):
    """A vocabulary, seen word by word."""

    def __init__(self) -> None:
        self._cache: dict[tuple[str, bool], list[int]] = {}

    @classmethod
    @abstractmethod
    def from_options(
        cls, token_list, bpemodel: str | None, tokenizer_path: str | None
    ) -> "AbsTextTokenizer":
        """Build from the options every recipe has.

        Args:
            token_list: ESPnet token list (file or tokens).
            bpemodel: sentencepiece model.
            tokenizer_path: Hugging Face directory, file in it, or name.

        Returns:
            The tokenizer.

        Raises:
            ValueError: An option this kind needs is missing.
        """

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

    @classmethod
    def from_options(cls, token_list, bpemodel=None, tokenizer_path=None):
        """See :meth:`AbsTextTokenizer.from_options`."""
        _need("char", token_list=token_list)
        return cls(token_list)

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

    def __init__(self, token_list: str | Path | Sequence[str], bpemodel: str) -> None:
        super().__init__(token_list)
        import sentencepiece

        if not Path(bpemodel).is_file():
            raise ValueError(f"--bpemodel: no such file: '{bpemodel}'")
        self.model = sentencepiece.SentencePieceProcessor(model_file=str(bpemodel))

    @classmethod
    def from_options(cls, token_list, bpemodel=None, tokenizer_path=None):
        """See :meth:`AbsTextTokenizer.from_options`."""
        _need("bpe", token_list=token_list, bpemodel=bpemodel)
        return cls(token_list, bpemodel)

    def _encode(self, word: str, first: bool) -> list[int]:
        return self._lookup(self.model.encode(word, out_type=str))

    def decode(self, ids: Sequence[int]) -> str:
        """See :meth:`AbsTextTokenizer.decode`."""
        pieces = [self.token_list[index] for index in ids]
        return self.model.decode(pieces).strip()


class HuggingFaceTokenizer(AbsTextTokenizer):
    """Any Hugging Face tokenizer, e.g. the language model's own."""

    def __init__(self, tokenizer_path: str | Path) -> None:
        super().__init__()
        self.tokenizer = load_tokenizer(tokenizer_path)

    @classmethod
    def from_options(cls, token_list=None, bpemodel=None, tokenizer_path=None):
        """See :meth:`AbsTextTokenizer.from_options`."""
        _need("hf or whisper", tokenizer_path=tokenizer_path)
        return cls(tokenizer_path)

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


class WhisperTextTokenizer(HuggingFaceTokenizer):
    """Whisper's vocabulary, with the prefix its decoder expects.

    Args:
        tokenizer_path: Directory (of the model, or written by :meth:`save`), file in
            it, or hub name.
        language: Language of a multilingual model; that of the directory, or English.
        task: "transcribe" or "translate"; that of the directory, or "transcribe".
    """

    def __init__(
        self,
        tokenizer_path: str | Path,
        language: str | None = None,
        task: str | None = None,
    ) -> None:
        super().__init__(tokenizer_path)
        self.generation = _generation_config(tokenizer_path)
        self.multilingual = getattr(self.generation, "is_multilingual", True)
        self.language = language or getattr(self.generation, "language", None) or "en"
        self.task = task or getattr(self.generation, "task", None) or "transcribe"

    def decoder_prefix(self) -> list[int]:
        """Start, language and task of a multilingual model, no timestamps.

        Raises:
            ValueError: The vocabulary has no such language or task, or is no Whisper's.
        """
        chosen = (self.language, self.task) if self.multilingual else ()
        names = ("startoftranscript", *chosen, "notimestamps")
        known = self.tokenizer.get_vocab()
        missing = [name for name in names if f"<|{name}|>" not in known]
        if missing:
            raise ValueError(
                f"the vocabulary of {self.tokenizer.name_or_path} has no token "
                f"<|{missing[0]}|>: give the tokenizer of a Whisper model, and one of "
                "its languages (language=de) and tasks (transcribe, translate)"
            )
        return [known[f"<|{name}|>"] for name in names]

    def generation_options(self) -> dict[str, str]:
        """Language and task for the model's ``generate``; none in English-only ones."""
        if not self.multilingual:
            return {}
        return {"language": self.language, "task": self.task}

    def save(self, directory: str | Path) -> None:
        """Write what this class is built from, language and task included."""
        self.tokenizer.save_pretrained(directory)
        if self.generation is None:
            return
        if self.multilingual:
            self.generation.language, self.generation.task = self.language, self.task
        self.generation.save_pretrained(directory)


def _generation_config(tokenizer_path: str | Path):
    """What a model's folder says of generation, None if nothing."""
    from transformers import GenerationConfig

    place = Path(tokenizer_path)
    place = place.parent if place.is_file() else place
    try:
        return GenerationConfig.from_pretrained(
            str(place), local_files_only=place.is_dir()
        )
    except OSError:
        return None


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


def _need(token_type: str, **options) -> None:
    """Raise unless every option is given."""
    missing = [f"--{name}" for name, value in options.items() if value is None]
    if missing:
        raise ValueError(f"--token_type {token_type} needs {' and '.join(missing)}")


token_type_choices = ClassChoices(
    "token_type",
    classes={
        "char": CharacterTokenizer,
        "bpe": SentencePieceTokenizer,
        "hf": HuggingFaceTokenizer,
        "whisper": WhisperTextTokenizer,
    },
    type_check=AbsTextTokenizer,
    default="bpe",
)


def build_text_tokenizer(
    token_type: str,
    token_list: str | Path | Sequence[str] | None = None,
    bpemodel: str | None = None,
    tokenizer_path: str | None = None,
) -> AbsTextTokenizer:
    """Build the tokenizer a configuration names.

    Args:
        token_type: A name in ``token_type_choices``.
        token_list: For "char" and "bpe".
        bpemodel: For "bpe".
        tokenizer_path: For "hf" and "whisper".

    Returns:
        The tokenizer.

    Raises:
        ValueError: The name is unknown or an option it needs is missing.
    """
    builder = token_type_choices.get_class(token_type)
    return builder.from_options(token_list, bpemodel, tokenizer_path)


def load_token_dir(directory: str | Path) -> AbsTextTokenizer:
    """Load the vocabulary that stage 3 wrote.

    Args:
        directory: Holds ``token_type`` and ``tokens.txt`` with, for "bpe",
            ``bpe.model``, or a Hugging Face tokenizer.

    Returns:
        The tokenizer.
    """
    directory = Path(directory)
    token_type = read_text(directory / "token_type").strip()
    tokens, bpemodel = directory / "tokens.txt", directory / "bpe.model"
    return build_text_tokenizer(token_type, str(tokens), str(bpemodel), str(directory))
