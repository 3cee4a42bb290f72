"""What do the codes of single words tell: voice, tempo, duration?

Enters: codes of ``train`` and of other sets (stage 9), and the truth of stage 1
(``word_prosody``). Leaves, printed: what ridge regressions from codes and identity of
a word, fitted on ``train``, know of others: r of the logarithms of tempo and duration,
how far they go from slow to fast readings, the share of words whose speaker is named.

Legend: W words of a set, Q codebooks, K codes, F features.

Example:
    python probe_codes.py --taste_exp exp/taste_vq --dump_dir dump/raw
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import kaldiio
import numpy as np

from espnet2_taste.data.ctm import read_rows

RIDGE = 3.0


@dataclass(frozen=True)
class Words:
    """All words of a set.

    Attributes:
        codes: (W, Q).
        words: (W,).
        tempo: Logarithm of the rate that was asked of the synthesizer, (W,).
        duration: Logarithm of seconds, (W,).
        speakers: (W,).
    """

    codes: np.ndarray
    words: np.ndarray
    tempo: np.ndarray
    duration: np.ndarray
    speakers: np.ndarray


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--taste_exp", default="exp/taste_vq", help="With codes/")
    parser.add_argument("--dump_dir", default="dump/raw", help="Where the sets are")
    return parser


def read_words(args: argparse.Namespace, name: str) -> Words:
    """Codes and truth of the words of a set."""
    scp = Path(args.taste_exp) / "codes" / name / "codes.scp"
    codes = dict(kaldiio.load_scp(str(scp)))
    rows = read_rows(Path(args.dump_dir) / name / "word_prosody")
    rows = [row for row in rows if row["utt"] in codes]
    return Words(
        np.array([codes[row["utt"]][int(row["word_index"])] for row in rows], int),
        np.array([row["word"] for row in rows]),
        np.log([float(row["rate"]) for row in rows]),
        np.log([float(row["dur"]) for row in rows]),
        np.array([row["utt"].split("-")[0] for row in rows]),
    )


def features(found: Words, num_codes: int, known: np.ndarray) -> np.ndarray:
    """One-hot codes and words, and a constant, (W, F)."""
    codes = found.codes[..., None] == np.arange(num_codes)  # (W, Q, K)
    words = found.words[:, None] == known
    ones = np.ones((len(words), 1))
    return np.concatenate([codes.reshape(len(words), -1), words, ones], axis=1)


def main():
    """Fit on train, print what other sets say."""
    args = get_parser().parse_args()
    train = read_words(args, "train")
    sets = {n: read_words(args, n) for n in ("test", "swap_slow", "swap_fast")}
    known, speakers = np.unique(train.words), np.unique(train.speakers)
    num_codes = int(train.codes.max()) + 1
    inputs = features(train, num_codes, known)
    square = inputs.T @ inputs + RIDGE * np.eye(inputs.shape[1])
    tests = {name: features(found, num_codes, known) for name, found in sets.items()}
    for target in ("tempo", "duration"):
        weights = np.linalg.solve(square, inputs.T @ getattr(train, target))
        told = {name: rows @ weights for name, rows in tests.items()}
        r = np.corrcoef(told["test"], getattr(sets["test"], target))[0, 1]
        spread = told["swap_slow"].mean() - told["swap_fast"].mean()
        true = getattr(sets["swap_slow"], target).mean()
        true -= getattr(sets["swap_fast"], target).mean()
        print(
            f"{target}: r {r:.3f} on test; slow to fast {spread / true:.0%} of the way"
        )
    named = np.linalg.solve(square, inputs.T @ (train.speakers[:, None] == speakers))
    guesses = speakers[(tests["test"] @ named).argmax(axis=1)]
    print(f"speaker of a word named: {np.mean(guesses == sets['test'].speakers):.0%}")


if __name__ == "__main__":
    main()
