"""The text tokenizers by name (``--token_type``).

Enters: the options of a configuration, or a directory written by stage 3. Leaves: a
text tokenizer.
"""

from collections.abc import Sequence
from pathlib import Path

from espnet2.train.class_choices import ClassChoices

from espnet2_taste.data.files import read_text
from espnet2_taste.text.abs_tokenizer import AbsTextTokenizer
from espnet2_taste.text.huggingface_tokenizer import HuggingFaceTokenizer
from espnet2_taste.text.token_list_tokenizers import (
    CharacterTokenizer,
    SentencePieceTokenizer,
)
from espnet2_taste.text.whisper_tokenizer import WhisperTextTokenizer

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
    kind = token_type_choices.get_class(token_type)
    options = dict(
        token_list=token_list, bpemodel=bpemodel, tokenizer_path=tokenizer_path
    )
    given = {name: options[name] for name in kind.needs}
    missing = [f"--{name}" for name, value in given.items() if value is None]
    if missing:
        raise ValueError(f"--token_type {token_type} needs {' and '.join(missing)}")
    return kind(**given)


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
