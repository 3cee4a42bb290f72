#!/usr/bin/env python3
"""Train the TASTE tokenizer (stages 6 and 7): collect statistics, or one of its steps.

Example:
    python -m espnet2_taste.bin.taste_train \
        --config conf/train_taste_vq.yaml --output_dir exp/taste_vq \
        --token_list data/token_list/bpe/tokens.txt \
        --bpemodel data/token_list/bpe/bpe.model \
        --init_param exp/taste_no_vq/valid.loss.best.pth --resume true \
        --train_data_path_and_name_and_type dump/raw/train/wav.scp,speech,sound \
        --train_data_path_and_name_and_type dump/raw/train/text,text,text \
        --train_data_path_and_name_and_type dump/raw/train/units.scp,units,kaldi_ark \
        --train_data_path_and_name_and_type dump/raw/train/spembs.scp,spembs,kaldi_ark \
        ... (the same with --valid_data_path_and_name_and_type and the shape files)
"""

from espnet2_taste.tasks.taste import TasteTask

get_parser = TasteTask.get_parser


def main(cmd=None):
    """Collect statistics or train, as the options say."""
    TasteTask.main(cmd=cmd)


if __name__ == "__main__":
    main()
