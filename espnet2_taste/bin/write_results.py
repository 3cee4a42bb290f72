"""Collect the scores of a recipe into RESULTS.md (end of stage 13).

Enters: every ``scores.json`` below --expdir. Leaves: one Markdown page with the
recipe's targets, met or missed, and the tables with the commands that made them; and
``images/losses.png`` of every training, drawn once instead of after each epoch; and
``listen.html`` beside the page, with recordings of some utterances.

Example:
    python -m espnet2_taste.bin.write_results --expdir exp --output exp/RESULTS.md
"""

import argparse
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser

from espnet2_taste.bin.command import Command, add_shared
from espnet2_taste.data.files import read_json
from espnet2_taste.data.kaldi_dir import write_lines
from espnet2_taste.evaluation.pictures import picture_section
from espnet2_taste.evaluation.report import EXTRA_STUDIES, STUDIES, write_report
from espnet2_taste.evaluation.sounds import find_tables, write_page
from espnet2_taste.experiment_files import current
from espnet2_taste.metrics.plots import plot_losses, read_losses

LISTEN = "listen.html"


def add_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run`."""
    add = parser.add_argument
    add("--expdir", default="exp", help="Where the experiments are")
    add("--output", default="exp/RESULTS.md", help="Page to write")
    add("--taste_exp", help="Tokenizer whose studies are shown if there are several")
    add("--test_sets", default="test", help="Sets whose targets are listed, one string")
    add_shared(parser, "dump_dir")


def read_studies(expdir: Path, taste_exp: Path | None = None) -> dict[str, dict]:
    """Read the scores of every study.

    Args:
        expdir: Where the experiments are.
        taste_exp: Its studies come before those of other tokenizers.

    Returns:
        Studies by name, in the order of the stages.

    Raises:
        ValueError: There are none, or two files hold the same study.
    """
    known = [*STUDIES, *EXTRA_STUDIES]
    found: dict[str, tuple[Path, dict]] = {}
    for path in current(expdir.rglob("scores.json"), expdir):
        content = read_json(path)
        study = content.get("study")
        if study in found and taste_exp is not None:
            if not path.is_relative_to(taste_exp):
                continue
            if not found[study][0].is_relative_to(taste_exp):
                found.pop(study)
        if study in found:
            raise ValueError(
                f"{path} and {found[study][0]} hold the same study '{study}': "
                "name the tokenizer with --taste_exp, or move one of them away"
            )
        if study in known:
            found[study] = (path, content)
    if not found:
        raise ValueError(f"no scores.json below {expdir}: run stages 10 and 13 first")
    return {name: found[name][1] for name in known if name in found}


def draw_losses(expdir: Path) -> None:
    """Draw the losses of trainings that went on since they were drawn last.

    Args:
        expdir: Where the experiments are.
    """
    for checkpoint in sorted(expdir.glob("*/checkpoint.pth")):
        picture = checkpoint.parent / "images" / "losses.png"
        drawn = picture.is_file() and picture.stat().st_mtime
        if not drawn or drawn < checkpoint.stat().st_mtime:
            plot_losses(picture, read_losses(checkpoint))


def run(args: argparse.Namespace) -> None:
    """Write both pages, draw the losses."""
    expdir = Path(args.expdir)
    taste_exp = Path(args.taste_exp) if args.taste_exp else None
    studies = read_studies(expdir, taste_exp)
    draw_losses(expdir)
    pictures = current(expdir.rglob("images/*.png"), expdir)
    page = write_report(studies, args.test_sets.split())
    page += f"\n## Recordings\n\n`{LISTEN}` of the recipe plays some of each.\n"
    page += picture_section(pictures, Path(args.output).parent)
    write_lines(args.output, page.splitlines())
    listen = Path(args.output).with_name(LISTEN)
    write_page(listen, find_tables(expdir, args.dump_dir))
    print(f"{args.output} and {LISTEN} written from: {', '.join(studies)}")


main = Command(run, add_options, __doc__)

if __name__ == "__main__":
    main()
