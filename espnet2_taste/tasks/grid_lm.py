"""Task of the grid language model: every design of the comparison but TASLM's heads.

Enters, per utterance: ``text`` (text), ``units`` (text_int) and, as the layout needs,
``word_times`` (text_float), ``pitch`` and ``style`` (text_int), ``codes`` (kaldi_ark);
once: a Hugging Face causal LM. Leaves: an ESPnet experiment directory whose checkpoints
hold what was trained.
"""

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from espnet2.tasks.abs_task import AbsTask
from espnet2.train.collate_fn import CommonCollateFn
from espnet2.train.trainer import Trainer
from espnet2.utils.get_default_kwargs import get_default_kwargs
from espnet2.utils.nested_dict_action import NestedDictAction

from espnet2_taste.espnet_grid_lm_model import ESPnetGridLMModel
from espnet2_taste.slm.grid_data import (
    FIELDS,
    GridPreprocessor,
    UtteranceOptions,
    UtteranceReader,
    text_vocabulary,
)
from espnet2_taste.slm.grid_embedding import GridEmbedding
from espnet2_taste.slm.grid_lm import GridLM
from espnet2_taste.slm.layouts.abs_layout import AbsLayout
from espnet2_taste.slm.layouts.streams import Inventory
from espnet2_taste.slm.layouts.text_aligned import IGNORE
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
from espnet2_taste.text.tokenizers import HuggingFaceTokenizer

REQUIRED = ("text", "units")


class GridLMTask(AbsTask):
    """Trains a grid language model with ESPnet's trainer."""

    num_optimizers = 1
    class_choices_list = [
        adaptation_choices,
        layout_choices,
        stream_fusion_choices,
        grid_head_choices,
        tail_head_choices,
    ]
    trainer = Trainer

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add the options of this task."""
        group = parser.add_argument_group("Task related")
        add_causal_lm_arguments(group)
        add_word_arguments(group)
        add_inventory_arguments(group)
        for choices in cls.class_choices_list:
            choices.add_arguments(group)
        group.add_argument(
            "--model_conf",
            action=NestedDictAction,
            default=get_default_kwargs(ESPnetGridLMModel),
            help="Keyword arguments of the training model",
        )
        parser.get_default("required").append("tokenizer_path")

    @classmethod
    def build_collate_fn(cls, args: argparse.Namespace, train: bool) -> Callable:
        """Pad ids with -1 and weights with 0."""
        return CommonCollateFn(float_pad_value=0.0, int_pad_value=IGNORE)

    @classmethod
    def build_preprocess_fn(cls, args: argparse.Namespace, train: bool) -> Callable:
        """Lay utterances out; a layout with chance draws anew in training."""
        tokenizer = HuggingFaceTokenizer(args.tokenizer_path)
        reader = UtteranceReader(tokenizer, utterance_options(args))
        return GridPreprocessor(reader, build_layout(args, tokenizer), train)

    @classmethod
    def required_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """Name the data that must be given."""
        return REQUIRED

    @classmethod
    def optional_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """Name the data that may be given; a layout says which of them it needs."""
        return tuple(name for name in FIELDS if name not in REQUIRED)

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> ESPnetGridLMModel:
        """Build the model; the options then hold all that rebuilding it needs.

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


def add_inventory_arguments(group) -> None:
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
    parts = {f"{choices.name}_conf": {} for choices in GridLMTask.class_choices_list}
    # get_default_config would read the options of the command that is running.
    defaults = vars(GridLMTask.get_parser().parse_known_args([])[0])
    return argparse.Namespace(**{**defaults, **parts, **given})


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
