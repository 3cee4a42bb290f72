"""``espnet2-taste score``: how likely utterances are."""

import argparse
from dataclasses import asdict, dataclass

from espnet2_taste.cli import arguments, sources
from espnet2_taste.cli.jobs import SourceJob
from espnet2_taste.cli.parts import Outcome, run_job
from espnet2_taste.data.ctm import write_rows

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
class ScoreJob(SourceJob):
    """Scores utterances."""

    def load(self, device):
        """See ``Job.load``."""
        from espnet2_taste.inference import SpokenLM

        return SpokenLM.from_pretrained(self.model, self.cache_dir, device=device)

    def process(self, model, names):
        """See ``ModelJob.process``; a ``SpeechScore`` each."""
        return model.score_batch(self.source.tokens(model.tokenizer, names), names)

    def write(self, model, found, folder):
        """See ``ModelJob.write``."""
        rows = {name: asdict(item) for name, item in found.items()}
        for header in list(rows.values())[:1]:
            lines = ([name, *row.values()] for name, row in rows.items())
            write_rows(folder / "scores.tsv", ("utt", *header), lines)


def run(args: argparse.Namespace) -> Outcome:
    """Run the sub-command."""
    source = sources.source_of(args)
    job = ScoreJob.from_args(args, source=source)
    outcome = run_job(job, source.inputs, **arguments.division(args))
    scores = outcome.output / "scores.tsv"
    if scores.is_file():
        print(scores)
    return outcome
