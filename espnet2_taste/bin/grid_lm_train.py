#!/usr/bin/env python3
"""Train a spoken language model of another design: collect statistics, or train.

Example:
    python -m espnet2_taste.bin.grid_lm_train \
        --config conf/systems/moshi.yaml --output_dir exp/moshi \
        --tokenizer_path exp/llm_base --init_lm exp/llm_base --resume true \
        --train_data_path_and_name_and_type dump/raw/train/text,text,text \
        --train_data_path_and_name_and_type dump/raw/train/units,units,text_int \
        --train_data_path_and_name_and_type dump/raw/train/word_times_ctm,word_times,text_float \
        --train_shape_file exp/moshi_stats/train/grid_shape \
        ... (the same with --valid_data_path_and_name_and_type and its shape file)
"""  # noqa: E501

from espnet2_taste.tasks.grid_lm import GridLMTask


def get_parser():
    """Return the options of ESPnet's trainer and those of the task."""
    return GridLMTask.get_parser()


def main(cmd=None):
    """Collect statistics or train, as the options say.

    Args:
        cmd: Arguments; those of the process when None.
    """
    GridLMTask.main(cmd=cmd)


if __name__ == "__main__":
    main()
