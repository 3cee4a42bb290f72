"""Tables of a comparison: budgets, padding, pairs, noise, mistakes."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser

from espnet2_taste.bin.command import Command, Program, add_shared, save_study
from espnet2_taste.data.ctm import read_rows, write_rows
from espnet2_taste.data.files import read_json, read_yaml
from espnet2_taste.data.grid_sets import read_fields
from espnet2_taste.evaluation.audio_report import noise_tables
from espnet2_taste.evaluation.mistakes import collect_mistakes
from espnet2_taste.evaluation.noise_table import collect_noise
from espnet2_taste.metrics.plots import plot_curves
from espnet2_taste.metrics.tables import aligned_lines
from espnet2_taste.text.huggingface_tokenizer import HuggingFaceTokenizer


def table_of(rows: list[dict], columns: Sequence[str] = ()) -> list[list]:
    """Header and lines of a table.

    Args:
        rows: Cells by column; what is not there is shown as "-".
        columns: The first ones; others follow as they come.
    """
    header = [*dict.fromkeys([*columns, *(key for row in rows for key in row)])]
    return [header, *([row.get(key, "-") for key in header] for row in rows)]


def show_table(
    rows: list[dict], output: Path | None, columns: Sequence[str] = ()
) -> None:
    """Print a table (see :func:`table_of`) and, if there is a path, write it."""
    header, *lines = table_of(rows, columns)
    print("\n".join(aligned_lines([header, *lines])))
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_rows(output, header, lines)


def budget_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_budget`."""
    add = parser.add_argument
    add("--expdir", default="exp", help="Parent of the experiments")
    add(
        "--names",
        required=True,
        help="Experiments, one string; the first sets the budget of equal FLOPs",
    )
    add("--padding", help="Table of tables padding")
    add("--output", type=Path, help="Tab-separated table")


def run_budget(args: argparse.Namespace) -> None:
    """What each design of the comparison cost: one line a design.

    Enters: experiments with their ``config.yaml`` and ``checkpoint.pth`` and, where
    there are, ``speed.tsv`` of their continuations and the table of ``tables padding``.
    Leaves, printed and as a table: trained and all parameters, epochs, seconds of
    training, rows and padding, floating point operations of the training as its modules
    are counted (``evaluation/training_cost.py``), rows written a second, and with how
    many steps, and which corners of the learning rate's schedule, the training would
    cost what the first one did. What is not there is shown as "-".

    Example:
        python -m espnet2_taste.bin.tables budget --expdir exp \\
            --names "taslm_embed gslm" \\
            --padding exp/padding.tsv --output exp/budgets.tsv
    """
    from espnet2_taste.evaluation import training_cost as budgets
    from espnet2_taste.tasks.spoken_lm import SpokenLMTask

    known = read_rows(args.padding) if args.padding else []
    padding = {row["design"].split()[0]: row for row in known}
    folders = [Path(args.expdir) / name for name in args.names.split()]
    costs = [budgets.training_cost(folder, SpokenLMTask) for folder in folders]
    reference = costs[0] and costs[0]["flops"]
    rows = [
        budgets.budget_row(folder, padding, cost, reference)
        for folder, cost in zip(folders, costs)
    ]
    show_table(rows, args.output, budgets.BUDGET_HEADER)


