"""Option groups that several tasks share, each written once.

Enters: an argparse group, or parsed options. Leaves: the group with its options added,
or the keyword arguments they stand for.
"""

import argparse

from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import str2bool, str_or_none

from espnet2_taste.text.tokenizers import token_type_choices


def add_word_arguments(group) -> None:
    """Add how words become tokens; see :func:`word_options`.

    Args:
        group: Group (or parser) that receives the options.
    """
    group.add_argument(
        "--first_word_space",
        type=str2bool,
        default=True,
        help="Tokenise the first word with its leading space, like every other",
    )
    group.add_argument(
        "--word_space",
        type=str2bool,
        default=True,
        help="Mark the beginning of words; false for languages without spaces",
    )


def word_options(args: argparse.Namespace) -> dict[str, bool]:
    """Collect the options of :func:`add_word_arguments`.

    Args:
        args: Parsed options.

    Returns:
        Keyword arguments of the preprocessors.
    """
    return {
        "first_word_space": args.first_word_space,
        "word_space": args.word_space,
    }


def add_text_tokenizer_arguments(group) -> None:
    """Add the text side of the TASTE tokenizer: vocabulary and words.

    Args:
        group: Group (or parser) that receives the options.
    """
    group.add_argument(
        "--token_type",
        type=str,
        default=token_type_choices.default,
        choices=token_type_choices.choices(),
        help="Kind of vocabulary",
    )
    group.add_argument(
        "--token_list",
        type=str_or_none,
        default=None,
        help="ESPnet token list, one token a line (char, bpe)",
    )
    group.add_argument(
        "--bpemodel", type=str_or_none, default=None, help="sentencepiece model (bpe)"
    )
    group.add_argument(
        "--tokenizer_path",
        type=str_or_none,
        default=None,
        help="Hugging Face tokenizer: directory, file in it, or name (hf, whisper)",
    )
    add_word_arguments(group)


def text_tokenizer_options(args: argparse.Namespace) -> dict:
    """Collect the options of :func:`add_text_tokenizer_arguments`.

    Args:
        args: Parsed options.

    Returns:
        Keyword arguments of ``TastePreprocessor``.
    """
    names = ("token_type", "token_list", "bpemodel", "tokenizer_path")
    return {**{name: getattr(args, name) for name in names}, **word_options(args)}


def add_units_dir_argument(group) -> None:
    """Add where stage 5 has written what units and speaker embeddings are.

    Args:
        group: Group (or parser) that receives the option.
    """
    group.add_argument(
        "--units_dir",
        type=str_or_none,
        default=None,
        help="From units fit; gives num_units and spembs_size, or checks them",
    )


def add_causal_lm_arguments(group) -> None:
    """Add a Hugging Face causal LM and its tokenizer.

    Args:
        group: Group (or parser) that receives the options.
    """
    group.add_argument(
        "--tokenizer_path",
        type=str_or_none,
        default=None,
        help="The language model's tokenizer: directory, file in it, or name",
    )
    group.add_argument(
        "--init_lm",
        type=str_or_none,
        default=None,
        help="Trained language model to start from: directory, file in it, or name; "
        "none: random weights as --lm_conf says",
    )
    group.add_argument(
        "--lm_conf",
        action=NestedDictAction,
        default={},
        help="Fields of the language model's configuration, with model_type for "
        "random weights; dtype, attn_implementation, gradient_checkpointing and "
        "load_in_4bit say how it runs",
    )
