"""Take sets from any Kaldi-style folder into a recipe (stage 1 with --data_dir).

Enters: a folder with one folder per set. Leaves: the same sets under ``--output_dir``,
sorted, with Unix line ends and with audio paths that hold from anywhere. Audio stays
where it is. What cannot be used is left to ``format_audio``, which lists it; malformed
sets (ids twice, unusable ids) are refused here. Commands in wav.scp are copied, and
run by ``format_audio``.
"""

import argparse
import logging
from pathlib import Path

from espnet2_taste.bin.command import run_command

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


def _hold_anywhere(entry: str, source: Path) -> str:
    """An entry of ``wav.scp`` that holds from any folder; unknown ones stay."""
    from espnet2_taste.data.recordings import find_recording, is_command

    found = find_recording(entry, source)
    if found is None or is_command(found):
        return found or entry
    return str(Path(found).absolute())


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
    from espnet2_taste.data import checks, finished, formatting, kaldi_dir, recordings

    if not source.is_dir():
        there = sorted(path.parent.name for path in source.parent.glob("*/wav.scp"))
        raise ValueError(
            f"{source}: no such set; {source.parent} holds: {' '.join(there) or 'none'}"
        )
    files = [source / name for name in formatting.SOURCE_TABLES]
    record = {"tables": finished.digest(files, contents=True)}
    if finished.is_finished(target, _RECORD, record):
        return False
    tables, segments = recordings.read_set(source)
    for name in (*tables.wav, *tables.text):
        checks.check_name(name)
    folder = finished.start_folder(target, _RECORD, record)
    wav = {name: _hold_anywhere(entry, source) for name, entry in tables.wav.items()}
    kaldi_dir.write_table(folder / "wav.scp", wav)
    kaldi_dir.write_table(folder / "text", tables.text)
    kaldi_dir.write_table(folder / "utt2spk", tables.utt2spk)
    spk2utt = kaldi_dir.speakers_to_utterances(tables.utt2spk)
    kaldi_dir.write_table(folder / "spk2utt", spk2utt)
    formatting.copy_study_tables(source, folder, set())
    if segments.times:  # wav.scp names the recording of each utterance now
        lines = {name: f"{name} {a} {b}" for name, (a, b) in segments.times.items()}
        lines |= dict.fromkeys(segments.dropped, "")
        kaldi_dir.write_table(folder / "segments", lines)
    finished.finish_folder(folder, target)
    return True


def run(args: argparse.Namespace) -> None:
    """Copy the sets."""
    for name in args.sets.split():
        made = copy_set(args.source / name, args.output_dir / name)
        logging.info(
            "%s: %s", args.output_dir / name, "copied" if made else "as it was"
        )


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
