"""What was made elsewhere: pairs, questions, continuations, the published model."""

import argparse
import logging
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser
from espnet2.utils.types import str2bool

from espnet2_taste.bin.command import Command, Program, add_shared
from espnet2_taste.data.files import read_yaml
from espnet2_taste.data.finished import digest, is_finished
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.evaluation import pair_folders, recorded
from espnet2_taste.evaluation.pair_folders import LAYOUTS
from espnet2_taste.evaluation.transcripts import first_words
from espnet2_taste.recognizers.options import LazyAligner, add_recognizer_arguments


def pairs_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_pairs`."""
    add = parser.add_argument

    add("--source", type=Path, required=True, help="The folder")
    add("--layout", choices=sorted(LAYOUTS), required=True, help="How it is laid out")
    add("--parts", default="", help="Parts to take, one string; default: all")
    add("--set_name", help="Prefix of the sets, default: the layout's name")
    add("--text", type=Path, help="Table of transcripts: folder/file text")
    add_recognizer_arguments(parser)
    add("--output_dir", type=Path, default=Path("data"), help="Parent of the sets")
    add_shared(parser, "ngpu")


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
    files = [f for p in pairs for m in (p.positive, p.negative) for f in m.audio]
    return {
        "audio": digest(files, contents=False),
        "texts": digest([f.with_suffix(".txt") for f in files], contents=True),
        "text": digest([args.text or ""], contents=True),
        "recognizer": args.recognizer,
    }


def run_pairs(args: argparse.Namespace) -> None:
    """Make sets with ``pairs.tsv`` of folders (SALMON, StoryCloze, sWUGGY, sBLIMP).

    Enters: a folder in one of four layouts. ``salmon``:
    ``<part>/sample_<i>_<0|1>.wav``, 0 is the better one. ``labelled``:
    ``<name>_correct.wav``, ``<name>_incorrect.wav`` and, if both continue it,
    ``<name>_mutual.wav``. ``numbered``: files that begin with numbers, each even one
    better than the next. ``zerospeech``: ``gold.csv`` with ``filename``, ``id``,
    ``voice`` and ``correct`` beside the recordings. Leaves a Kaldi-style set a part in
    <output_dir>, called <prefix>_<part> (``--set_name`` without parts); stages 2 to 12
    and ``evaluation.slm.score_pairs`` take it as it is. Transcripts come from ``.txt``
    files beside the audio, from ``--text``, or from a recognizer.

    Example:
        python -m espnet2_taste.bin.imports pairs --layout salmon \\
            --source /corpora/salmon \\
            --recognizer exp/asr --output_dir data
        ./run.sh --pair_sets "salmon_gender_consistency salmon_speaker_consistency"
    """
    parts = pair_folders.LAYOUTS[args.layout](args.source)
    table = read_table(args.text) if args.text else {}
    aligner = LazyAligner.from_args(args) if args.recognizer and not args.text else None
    for part, name in set_names(args, parts).items():
        pairs, target = parts[part], args.output_dir / name
        record = made_from(args, pairs)
        if is_finished(target, pair_folders.RECORD, record):
            print(f"{target}: {len(pairs)} pairs, as it was")
            continue
        texts = table | (recognize(pairs, aligner) if aligner else {})
        complete = pair_folders.set_texts(pairs, texts)
        pair_folders.write_pair_set(target, complete, record)
        print(f"{target}: {len(pairs)} pairs")


def questions_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_questions`."""
    add = parser.add_argument
    add("--source", type=Path, required=True, help="Folder of questions, or a set")
    add("--cloze", action="store_true", help="The source is a set of sentence pairs")
    add(
        "--sentences",
        type=Path,
        help="With --cloze: table of texts; endings that share a line of it are "
        "accepted for one another",
    )
    add("--output_dir", type=Path, required=True, help="The set's folder")
    add_shared(parser, "audio_format", "fs")


def run_questions(args: argparse.Namespace) -> None:
    """Make a set of spoken questions, of recordings or of sentence pairs.

    Enters: a folder with ``questions.tsv`` (``utt``, ``question``, ``answer``, one line
    an accepted answer) and ``<utt>.wav``; or, with ``--cloze``, a set with
    ``pairs.tsv`` and ``ctm`` whose pairs differ in their ending: the beginning is the
    question, the better ending the answer. Leaves a Kaldi-style set whose whole
    utterances are prompts (``prompt_words``), with ``answers.tsv`` for
    ``continuations answers``.

    Examples:
        python -m espnet2_taste.bin.imports questions --source /corpora/web_questions \\
            --output_dir data/web_questions
        python -m espnet2_taste.bin.imports questions \\
            --source data/pairs_coherent --cloze \\
            --sentences data/train/text --output_dir data/questions
    """
    from espnet2_taste.evaluation.question_sets import (
        read_clozes,
        read_questions,
        write_question_set,
    )

    if args.sentences and not args.cloze:
        raise ValueError("--sentences is for --cloze: give both or neither")
    if args.cloze:
        table = read_table(args.sentences) if args.sentences else {}
        questions = read_clozes(args.source, [t.split() for t in table.values()])
    else:
        questions = read_questions(args.source)
    names = ("questions.tsv", "pairs.tsv", "ctm", "text")
    files = [args.source / name for name in names]
    record = {
        "tables": digest([*files, args.sentences or ""], contents=True),
        "audio": digest([item.audio for item in questions], contents=False),
    }
    form = (args.fs, args.audio_format)
    made = write_question_set(args.output_dir, questions, record, *form)
    state = "" if made else ", as it was"
    print(f"{args.output_dir}: {len(questions)} questions{state}")


def continuations_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_continuations`."""
    add = parser.add_argument
    add("--wavs", help="Folder with <set>/<utt>.wav, or a manifest")
    add(
        "--true_endings",
        type=str2bool,
        default=False,
        help="Instead of --wavs: the sets' own recordings after their prompts",
    )
    add("--ctm", default="ctm", help="Word times of the sets, for --true_endings")
    add("--prompt_words", type=int, default=4, help="Without a prompt_words table")
    add("--output_dir", required=True, help="Parent of the results")
    add_shared(parser, "dump_dir", "sets", "audio_format", "fs")


