"""Kaldi-style sets of a recipe: from any corpus to what trainings read."""

import argparse
import logging
from functools import partial
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser
from espnet2.utils.types import str2bool

from espnet2_taste.bin.command import Command, Program, add_shared, finish
from espnet2_taste.data import formatting
from espnet2_taste.data.copying import copy_set
from espnet2_taste.data.files import read_yaml
from espnet2_taste.data.kaldi_dir import write_table
from espnet2_taste.data.parts import (
    find_parts,
    is_part,
    join_parts,
    set_names,
    split_sets,
)
from espnet2_taste.data.shapes import DataTable, measure_lengths
from espnet2_taste.data.speed import (
    join_perturbed,
    perturb_set,
    perturbed,
    read_factors,
)
from espnet2_taste.evaluation.mistakes import add_mistakes_to_set, wrong_name
from espnet2_taste.evaluation.noisy_sets import NoiseForm, add_noise_to_set, noisy_name
from espnet2_taste.text.tokenizers import build_text_tokenizer
from espnet2_taste.text.words import tokenize_words


def copy_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_copy`."""
    add = parser.add_argument
    add("--source", type=Path, required=True, help="Folder of sets")
    add("--output_dir", type=Path, default=Path("data"), help="Receives the sets")
    add_shared(parser, "sets")


def run_copy(args: argparse.Namespace) -> None:
    """Take sets from any Kaldi-style folder into a recipe (stage 1 with --data_dir).

    Enters: a folder with one folder per set. Leaves: the same sets under
    ``--output_dir``, sorted, with Unix line ends and with audio paths that hold from
    anywhere. Audio stays where it is. What cannot be used is left to ``data format``,
    which lists it; malformed sets (ids twice, unusable ids) are refused here. Commands
    in wav.scp are copied, and run by ``data format``.

    Example:
        python -m espnet2_taste.bin.data copy --source /corpora/mine \\
            --sets "train dev test" --output_dir data
    """
    for name in args.sets.split():
        made = copy_set(args.source / name, args.output_dir / name)
        logging.info(
            "%s: %s", args.output_dir / name, "copied" if made else "as it was"
        )


def add_form(parser: ArgumentParser) -> None:
    """Add the fields of ``formatting.AudioForm``."""
    add = parser.add_argument
    add("--min_duration", type=float, default=0.3, help="Shortest utterance, s")
    add("--max_duration", type=float, default=30.0, help="Longest utterance, s")
    add_shared(parser, "audio_format", "fs")


def read_form(args: argparse.Namespace) -> formatting.AudioForm:
    """The form that the options of :func:`add_form` ask for."""
    durations = args.min_duration, args.max_duration
    return formatting.AudioForm(args.fs, *durations, args.audio_format)


def format_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_format`."""
    add = parser.add_argument
    add("--data_dir", type=Path, required=True, help="A set")
    add("--output_dir", type=Path, required=True, help="Set to make")
    add(
        "--sets",
        type=set_names,
        default="",
        help="Names of sets, one string; --data_dir and --output_dir then hold sets",
    )
    add_form(parser)
    add_shared(parser, "parts_dir")


def run_format(args: argparse.Namespace) -> None:
    """Bring the audio of sets into one form; leave out what cannot be used (stage 2).

    Enters: Kaldi-style sets; ``wav.scp`` names audio files, places in ark files
    (``a.ark:123``) or commands (``flac -c -d -s a.flac |``), which are run here, and
    ``segments`` cuts recordings. Leaves: the same sets with mono files of 16 bit at one
    rate, ``utt2num_samples`` and ``dropped.tsv`` (utterance and reason). A set made
    from the same tables, audio and options is kept.

    Examples:
        python -m espnet2_taste.bin.data format --data_dir data/train \\
            --output_dir dump/raw/train --fs 16000
        python -m espnet2_taste.bin.data format --data_dir data --output_dir dump/raw \\
            --sets "train dev test"
    """
    form = read_form(args)
    for name in args.sets.split() or [""]:
        source, target = args.data_dir / name, args.output_dir / name
        if args.parts_dir:
            parts = find_parts(args.parts_dir, name)
            result = formatting.join_formatted(source, target, parts)
        else:
            result = formatting.format_set(source, target, form, is_part(name))
        logging.info(
            "%s: %d utterances%s, %d left out (%s)",
            target,
            result.kept,
            "" if result.made else ", as they were",
            result.dropped,
            target / "dropped.tsv",
        )


def shapes_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_shapes`."""
    add = parser.add_argument
    add("--output_dir", type=Path, required=True, help="Parent of train and valid")
    add("--shape", required=True, help="Name of the table whose lengths are written")
    for part in ("train", "valid"):
        add(
            f"--{part}_data_path_and_name_and_type",
            action="append",
            required=True,
            metavar="PATH,NAME,TYPE",
            help="As in the training; one for each table",
        )
    add("--tokenizer_path", help="Hugging Face tokenizer of a 'text' to be measured")
    add("--train_config", type=Path, help="YAML that says how words become tokens")
    add("--word_space", type=str2bool, help="Words begin with a space; else as in YAML")


