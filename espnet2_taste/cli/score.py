"""``espnet2-taste score``: how likely utterances are."""

import argparse
from dataclasses import asdict

from espnet2_taste.cli import arguments, sources
from espnet2_taste.cli.jobs import ModelJob
from espnet2_taste.cli.parts import Outcome
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
    arguments.add(parser, *arguments.SPEECH)


class ScoreJob(ModelJob):
    """Scores utterances."""

    kind = "SpokenLM"

    def process(self, model, names):
        """See ``ModelJob.process``; a ``SpeechScore`` each."""
        return model.score_batch(self.given.items(model.tokenizer, names), names)

    def write(self, model, found, folder):
        """See ``ModelJob.write``."""
        rows = {name: asdict(item) for name, item in found.items()}
        for header in list(rows.values())[:1]:
            lines = ([name, *row.values()] for name, row in rows.items())
            write_rows(folder / "scores.tsv", ("utt", *header), lines)


def run(args: argparse.Namespace) -> Outcome:
    """Run the sub-command."""
    outcome = ScoreJob.from_args(args, sources.source_of(args)).run(args)
    scores = outcome.output / "scores.tsv"
    if scores.is_file():
        print(scores)
    return outcome