def padding_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_padding`."""
    add = parser.add_argument
    add("--data_dir", required=True, help="The set")
    add("--tokenizer_path", required=True, help="The language model's")
    add("--systems", nargs="*", default=[], help="YAML files of the designs")
    add("--ctm", default="ctm", help="File with word times in the set")
    add("--text", default="text", help="File with transcripts in the set")
    add("--num_units", type=int, default=200, help="Number of units")
    add("--unit_rate", type=float, default=25.0, help="Units a second")
    add("--seed", type=int, default=0, help="Of layouts with chance in training")
    add("--output", type=Path, help="Tab-separated table")


TASLM = "taslm (text_aligned)"
CODES = ((0, 0, 0, 0),)
"""Of a word: how many there are counts, not which."""


def layouts(args: argparse.Namespace, tokenizer) -> dict:
    """Layout of each design by its name, TASLM's first.

    Args:
        args: Options.
        tokenizer: The language model's.

    Returns:
        Layouts by design.
    """
    from espnet2_taste.tasks.build_spoken_lm import build_layout, complete_options

    result = {TASLM: build_layout(complete_options({}), tokenizer)}
    for path in map(Path, args.systems):
        given = read_yaml(path)
        if "layout" not in given:
            continue
        sizes = {"num_units": args.num_units, "unit_rate": args.unit_rate}
        result[path.stem] = build_layout(complete_options(given | sizes), tokenizer)
    return result


def table(args: argparse.Namespace) -> list[dict]:
    """One line a design.

    Args:
        args: Options.

    Returns:
        Cells by column; the last one holds why a layout has no others.
    """
    from espnet2_taste.evaluation.budget import add_placeholders, count_rows
    from espnet2_taste.slm.grid_data import UtteranceOptions, UtteranceReader

    folder = Path(args.data_dir)
    tokenizer = HuggingFaceTokenizer(args.tokenizer_path)
    fields = read_fields(folder, args.ctm, frozenset(("word_times",)), args.text)
    true_units = add_placeholders(fields, folder, args.unit_rate)
    fields = {name: field for name, field in fields.items() if "units" in field}
    reader = UtteranceReader(tokenizer, UtteranceOptions(unit_rate=args.unit_rate))
    utterances = {name: reader(name, field) for name, field in fields.items()}
    utterances = {
        name: replace(item, codes=CODES * len(item.words))
        for name, item in utterances.items()
    }
    rows, reference = [], None
    for design, layout in layouts(args, tokenizer).items():
        row = {"design": design, "layout": type(layout).__name__.removesuffix("Layout")}
        rows.append(row)
        try:
            if layout.deduplicates and not true_units:
                raise ValueError("repeated units are left out: needs true units")
            found = count_rows(layout, utterances.values(), args.seed)
        except ValueError as error:
            row["epochs_for_one_of_taslm"] = str(error)
            continue
        reference = reference or found["rows"]
        row |= {"utterances": found["utterances"], "rows": f"{found['rows']:.1f}"}
        row["rows_per_second"] = f"{found['rows_per_second']:.1f}"
        row["padding_percent"] = f"{100 * found['padding']:.1f}"
        row["text_padding_percent"] = f"{100 * found['text_padding']:.1f}"
        row["tail_units"] = f"{found['tail']:.1f}"
        row["epochs_for_one_of_taslm"] = f"{reference / found['rows']:.2f}"
    return rows


def run_padding(args: argparse.Namespace) -> None:
    """Rows and padding of every design on a set.

    Enters: Kaldi-style sets with ``text``, word times (``ctm``) and ``units``, and the
    YAML files of the designs. Leaves, printed and, if asked for, as a table: for each
    design rows of an utterance, rows a second, padding of all cells and of the text
    stream, and the epochs that cost as much as one epoch of TASLM. Without ``units``
    their number follows from ``utt2dur``, and designs that leave out repeated units are
    left out with that reason; so are designs whose other data are missing.

    Example:
        python -m espnet2_taste.bin.tables padding --data_dir dump/raw/train \\
            --tokenizer_path exp/llm_base --systems conf/systems/*.yaml \\
            --output exp/padding.tsv
    """
    show_table(table(args), args.output)


def pairs_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_pairs`."""
    add = parser.add_argument
    add("--expdir", type=Path, default=Path("exp"), help="Parent of the experiments")
    add("--names", required=True, help="Names of experiments, one string")
    add("--sets", required=True, help="Names of sets with pairs.tsv, one string")
    add("--columns", default="", help="Columns of scores.tsv, default: all but tokens")
    add("--groups", default="", help='Means: "name=set,set name=set,set"')
    add("--output", type=Path, help="Tab-separated table")
    add_shared(parser, "dump_dir")


def read_groups(text: str, sets: list[str]) -> dict[str, list[str]]:
    """Sets of each group.

    Raises:
        ValueError: A group is written differently or holds an unknown set.
    """
    groups = {}
    for item in text.split():
        name, _, members = item.partition("=")
        groups[name] = members.split(",")
        unknown = set(groups[name]) - set(sets)
        if not members or unknown:
            raise ValueError(
                f"--groups {item}: expected name=set,set with sets of --sets "
                f"({', '.join(sets)})"
            )
    return groups


def score_design(exp: Path, args: argparse.Namespace) -> list[dict]:
    """Lines of one design.

    Raises:
        ValueError: A set has no scores or lacks a column.
    """
    from espnet2_taste.evaluation.slm import score_pair_set
    from espnet2_taste.metrics.pairs import mean_accuracy

    sets, columns, lines = args.sets.split(), args.columns.split(), []
    likelihood = exp / "likelihood"
    results = {n: score_pair_set(likelihood, args.dump_dir, n, columns) for n in sets}
    for name, members in read_groups(args.groups, sets).items():
        parts = [results[member] for member in members]
        results[name] = {
            column: mean_accuracy([part[column] for part in parts])
            for column in parts[0]
            if all(column in part for part in parts)
        }
    for name, by_column in results.items():
        for column, result in by_column.items():
            row = {"design": exp.name, "set": name, "score": column}
            row |= {key: result[key] for key in ("pairs", "ties")}
            ends = {k: f"{result[k]:.4f}" for k in ("accuracy", "low", "high")}
            lines.append(row | ends)
    return lines


def run_pairs(args: argparse.Namespace) -> None:
    """Pair accuracy of every design, by stream and reduction, and over groups of sets.

    Enters: ``<exp>/likelihood/<set>/scores.tsv`` of experiments of any design, and
    ``pairs.tsv`` of the sets. Leaves a table with one line a design, set and column of
    ``scores.tsv``: pairs, accuracy (ties one half), 95 % interval; and, for groups, the
    mean over their sets (the paper's SALMON is that of the six consistency parts).

    Example:
        python -m espnet2_taste.bin.tables pairs --expdir exp \\
            --names "taslm_embed gslm" \\
            --sets "pairs_style pairs_voice pairs_coherent" --dump_dir dump/raw \\
            --groups "consistency=pairs_style,pairs_voice" --output exp/pair_scores.tsv
    """
    rows = []
    for name in args.names.split():
        rows += score_design(args.expdir / name, args)
    show_table(rows, args.output)


def noise_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_noise`."""
    add = parser.add_argument
    add("--scores", required=True, help="scores.json files, one string")
    add("--output_dir", required=True, help="Directory of the table")
    add_shared(parser, "dump_dir")


def run_noise(args: argparse.Namespace) -> None:
    """Collect scores of clean and noisy sets into one table by signal-to-noise ratio.

    Enters: ``scores.json`` files of taste_score and audio_score. Leaves in
    --output_dir: ``scores.json`` of the study ``noise``, which write_results shows, and
    ``noise.tsv``.

    Example:
        python -m espnet2_taste.bin.tables noise --dump_dir dump/raw \\
            --scores "exp/vq/scores/scores.json exp/vq/noise/tokenizer/scores.json" \\
            --output_dir exp/taste_vq/noise
    """
    studies = [read_json(path) for path in args.scores.split()]
    groups = collect_noise(studies, Path(args.dump_dir))
    settings = {
        "ratio": "ITU-T P.56 active speech level to noise power",
        "reference": "clean recordings",
        "text": "the sets' transcripts, not recognised in noise",
    }
    output = Path(args.output_dir)
    path = output / "scores.json"
    result = save_study(args, path, "noise", settings, groups=groups)
    named = [({"set": g["source"], "noise": g["noise"]}, g["rows"]) for g in groups]
    header, *lines = table_of([names | row for names, rows in named for row in rows])
    write_rows(output / "noise.tsv", header, lines)
    print("\n\n".join(noise_tables(result)))
    print(f"{path} written")


def mistakes_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_mistakes`."""
    add = parser.add_argument
    add("--scores", required=True, help="scores.json files, one string")
    add("--rendition", required=True, help="Whose scores count, as taste_score says")
    add("--output", type=Path, required=True, help="Table; a picture goes beside it")
    add_shared(parser, "dump_dir")


def run_mistakes(args: argparse.Namespace) -> None:
    """Collect scores of sets with wrong words (``data mistakes``) into a curve.

    Enters: ``scores.json`` files of taste_score and taste_swap on a set without and
    with mistakes. Leaves a table with a row a rate, and ``.png`` of the same name.

    Example:
        python -m espnet2_taste.bin.tables mistakes --dump_dir dump/raw \\
            --scores "$(ls exp/taste_vq/mistakes/*/scores.json)" \\
            --rendition taste_vq --output exp/taste_vq/mistakes/mistakes.tsv
    """
    studies = [read_json(path) for path in args.scores.split()]
    rows = collect_mistakes(studies, Path(args.dump_dir), args.rendition)
    quantity, *columns = dict.fromkeys(key for row in rows for key in row)
    show_table(rows, args.output)
    curves = {
        key: [(row[quantity], row[key]) for row in rows if key in row]
        for key in columns
    }
    plot_curves(args.output.with_suffix(".png"), curves, quantity)


main = Program(
    __doc__,
    budget=Command(run_budget, budget_options),
    padding=Command(run_padding, padding_options),
    pairs=Command(run_pairs, pairs_options),
    noise=Command(run_noise, noise_options),
    mistakes=Command(run_mistakes, mistakes_options),
)

if __name__ == "__main__":
    main()
