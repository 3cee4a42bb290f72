"""Make sets with ``pairs.tsv`` of published pair folders (SALMON, spoken StoryCloze).

Enters: a folder in one of three layouts. ``salmon``: ``<part>/sample_<i>_<0|1>.wav``,
0 is the better one. ``labelled``: ``<name>_correct.wav``, ``<name>_incorrect.wav`` and,
if both continue it, ``<name>_mutual.wav``. ``numbered``: files that begin with numbers,
each even one better than the next. Leaves a Kaldi-style set a part in <output_dir>,
called <prefix>_<part> (``--set_name`` without parts); stages 2 to 12 and
``evaluation.slm.score_pairs`` take it as it is. Transcripts come from ``.txt`` files
beside the audio, from ``--text``, or from a recognizer.
"""

import argparse
from pathlib import Path

from espnet2_taste.bin.command import run_command
from espnet2_taste.recognizers.options import LazyAligner, add_recognizer_arguments

_EXAMPLE = """example:
  python -m espnet2_taste.bin.import_pairs --layout salmon --source /corpora/salmon \\
      --recognizer exp/asr --output_dir data
  ./run.sh --pair_sets "salmon_gender_consistency salmon_speaker_consistency"
"""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    from espnet2_taste.evaluation.pair_folders import LAYOUTS

    parser = argparse.ArgumentParser(
        description="Make sets with pairs.tsv of published pair folders",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--source", type=Path, required=True, help="The folder")
    add("--layout", choices=sorted(LAYOUTS), required=True, help="How it is laid out")
    add("--parts", default="", help="Parts to take, one string; default: all")
    add("--set_name", help="Prefix of the sets, default: the layout's name")
    add("--text", type=Path, help="Table of transcripts: folder/file text")
    add_recognizer_arguments(parser)
    add("--ngpu", type=int, default=0, help="0 for the CPU")
    add("--output_dir", type=Path, default=Path("data"), help="Parent of the sets")
    add("--log_level", default="INFO", help="Level of messages")
    return parser


def recognize(pairs: list, aligner) -> dict[str, str]:
    """Transcripts of the recordings of members that have none.

    Args:
        pairs: ``SpokenPair`` items.
        aligner: Function that gives the aligner.

    Returns:
        Text by ``<folder>/<file without suffix>``; empty where nothing is recognized.
    """
    from espnet2_taste.align.sets import align_set

    members = [m for p in pairs for m in (p.positive, p.negative) if m.text is None]
    wavs = {
        f"{path.parent.name}/{path.stem}": str(path)
        for member in members
        for path in member.audio
    }
    if not wavs:
        return {}
    silent = dict.fromkeys(wavs, "")
    return silent | align_set(aligner(), wavs, silent).recognized


def set_names(args: argparse.Namespace, parts: dict) -> dict[str, str]:
    """Name of the set of each part that is wanted.

    Raises:
        ValueError: A part is not there.
    """
    wanted = args.parts.split() or list(parts)
    for name in wanted:
        if name not in parts:
            there = ", ".join(parts) or "one part without a name"
            raise ValueError(f"--parts {name}: {args.source} has {there}")
    prefix = args.set_name or args.layout
    return {name: f"{prefix}_{name}" if name else prefix for name in wanted}


def made_from(args: argparse.Namespace, pairs: list) -> dict:
    """What a set is made from."""
    from espnet2_taste.data.finished import digest

    files = [f for p in pairs for m in (p.positive, p.negative) for f in m.audio]
    return {
        "audio": digest(files, contents=False),
        "texts": digest([f.with_suffix(".txt") for f in files], contents=True),
        "text": digest([args.text or ""], contents=True),
        "recognizer": args.recognizer,
    }


def run(args: argparse.Namespace) -> None:
    """Write every set that is not there."""
    from espnet2_taste.data.kaldi_dir import read_table
    from espnet2_taste.evaluation import pair_folders

    parts = pair_folders.LAYOUTS[args.layout](args.source)
    table = read_table(args.text) if args.text else {}
    aligner = LazyAligner.from_args(args) if args.recognizer and not args.text else None
    for part, name in set_names(args, parts).items():
        pairs, target = parts[part], args.output_dir / name
        record = made_from(args, pairs)
        if pair_folders.is_made(target, record):
            print(f"{target}: {len(pairs)} pairs, as it was")
            continue
        texts = table | (recognize(pairs, aligner) if aligner else {})
        pairs = pair_folders.set_texts(
            pairs, lambda member: pair_folders.table_text(member, texts)
        )
        pair_folders.write_pair_set(target, pairs, record)
        print(f"{target}: {len(pairs)} pairs")


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
