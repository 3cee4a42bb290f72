"""Build a grid language model that options describe, and what lays its data out.

Enters: options of ``GridLMTask``. Leaves: the model, its layout and its preprocessor.
Inference needs this and not the task, whose base class imports all of ESPnet's
training.
"""

import argparse
from collections.abc import Mapping
from typing import Any

from espnet2.utils.get_default_kwargs import get_default_kwargs
from espnet2.utils.nested_dict_action import NestedDictAction

from espnet2_taste.espnet_grid_lm_model import ESPnetGridLMModel
from espnet2_taste.slm.grid_data import (
    GridPreprocessor,
    UtteranceOptions,
    UtteranceReader,
    text_vocabulary,
)
from espnet2_taste.slm.grid_embedding import GridEmbedding
from espnet2_taste.slm.grid_lm import GridLM
from espnet2_taste.slm.layouts.abs_layout import AbsLayout
from espnet2_taste.slm.layouts.streams import Inventory
from espnet2_taste.tasks.arguments import (
    add_causal_lm_arguments,
    add_word_arguments,
    word_options,
)
from espnet2_taste.tasks.backbones import build_backbone, log_parameters
from espnet2_taste.tasks.grid_choices import (
    grid_head_choices,
    layout_choices,
    stream_fusion_choices,
    tail_head_choices,
)
from espnet2_taste.tasks.parts import build_part
from espnet2_taste.tasks.slm_choices import adaptation_choices
from espnet2_taste.text.huggingface_tokenizer import HuggingFaceTokenizer

FAMILIES = (
    adaptation_choices,
    layout_choices,
    stream_fusion_choices,
    grid_head_choices,
    tail_head_choices,
)


def build_grid_lm(args: argparse.Namespace) -> ESPnetGridLMModel:
    """Build the model; the options then hold all that rebuilding it needs.

    Args:
        args: Options of the task.

    Returns:
        The training model.

    Raises:
        ValueError: Parts are missing or do not fit each other.
    """
    tokenizer = HuggingFaceTokenizer(args.tokenizer_path)
    layout = build_layout(args, tokenizer)
    backbone = build_backbone(args, tokenizer)
    streams, size = layout.streams, backbone.hidden_size
    bos_id = tokenizer.special_id("bos")
    fusion = build_part(stream_fusion_choices, args, streams)
    grid_lm = GridLM(
        backbone=backbone,
        layout=layout,
        embedding=GridEmbedding(streams, backbone, fusion, bos_id),
        head=build_part(grid_head_choices, args, size, len(streams)),
        tail_head=build_part(tail_head_choices, args, size, args.num_units),
        bos_id=bos_id,
    )
    model = ESPnetGridLMModel(grid_lm, **args.model_conf)
    log_parameters(model)
    return model


def build_grid_preprocessor(args: argparse.Namespace, train: bool) -> GridPreprocessor:
    """What lays utterances out; a layout with chance draws anew in training.

    Args:
        args: Options of the task.
        train: Whether the data are for training.

    Returns:
        The preprocessor.
    """
    tokenizer = HuggingFaceTokenizer(args.tokenizer_path)
    reader = UtteranceReader(tokenizer, utterance_options(args))
    return GridPreprocessor(reader, build_layout(args, tokenizer), train)


def add_grid_arguments(group) -> None:
    """Add all options of the model and its data.

    Args:
        group: Group (or parser) that receives the options.
    """
    add_causal_lm_arguments(group)
    add_word_arguments(group)
    _add_inventory_arguments(group)
    for choices in FAMILIES:
        choices.add_arguments(group)
    group.add_argument(
        "--model_conf",
        action=NestedDictAction,
        default=get_default_kwargs(ESPnetGridLMModel),
        help="Keyword arguments of the training model",
    )


def _add_inventory_arguments(group) -> None:
    """Add the sizes and rates of units and what comes with them.

    Args:
        group: Group (or parser) that receives the options.
    """
    add = group.add_argument
    add("--num_units", type=int, default=200, help="Units of each codebook")
    add("--num_codebooks", type=int, default=1, help="Codebooks of a unit")
    add("--unit_rate", type=float, default=25.0, help="Units a second")
    add("--num_pitch", type=int, default=0, help="Pitch tokens (expressive)")
    add("--pitch_rate", type=float, default=12.5, help="Pitch tokens a second")
    add("--num_style", type=int, default=0, help="Style tokens (expressive)")
    add("--style_rate", type=float, default=1.0, help="Style tokens a second")
    add("--num_codes", type=int, default=0, help="Codes of a word (word_codes)")
    add("--code_codebooks", type=int, default=0, help="Codebooks of a word's code")


def complete_options(given: Mapping[str, Any]) -> argparse.Namespace:
    """Add what a YAML leaves to the defaults.

    Args:
        given: Options of a YAML.

    Returns:
        All options; those of a part are only the given ones.
    """
    parser = argparse.ArgumentParser()
    add_grid_arguments(parser)
    parts = {f"{choices.name}_conf": {} for choices in FAMILIES}
    return argparse.Namespace(**{**vars(parser.parse_args([])), **parts, **given})


def utterance_options(args: argparse.Namespace) -> UtteranceOptions:
    """Collect how data are read."""
    return UtteranceOptions(
        unit_rate=args.unit_rate,
        codebooks=args.num_codebooks,
        pitch_rate=args.pitch_rate,
        style_rate=args.style_rate,
        **word_options(args),
    )


def build_layout(
    args: argparse.Namespace, tokenizer: HuggingFaceTokenizer
) -> AbsLayout:
    """Build the layout that the options describe.

    Args:
        args: Parsed options.
        tokenizer: The language model's.

    Returns:
        The layout.
    """
    inventory = Inventory(
        text=text_vocabulary(tokenizer, **word_options(args)),
        units=args.num_units,
        codebooks=args.num_codebooks,
        pitch=args.num_pitch,
        style=args.num_style,
        codes=args.num_codes,
        code_codebooks=args.code_codebooks,
        unit_rate=args.unit_rate,
    )
    return build_part(layout_choices, args, inventory)
