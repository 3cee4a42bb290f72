"""``espnet2-taste tokenize``: recordings -> words, codes, times, speakers."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet2_taste.cli import arguments, results
from espnet2_taste.cli.parts import Job, run_job

SUMMARY = "speech (and text) -> words with codes, their times, the speaker"
EXAMPLE = """examples:
  espnet2-taste tokenize --model taste.zip --wav hello.wav --text "hello there" \\
      --output tokens
  espnet2-taste tokenize --model taste.zip --wav a.wav b.wav --output tokens
  espnet2-taste tokenize --model taste.zip --wav_scp wav.scp --text_file text \\
      --output tokens --nj 4

Texts are in the normal form of the training; without them the speech is recognised.
Audio of any length is accepted. --output receives codes.scp, words, ctm, spembs.scp,
and dropped.tsv with the utterances that could not be used and why.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the sub-command."""
    arguments.add_model_arguments(parser)
    arguments.add_wav_arguments(parser)


@dataclass(frozen=True)
class TokenizeJob(Job):
    """Tokenizes recordings.

    Attributes:
        source: The recordings.
        model: What ``from_pretrained`` takes.
        cache_dir: Where archives are unpacked.
    """

    source: arguments.Source
    model: str
    cache_dir: str | None

    def load(self, device: str):
        """See ``Job.load``."""
        from espnet2_taste.inference import TasteTokenizer

        return TasteTokenizer.from_pretrained(self.model, self.cache_dir, device=device)

    def work(self, model, names: Sequence[str], folder: Path, final: Path) -> None:
        """See ``Job.work``."""
        items, voices, dropped = {}, {}, {}
        for batch in self.batches(names):
            found = results.usable(
                lambda some: self.source.tokens(model, some), batch, dropped
            )
            items |= found
            if found and model.embedder is not None:
                voices |= zip(found, self.source.voices(model, list(found)))
        results.write_tokens(folder, final, items, voices)
        results.write_dropped(folder, dropped)


def run(args: argparse.Namespace) -> None:
    """Run the sub-command."""
    source = arguments.source_of(args)
    switches = {"command": "tokenize", "model": args.model}
    job = TokenizeJob(switches, args.batch_size, source, args.model, args.cache_dir)
    output = Path(args.output)
    run_job(job, source.names, output, args.part_size, args.nj, args.ngpu)
    if len(source.names) == 1:
        print_tokens(output, source.names[0])


def print_tokens(output: Path, name: str) -> None:
    """Show the words of one utterance.

    Args:
        output: Folder with the results.
        name: Utterance id.

    Raises:
        ValueError: It could not be used.
    """
    from espnet2_taste.data.ctm import read_ctm, read_rows
    from espnet2_taste.slm.inference import read_spoken_words

    if not (output / "words").is_file():
        raise ValueError(read_rows(output / "dropped.tsv")[0]["reason"])
    item = read_spoken_words(output)[name]
    times = read_ctm(output / "ctm")[name] if (output / "ctm").is_file() else []
    starts = [f"{time.start:.2f}" for time in times] or ["-"] * len(item.words)
    for word, start, codes in zip(item.words, starts, item.codes):
        print(f"{start:>7}  {word:<16} {' '.join(map(str, codes))}")
