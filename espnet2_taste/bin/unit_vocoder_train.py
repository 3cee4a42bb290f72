"""Train a unit vocoder (stage 8): units and speaker embeddings to speech.

Example:
    python -m espnet2_taste.bin.unit_vocoder_train \
        --config conf/train_unit_vocoder.yaml --output_dir exp/unit_vocoder \
        --train_data_path_and_name_and_type dump/raw/train/wav.scp,speech,sound \
        --train_data_path_and_name_and_type dump/raw/train/units.scp,units,kaldi_ark \
        --train_data_path_and_name_and_type dump/raw/train/spembs.scp,spembs,kaldi_ark \
        --train_data_path_and_name_and_type dump/raw/train/pitch.scp,pitch,kaldi_ark ...
"""

from espnet2_taste.tasks.unit_vocoder import GanUnitVocoderTask, task_of


def get_parser():
    """The options of ESPnet's trainers (``--optim2`` too) and those of the task."""
    return GanUnitVocoderTask.get_parser()


def main(cmd=None):
    """Collect statistics or train, as the options say.

    Args:
        cmd: Arguments; those of the process when None.
    """
    args = get_parser().parse_args(cmd)
    task_of(args.vocoder).main(args=args, cmd=cmd)


if __name__ == "__main__":
    main()
