"""Build a spoken LM of any design that options describe, and what lays its data out.

Enters: options of ``SpokenLMTask``. Leaves: the model and its preprocessor. Inference
needs this and not the task, whose base class imports all of ESPnet's training.
"""

import argparse
from collections.abc import Mapping
from typing import Any

from espnet2.utils.get_default_kwargs import get_default_kwargs
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import str_or_none

from espnet2_taste.espnet_spoken_lm_model import ESPnetSpokenLMModel
from espnet2_taste.slm.core import SpokenLMCore
from espnet2_taste.slm.grid_data import (
    GridPreprocessor,
    UtteranceOptions,
    UtteranceReader,
    text_vocabulary,
)
from espnet2_taste.slm.layouts.abs_layout import AbsLayout
from espnet2_taste.slm.layouts.streams import Inventory
from espnet2_taste.slm.row_embedding import GridEmbedding
from espnet2_taste.slm.word_embedding import WordEmbedding
from espnet2_taste.tasks import fitting
from espnet2_taste.tasks.arguments import (
    add_causal_lm_arguments,
    add_word_arguments,
    word_options,
)
from espnet2_taste.tasks.backbones import build_backbone, log_parameters
from espnet2_taste.tasks.choices import quantizer_choices
from espnet2_taste.tasks.parts import build_part
from espnet2_taste.tasks.quantizer_files import build_quantizer
from espnet2_taste.tasks.slm_choices import (
    adaptation_choices,
    code_embedding_choices,
    grid_head_choices,
    head_choices,
    input_fusion_choices,
    layout_choices,
    stream_fusion_choices,
    tail_head_choices,
)
from espnet2_taste.text.huggingface_tokenizer import HuggingFaceTokenizer

FAMILIES = (
    adaptation_choices,
    layout_choices,
    code_embedding_choices,
    input_fusion_choices,
    head_choices,
    quantizer_choices,
    stream_fusion_choices,
    grid_head_choices,
    tail_head_choices,
)
DATA = "train_data_path_and_name_and_type"


def build_core(
    args: argparse.Namespace, tokenizer: HuggingFaceTokenizer
) -> SpokenLMCore:
    """Build the network; the options then hold all that rebuilding it needs."""
    quantizer = None
    if has_codes(args):
        quantizer = build_quantizer(args)
        fitting.check_codes(getattr(args, DATA, ()), quantizer)
    backbone = build_backbone(args, tokenizer)
    size, bos_id = backbone.hidden_size, tokenizer.special_id("bos")
    layout = build_layout(args, tokenizer, quantizer and backbone.vocab_size)
    streams, code_head = layout.streams, None
    if quantizer is None:
        fusion = build_part(stream_fusion_choices, args, streams)
        embedding = GridEmbedding(streams, backbone, fusion, bos_id)
    else:
        embedding = WordEmbedding(
            quantizer,
            build_part(code_embedding_choices, args, quantizer),
            build_part(input_fusion_choices, args, size, quantizer.dim),
            tokenizer.special_id("eos"),
        )
        code_head = build_part(head_choices, args, size, backbone.num_states, quantizer)
    return SpokenLMCore(
        backbone=backbone,
        layout=layout,
        embedding=embedding,
        head=build_part(grid_head_choices, args, size, len(streams)),
        tail_head=build_part(tail_head_choices, args, size, args.num_units),
        bos_id=bos_id,
        code_head=code_head,
    )


def has_codes(args: argparse.Namespace) -> bool:
    """Whether the layout that the options name has the codes of words."""
    return "codes" in layout_choices.get_class(args.layout).needs


def build_spoken_lm(args: argparse.Namespace) -> ESPnetSpokenLMModel:
    """Build the model; the options then hold all that rebuilding it needs.

    Args:
        args: Options of the task.

    Returns:
        The training model.

    Raises:
        ValueError: Parts are missing or do not fit each other.
    """
    core = build_core(args, HuggingFaceTokenizer(args.tokenizer_path))
    conf = dict(args.model_conf)
    if "taste_weight" in conf:  # its name in former experiments
        conf["speech_weight"] = conf.pop("taste_weight")
    model = ESPnetSpokenLMModel(core, **conf)
    log_parameters(model)
    return model


def build_preprocessor(
    args: argparse.Namespace, train: bool, layout: AbsLayout | None = None
) -> GridPreprocessor:
    """What makes the fields of an utterance that the model reads.

    Args:
        args: Options of the task.
        train: Draw anew at every reading where the layout has chance in it; otherwise
            the form that is scored.
        layout: That of the model, where it is at hand.

    Returns:
        The preprocessor.
    """
    tokenizer = HuggingFaceTokenizer(args.tokenizer_path)
    options = UtteranceOptions(
        unit_rate=args.unit_rate,
        codebooks=args.num_codebooks,
        pitch_rate=args.pitch_rate,
        style_rate=args.style_rate,
        **word_options(args),
    )
    reader = UtteranceReader(tokenizer, options)
    frame = getattr(args, "turn_frame", None)  # older experiments have none
    layout = layout or build_layout(args, tokenizer)
    return GridPreprocessor(reader, layout, train, frame and tuple(frame))


def add_spoken_lm_arguments(group) -> None:
    """Add all options of the model and its data.

    Args:
        group: Group (or parser) that receives the options.
    """
    add_causal_lm_arguments(group)
    add_word_arguments(group)
    group.add_argument(
        "--taste_exp",
        type=str_or_none,
        default=None,
        help="Experiment directory of the TASTE tokenizer that wrote the codes (of "
        "TASLM); sets quantizer and quantizer_conf",
    )
    group.add_argument(
        "--taste_model_file",
        type=str,
        default="valid.loss.best.pth",
        help="Checkpoint in --taste_exp",
    )
    _add_inventory_arguments(group)
    for choices in FAMILIES:
        choices.add_arguments(group)
    group.add_argument(
        "--turn_frame",
        nargs=2,
        metavar=("BEFORE", "AFTER"),
        help="Text around the turns (turn_words) that TASLM learns to answer; default: "
        "the chat template of the text LM's tokenizer",
    )
    group.add_argument(
        "--model_conf",
        action=NestedDictAction,
        default=get_default_kwargs(ESPnetSpokenLMModel),
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


def complete_options(given: Mapping[str, Any]) -> argparse.Namespace:
    """Add what a YAML leaves to the defaults.

    Args:
        given: Options of a YAML.

    Returns:
        All options; those of a part are only the given ones.
    """
    parser = argparse.ArgumentParser()
    add_spoken_lm_arguments(parser)
    parts = {f"{choices.name}_conf": {} for choices in FAMILIES}
    return argparse.Namespace(**{**vars(parser.parse_args([])), **parts, **given})


def build_layout(
    args: argparse.Namespace,
    tokenizer: HuggingFaceTokenizer,
    size: int | None = None,
) -> AbsLayout:
    """Build the layout that the options describe.

    Args:
        args: Parsed options.
        tokenizer: The language model's.
        size: Ids of text, if they are more than tokens.

    Returns:
        The layout.
    """
    inventory = Inventory(
        text=text_vocabulary(tokenizer, **word_options(args), size=size),
        units=args.num_units,
        codebooks=args.num_codebooks,
        pitch=args.num_pitch,
        style=args.num_style,
        unit_rate=args.unit_rate,
    )
    return build_part(layout_choices, args, inventory)
