"""What each stage costs at the size of LibriTTS and of the paper's corpus, computed.

Enters: hours and utterances of a corpus, what a GPU computes and reads a second.
Leaves: a table on the screen. Operations follow from the sizes of the published models
(two for each parameter and position, three times that where gradients are made; those
of the vocoder were counted by torch's FlopCounterMode), bytes from the formats, CPU
time from rates measured with one thread. Where a model writes one token or unit after
the other, each batch reads its weights once a step. Nothing of this size was run.

Example:
    python local/cost_sheet.py --teraflops 200 --terabytes 2
"""

import argparse
from dataclasses import dataclass

HEADER = "| stage | GPU h | CPU h | disk, GB | weights, GB | GPU h | CPU h | disk, GB |"
ENCODER, RECOGNIZER, DECODER, AGGREGATOR = 637e6, 1543e6, 153e6, 120e6
LM, ADAPTERS = 1236e6, 45e6
S3, CAMPPLUS = 523e6 / 4, 28.3e6 / 4  # parameters: bytes of the ONNX files, in float32
VOCODER = 125e6
UNIT_ENCODER, ESTIMATOR, HIFT = 2.4e9, 7.4e9, 51e9  # operations a second of speech
FLOW_PASSES, SPOKEN = 20, 4  # 10 steps, guided; three models and the true units
FLOAT, TRAINED = 4e-9, 16e-9  # GB a number; with its gradient and Adam's two averages
WINDOW = 1500  # positions of Whisper's 30 s
ATTENTION = 32 * 4 * WINDOW**2 * 1280  # of its 32 layers
UNIT_RATE, WORD_RATE, TOKENS_A_WORD, FBANK_RATE = 50, 2.7, 1.4, 100
SAMPLES = 32000  # bytes of a second of audio
PASS, GRADIENT = 2, 6  # operations a parameter and position
BATCH, PROMPT_WORDS = 16, 24  # utterances at once; words that continue a prompt
# CPU seconds: of an utterance, then of a second of speech, then of a GB
FORMAT, COPY, TEXT, LENGTHS = 0.75e-3, 0.1e-3, 0.065e-3, 0.01e-3
PITCH, READING, LOG_MEL, FBANK = 1.8e-3, 0.26e-3, 0.30e-3, 0.49e-3
ARCHIVE = 1.3


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
        return PASS * LM * self.tokens

    @property
    def tokens(self) -> float:
        """Text tokens of all."""
        return WORD_RATE * TOKENS_A_WORD * self.seconds

    @property
    def vocoder(self) -> float:
        """Operations of speech from all units."""
        rate = UNIT_ENCODER + FLOW_PASSES * ESTIMATOR + HIFT
        return rate * self.seconds


TEST = Corpus(8.6, 4837)
"""The test set, test-clean: the same for both corpora."""


@dataclass(frozen=True)
class Gpu:
    """What a GPU reaches.

    Attributes:
        operations: A second.
        bandwidth: Bytes that it reads a second.
    """

    operations: float
    bandwidth: float

    def seconds(self, operations: float) -> float:
        """Of so many operations."""
        return operations / self.operations

    def writing(self, steps: float, parameters: float) -> float:
        """Seconds of so many steps of single utterances, in batches, in float32."""
        return steps / BATCH * 1e9 * FLOAT * parameters / self.bandwidth


def on_the_test_set(gpu: Gpu) -> dict[str, tuple]:
    """Rows of :func:`stages` that do not depend on the corpus, by their stage."""
    test, on_gpu = TEST.seconds, gpu.seconds
    features = (READING + LOG_MEL) * test
    aligned = on_gpu(TEST.encoder + PASS * (RECOGNIZER - ENCODER) * TEST.tokens)
    transcribed = on_gpu(TEST.encoder) + gpu.writing(TEST.tokens, RECOGNIZER - ENCODER)
    spoken = on_gpu(SPOKEN * TEST.vocoder)
    spoken += gpu.writing((SPOKEN - 1) * UNIT_RATE * test, DECODER)
    # each of two TASLMs: words after each prompt, spoken; likelihoods of the test set
    words = PROMPT_WORDS * TEST.utterances
    said = words / WORD_RATE  # seconds
    continued = gpu.writing(words * TOKENS_A_WORD, LM)
    continued += gpu.writing(said * UNIT_RATE, DECODER)
    continued += on_gpu(TEST.vocoder * said / test + TEST.lm)
    scored = (SPOKEN + 1) * transcribed + SPOKEN * aligned
    recognizer, speaking = FLOAT * RECOGNIZER, FLOAT * (DECODER + VOCODER)
    speaking_lm = FLOAT * (LM + ADAPTERS) + speaking
    return {
        "4": ("4 word times, test set", aligned, features, 0, recognizer),
        "9": ("9 speech, test set", spoken, 0, SAMPLES * test * SPOKEN, speaking),
        "10": (
            "10 scores, test set",
            *(scored, (2 * SPOKEN + 1) * features, 0, recognizer),
        ),
        "12": (
            "12 continuations, test set",
            *(2 * continued, 0, 2 * SAMPLES * said, speaking_lm),
        ),
    }


