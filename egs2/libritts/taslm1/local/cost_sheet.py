"""What each stage costs at the size of LibriTTS and of the paper's corpus, computed.

Enters: hours and utterances of a corpus, products a second of a GPU. Leaves: a table
on the screen. Operations follow from the sizes of the published models (two for each
parameter and position, three times that where gradients are made), bytes from the
formats, CPU time from the rates that the README's other tables measure. Nothing of this
size was run.

Example:
    python local/cost_sheet.py --teraflops 200
"""

import argparse
from dataclasses import dataclass

HEADER = "| stage | GPU h | CPU h | disk, GB | weights, GB | GPU h | CPU h | disk, GB |"
ENCODER, RECOGNIZER, DECODER, AGGREGATOR = 637e6, 1543e6, 153e6, 120e6
LM, ADAPTERS = 1236e6, 45e6
FLOAT, TRAINED = 4e-9, 16e-9  # GB a number; with its gradient and Adam's two averages
WINDOW = 1500  # positions of Whisper's 30 s
ATTENTION = 32 * 4 * WINDOW**2 * 1280  # of its 32 layers
UNIT_RATE, WORD_RATE, TOKENS_A_WORD = 50, 2.7, 1.4
PASS, GRADIENT = 2, 6  # operations a parameter and position
FORMAT, COPY, TEXT, LENGTHS = 0.75e-3, 0.1e-3, 0.065e-3, 0.01e-3  # s an utterance
PITCH = 1.8e-3  # s a second of speech


@dataclass(frozen=True)
class Corpus:
    """Sizes of a corpus.

    Attributes:
        hours: Of speech.
        utterances: In it.
    """

    hours: float
    utterances: float

    @property
    def seconds(self) -> float:
        """Of speech."""
        return 3600 * self.hours

    @property
    def encoder(self) -> float:
        """Operations of Whisper's encoder over all: each fills a window."""
        return self.utterances * (PASS * ENCODER * WINDOW + ATTENTION)

    @property
    def unit_decoder(self) -> float:
        """Operations of one pass of the unit decoder over all units."""
        return PASS * DECODER * UNIT_RATE * self.seconds

    @property
    def lm(self) -> float:
        """Operations of one pass of the LM over all tokens."""
        return PASS * LM * WORD_RATE * TOKENS_A_WORD * self.seconds


def stages(corpus: Corpus) -> list[tuple]:
    """Operations, CPU seconds, bytes, weights on a GPU of each stage; None: not known.

    Args:
        corpus: Its sizes.

    Returns:
        Name, and four numbers or None each.
    """
    speech, count = corpus.seconds, corpus.utterances
    learning = corpus.unit_decoder * GRADIENT / PASS
    with_speech = 5 * (corpus.encoder + learning)
    floats = {name: 4 * rate * speech for name, rate in (("f0", 100), ("units", 50))}
    lm_training = 10 * corpus.lm * 3  # the LM, gradients of its rows, the base LM
    steps = FLOAT * ENCODER + TRAINED * (DECODER + AGGREGATOR)
    tokenizer = FLOAT * (ENCODER + AGGREGATOR)
    spoken_lm = FLOAT * (LM + ADAPTERS)
    return [
        ("1 data", 0, COPY * count, 0, 0),
        ("2 format", 0, FORMAT * count, 32000 * speech, 0),
        ("3 text", 0, TEXT * count, 100 * count, 0),
        ("4 word times, test set", None, None, 0, FLOAT * RECOGNIZER),
        ("5 units, speakers", None, None, floats["units"] + 768 * count, None),
        ("6 F0, lengths", 0, PITCH * speech + LENGTHS * count, floats["f0"], 0),
        ("7 text only, 7 epochs", 7 * learning, 0, 1e9, TRAINED * DECODER),
        ("7 no VQ, 5 epochs", with_speech, 0, 1e9, steps),
        ("7 VQ, 5 epochs", with_speech, 0, 1e9, steps),
        ("8 unit vocoder", None, None, 1e9, None),
        ("9 codes of all sets", corpus.encoder, 0, 16 * WORD_RATE * speech, tokenizer),
        ("10 scores, test sets", None, None, 0, FLOAT * RECOGNIZER),
        ("11 TASLM, 10 epochs", lm_training, 0, 5e8, FLOAT * LM + TRAINED * ADAPTERS),
        ("12 continuations, test sets", None, None, 0, spoken_lm),
        ("13, 14 results, archives", 0, None, 8e9, 0),
    ]


def cells(row: tuple, teraflops: float, memory: bool) -> list[str]:
    """Numbers of a stage as the table shows them."""
    operations, cpu, size, needed = row[1:]
    scaled = [
        None if operations is None else operations / teraflops / 1e12 / 3600,
        None if cpu is None else cpu / 3600,
        size / 1e9,
        *([needed] if memory else []),
    ]
    return ["-" if x is None else f"{x:.2g}" if x < 100 else f"{x:.0f}" for x in scaled]


def main(cmd=None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--hours", type=float, nargs=2, default=[585, 40000])
    add("--utterances", type=float, nargs=2, default=[354780, 24e6])
    add("--teraflops", type=float, default=200, help="Of a GPU, as reached in bfloat16")
    args = parser.parse_args(cmd)
    small, large = map(stages, map(Corpus, args.hours, args.utterances))
    print(HEADER)
    print("|" + "---|" * (HEADER.count("|") - 1))
    for one, other in zip(small, large):
        row = [one[0], *cells(one, args.teraflops, True)]
        print(f"| {' | '.join(row + cells(other, args.teraflops, False))} |")


if __name__ == "__main__":
    main()
