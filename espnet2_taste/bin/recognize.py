"""What a recognizer gives: word times of sets, transcripts of spoken results."""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser
from espnet2.utils.types import str2bool

from espnet2_taste.bin.command import Command, Program, add_shared, finish
from espnet2_taste.data.arks import write_numbers
from espnet2_taste.data.ctm import read_ctm, word_time_rows
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.data.parts import is_part, join_parts, set_names
from espnet2_taste.data.set_loop import finish_sets
from espnet2_taste.evaluation import transcripts
from espnet2_taste.metrics.tables import write_json
from espnet2_taste.recognizers.options import LazyAligner, add_recognizer_arguments

TIMES = ("word_times", "word_times.scp")


def align_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_align`."""
    add = parser.add_argument
    add_recognizer_arguments(parser, required=True)
    add("--times_only", default="", help="Those that are not transcribed, e.g. train")
    add("--output", default="ctm_aligned", help="Name of the result")
    add(
        "--made_speech",
        type=str2bool,
        default=False,
        help="The sets are speech that a model made: maybe nothing can be aligned",
    )
    add_shared(parser, "dump_dir", "sets", "parts_dir", "batch_size", "ngpu")


def is_done(folder: Path, output: str, transcribe: bool) -> bool:
    """Whether a set was finished after its audio, with what is asked for now."""
    names = ["asr_align.json", output, *TIMES]
    names += ["text_asr"] if transcribe else []
    if not all((folder / name).is_file() for name in names):
        return False
    made = (folder / "wav.scp").stat().st_mtime
    return (folder / "asr_align.json").stat().st_mtime >= made


def align_folder(
    aligner, folder: Path, output: str, batch_size: int, transcribe: bool
) -> dict:
    """Align one set.

    Args:
        aligner: ``AbsAligner``.
        folder: The set.
        output: Name of the word times.
        batch_size: Utterances at once.
        transcribe: Recognize as well.

    Returns:
        The summary.

    Raises:
        ValueError: The set lacks a file.
    """
    import numpy as np

    from espnet2_taste.align.sets import align_set

    wavs, texts = read_table(folder / "wav.scp"), read_texts(folder)
    result = align_set(aligner, wavs, texts, batch_size, folder.name, transcribe)
    rows = word_time_rows(result.timings, texts)
    write_numbers(folder, TIMES[0], rows, np.float32)
    result.write(folder, output, "text_asr" if transcribe else None)
    return write_summary(result, folder, texts, transcribe)


def join_folder(parts: list[Path], folder: Path, output: str, transcribe: bool) -> dict:
    """Make the results of one set of those of its parts.

    Args:
        parts: Folders of the parts, in order.
        folder: The set.
        output: Name of the word times.
        transcribe: Whether the parts were recognized as well.

    Returns:
        The summary.

    Raises:
        ValueError: A part lacks a file.
    """
    from espnet2_taste.align.sets import PROBLEMS, read_aligned_set

    text_asr = ["text_asr"] if transcribe else []
    join_parts(parts, folder, [*text_asr, *TIMES, PROBLEMS, output])
    result = read_aligned_set(folder, output, text_asr[0] if transcribe else None)
    return write_summary(result, folder, read_texts(folder), transcribe)


def read_texts(folder: Path) -> dict[str, str]:
    """Transcripts of a set; what a model said without a word is left out."""
    return {name: text for name, text in read_table(folder / "text").items() if text}


def write_summary(result, folder: Path, texts: dict[str, str], transcribe: bool):
    """Write ``asr_align.json``, which marks a set or a part as done.

    It holds word errors and, where the truth is known, errors of the word times.

    Args:
        result: ``AlignedSet``.
        folder: The set; its ``ctm`` is the truth.
        texts: Transcripts.
        transcribe: Whether there are word errors.

    Returns:
        The summary.
    """
    from dataclasses import asdict

    from espnet2_taste.align.sets import PROBLEMS
    from espnet2_taste.metrics.durations import pair_words, score_durations

    summary = {"utterances": len(texts), "not_aligned": len(result.problems)}
    if transcribe:
        errors = result.errors(texts)
        summary |= {"wer": errors.rate, **asdict(errors)}
    if (folder / "ctm").is_file():
        pairs = pair_words(read_ctm(folder / "ctm"), result.timings)
        summary["durations_against_truth"] = score_durations(pairs)
    write_json(folder / "asr_align.json", summary)
    if result.problems:
        print(f"{folder / PROBLEMS}: {len(result.problems)} utterances left out")
    return summary


def describe(summary: dict, folder: Path, may_fail: bool) -> str:
    """Say in a few words how it went.

    Raises:
        ValueError: Nothing in a set could be aligned.
    """
    if not may_fail and 0 < summary["utterances"] == summary["not_aligned"]:
        raise ValueError(
            f"{folder}: no utterance can be aligned; not_aligned.tsv has the reasons"
        )
    return f"WER {100 * summary['wer']:.1f} %" if "wer" in summary else "word times"


def run_align(args: argparse.Namespace) -> None:
    """Time the words of sets with a recognizer (end of stage 4).

    Enters: a recognizer and sets with ``wav.scp`` and ``text``. Leaves in each set:
    ``ctm_aligned`` and ``word_times`` (the same as begins and ends in one row;
    trainings read ``word_times.scp``), ``text_asr`` (the recognizer's transcript),
    ``asr_align.json`` (word errors, and the distance to the true times where the set
    has a ``ctm``) and ``not_aligned.tsv`` (what was left out and why). Sets of which
    only the times are needed are not transcribed. Finished sets are kept.

    Example:
        python -m espnet2_taste.bin.recognize align --recognizer exp/asr \\
            --dump_dir dump/raw \\
            --sets "train dev test"
    """
    times_only, dump_dir = args.times_only.split(), args.dump_dir

    def transcribed(folder: Path) -> bool:
        return folder.name not in times_only

    def work(aligner: LazyAligner, folder: Path) -> str:
        options = (args.output, args.batch_size, transcribed(folder))
        summary = align_folder(aligner(), folder, *options)
        part = is_part(str(folder.relative_to(dump_dir)))
        return describe(summary, folder, part or args.made_speech)

    def join(parts: Sequence[Path], folder: Path) -> str:
        summary = join_folder(parts, folder, args.output, transcribed(folder))
        return describe(summary, folder, args.made_speech)

    def done(folder: Path) -> bool:
        return is_done(folder, args.output, transcribed(folder))

    finish(args, done, lambda: LazyAligner.from_args(args), work, join)


def transcribe_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_transcribe`."""
    add = parser.add_argument
    add_recognizer_arguments(parser, required=True)
    add("--folders", nargs="+", default=[], help="Folders with wav.scp")
    add("--sets", type=set_names, default="", help="Names of sets, beside the folders")
    add_shared(parser, "dump_dir", "parts_dir", "batch_size", "ngpu")


def run_transcribe(args: argparse.Namespace) -> None:
    """Recognize spoken results, for the judge and for spoken QA.

    Enters: a recognizer and folders with ``wav.scp``, whatever made them. Leaves in
    each: ``text_recognized`` (a line for every recording, empty where nothing is
    recognized), ``text_recognized.json`` (the recognizer) and ``not_recognized.tsv``
    (recordings that cannot be read). Folders that are done are kept while their
    ``wav.scp`` is older.

    Example:
        python -m espnet2_taste.bin.recognize transcribe --recognizer exp/asr \\
            --folders exp/taslm_embed/continuation/prompts exp/gslm/continuation/prompts
    """

    def work(aligner, folder: Path) -> str:
        options = (args.recognizer, args.batch_size)
        return transcripts.recognize_folder(folder, aligner, *options)

    finish_sets(
        "recognize transcribe",
        [
            *map(Path, args.folders),
            *(args.dump_dir / name for name in args.sets.split()),
        ],
        lambda folder: transcripts.is_recognized(folder, args.recognizer),
        lambda: LazyAligner.from_args(args),
        work,
        args.parts_dir,
        partial(transcripts.join_recognized, recognizer=args.recognizer),
    )


def letters_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_letters`."""
    add = parser.add_argument
    add("--most", type=int, default=600, help="Utterances of them that are used")
    add("--rounds", type=int, default=3, help="Rounds of their training")
    add("--models", required=True, help="File for the models")
    add_shared(parser, "dump_dir", "sets")


