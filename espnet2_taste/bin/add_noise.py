"""Make noisy copies of sets, for scores of robustness.

Enters: sets as stages 2 and 3 left them (after stage 4, their word times are kept as
those of clean speech). Leaves, for each set and ratio, ``<set>_snr20`` and so on: a set
like any other, which asr_align, extract_units, taste_tokenize, taste_resynthesize,
taste_score and audio_score take, with ``clean.scp``. What is finished is kept.
"""

import argparse
from pathlib import Path

from espnet2_taste.bin.command import run_command

_EXAMPLE = """examples:
  python -m espnet2_taste.bin.add_noise --dump_dir dump/raw --sets test
  python -m espnet2_taste.bin.add_noise --dump_dir dump/raw --sets test --tag babble \\
      --noise recorded --noise_wavs noise/wav.scp --snr "10 5"
"""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Make noisy copies of sets",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--dump_dir", type=Path, default="dump/raw", help="Where the sets are, and go")
    add("--sets", required=True, help="Names of sets, one string")
    add("--noise", default="white", help="white, speech_shaped or recorded")
    add("--noise_wavs", default="", help="wav.scp or folder of recorded noise")
    add("--snr", default="20 15 10 5", help="Ratios in dB, one string")
    add("--tag", default="", help="Part of the names: test_<tag>_snr20")
    add("--fs", type=int, default=16000, help="Sample rate of the results")
    add("--seed", type=int, default=0, help="Of the noise")
    return parser


def run(args: argparse.Namespace) -> None:
    """Make the sets that are not there."""
    from espnet2_taste.evaluation.noisy_sets import (
        NoiseForm,
        add_noise_to_set,
        noisy_name,
    )

    for name in args.sets.split():
        for snr_db in map(float, args.snr.split()):
            form = NoiseForm(args.noise, snr_db, args.seed, args.fs, args.noise_wavs)
            target = args.dump_dir / noisy_name(name, args.tag, snr_db)
            made = add_noise_to_set(args.dump_dir / name, target, form)
            print(f"{target}: {'made' if made else 'done before'}")


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
