"""The text LM of a spoken language model, from the options of its task.

Enters: parsed options with ``init_lm``, ``lm_conf`` and ``adaptation``. Leaves: the
adapted backbone; the options then hold all that rebuilding it needs.
"""

import argparse
import logging
from pathlib import Path

from torch import nn

from espnet2_taste.slm.backbone import AbsBackbone
from espnet2_taste.slm.causal_lm import build_causal_lm
from espnet2_taste.slm.lm_options import LmOptions
from espnet2_taste.tasks.parts import build_part
from espnet2_taste.tasks.slm_choices import adaptation_choices
from espnet2_taste.text.huggingface_tokenizer import HuggingFaceTokenizer


def build_backbone(
    args: argparse.Namespace, tokenizer: HuggingFaceTokenizer
) -> AbsBackbone:
    """Load or build the causal LM and adapt it.

    Args:
        args: Options; ``init_lm`` becomes a file if it was a directory, for packing.
        tokenizer: The LM's.

    Returns:
        The backbone.

    Raises:
        ValueError: Random weights would be kept out of the checkpoints, or all weights
            would train in half precision.
    """
    if args.init_lm is None and args.adaptation != "full":
        raise ValueError(
            f"adaptation '{args.adaptation}' keeps the text LM's own weights out of "
            "the checkpoints: give the LM with --init_lm, or train all of it with "
            "--adaptation full"
        )
    if args.adaptation == "full":
        LmOptions.split(args.lm_conf)[0].check_full_training()
    if args.init_lm is not None and (Path(args.init_lm) / "config.json").is_file():
        args.init_lm = str(Path(args.init_lm) / "config.json")  # packed as a file
    lm = build_causal_lm(
        args.init_lm, args.lm_conf, tokenizer.vocab_size, tokenizer.tokenizer
    )
    return build_part(adaptation_choices, args, lm)


def log_parameters(model: nn.Module) -> None:
    """Log how many parameters a model has and how many of them train."""
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in model.parameters())
    logging.info("trainable parameters: %d of %d", trained, total)
