"""Synthesize the corpus of the mini_espeak recipe.

Enters: a seed and a scale. Leaves: Kaldi-style sets under ``--output_dir`` with the
audio (16 kHz, PCM of 16 bit), ``ctm`` (true word times), ``word_prosody`` (true start,
duration, mean F0, rate and pitch of each word) and, for study sets, the files that say
which utterances belong together; beside them ``text_extra``, text only.

The same seed and scale give the same bytes on any number of processes. A set that is
complete is kept; delete its folder to make it anew.

Example:
    python local/make_corpus.py --output_dir data --scale 0.02
"""

import argparse
import os
import sys
from pathlib import Path

from fresh_process import map_fresh
from plan import Planner, SetPlan, Sizes, Utterance
from render import SAMPLE_RATE, Renderer, WordTruth

from espnet2_taste.data.audio import write_audio
from espnet2_taste.data.ctm import PROSODY_COLUMNS, write_ctm, write_rows
from espnet2_taste.data.finished import finish_folder, is_finished, start_folder
from espnet2_taste.data.kaldi_dir import (
    KaldiDir,
    sort_keys,
    write_kaldi_dir,
    write_lines,
)
from espnet2_taste.structures import WordTiming

CHUNK = 24  # even: both members of a pair come from one process
RECORD = "made.json"


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output_dir", type=Path, default=Path("data"))
    parser.add_argument("--seed", type=int, default=0, help="source of all chance")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="1: about 50 minutes of training audio"
    )
    parser.add_argument(
        "--nj", type=int, default=os.cpu_count() or 1, help="number of processes"
    )
    return parser


def main(cmd: list[str] | None = None) -> None:
    """Make every set that is not there yet."""
    args = get_parser().parse_args(cmd)
    try:
        make_corpus(args)
    except (ValueError, RuntimeError, OSError) as error:
        sys.exit(f"make_corpus: error: {error}")


def make_corpus(args: argparse.Namespace) -> None:
    """Make what is missing of the corpus.

    Args:
        args: Options of the command.

    Raises:
        ValueError: An option is out of range.
        RuntimeError: The synthesizer cannot be used.
    """
    if args.scale <= 0 or args.nj < 1:
        raise ValueError(
            f"expected --scale > 0 and --nj >= 1, found {args.scale} and {args.nj}"
        )
    recipe = {"seed": args.seed, "scale": args.scale, "version": 5}
    planner = Planner(Sizes().scaled(args.scale), args.seed)
    plans = planner.plan()
    wanted = [n for n in plans if not is_finished(args.output_dir / n, RECORD, recipe)]
    text = args.output_dir / "text_extra"
    if wanted or not text.is_file():
        args.output_dir.mkdir(parents=True, exist_ok=True)
        write_lines(text, planner.extra_text())
    for name in wanted:
        _make_set(args.output_dir / name, plans[name], recipe, args.nj)
    print(
        f"{args.output_dir}: {len(wanted)} sets made, {len(plans) - len(wanted)} kept"
    )


def _make_set(directory: Path, plan: SetPlan, recipe: dict, processes: int) -> None:
    """Synthesize one set into a temporary folder and rename it."""
    temporary = start_folder(directory, RECORD, recipe)
    (temporary / "wav").mkdir(exist_ok=True)
    chunks = [
        (temporary / "wav", plan.utterances[i : i + CHUNK])
        for i in range(0, len(plan.utterances), CHUNK)
    ]
    truth: dict[str, list[WordTruth]] = {}
    for part in map_fresh(_make_chunk, chunks, processes):
        truth |= part
    _write_tables(temporary, directory, plan, truth)
    finish_folder(temporary, directory)


def _make_chunk(task: tuple[Path, list[Utterance]]) -> dict[str, list[WordTruth]]:
    """Synthesize some utterances in a fresh process; gives the truth of each."""
    folder, utterances = task
    renderer = Renderer()
    truth = {}
    for utterance in utterances:
        speech, words = renderer.render(utterance)
        write_audio(folder / f"{utterance.utterance_id}.wav", speech, SAMPLE_RATE)
        truth[utterance.utterance_id] = words
    return truth


def _write_tables(
    folder: Path, final: Path, plan: SetPlan, truth: dict[str, list[WordTruth]]
) -> None:
    """Write the Kaldi tables, the word times and the tables of the study."""
    ids = sort_keys(truth)
    speakers = {u.utterance_id: u.speaker for u in plan.utterances}
    tables = KaldiDir(
        {name: str(final / "wav" / f"{name}.wav") for name in ids},
        {name: " ".join(word.word for word in truth[name]) for name in ids},
        {name: speakers[name] for name in ids},
    )
    write_kaldi_dir(folder, tables)
    write_ctm(
        folder / "ctm",
        {
            name: [WordTiming(w.word, w.start, w.duration) for w in truth[name]]
            for name in ids
        },
    )
    rows = [
        (
            name,
            index,
            word.word,
            f"{word.start:.4f}",
            f"{word.duration:.4f}",
            f"{word.f0:.2f}",
            word.rate,
            word.pitch,
        )
        for name in ids
        for index, word in enumerate(truth[name])
    ]
    write_rows(folder / "word_prosody", PROSODY_COLUMNS, rows)
    for name, (header, table) in plan.tables.items():
        write_rows(folder / name, header, table)


if __name__ == "__main__":
    main()
