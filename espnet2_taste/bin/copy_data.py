"""Take sets from any Kaldi-style folder into a recipe (stage 1 with --data_dir).

Enters: a folder with one folder per set. Leaves: the same sets under ``--output_dir``,
sorted, with Unix line ends and with audio paths that hold from anywhere. Audio stays
where it is. What cannot be used is left to ``format_audio``, which lists it; malformed
sets (ids twice, unusable ids, commands in wav.scp) are refused here.
"""

import argparse
import logging
import sys
from pathlib import Path

_EXAMPLE = """example:
  python -m espnet2_taste.bin.copy_data --source /corpora/mine \\
      --sets "train dev test" --output_dir data
"""
_RECORD = "copy.json"


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Take sets from a Kaldi-style folder into a recipe",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--source", type=Path, required=True, help="Folder of sets")
    parser.add_argument("--sets", required=True, help="Names of sets, one string")
    parser.add_argument("--output_dir", type=Path, default=Path("data"))
    parser.add_argument("--log_level", default="INFO", help="Level of messages")
    return parser


def copy_set(source: Path, target: Path) -> bool:
    """Copy the tables of one set, unless that is done.

    Args:
        source: The set's folder.
        target: The folder to make.

    Returns:
        Whether anything was written.

    Raises:
        ValueError: The set is missing or malformed.
    """
    from espnet2_taste.data import checks, finished, formatting, kaldi_dir

    if not source.is_dir():
        there = sorted(path.parent.name for path in source.parent.glob("*/wav.scp"))
        raise ValueError(
            f"{source}: no such set; {source.parent} holds: {' '.join(there) or 'none'}"
        )
    files = [source / name for name in (*formatting.SOURCE_TABLES, "segments")]
    record = {"tables": finished.digest(files, contents=True)}
    if finished.is_finished(target, _RECORD, record):
        return False
    tables = kaldi_dir.read_kaldi_dir(source)
    checks.find_utterances(tables, source)
    folder = finished.start_folder(target, _RECORD, record)
    wav = {
        name: str((checks.find_audio(value, source) or Path(value)).absolute())
        for name, value in tables.wav.items()
    }
    kaldi_dir.write_table(folder / "wav.scp", wav)
    kaldi_dir.write_table(folder / "text", tables.text)
    kaldi_dir.write_table(folder / "utt2spk", tables.utt2spk)
    spk2utt = kaldi_dir.speakers_to_utterances(tables.utt2spk)
    kaldi_dir.write_table(folder / "spk2utt", spk2utt)
    formatting.copy_study_tables(source, folder, set())
    if (source / "segments").is_file():
        kaldi_dir.write_table(
            folder / "segments", kaldi_dir.read_table(source / "segments")
        )
    finished.finish_folder(folder, target)
    return True


def main(cmd: list[str] | None = None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=args.log_level, format="%(message)s")
    try:
        for name in args.sets.split():
            made = copy_set(args.source / name, args.output_dir / name)
            logging.info(
                "%s: %s", args.output_dir / name, "copied" if made else "as it was"
            )
    except (ValueError, OSError) as error:
        sys.exit(f"copy_data: error: {error}")


if __name__ == "__main__":
    main()
