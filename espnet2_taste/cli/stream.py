"""Speech on standard output while it is made (``--stream``).

Enters: a job with a single utterance. Leaves: its samples on standard output, piece by
piece, and the same results as without the option in the output folder; a repeated
command gives the samples that are there. Whatever else is printed goes to standard
error.
"""

import argparse
import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from espnet2_taste.cli import arguments, results
from espnet2_taste.cli.jobs import ModelJob
from espnet2_taste.cli.parts import Outcome, run_job
from espnet2_taste.data.audio import pcm16, read_audio, wav_header
from espnet2_taste.data.kaldi_dir import read_table

if TYPE_CHECKING:
    from espnet2_taste.cli.continuation import SpokenLmJob

FORMATS = ("wav", "pcm")


def add_stream_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument(
        "--stream",
        nargs="?",
        const=FORMATS[0],
        choices=FORMATS,
        help="Write the speech of a single utterance to standard output while it is "
        "made, too: wav, or pcm without a header (16 bit, little endian, mono; wav "
        "without a value)",
    )


@dataclass
class SampleWriter:
    """Writes samples to a stream.

    Attributes:
        stream: Where they go.
        kind: One of ``FORMATS``.
        written: Whether anything was.
    """

    stream: BinaryIO
    kind: str
    written: bool = False

    def write(self, wave, sample_rate: int) -> None:
        """Write the next samples, (S,), so that they can be played now."""
        if self.kind == "wav" and not self.written:
            self.stream.write(wav_header(sample_rate))
        self.written = True
        self.stream.write(pcm16(wave).tobytes())
        self.stream.flush()


@dataclass(frozen=True)
class StreamJob(ModelJob):
    """Does a job and writes the samples while they are made.

    Attributes:
        job: What is said.
        writer: Takes the samples.
    """

    job: "SpokenLmJob"
    writer: SampleWriter

    def load(self, device):
        """See ``Job.load``."""
        return self.job.load(device)

    def process(self, model, names):
        """See ``ModelJob.process``, for one utterance."""
        from espnet2_taste.inference.results import joined_pieces

        (name,), pieces = names, []
        voice, words = self.job.stream(model, name)
        for piece in model.tokenizer.stream(words, voice, name):
            self.writer.write(piece.wave, piece.sample_rate)
            pieces.append(piece)
        tokens, speech = joined_pieces(pieces, model.digest)
        return [(tokens, voice, speech)]


def run_spoken(
    args: argparse.Namespace, job: "SpokenLmJob", inputs: Mapping[str, str]
) -> Outcome:
    """Do a job, on standard output too if that is asked for.

    Args:
        args: Options of the command.
        job: What is said.
        inputs: See ``run_job``.

    Returns:
        What was done.

    Raises:
        ValueError: Several utterances are to be written to one stream.
    """
    division = arguments.division(args)
    if args.stream is None:
        outcome = run_job(job, inputs, **division)
        results.show_speech(outcome.output)
        return outcome
    if len(inputs) != 1:
        raise ValueError(
            f"--stream writes one utterance, found {len(inputs)}: name one of them, or "
            "leave --stream out"
        )
    writer = SampleWriter(sys.stdout.buffer, args.stream)
    with contextlib.redirect_stdout(sys.stderr):
        place = (job.model, job.cache_dir)
        streamed = StreamJob(job.settings, 1, *place, job, writer)
        outcome = run_job(streamed, inputs, **division)
        results.show_speech(outcome.output)
    if not (writer.written or outcome.dropped):
        writer.write(*_kept_speech(outcome.output))
    return outcome


def _kept_speech(output: Path) -> tuple:
    """Samples (S,) and rate of the only utterance of a folder."""
    (path,) = read_table(output / "wav.scp").values()
    return read_audio(output / path)
