"""Build the text backbone that options describe.

Enters: options of ``TextLmTask``. Leaves: the training model. ``exports text_lm`` needs
this and not the task, whose base class imports all of ESPnet's training.
"""

import argparse
import logging

from espnet2_taste.espnet_text_lm_model import ESPnetTextLmModel
from espnet2_taste.slm.causal_lm import build_causal_lm
from espnet2_taste.slm.lm_options import LmOptions
from espnet2_taste.text.huggingface_tokenizer import HuggingFaceTokenizer

logger = logging.getLogger(__name__)

COLLECT = "extract_feats_in_collect_stats"  # read by AbsTask, not by the model


def build_text_lm(args: argparse.Namespace) -> ESPnetTextLmModel:
    """Build the model from its configuration.

    Args:
        args: Options of the task.

    Returns:
        The training model.
    """
    tokenizer = HuggingFaceTokenizer(args.tokenizer_path)
    LmOptions.split(args.lm_conf)[0].check_full_training()
    lm = build_causal_lm(
        args.init_lm, args.lm_conf, tokenizer.vocab_size, tokenizer.tokenizer
    )
    logger.info("vocabulary: %d tokens", tokenizer.vocab_size)
    conf = {key: args.model_conf[key] for key in args.model_conf if key != COLLECT}
    return ESPnetTextLmModel(
        lm, tokenizer.special_id("bos"), tokenizer.special_id("eos"), **conf
    )
