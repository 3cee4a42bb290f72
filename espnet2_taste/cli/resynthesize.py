"""``espnet2-taste resynthesize``: codes -> speech."""

import argparse
from dataclasses import dataclass

from espnet2_taste.cli import arguments, results, sources
from espnet2_taste.cli.jobs import SourceJob
from espnet2_taste.cli.parts import Outcome, run_job

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
    arguments.add_model_arguments(parser)
    arguments.add_output_arguments(parser)
    arguments.add_wav_arguments(parser)
    arguments.add_codes_arguments(parser)
    arguments.add_voice_arguments(parser)


@dataclass(frozen=True)
class SpeakJob(SourceJob):
    """Speaks tokenized utterances.

    Attributes:
        sampling: Options of ``UnitSampling``.
    """

    sampling: dict

    def load(self, device):
        """See ``Job.load``."""
        from espnet2_taste.inference import TasteTokenizer

        return TasteTokenizer.from_pretrained(
            self.model, self.cache_dir, device=device, sampling=self.sampling
        )

    def process(self, model, names):
        """See ``ModelJob.process``."""
        tokens = self.source.tokens(model, names)
        voices = self.source.voices(model, names)
        speech = model.decode_batch(tokens, voices, names)
        return [(item, None, spoken) for item, spoken in zip(tokens, speech)]

    def write(self, model, found, folder):
        """See ``ModelJob.write``; the words without their codes, which were given."""
        results.write_words(folder, {name: row[0] for name, row in found.items()})
        results.write_speech(folder, {name: row[2] for name, row in found.items()})


def run(args: argparse.Namespace) -> Outcome:
    """Run the sub-command."""
    source, sampling = sources.source_of(args), arguments.sampling_of(args)
    job = SpeakJob.from_args(args, source=source, sampling=sampling)
    outcome = run_job(job, source.inputs, **arguments.division(args))
    results.show_speech(outcome.output)
    return outcome
