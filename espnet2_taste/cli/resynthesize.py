"""``espnet2-taste resynthesize``: codes -> speech."""

import argparse

from espnet2_taste.cli import arguments, results, sources
from espnet2_taste.cli.jobs import ModelJob
from espnet2_taste.cli.parts import Outcome

SUMMARY = "words with codes -> speech, in their own or in another voice"
EXAMPLE = """examples:
  espnet2-taste resynthesize --model taste.zip --codes tokens --output again
  espnet2-taste resynthesize --model taste.zip --wav hello.wav --text "hello there" \\
      --voice other.wav --output again

--output receives wav.scp, words, units, the audio below parts/ and, where the unit
decoder knows them, the times of the words (ctm).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the sub-command."""
    arguments.add(parser, *arguments.SPOKEN)


class SpeakJob(ModelJob):
    """Speaks tokenized utterances."""

    def process(self, model, names):
        """See ``ModelJob.process``."""
        tokens = self.given.items(model, names)
        voices = self.given.voices(model, names)
        speech = model.decode_batch(tokens, voices, names)
        return [(item, None, spoken) for item, spoken in zip(tokens, speech)]

    def write(self, model, found, folder):
        """See ``ModelJob.write``; the words without their codes, which were given."""
        results.write_words(folder, {name: row[0] for name, row in found.items()})
        results.write_speech(folder, {name: row[2] for name, row in found.items()})


def run(args: argparse.Namespace) -> Outcome:
    """Run the sub-command."""
    options = {"sampling": arguments.sampling_of(args)}
    return SpeakJob.from_args(args, sources.source_of(args), options).run(args)
