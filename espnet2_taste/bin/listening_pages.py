"""Make the pages of a listening test, MOS or MUSHRA.

Enters: folders with ``wav.scp`` of several systems over the same utterances. Leaves in
<output_dir>: ``page/`` (send this folder, zipped, to listeners: they open
``index.html`` in any browser, rate, and send one file back), ``key.tsv`` (which
recording is whose: keep it), ``study.json`` and ``left_out.tsv``. Nothing is fetched
from the network; names tell nothing; every listener has an order of their own.
"""

import argparse
from pathlib import Path

from espnet2_taste.bin.command import run_command
from espnet2_taste.data.files import read_lines

_EXAMPLE = """example:
  python -m espnet2_taste.bin.listening_pages --test mos --utterances 20 \\
      --systems taslm_embed=exp/taslm_embed/continuation/prompts/full \\
                cascade=exp/cascade/continuation/prompts/full \\
      --context exp/taslm_embed/continuation/prompts/prompt --output_dir exp/mos
  python -m espnet2_taste.bin.listening_pages --test mushra --reference dump/raw/test \\
      --systems taste=exp/taste_vq/resynthesis/test text=exp/taste_text_only/resynthesis/test \\
      --output_dir exp/mushra
"""  # noqa: E501


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    from espnet2_taste.evaluation.listening.design import TESTS

    parser = argparse.ArgumentParser(
        description="Make the pages of a listening test, MOS or MUSHRA",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--test", choices=sorted(TESTS), required=True, help="Kind of test")
    add("--systems", nargs="+", required=True, help="name=folder of each system")
    add("--reference", help="Folder of natural recordings, hidden among the others")
    add("--anchors", type=int, nargs="*", default=[], help="Hz: low-passed references")
    add("--context", help="Folder of recordings that are heard before, not rated")
    add("--utterances", type=int, default=20, help="Drawn utterances; 0 for all")
    add(
        "--trials_per_listener",
        type=int,
        default=0,
        help="Most trials of one listener; 0 for all",
    )
    add("--title", default="Listening test", help="Shown to listeners")
    add("--instructions", type=Path, help="Text file, one paragraph a line")
    add("--fs", type=int, default=16000, help="Sample rate of what is heard")
    add("--level", type=float, default=-26.0, help="RMS in dB of full scale")
    add("--keep_level", action="store_true", help="Leave levels as they are")
    add("--seed", type=int, default=0, help="Of the draw and of the orders")
    add("--output_dir", type=Path, required=True, help="Folder of the study")
    return parser


def read_systems(args: argparse.Namespace) -> dict[str, Path]:
    """Folders by system.

    Raises:
        ValueError: A system is written differently or is there twice.
    """
    from espnet2_taste.evaluation.listening.design import CONTEXT, REFERENCE

    systems = {}
    for item in args.systems:
        name, _, folder = item.partition("=")
        if not name or not folder or name in (*systems, CONTEXT, REFERENCE):
            raise ValueError(
                f"--systems {item}: expected name=folder with a name of its own, other "
                f"than {REFERENCE} and {CONTEXT}"
            )
        systems[name] = Path(folder)
    if args.reference:
        systems[REFERENCE] = Path(args.reference)
    if args.context:
        systems[CONTEXT] = Path(args.context)
    return systems


def run(args: argparse.Namespace) -> None:
    """Write the study, unless it is there."""
    from dataclasses import replace

    from espnet2_taste.data.ctm import read_rows
    from espnet2_taste.evaluation.listening.design import TESTS
    from espnet2_taste.evaluation.listening.pages import PageOptions, write_study

    test = TESTS[args.test]
    if args.instructions:
        if not args.instructions.is_file():
            raise ValueError(f"--instructions: no such file: '{args.instructions}'")
        test = replace(test, instructions=tuple(read_lines(args.instructions)))
    options = PageOptions(
        title=args.title,
        utterances=args.utterances,
        trials_per_listener=args.trials_per_listener,
        seed=args.seed,
        sample_rate=args.fs,
        level=None if args.keep_level else args.level,
        anchors=tuple(args.anchors),
    )
    made = write_study(args.output_dir, test, read_systems(args), options)
    recordings = len(read_rows(args.output_dir / "key.tsv"))
    left_out = len(read_rows(args.output_dir / "left_out.tsv"))
    print(
        f"{args.output_dir / 'page'}: {recordings} recordings to rate"
        + ("" if made else ", as it was")
    )
    if left_out:
        print(f"{args.output_dir / 'left_out.tsv'}: {left_out} utterances not in all")


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
