"""``espnet2-taste resynthesize``: codes -> speech."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet2_taste.cli import arguments, results, sources
from espnet2_taste.cli.parts import Job, Outcome, run_job

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
class SpeakJob(Job):
    """Speaks tokenized utterances.

    Attributes:
        source: The utterances.
        model: What ``from_pretrained`` takes.
        cache_dir: Where archives are unpacked.
        sampling: Options of ``UnitSampling``.
    """

    source: sources.Source
    model: str
    cache_dir: str | None
    sampling: dict

    def load(self, device: str):
        """See ``Job.load``."""
        from espnet2_taste.inference import TasteTokenizer

        return TasteTokenizer.from_pretrained(
            self.model,
            self.cache_dir,
            device=device,
            sampling=self.sampling,
        )

    def work(self, model, names: Sequence[str], folder: Path) -> None:
        """See ``Job.work``."""
        items, spoken, dropped = {}, {}, {}

        def speak(some: Sequence[str]) -> list:
            found = self.source.tokens(model, some)
            voices = self.source.voices(model, some)
            return list(zip(found, model.decode_batch(found, voices, some)))

        for batch in self.batches(names):
            for name, found in results.usable(speak, batch, dropped).items():
                items[name], spoken[name] = found
        results.write_words(folder, items)
        results.write_speech(folder, spoken)
        results.write_dropped(folder, dropped)


def run(args: argparse.Namespace) -> Outcome:
    """Run the sub-command."""
    source, sampling = sources.source_of(args), arguments.sampling_of(args)
    settings = arguments.settings_of(args)
    job = SpeakJob(
        settings, args.batch_size, source, args.model, args.cache_dir, sampling
    )
    outcome = run_job(job, source.inputs, **arguments.division(args))
    results.show_speech(outcome.output)
    return outcome
