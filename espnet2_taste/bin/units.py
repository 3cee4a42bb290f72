"""Speech units: learned, extracted, their durations, and tokens of expression."""

import argparse
import random
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import yaml
from espnet2.utils.config_argparse import ArgumentParser
from espnet2.utils.nested_dict_action import NestedDictAction

from espnet2_taste.bin.command import Command, Program, add_shared, finish
from espnet2_taste.data.arks import write_numbers
from espnet2_taste.data.audio import read_audio
from espnet2_taste.data.files import read_yaml, whole_file
from espnet2_taste.data.grid_sets import read_word_times
from espnet2_taste.data.kaldi_dir import read_table, sort_keys
from espnet2_taste.data.parts import join_parts
from espnet2_taste.recognizers.options import add_recognizer_arguments

EXPRESSION = ("pitch_tokens", "style_tokens")
"""Tables of a set with tokens of pitch and of style."""


def fit_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_fit`."""
    add = parser.add_argument
    add("--data_dir", required=True, help="Training set")
    add("--output_dir", required=True, help="Unit directory to write")
    add("--unit_extractor", default="kmeans", help="Kind of units")
    add(
        "--unit_extractor_conf",
        action=NestedDictAction,
        default={},
        help="Options of the units",
    )
    add_recognizer_arguments(parser)
    add("--layer", type=int, help="Short for unit_extractor_conf layer=...")
    add("--num_units", type=int, help="Short for its num_units=...")
    add("--speaker_embedder", default="mel_statistics", help="Kind of embeddings")
    add(
        "--speaker_embedder_conf",
        action=NestedDictAction,
        default={},
        help="Options of the embeddings",
    )
    add(
        "--max_utterances",
        type=int,
        help="Fit on so many utterances, drawn at random; default: all",
    )
    add_shared(parser, "batch_size", "ngpu", "seed")


def unit_config(args: argparse.Namespace) -> dict:
    """Choices and options that define the units, as ``config.yaml`` keeps them."""
    short = {name: getattr(args, name) for name in ("layer", "num_units")}
    given = {name: value for name, value in short.items() if value is not None}
    conf = {**_recognizer_options(args), **args.unit_extractor_conf, **given}
    return {
        "unit_extractor": args.unit_extractor,
        "unit_extractor_conf": conf,
        "speaker_embedder": args.speaker_embedder,
        "speaker_embedder_conf": dict(args.speaker_embedder_conf),
        "data_dir": args.data_dir,
        "max_utterances": args.max_utterances,
        "seed": args.seed,
    }


def _recognizer_options(args: argparse.Namespace) -> dict:
    """The recognizer, for units that are made of its frames."""
    import inspect

    from espnet2_taste.recognizers.choices import find_recognizer
    from espnet2_taste.units.unit_exp import unit_extractor_choices

    units = unit_extractor_choices.get_class(args.unit_extractor)
    if not args.recognizer or "recognizer" not in inspect.signature(units).parameters:
        return {}
    kind, conf = find_recognizer(args.recognizer, args.recognizer_conf)
    return {"recognizer": kind, "recognizer_conf": conf}


def drawn(
    wavs: Mapping[str, str], max_utterances: int | None, seed: int
) -> dict[str, str]:
    """At most so many utterances in their old order, drawn at random; None for all."""
    count = len(wavs) if max_utterances is None else min(max_utterances, len(wavs))
    if count < 1:
        raise ValueError(
            f"nothing to fit on: {len(wavs)} utterances and --max_utterances "
            f"{max_utterances}; expected at least one of each"
        )
    kept = set(random.Random(seed).sample(list(wavs), count))
    return {name: path for name, path in wavs.items() if name in kept}


def is_fitted(output_dir: Path, config: dict) -> bool:
    """Whether the directory was finished with these options."""
    path = output_dir / "config.yaml"
    if not path.is_file():
        return False
    return config.items() <= read_yaml(path).items()


def run_fit(args: argparse.Namespace) -> None:
    """Learn speech units and the speaker average from a training set (stage 5).

    Enters: a recognizer and a set with ``wav.scp``. Leaves: a unit directory
    (``config.yaml``, ``kmeans.pt``, ``spembs.pt``). A finished directory that was made
    with the same options is kept.

    Example:
        python -m espnet2_taste.bin.units fit --recognizer exp/asr --layer 4 \\
            --num_units 200 --data_dir dump/raw/train --output_dir exp/units
    """
    config = unit_config(args)
    if is_fitted(Path(args.output_dir), config):
        print(f"{args.output_dir} is done")
        return
    from espnet2_taste.units import unit_exp
    from espnet2_taste.units.batches import speech_batches

    wavs = read_table(Path(args.data_dir) / "wav.scp")
    wavs = drawn(wavs, args.max_utterances, args.seed)
    extractor = unit_exp.build_unit_extractor(config).to(args.device)
    embedder = unit_exp.build_speaker_embedder(config).to(args.device)

    def batches(rate: int, label: str):
        return speech_batches(wavs, rate, args.batch_size, label, args.device)

    facts = extractor.fit(batches(extractor.sample_rate, "units"), args.seed)
    embedder.fit(batches(embedder.sample_rate, "speakers"))
    unit_exp.write_units_dir(args.output_dir, {**config, **facts}, extractor, embedder)
    print(
        f"{args.output_dir}: {extractor.num_units} units at "
        f"{extractor.unit_rate:g} Hz, embeddings of {embedder.size}; {dict(facts)}"
    )


def extract_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_extract`."""
    add = parser.add_argument
    add("--units_dir", required=True, help="From units fit")
    add_shared(parser, "dump_dir", "sets", "parts_dir", "batch_size", "ngpu")


def is_extracted(folder: Path, units_dir: Path) -> bool:
    """Whether a set holds units and embeddings of exactly its utterances."""
    made = units_dir / "config.yaml"
    names = sorted(read_table(folder / "wav.scp"))
    for path in (folder / name for name in ("units", "units.scp", "spembs.scp")):
        if not path.is_file() or path.stat().st_mtime < made.stat().st_mtime:
            return False
        if sorted(read_table(path)) != names:
            return False
    return True


def run_extract(args: argparse.Namespace) -> None:
    """Write the speech units and speaker embeddings of sets (stage 5).

    Enters: a unit directory and sets with ``wav.scp``. Leaves in each set: ``units``
    (one line an utterance), the same in ``units.scp`` for trainings, and ``spembs.scp``
    (one vector an utterance; both are ESPnet's ``kaldi_ark``). Finished sets are kept
    unless the unit directory is newer.

    Example:
        python -m espnet2_taste.bin.units extract --units_dir exp/units \\
            --dump_dir dump/raw --sets "train dev test"
    """
    units_dir = Path(args.units_dir)
    if not (units_dir / "config.yaml").is_file():
        raise ValueError(
            f"{units_dir / 'config.yaml'} not found: run units fit (stage 5) first"
        )

    def load():
        from espnet2_taste.units import unit_exp

        extractor = unit_exp.load_unit_extractor(units_dir).to(args.device)
        return extractor, unit_exp.load_speaker_embedder(units_dir).to(args.device)

    def work(tools, folder: Path) -> str:
        from espnet2_taste.units.unit_exp import extract_set

        count = extract_set(*tools, folder, args.batch_size, args.device)
        return f"units and embeddings of {count} utterances"

    join = partial(join_parts, tables=["spembs.scp", "units.scp", "units"])
    finish(args, lambda folder: is_extracted(folder, units_dir), load, work, join)


def durations_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_durations`."""
    add = parser.add_argument
    add("--data_dir", required=True, help="Training set with units")
    add("--valid_dir", help="Set whose error is printed")
    add("--num_units", type=int, default=200, help="Number of units")
    add("--output_dir", required=True, help="Folder to write")
    add("--steps", type=int, default=600, help="Number of batches")
    add("--batch_size", type=int, default=32, help="Utterances of a batch")
    add_shared(parser, "seed")


def read_units(folder: Path) -> list[list[int]]:
    """Units of a set, one string an utterance."""
    rows = read_table(folder / "units").values()
    return [[int(unit) for unit in row.split()] for row in rows]


def run_durations(args: argparse.Namespace) -> None:
    """Learn how long units last, for designs that leave repeated units out.

    Enters: ``units`` of a training set. Leaves <output_dir>: ``durations.pth`` and
    ``config.yaml``, and the error on another set beside that of a constant. A finished
    folder is kept.

    Example:
        python -m espnet2_taste.bin.units durations --data_dir dump/raw/train \\
            --valid_dir dump/raw/dev --num_units 200 --output_dir exp/unit_durations
    """
    from espnet2_taste.slm.unit_durations import CONFIG, duration_error, fit_durations

    if (Path(args.output_dir) / CONFIG).is_file():
        print(f"{args.output_dir} is done")
        return
    units = read_units(Path(args.data_dir))
    model = fit_durations(
        units, args.num_units, args.steps, args.batch_size, seed=args.seed
    )
    model.save(args.output_dir)
    if args.valid_dir:
        error, constant = duration_error(model, read_units(Path(args.valid_dir)))
        print(
            f"{args.output_dir}: mean error {error:.2f} frames, of a constant "
            f"{constant:.2f}"
        )


def expression_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_expression`."""
    add = parser.add_argument
    add("--train_set", default="train", help="Set that the tables are learned from")
    add("--num_pitch", type=int, default=0, help="Pitch tokens, 0 for none")
    add("--num_style", type=int, default=0, help="Style tokens, 0 for none")
    add("--output_dir", default="exp/expression", help="Where the tables go")
    add(
        "--max_utterances",
        type=int,
        help="Learn from so many utterances, drawn at random; default: all",
    )
    add_shared(parser, "dump_dir", "sets", "seed", "ctm")


def times_file(ctm: str) -> str:
    """Name of a file with the word times of a ctm; stage 4 has ``word_times``."""
    return f"word_times_{ctm}"


def write_word_times(folder: Path, ctm: str) -> None:
    """Write the word times of a set; utterances without any are left out."""
    import numpy as np

    times = read_word_times(folder, ctm)
    if not times:
        raise ValueError(f"{folder} has no {ctm}: run recognize align (stage 4)")
    texts = read_table(folder / "text")
    rows = {
        name: " ".join(f"{t:.4f}" for t in times[name].tolist())
        for name in texts
        if name in times
    }
    write_numbers(folder, times_file(ctm), rows, np.float32)


def run_expression(args: argparse.Namespace) -> None:
    """What some designs need besides units: word times, tables of pitch and style.

    Enters: sets with word times (``ctm``) and, for pitch and style, the ``wav.scp`` of
    the training set. Leaves in each set ``word_times_ctm``, named after the file of the
    times (start and end of each word), with the ``.scp`` and ``.ark`` that trainings
    read, and, if asked for, the tables of pitch and style in --output_dir, which
    ``units tokens`` takes. Pitch: k-means of the logarithm of F0, relative to the
    utterance's median, with one token for unvoiced speech. Style: k-means of spectrum,
    energy and pitch of each second. Sets that have their file are kept, and tables that
    were made with the same options.

    Example:
        python -m espnet2_taste.bin.units expression --dump_dir dump/raw \\
            --train_set train \\
            --sets "train dev prompts" --num_pitch 20 --num_style 8 \\
            --output_dir exp/expression
    """
    dump, output = Path(args.dump_dir), Path(args.output_dir)
    folders = [dump / name for name in args.sets.split()]
    for folder in folders:
        if not (folder / f"{times_file(args.ctm)}.scp").is_file():
            write_word_times(folder, args.ctm)
    print(f"units expression: word times of {len(folders)} sets")
    names = ("num_pitch", "num_style", "max_utterances", "seed")
    config = {name: getattr(args, name) for name in names}
    config["data_dir"] = str(dump / args.train_set)
    if not args.num_pitch or is_fitted(output, config):
        return
    from espnet2_taste.units.expression import ExpressionTables

    wavs = read_table(dump / args.train_set / "wav.scp")
    wavs = drawn(wavs, args.max_utterances, args.seed)
    sizes = (args.num_pitch, args.num_style, args.seed)
    ExpressionTables.fit(wavs.values(), *sizes).save(output)
    with whole_file(output / "config.yaml") as part:
        part.write_text(yaml.safe_dump(config), encoding="utf-8")
    print(f"{output}: tables of pitch and style")


def tokens_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_tokens`."""
    parser.add_argument(
        "--tables", type=Path, default="exp/expression", help="From units expression"
    )
    add_shared(parser, "dump_dir", "sets", "parts_dir")


def write_tokens(tables, folder: Path) -> str:
    """Write pitch and style tokens of a set.

    Args:
        tables: ``ExpressionTables``.
        folder: The set.

    Returns:
        What was done.
    """
    import numpy as np
    import tqdm

    found: dict[str, dict[str, str]] = {name: {} for name in EXPRESSION}
    for name, path in tqdm.tqdm(read_table(folder / "wav.scp").items()):
        for file, tokens in zip(EXPRESSION, tables.tokens(*read_audio(path))):
            found[file][name] = " ".join(map(str, tokens))
    for file, rows in found.items():
        write_numbers(folder, file, rows, np.int32)
    return f"pitch and style of {len(found[EXPRESSION[0]])} utterances"


def run_tokens(args: argparse.Namespace) -> None:
    """Write the pitch and style tokens of sets, which some designs read (stage 16).

    Enters: tables (``units expression``) and sets with ``wav.scp``. Leaves in each set
    ``pitch_tokens`` and ``style_tokens``, each with the ``.scp`` and ``.ark`` that
    trainings read. Finished sets are kept unless the tables are newer.

    Example:
        python -m espnet2_taste.bin.units tokens --tables exp/expression \\
            --dump_dir dump/raw --sets "train dev prompts"
    """
    made = args.tables / "config.yaml"
    if not made.is_file():
        raise ValueError(f"{made} not found: run units expression (stage 16) first")

    def is_done(folder: Path) -> bool:
        last = folder / EXPRESSION[-1]
        if not last.is_file() or last.stat().st_mtime < made.stat().st_mtime:
            return False
        return list(read_table(last)) == sort_keys(read_table(folder / "wav.scp"))

    def load():
        from espnet2_taste.units.expression import ExpressionTables

        return ExpressionTables.load(args.tables)

    files = [file for name in EXPRESSION for file in (f"{name}.scp", name)]
    finish(args, is_done, load, write_tokens, partial(join_parts, tables=files))


main = Program(
    __doc__,
    fit=Command(run_fit, fit_options),
    extract=Command(run_extract, extract_options),
    durations=Command(run_durations, durations_options),
    expression=Command(run_expression, expression_options),
    tokens=Command(run_tokens, tokens_options),
)

if __name__ == "__main__":
    main()