def token_counter(
    tokenizer_path: str | None, config: Path | None, word_space: bool | None = None
):
    """Function that counts the tokens of a transcript as the training does.

    Args:
        tokenizer_path: Hugging Face tokenizer.
        config: YAML of the training.
        word_space: Words begin with a space, whatever ``config`` says.

    Returns:
        From transcript to the number of its tokens.
    """
    content = read_yaml(config) if config else {}
    names = ("first_word_space", "word_space")
    options = {name: content[name] for name in names if name in content}
    if word_space is not None:
        options["word_space"] = word_space
    tokenizer = build_text_tokenizer("hf", tokenizer_path=tokenizer_path)
    return lambda text: len(tokenize_words(text.split(), tokenizer, **options).ids)


def refuse_to_count(text: str) -> int:
    """Stand in for ``token_counter`` where no tokenizer was given."""
    raise ValueError("--shape names a text: expected its --tokenizer_path, found none")


def run_shapes(args: argparse.Namespace) -> None:
    """Write the lengths of a training's utterances: shape files, without a model.

    Enters: the data options of an ESPnet training. Leaves: ``train/<shape>_shape`` and
    ``valid/<shape>_shape`` below --output_dir, for --train_shape_file and
    --valid_shape_file. Tables over different utterances are refused.

    Example:
        python -m espnet2_taste.bin.data shapes --shape speech \\
            --output_dir exp/asr_stats \\
            --train_data_path_and_name_and_type dump/raw/train/wav.scp,speech,sound \\
            --train_data_path_and_name_and_type dump/raw/train/text,text,text \\
            --valid_data_path_and_name_and_type dump/raw/dev/wav.scp,speech,sound \\
            --valid_data_path_and_name_and_type dump/raw/dev/text,text,text
    """
    if args.tokenizer_path:
        count = token_counter(args.tokenizer_path, args.train_config, args.word_space)
    else:
        count = refuse_to_count
    for part in ("train", "valid"):
        triples = getattr(args, f"{part}_data_path_and_name_and_type")
        tables = [DataTable.parse(triple) for triple in triples]
        lengths = measure_lengths(tables, args.shape, count)
        folder = args.output_dir / part
        folder.mkdir(parents=True, exist_ok=True)
        shapes = {name: str(length) for name, length in lengths.items()}
        write_table(folder / f"{args.shape}_shape", shapes)
        print(f"{folder / f'{args.shape}_shape'}: {len(shapes)} utterances")


def pitch_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_pitch`."""
    add = parser.add_argument
    add("--fmin", type=float, default=60.0, help="Lowest F0, Hz.")
    add("--fmax", type=float, default=500.0, help="Highest F0, Hz.")
    add_shared(parser, "dump_dir", "sets", "parts_dir")


def run_pitch(args: argparse.Namespace) -> None:
    """Measure F0 of every utterance once, for TASTE and its vocoder (stages 6, 8).

    Enters: ``wav.scp``. Leaves: ``pitch.ark`` and ``pitch.scp``, one float vector (P,)
    an utterance, Hz every 10 ms, 0 where unvoiced. A complete ``pitch.scp`` is kept.

    Example:
        python -m espnet2_taste.bin.data pitch --dump_dir dump/raw --sets "train dev"
    """

    from espnet2_taste.metrics.pitch import is_measured, measure_set  # SciPy: slow

    def work(_, folder: Path) -> str:
        return f"F0 of {measure_set(folder, args.fmin, args.fmax)} utterances"

    join = partial(join_parts, tables=["pitch.scp"])
    finish(args, is_measured, lambda: None, work, join)


def speed_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_speed`."""
    parser.add_argument(
        "--speed_perturb_factors", required=True, help="Factors, one string"
    )
    add_form(parser)
    add_shared(parser, "dump_dir", "sets", "parts_dir")


def run_speed(args: argparse.Namespace) -> None:
    """Copy sets at other speeds: more readers for the unit vocoder (stage 5).

    Enters: sets as stages 2 and 3 left them. Leaves, for each set, ``<set>_sp``: for
    factor 0.9 all utterances ``a`` as ``sp0.9-a`` by ``sp0.9-<speaker>``, slower and
    lower, for 1.0 as they are. Copies that are then too long or short are listed in
    ``dropped.tsv``. A set made from the same tables, audio and options is kept.

    Example:
        python -m espnet2_taste.bin.data speed --dump_dir dump/raw --sets train \\
            --speed_perturb_factors "0.9 1.0 1.1"
    """
    factors, form = read_factors(args.speed_perturb_factors), read_form(args)
    for source in (args.dump_dir / name for name in args.sets.split()):
        target = perturbed(source)
        if args.parts_dir:
            parts = find_parts(args.parts_dir, source.name)
            done = join_perturbed([perturbed(part) for part in parts], target)
        else:
            made = perturb_set(source, target, factors, form)
            done = "made" if made else "done before"
        print(f"{target}: {done}")


def noise_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_noise`."""
    add = parser.add_argument
    add("--noise", default="white", help="white, speech_shaped or recorded")
    add("--noise_wavs", default="", help="wav.scp or folder of recorded noise")
    add("--snr", default="20 15 10 5", help="Ratios in dB, one string")
    add("--tag", default="", help="Part of the names: test_<tag>_snr20")
    add_shared(parser, "dump_dir", "sets", "audio_format", "fs", "seed")


