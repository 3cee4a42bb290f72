#!/usr/bin/env python3
"""Train the spoken language model (stage 11): collect statistics, or train.

Example:
    python -m espnet2_taste.bin.taslm_train \
        --config conf/train_taslm_embed.yaml --output_dir exp/taslm_embed \
        --tokenizer_path exp/llm_base --init_lm exp/llm_base \
        --taste_exp exp/taste_vq --resume true \
        --train_data_path_and_name_and_type dump/raw/train/text,text,text \
        --train_data_path_and_name_and_type exp/taste_vq/codes/train/codes.scp,codes,kaldi_ark \
        --train_shape_file exp/taslm_embed_stats/train/text_shape \
        ... (the same with --valid_data_path_and_name_and_type and its shape file)
"""  # noqa: E501

from espnet2_taste.tasks.taslm import TaslmTask


def get_parser():
    """Return the options of ESPnet's trainer and those of the task."""
    return TaslmTask.get_parser()


def main(cmd=None):
    """Collect statistics or train, as the options say.

    Args:
        cmd: Arguments; those of the process when None.
    """
    TaslmTask.main(cmd=cmd)


if __name__ == "__main__":
    main()