def run_letters(args: argparse.Namespace) -> None:
    """Train models of the letters, which say where words begin and end.

    Enters: sets that :func:`run_align` has timed. Leaves a file for :func:`run_refine`
    and for tokenizers that time words themselves (``word_timer: letters``).

    Example:
        python -m espnet2_taste.bin.recognize letters --dump_dir dump/raw \\
            --sets train --models exp/letter_models.npz
    """
    from espnet2_taste.align import refined_sets
    from espnet2_taste.align.letter_models import LetterModels

    folders = [args.dump_dir / name for name in args.sets.split()]
    tables = refined_sets.tables_digest(folders)
    record = f"{tables} most {args.most} rounds {args.rounds}"
    if LetterModels.were_made_from(args.models, record):
        print(f"{args.models}: done before")
        return
    data = list(refined_sets.utterances(folders, args.most))
    models = LetterModels.fit(data, args.rounds)
    models.save(args.models, record)
    print(f"{args.models}: {len(models.letters)} letters of {len(data)} utterances")


def refine_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_refine`."""
    parser.add_argument("--models", required=True, help="From recognize letters")
    add_shared(parser, "dump_dir", "sets", "parts_dir")


def run_refine(args: argparse.Namespace) -> None:
    """Make word times finer: borders every 10 ms by models of the letters.

    Enters: sets that :func:`run_align` has timed. Leaves in each
    ``word_times_refined`` with its ``.scp``, ``ctm_refined``, ``refined.json`` (with
    the distance to the true durations where the set has a ``ctm``) and
    ``not_refined.tsv`` (what keeps its first times, and why). The recipe trains TASTE
    with them by ``--refine_times true``.

    Example:
        python -m espnet2_taste.bin.recognize refine --dump_dir dump/raw \\
            --models exp/letter_models.npz --sets "train dev"
    """
    from espnet2_taste.align import refined_sets
    from espnet2_taste.align.letter_models import LetterModels

    def record(folder: Path) -> dict:
        return refined_sets.made_from(folder, args.models)

    def describe_refined(summary: dict) -> str:
        return f"{summary['utterances']} utterances, {summary['not_refined']} as before"

    def is_done(folder: Path) -> bool:
        return refined_sets.is_refined(folder, record(folder))

    def work(models, folder: Path) -> str:
        summary = refined_sets.refine_set(models, folder, record(folder))
        return describe_refined(summary)

    def join(parts: Sequence[Path], folder: Path) -> str:
        return describe_refined(
            refined_sets.join_refined(parts, folder, record(folder))
        )

    finish(args, is_done, lambda: LetterModels.load(args.models), work, join)


main = Program(
    __doc__,
    align=Command(run_align, align_options),
    letters=Command(run_letters, letters_options),
    refine=Command(run_refine, refine_options),
    transcribe=Command(run_transcribe, transcribe_options),
)

if __name__ == "__main__":
    main()
