"""``espnet2-taste score``: how likely utterances are."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from espnet2_taste.cli import arguments, results, sources
from espnet2_taste.cli.parts import Job, Outcome, run_job

SUMMARY = "utterances -> how likely their text and their codes are"
EXAMPLE = """examples:
  espnet2-taste score --model taslm.zip --codes tokens --output scores
  espnet2-taste score --model taslm.zip --wav_scp wav.scp --text_file text \\
      --output scores

--output receives scores.tsv, one row an utterance; higher is likelier. text, base_text
(by the text LM that the model began from) are natural log-likelihoods; speech, of the
codes, is in the unit that speech_unit names and compares utterances of one model, as do
both and the means; speech_nats and both_nats are natural log-likelihoods or densities.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the sub-command."""
    arguments.add_model_arguments(parser)
    arguments.add_output_arguments(parser)
    arguments.add_wav_arguments(parser)
    arguments.add_codes_arguments(parser)


@dataclass(frozen=True)
class ScoreJob(Job):
    """Scores utterances.

    Attributes:
        source: The utterances.
        model: What ``from_pretrained`` takes.
        cache_dir: Where archives are unpacked.
    """

    source: sources.Source
    model: str
    cache_dir: str | None

    def load(self, device: str):
        """See ``Job.load``."""
        from espnet2_taste.inference import SpokenLM

        return SpokenLM.from_pretrained(self.model, self.cache_dir, device=device)

    def work(self, model, names: Sequence[str], folder: Path) -> None:
        """See ``Job.work``."""
        from espnet2_taste.data.ctm import write_rows

        found, dropped = {}, {}
        for batch in self.batches(names):
            found |= results.usable(
                lambda some: model.score_batch(
                    self.source.tokens(model.tokenizer, some), some
                ),
                batch,
                dropped,
            )
        rows = {name: asdict(item) for name, item in found.items()}
        for header in list(rows.values())[:1]:
            lines = ([name, *row.values()] for name, row in rows.items())
            write_rows(folder / "scores.tsv", ("utt", *header), lines)
        results.write_dropped(folder, dropped)


def run(args: argparse.Namespace) -> Outcome:
    """Run the sub-command."""
    source = sources.source_of(args)
    settings = arguments.settings_of(args)
    job = ScoreJob(settings, args.batch_size, source, args.model, args.cache_dir)
    outcome = run_job(job, source.inputs, **arguments.division(args))
    scores = outcome.output / "scores.tsv"
    if scores.is_file():
        print(scores)
    return outcome
