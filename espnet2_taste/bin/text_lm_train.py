"""Train the text backbone on sentences (stage 11).

Example:
    python -m espnet2_taste.bin.text_lm_train --config conf/train_text_lm.yaml
        --tokenizer_path data/lm_tokenizer --output_dir exp/text_lm ...
"""

from espnet2_taste.tasks.text_lm import TextLmTask

get_parser = TextLmTask.get_parser


def main(cmd=None):
    """Collect statistics or train, as the options say."""
    TextLmTask.main(cmd=cmd)


if __name__ == "__main__":
    main()
