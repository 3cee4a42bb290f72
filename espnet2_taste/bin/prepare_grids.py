"""What some designs need besides text and units: word times, pitch and style tokens.

Enters: sets with word times (``ctm``) and, for pitch and style, ``wav.scp`` and
``units``. Leaves in each set ``word_times_ctm``, named after the file of the times
(start and end of each word, for ESPnet's ``text_float``), and, if asked for,
``pitch_tokens`` and ``style_tokens``, and the tables they come from in --output_dir.
Pitch: k-means of the logarithm of F0, relative to the utterance's median, with one
token for unvoiced speech. Style: k-means of spectrum, energy and pitch of each second.
Sets that have their files are kept.
"""

import argparse
from pathlib import Path

from espnet2_taste.bin.command import run_command

_EXAMPLE = """example:
  python -m espnet2_taste.bin.prepare_grids --dump_dir dump/raw --train_set train \\
      --sets "train dev prompts" --num_pitch 20 --num_style 8 \\
      --output_dir exp/expression
"""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Word times, pitch and style tokens of sets",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--dump_dir", default="dump/raw", help="Where the sets are")
    add("--sets", required=True, help="Names of sets, one string")
    add("--ctm", default="ctm", help="File with word times in the sets")
    add("--train_set", default="train", help="Set that the tables are learned from")
    add("--num_pitch", type=int, default=0, help="Pitch tokens, 0 for none")
    add("--num_style", type=int, default=0, help="Style tokens, 0 for none")
    add("--output_dir", default="exp/expression", help="Where the tables go")
    add("--seed", type=int, default=0, help="Of the k-means")
    return parser


def times_file(ctm: str) -> str:
    """Name of a file with the word times of a ctm; stage 4 has ``word_times``."""
    return f"word_times_{ctm}"


def write_word_times(folder: Path, ctm: str) -> None:
    """Write the word times of a set; utterances without any are left out."""
    from espnet2_taste.data.kaldi_dir import read_table, write_table
    from espnet2_taste.slm.grid_sets import read_word_times

    times = read_word_times(folder, ctm)
    if not times:
        raise ValueError(f"{folder} has no {ctm}: run asr_align (stage 4)")
    texts = read_table(folder / "text")
    rows = {
        name: " ".join(f"{t:.4f}" for t in times[name].tolist())
        for name in texts
        if name in times
    }
    write_table(folder / times_file(ctm), rows)


def write_tokens(folder: Path, tables) -> None:
    """Write pitch and style tokens of a set.

    Args:
        folder: The set.
        tables: ``ExpressionTables``.
    """
    import tqdm

    from espnet2_taste.data.audio import read_audio
    from espnet2_taste.data.kaldi_dir import read_table, write_table

    found: dict[str, dict[str, str]] = {"pitch_tokens": {}, "style_tokens": {}}
    for name, path in tqdm.tqdm(read_table(folder / "wav.scp").items()):
        speech, rate = read_audio(path)
        pitch, style = tables.tokens(speech, rate)
        found["pitch_tokens"][name] = " ".join(map(str, pitch))
        found["style_tokens"][name] = " ".join(map(str, style))
    for file, rows in found.items():
        write_table(folder / file, rows)


def run(args: argparse.Namespace) -> None:
    """Prepare the sets that lack something."""
    dump = Path(args.dump_dir)
    folders = [dump / name for name in args.sets.split()]
    for folder in folders:
        if not (folder / times_file(args.ctm)).is_file():
            write_word_times(folder, args.ctm)
    waiting = [f for f in folders if not (f / "style_tokens").is_file()]
    if not args.num_pitch or not waiting:
        print(f"prepare_grids: {len(folders)} sets")
        return
    from espnet2_taste.units.expression import ExpressionTables

    sizes = (args.num_pitch, args.num_style, args.seed)
    tables = ExpressionTables.fit(dump / args.train_set / "wav.scp", *sizes)
    tables.save(args.output_dir)
    for folder in waiting:
        write_tokens(folder, tables)
    print(f"prepare_grids: {len(folders)} sets, tables in {args.output_dir}")


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
