"""What does forced alignment say of a swap that is perfect?

Enters: two folders of the same texts, read slow and fast, each with ``wav.scp`` and the
true word times ``ctm``; ``pairs.tsv`` of the recipe. Words change places by cutting the
recordings at these times, so that each swapped word lasts as long as in the other
reading and no other word changes at all. Leaves, printed: the scores of stage 10 for
it, by the same forced alignment, and by its times made finer with models of letters
(``recognize refine``). What is missing there is the alignment's own error. With
``--study`` the audio is that of a study of stage 10 instead.

Examples:
    recordings, cut at the generator's times:
      python probe_swap.py --output_dir exp/cut
    speech of TASTE, cut at the times that come with it:
      python probe_swap.py --folders exp/taste_vq/resynthesis/swap_{slow,fast} \\
          --output_dir exp/cut_taste
    what stage 10 has made:
      python probe_swap.py --study exp/taste_vq/swap
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from espnet2_taste.align.letter_models import LetterModels
from espnet2_taste.align.refined_sets import SHORT, FrameReader
from espnet2_taste.align.sets import AlignedSet
from espnet2_taste.data.audio import load_speech, write_audio
from espnet2_taste.data.ctm import read_ctm, read_rows
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.evaluation.swap import (
    PlannedReading,
    align_conditions,
    plan_swaps,
    read_swaps,
)
from espnet2_taste.metrics.swap import measure_leakage, score_swaps
from espnet2_taste.recognizers.choices import load_recognizer
from espnet2_taste.structures import WordTiming

RATE = 16000
FADE = 80  # samples over which pieces are joined


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sets = [Path("dump/raw/swap_slow"), Path("dump/raw/swap_fast")]
    parser.add_argument("--folders", type=Path, nargs=2, default=sets)
    parser.add_argument("--pairs", type=Path, default=sets[0] / "pairs.tsv")
    parser.add_argument("--recognizer", default="exp/asr")
    parser.add_argument("--share", type=float, default=0.25, help="of words swapped")
    parser.add_argument("--seed", type=int, default=0, help="of the choice")
    parser.add_argument("--models", default="exp/letter_models.npz", help="of letters")
    parser.add_argument("--study", type=Path, help="has own/wav.scp, swapped/wav.scp")
    parser.add_argument("--output_dir", type=Path, help="for audio that is cut")
    return parser


def segments(speech: np.ndarray, words: list[WordTiming]) -> list[np.ndarray]:
    """What is before the first word, a word, what follows it, a word and so on."""
    edges = [round(time * RATE) for word in words for time in (word.start, word.end)]
    return np.split(speech, edges)


def join(pieces: list[np.ndarray]) -> np.ndarray:
    """One after the other, each faded in and out."""
    faded = []
    for piece in pieces:
        width = min(FADE, len(piece) // 2)
        slope = np.ones(len(piece), dtype=np.float32)
        slope[:width] = np.linspace(0, 1, width)
        slope[len(piece) - width :] = np.linspace(1, 0, width)
        faded.append(piece * slope)
    return np.concatenate(faded)


def cut(
    plans: Sequence[PlannedReading], wavs: dict, times: dict, output: Path
) -> dict[str, dict[str, str]]:
    """Write both conditions of all readings; gives the files of each."""
    pieces = {n: segments(load_speech(wavs[n], RATE), times[n]) for n in times}
    files: dict[str, dict[str, str]] = {"own": {}, "swapped": {}}
    for plan in plans:
        mixed = list(pieces[plan.name])
        for word in plan.chosen:
            mixed[2 * word + 1] = pieces[plan.partner][2 * word + 1]
        for condition, parts in (("own", pieces[plan.name]), ("swapped", mixed)):
            path = output / condition / f"{plan.name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_audio(str(path), join(parts), RATE)
            files[condition][plan.name] = str(path)
    return files


def refined(models: LetterModels, files: dict, aligned: AlignedSet) -> AlignedSet:
    """The same words with times by models of letters."""
    read, timings, problems = FrameReader(), {}, dict(aligned.problems)
    for name, words in aligned.timings.items():
        spoken = [word.word for word in words]
        edges = models.place(read(files[name]), spoken)
        if edges is None:
            problems[name] = SHORT
        else:
            timings[name] = WordTiming.of_words(spoken, edges.tolist())
    return AlignedSet(timings, {}, problems)


def scores(plans: Sequence[PlannedReading], found: dict[str, AlignedSet]) -> dict:
    """What stage 10 says of word times by condition."""
    readings, left_out = read_swaps(plans, found["own"], found["swapped"])
    curve = {"by_distance": measure_leakage(readings)}
    return {**score_swaps(readings), **curve, "left_out": left_out}


def main(cmd: list[str] | None = None) -> None:
    """Print the scores as JSON."""
    args = get_parser().parse_args(cmd)
    wavs, times = {}, {}
    for folder in args.folders:
        wavs |= read_table(folder / "wav.scp")
        times |= read_ctm(folder / "ctm")
    texts = {n: " ".join(word.word for word in words) for n, words in times.items()}
    edges = {n: np.array([(w.start, w.end) for w in row]) for n, row in times.items()}
    plans = plan_swaps(read_rows(args.pairs), texts, edges, args.seed, args.share)
    if args.study:
        files = {c: read_table(args.study / c / "wav.scp") for c in ("own", "swapped")}
    else:
        files = cut(plans, wavs, times, args.output_dir)
    aligner = load_recognizer(args.recognizer).aligner("cpu")
    first = align_conditions(plans, files, aligner)
    models = LetterModels.load(args.models)
    finer = {c: refined(models, files[c], aligned) for c, aligned in first.items()}
    result = {"aligned": scores(plans, first), "refined": scores(plans, finer)}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
