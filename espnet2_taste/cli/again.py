"""``espnet2-taste again``: a recording -> its words, spoken again from their codes."""

import argparse
from pathlib import Path

from espnet2_taste.cli import arguments, sources
from espnet2_taste.cli.parts import Outcome
from espnet2_taste.cli.quiet import import_quietly
from espnet2_taste.data.audio import write_audio

SUMMARY = "one recording -> its words, spoken again from their codes"
EXAMPLE = """examples:
  espnet2-taste again --model taste.zip hello.wav again.wav
  espnet2-taste again --model taste.zip hello.wav again.wav --text "hello there" \\
      --voice other.wav

The words are printed. For many recordings, and to keep the codes: tokenize and
resynthesize.
"""
FORMATS = (".wav", ".flac")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the sub-command."""
    arguments.add(parser, *arguments.MODEL, "voice", *arguments.SAMPLING)
    parser.add_argument("input", metavar="INPUT", help="Recording")
    parser.add_argument("output", metavar="OUTPUT", help="File to write, .wav or .flac")
    parser.add_argument("--text", help="Transcript (default: it is recognised)")


def run(args: argparse.Namespace) -> Outcome:
    """Run the sub-command.

    Raises:
        ValueError: A file cannot be used.
    """
    output = Path(args.output)
    if output.suffix.lower() not in FORMATS or not output.parent.is_dir():
        raise ValueError(
            f"{output}: expected a file in a folder that exists, with the suffix "
            f"{' or '.join(FORMATS)}"
        )
    sources.check_recording(args.input, "INPUT")
    if args.voice:
        sources.check_recording(args.voice, "--voice")
    sampling = arguments.sampling_of(args)
    import_quietly()
    from espnet2_taste.inference import TasteTokenizer

    tokenizer = TasteTokenizer.from_pretrained(
        args.model,
        args.cache_dir,
        device="cuda" if args.ngpu else "cpu",
        sampling=sampling,
    )
    name = output.stem
    texts = None if args.text is None else {name: args.text}
    source = sources.WavSource({name: args.input}, texts, voice=args.voice)
    (item,) = source.items(tokenizer, [name])
    (speaker,) = source.voices(tokenizer, [name])
    spoken = tokenizer.decode(item, speaker, name)
    write_audio(output, spoken.wave, spoken.sample_rate)
    print(f"{output}  {item.text}")
    return Outcome(output, 1, {})