def run_continuations(args: argparse.Namespace) -> None:
    """Let the recordings of another system take part: they are scored, nothing else.

    Enters: for each set a folder of wavs named after utterance ids, or a manifest of
    lines ``utt path``, of continuations alone, and the sets with their prompts. With
    --true_endings instead, the recordings of the sets are cut where their prompts end:
    how people went on, the mark that no system is expected to pass. Leaves
    <output_dir>/<set> as a design of this package does: ``wav.scp`` of the
    continuations (``text`` empty unless given: the evaluation transcribes) and
    ``prompt/text``, so that every later step treats it as one more row. Prompts without
    a recording are listed in ``missing.tsv``.

    Example:
        python -m espnet2_taste.bin.imports continuations --dump_dir dump/raw \\
            --sets prompts \\
            --wavs downloads/other_system --output_dir exp/other_system/continuation
    """
    if bool(args.wavs) == args.true_endings:
        raise ValueError(
            "expected either --wavs (recordings of a system) or --true_endings true "
            f"(those of the sets), found {args.wavs} and {args.true_endings}"
        )

    for name in args.sets.split():
        output = Path(args.output_dir) / name
        folder = Path(args.dump_dir) / name
        if args.true_endings:
            speech = recorded.true_endings(folder, args.ctm, args.fs, args.prompt_words)
            texts: dict[str, str] = {}
        else:
            speech = recorded.given_recordings(Path(args.wavs), name, args.fs)
            texts = recorded.given_texts(Path(args.wavs))
        prompts = first_words(folder, args.prompt_words)
        form = (args.fs, args.audio_format)
        found, missing = recorded.add_set(speech, texts, prompts, output, *form)
        print(f"{output}: {found} recordings, {missing} missing")


def reference_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_reference`."""
    add = parser.add_argument
    add("--source", required=True, help="Folder with config.json and safetensors")
    add("--whisper", required=True, help="config.json and tokenizer of its Whisper")
    add("--llm", required=True, help="Tokenizer of its text LM")
    add("--output_dir", required=True, help="Receives the experiment directories")
    add(
        "--reference_compat",
        action="store_true",
        help="Keep the published rules where ours differ (test/README.md lists them)",
    )
    add(
        "--vocoder_config",
        help="YAML laid over the options read from the voice generator's shapes, "
        "e.g. the heads of its estimator",
    )


def run_reference(args: argparse.Namespace) -> None:
    """Turn a local folder of the published model into experiment directories.

    Enters: a folder in the published layout. Leaves: ``taste_vq``, ``taslm_embed`` (or
    ``taslm_token``) and ``unit_vocoder``, which inference and training load like any
    other, and the frozen parts beside them.

    Example:
        python -m espnet2_taste.bin.imports reference --source downloads/taste \\
            --whisper downloads/distil-large-v3 --llm downloads/llama-3.2-1b \\
            --output_dir exp
    """
    from espnet2_taste.reference.importing import ImportOptions, import_folder

    changes = {}
    if args.vocoder_config:
        changes = read_yaml(args.vocoder_config)
    options = ImportOptions(
        Path(args.whisper), Path(args.llm), args.reference_compat, changes
    )
    for directory in import_folder(Path(args.source), Path(args.output_dir), options):
        logging.info("wrote %s", directory)


main = Program(
    __doc__,
    pairs=Command(run_pairs, pairs_options),
    questions=Command(run_questions, questions_options),
    continuations=Command(run_continuations, continuations_options),
    reference=Command(run_reference, reference_options),
)

if __name__ == "__main__":
    main()