def run_noise(args: argparse.Namespace) -> None:
    """Make noisy copies of sets, for scores of robustness.

    Enters: sets as stages 2 and 3 left them (after stage 4, their word times are kept
    as those of clean speech). Leaves, for each set and ratio, ``<set>_snr20`` and so
    on: a set like any other, which recognize align, units extract, taste_tokenize,
    taste_resynthesize, taste_score and audio_score take, with ``clean.scp``. What is
    finished is kept.

    Examples:
        python -m espnet2_taste.bin.data noise --dump_dir dump/raw --sets test
        python -m espnet2_taste.bin.data noise --dump_dir dump/raw --sets test \\
            --tag babble \\
            --noise recorded --noise_wavs noise/wav.scp --snr "10 5"
    """
    for name in args.sets.split():
        for snr_db in map(float, args.snr.split()):
            material = (args.noise_wavs, args.audio_format)
            form = NoiseForm(args.noise, snr_db, args.seed, args.fs, *material)
            target = args.dump_dir / noisy_name(name, args.tag, snr_db)
            made = add_noise_to_set(args.dump_dir / name, target, form)
            print(f"{target}: {'made' if made else 'done before'}")


def mistakes_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_mistakes`."""
    add = parser.add_argument
    add("--percent", default="5 10 20", help="Words that become wrong, one string")
    add_shared(parser, "dump_dir", "sets", "seed")


def run_mistakes(args: argparse.Namespace) -> None:
    """Make copies of sets with wrong words, for scores of robustness.

    Enters: sets as stages 2 to 5 left them. Leaves, for each set and rate,
    ``<set>_wrong10`` and so on: a set like any other, whose text has other words of the
    set in the place of some. What is finished is kept; ``tables mistakes`` collects the
    scores.

    Example:
        python -m espnet2_taste.bin.data mistakes --dump_dir dump/raw \\
            --sets "test swap_slow swap_fast" --percent "5 10 20"
    """
    for name in args.sets.split():
        for percent in map(float, args.percent.split()):
            target, source = args.dump_dir / wrong_name(name, percent), args.dump_dir
            made = add_mistakes_to_set(source / name, target, percent, args.seed)
            print(f"{target}: {'made' if made else 'done before'}")


def split_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_split`."""
    add = parser.add_argument
    add("--tables", required=True, help="What the jobs read, one string")
    add("--nj", type=int, default=1, help="Jobs, at most")
    add(
        "--resolve",
        type=str2bool,
        default=False,
        help="Paths of wav.scp that begin at the set shall hold from here",
    )
    add("--parts_dir", type=Path, required=True, help="Where the parts go")
    add_shared(parser, "dump_dir", "sets")


def run_split(args: argparse.Namespace) -> None:
    """Split sets into parts of at most 1000 utterances, and these into lists for jobs.

    Enters: sets. Leaves: ``<parts_dir>/0001/<set>`` and so on with the tables asked
    for, ``<parts_dir>/<job>.sets``, and the number of jobs in ``num_jobs``. A part that
    is as it was is kept, with what a job left in it: repeated jobs do only what is
    missing.

    Example:
        python -m espnet2_taste.bin.data split --dump_dir dump/raw --sets "train dev" \\
            --tables "wav.scp text" --parts_dir dump/raw/parts/align --nj 8
    """
    if args.nj < 1:
        raise ValueError(f"--nj {args.nj}: expected at least one job")
    jobs = split_sets(
        *(args.dump_dir, args.sets.split(), args.tables.split()),
        *(args.parts_dir, args.nj, args.resolve),
    )
    (args.parts_dir / "num_jobs").write_text(f"{jobs}\n")


main = Program(
    __doc__,
    copy=Command(run_copy, copy_options),
    format=Command(run_format, format_options),
    shapes=Command(run_shapes, shapes_options),
    pitch=Command(run_pitch, pitch_options),
    speed=Command(run_speed, speed_options),
    noise=Command(run_noise, noise_options),
    mistakes=Command(run_mistakes, mistakes_options),
    split=Command(run_split, split_options),
)

if __name__ == "__main__":
    main()
