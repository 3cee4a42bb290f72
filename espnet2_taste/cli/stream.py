"""Speech on standard output while it is made (``--stream``).

Enters: a job with a single utterance. Leaves: its samples on standard output, piece by
piece, and the same results as without the option in the output folder; a repeated
command gives the samples that are there. Whatever else is printed goes to standard
error.
"""

import argparse
import contextlib
import sys
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from espnet2_taste.cli.jobs import ModelJob
from espnet2_taste.data.audio import pcm16, read_audio, wav_header
from espnet2_taste.data.kaldi_dir import read_table

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
class SpokenJob(ModelJob):
    """Lets a spoken language model make words with codes, and speaks them.

    Attributes:
        writer: Takes the samples of the only utterance while they are made, or None.
    """

    kind = "SpokenLM"
    writer: SampleWriter | None = field(default=None, kw_only=True)

    @abstractmethod
    def speak(self, model, names: Sequence[str]) -> list[tuple]:
        """Tokens, speaker (E,) and speech of utterances."""

    @abstractmethod
    def words(self, model, name: str) -> Iterator:
        """The ``StreamedWord`` of an utterance."""

    def process(self, model, names):
        """See ``ModelJob.process``."""
        from espnet2_taste.inference.results import joined_pieces

        if self.writer is None:
            return self.speak(model, names)
        (name,), pieces = names, []
        (voice,) = self.given.voices(model.tokenizer, names)
        for piece in model.tokenizer.stream(self.words(model, name), voice, name):
            self.writer.write(piece.wave, piece.sample_rate)
            pieces.append(piece)
        tokens, speech = joined_pieces(pieces, model.digest)
        return [(tokens, voice, speech)]

    def run(self, args, inputs=None):
        """See ``ModelJob.run``; on standard output too if that is asked for.

        Raises:
            ValueError: Several utterances are to be written to one stream.
        """
        if args.stream is None:
            return super().run(args, inputs)
        inputs = self.given.inputs if inputs is None else inputs
        if len(inputs) != 1:
            raise ValueError(
                f"--stream writes one utterance, found {len(inputs)}: name one of "
                "them, or leave --stream out"
            )
        writer = SampleWriter(sys.stdout.buffer, args.stream)
        with contextlib.redirect_stdout(sys.stderr):
            job = replace(self, writer=writer)
            outcome = super(SpokenJob, job).run(args, inputs)
        if not (writer.written or outcome.dropped):
            writer.write(*_kept_speech(outcome.output))
        return outcome


def _kept_speech(output: Path) -> tuple:
    """Samples (S,) and rate of the only utterance of a folder."""
    (path,) = read_table(output / "wav.scp").values()
    return read_audio(output / path)