def stages(corpus: Corpus, gpu: Gpu) -> list[tuple]:
    """GPU seconds, CPU seconds, bytes, weights on a GPU of each stage.

    Args:
        corpus: Its sizes.
        gpu: What it reaches.

    Returns:
        Name, and four numbers each.
    """
    speech, count, on_gpu = corpus.seconds, corpus.utterances, gpu.seconds
    test = on_the_test_set(gpu)
    learning = corpus.unit_decoder * GRADIENT / PASS
    with_speech = on_gpu(5 * (corpus.encoder + learning))
    floats = {name: 4 * rate * speech for name, rate in (("f0", 100), ("units", 50))}
    lm_training = 10 * corpus.lm * 3  # the LM, gradients of its rows, the base LM
    lm_weights = FLOAT * LM + TRAINED * ADAPTERS
    steps = FLOAT * ENCODER + TRAINED * (DECODER + AGGREGATOR)
    tokenizer = FLOAT * (ENCODER + AGGREGATOR)
    features, codes = (READING + LOG_MEL) * speech, 16 * WORD_RATE * speech
    graphs = on_gpu(PASS * (S3 * UNIT_RATE + CAMPPLUS * FBANK_RATE) * speech)
    two_features, two_graphs = features + FBANK * speech, FLOAT * (S3 + CAMPPLUS)
    units = floats["units"] + 768 * count
    vocoder = on_gpu(30 * 3 * (UNIT_ENCODER + ESTIMATOR + HIFT) * speech)
    return [
        ("1 data", 0, COPY * count, 0, 0),
        ("2 format", 0, FORMAT * count, SAMPLES * speech, 0),
        ("3 text", 0, TEXT * count, 100 * count, 0),
        test["4"],
        ("5 units, speakers", graphs, two_features, units, two_graphs),
        ("6 F0, lengths", 0, PITCH * speech + LENGTHS * count, floats["f0"], 0),
        ("7 text only, 7 epochs", on_gpu(7 * learning), 0, 1e9, TRAINED * DECODER),
        ("7 no VQ, 5 epochs", with_speech, 0, 1e9, steps),
        ("7 VQ, 5 epochs", with_speech, 0, 1e9, steps),
        ("8 unit vocoder, 30 epochs", vocoder, 0, 1e9, TRAINED * VOCODER),
        ("9 codes of all sets", on_gpu(corpus.encoder), features, codes, tokenizer),
        test["9"],
        test["10"],
        ("11 TASLM, 10 epochs", on_gpu(lm_training), 0, 5e8, lm_weights),
        test["12"],
        ("13, 14 results, archives", 0, ARCHIVE * 8, 8e9, 0),
    ]


def cells(row: tuple, memory: bool) -> list[str]:
    """Numbers of a stage as the table shows them."""
    on_gpu, cpu, size, needed = row[1:]
    scaled = [on_gpu / 3600, cpu / 3600, size / 1e9, *([needed] if memory else [])]
    return [f"{x:.2g}" if x < 100 else f"{x:.0f}" for x in scaled]


def main(cmd=None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--hours", type=float, nargs=2, default=[585, 40000])
    add("--utterances", type=float, nargs=2, default=[354780, 24e6])
    add("--teraflops", type=float, default=200, help="Of a GPU, as reached in bfloat16")
    add("--terabytes", type=float, default=2, help="Of its memory, read a second")
    args = parser.parse_args(cmd)
    gpu = Gpu(1e12 * args.teraflops, 1e12 * args.terabytes)
    corpora = map(Corpus, args.hours, args.utterances)
    small, large = (stages(corpus, gpu) for corpus in corpora)
    print(HEADER)
    print("|" + "---|" * (HEADER.count("|") - 1))
    for one, other in zip(small, large):
        row = [one[0], *cells(one, True)]
        print(f"| {' | '.join(row + cells(other, False))} |")


if __name__ == "__main__":
    main()
