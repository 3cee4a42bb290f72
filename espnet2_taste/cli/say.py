"""``espnet2-taste say``: written words -> codes that suit them, and speech."""

import argparse
from dataclasses import dataclass

from espnet2_taste.cli import arguments, sources
from espnet2_taste.cli.continuation import add_generation_arguments, model_of
from espnet2_taste.cli.parts import Outcome
from espnet2_taste.cli.prompts import texts_of
from espnet2_taste.cli.stream import SpokenJob, add_stream_argument

SUMMARY = "text -> words with codes, and speech, in the manner of a recording"
EXAMPLE = """examples:
  espnet2-taste say --model taslm.zip --text "hello there" --voice me.wav --output said
  as fast or slow, as lively or calm as a recording, in its voice; a list of texts:
  espnet2-taste say --model taslm.zip --text_file text --style slow.wav \\
      --style_text "the words of it" --output said
  played while it is made:
  espnet2-taste say --model taslm.zip --text "hello there" --voice me.wav \\
      --output said --stream | aplay

--output receives codes.scp, words, wav.scp and, where the unit decoder knows them, the
times of the words (ctm); it can itself be given as --codes.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the sub-command."""
    arguments.add(parser, *arguments.MODEL, *arguments.OUTPUT)
    add = parser.add_argument
    add("--text", help="Words to say, as they are written")
    add("--text_file", metavar="FILE", help="Texts to say: 'id word word ...' lines")
    add("--style", metavar="FILE", help="Recording whose manner the texts are said in")
    add("--style_text", help="Transcript of --style (default: it is recognised)")
    add("--voice", metavar="FILE", help="Who speaks (default: the one of --style)")
    arguments.add(parser, *arguments.SAMPLING)
    add_generation_arguments(parser, ["speech_top_p"])
    add_stream_argument(parser)


@dataclass(frozen=True)
class SayJob(SpokenJob):
    """Says texts.

    Attributes:
        style: Recording, under the id "style", whose manner is followed, or None.
    """

    style: sources.WavSource | None

    def speak(self, model, names):
        """See ``SpokenJob.speak``."""
        speakers = self.given.voices(model.tokenizer, names)
        styles = [self._style(model)] * len(names)
        said = model.say_batch(self.given.items(None, names), speakers, styles, names)
        return [(item, voice, speech) for voice, (item, speech) in zip(speakers, said)]

    def words(self, model, name):
        """See ``SpokenJob.words``."""
        (text,) = self.given.items(None, [name])
        return model.stream_codes(text, self._style(model), name)

    def _style(self, model):
        """``SpeechTokens`` of the recording whose manner is followed, or None."""
        if self.style is None:
            return None
        return self.style.items(model.tokenizer, ["style"])[0]


def style_of(args: argparse.Namespace) -> sources.WavSource | None:
    """The recording whose manner is followed, if one is given.

    Raises:
        ValueError: A transcript without recording, or one without words.
    """
    text = args.style_text
    if text is not None and not (args.style and text.strip()):
        raise ValueError("--style_text is the transcript of --style: give both")
    known = None if text is None else {"style": text}
    return sources.WavSource({"style": args.style}, known) if args.style else None


def run(args: argparse.Namespace) -> Outcome:
    """Run the sub-command.

    Raises:
        ValueError: No text, or nobody who says it, is given.
    """
    texts = texts_of(args, "words to say")
    voice = args.voice or args.style
    if voice is None:
        raise ValueError("give --voice or --style, a recording of who says the text")
    for name in ("voice", "style"):
        if getattr(args, name):
            sources.check_recording(getattr(args, name), f"--{name}")
    given, options = sources.TextSource(texts, voice=voice), model_of(args)
    return SayJob.from_args(args, given, options, style=style_of(args)).run(args)
