#!/usr/bin/env python3
"""Train a recognizer with ESPnet's ASR task (stage 4).

Example:
    python -m espnet2_taste.bin.asr_train --config conf/train_asr.yaml \
        --output_dir exp/asr --resume true \
        --token_list data/token_list/bpe/tokens.txt --bpemodel ... \
        --train_data_path_and_name_and_type dump/raw/train/wav.scp,speech,sound \
        --train_data_path_and_name_and_type dump/raw/train/text,text,text \
        ... (the same with --valid_data_path_and_name_and_type and the shape files)
"""

from espnet2_taste.tasks.asr import AsrTask

get_parser = AsrTask.get_parser


def main(cmd=None):
    """Collect statistics or train, as the options say."""
    AsrTask.main(cmd=cmd)


if __name__ == "__main__":
    main()
