"""Train the text backbone on sentences (stage 11).

Example:
    python -m espnet2_taste.bin.text_lm_train --config conf/train_text_lm.yaml
        --tokenizer_path data/lm_tokenizer --output_dir exp/text_lm ...
"""

from espnet2_taste.tasks.text_lm import TextLmTask


def get_parser():
    """Return the parser of all options of ESPnet's trainer and this task."""
    return TextLmTask.get_parser()


def main(cmd=None):
    """Train.

    Args:
        cmd: Arguments; those of the process when None.
    """
    TextLmTask.main(cmd=cmd)


if __name__ == "__main__":
    main()
