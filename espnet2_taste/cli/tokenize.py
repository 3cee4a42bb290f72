"""``espnet2-taste tokenize``: recordings -> words, codes, times, speakers."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from espnet2_taste.cli import arguments, sources
from espnet2_taste.cli.jobs import ModelJob
from espnet2_taste.cli.parts import Outcome
from espnet2_taste.data.ctm import read_ctm
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.data.spoken_sets import SpokenSet

SUMMARY = "speech (and text) -> words with codes, their times, the speaker"
EXAMPLE = """examples:
  espnet2-taste tokenize --model taste.zip --wav hello.wav --text "hello there" \\
      --output tokens
  espnet2-taste tokenize --model taste.zip --wav a.wav b.wav --output tokens
  with a picture of words, codes and attention:
  espnet2-taste tokenize --model taste.zip --wav hello.wav --plot --output tokens
  espnet2-taste tokenize --model taste.zip --wav_scp wav.scp --text_file text \\
      --output tokens --nj 4

Texts are normalised as in training; without them the speech is recognised.
Audio of any length is accepted. --output receives codes.scp, words, ctm, spembs.scp,
and dropped.tsv with the utterances that could not be used and why.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the sub-command."""
    arguments.add(parser, *arguments.MODEL, *arguments.OUTPUT, *arguments.WAVS)
    parser.add_argument(
        "--recognizer",
        metavar="MODEL",
        help="Recognizes and times words: ESPnet experiment, Whisper or CTC model of "
        "Hugging Face, or a YAML file (default: that of the TASTE encoder)",
    )
    parser.add_argument(
        "--plot",
        action="store_true",
        help="Draw the words and codes of each recording of up to 30 s over its "
        "spectrogram, with the attention of the tokens below",
    )


@dataclass(frozen=True)
class TokenizeJob(ModelJob):
    """Tokenizes recordings.

    Attributes:
        plot: Whether pictures are drawn.
    """

    plot: bool

    def load(self, device):
        """See ``Job.load``."""
        model = super().load(device)
        model.aligner  # noqa: B018  (an error in it is not one of an utterance)
        return model

    def process(self, model, names):
        """See ``ModelJob.process``."""
        tokens, voices = self.given.items(model, names), [None] * len(names)
        if model.embedder is not None:
            voices = self.given.voices(model, names)
        return [(item, voice, None) for item, voice in zip(tokens, voices)]

    def write(self, model, found, folder):
        """See ``ModelJob.write``; pictures as well."""
        super().write(model, found, folder)
        if self.plot:
            items = {name: item for name, (item, *_) in found.items()}
            self._draw(model, items, folder / "plots")

    def _draw(self, model, items: Mapping, folder: Path) -> None:
        """Draw utterances, ``SpeechTokens`` by id, that were encoded at once."""
        from espnet2_taste.evaluation.attention import draw_attention

        for name, item in items.items():
            (wave,) = self.given.waves(model, [name])
            if len(wave) <= model.window * model.sample_rate:
                path = folder / f"{name}.png"
                draw_attention(
                    path, model.encoder, name, wave, item.timings, item.codes
                )


def run(args: argparse.Namespace) -> Outcome:
    """Run the sub-command."""
    source, options = sources.source_of(args), {"recognizer": args.recognizer}
    outcome = TokenizeJob.from_args(args, source, options, plot=args.plot).run(args)
    if outcome.count == 1 and not outcome.dropped:
        print_tokens(outcome.output)
    return outcome


def print_tokens(output: Path) -> None:
    """Show the words of the only utterance.

    Args:
        output: Folder with the results.
    """
    ((name, item),) = SpokenSet(output).items()
    times = read_ctm(output / "ctm")[name] if (output / "ctm").is_file() else []
    starts = [f"{time.start:.2f}" for time in times] or ["-"] * len(item.words)
    for word, start, codes in zip(item.words, starts, item.codes):
        print(f"{start:>7}  {word:<16} {' '.join(map(str, codes))}")
    if times:
        score, least = read_table(output / "alignment")[name].split()
        print(f"text and speech belong together: {score} (0 to 1); least word: {least}")
    for picture in output.glob("parts/*/plots/*.png"):
        print(picture)
