#!/usr/bin/env python3
"""Train a spoken language model of any design: collect statistics, or train.

Examples, TASLM (stage 11) and another design (stage 16):
    python -m espnet2_taste.bin.slm_train \
        --config conf/train_taslm_embed.yaml --output_dir exp/taslm_embed \
        --tokenizer_path exp/llm_base --init_lm exp/llm_base \
        --taste_exp exp/taste_vq --resume true \
        --train_data_path_and_name_and_type dump/raw/train/text,text,text \
        --train_data_path_and_name_and_type exp/taste_vq/codes/train/codes.scp,codes,kaldi_ark \
        --train_shape_file exp/taslm_embed_stats/train/grid_shape \
        ... (the same with --valid_data_path_and_name_and_type and its shape file)
    python -m espnet2_taste.bin.slm_train \
        --config conf/systems/moshi.yaml --output_dir exp/moshi \
        --tokenizer_path exp/llm_base --init_lm exp/llm_base --resume true \
        --train_data_path_and_name_and_type dump/raw/train/text,text,text \
        --train_data_path_and_name_and_type dump/raw/train/units.scp,units,kaldi_ark \
        --train_data_path_and_name_and_type dump/raw/train/word_times_ctm.scp,word_times,kaldi_ark \
        --train_shape_file exp/moshi_stats/train/grid_shape \
        ... (the same with --valid_data_path_and_name_and_type and its shape file)
"""  # noqa: E501

from espnet2_taste.tasks.spoken_lm import SpokenLMTask

get_parser = SpokenLMTask.get_parser


def main(cmd=None):
    """Collect statistics or train, as the options say."""
    SpokenLMTask.main(cmd=cmd)


if __name__ == "__main__":
    main()
