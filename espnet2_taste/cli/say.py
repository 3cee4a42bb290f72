"""``espnet2-taste say``: written words -> codes that suit them, and speech."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

from espnet2_taste.cli import arguments, continuation, sources
from espnet2_taste.cli.parts import Outcome
from espnet2_taste.cli.prompts import texts_of
from espnet2_taste.cli.stream import add_stream_argument, run_spoken

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
    arguments.add_model_arguments(parser)
    arguments.add_output_arguments(parser)
    add = parser.add_argument
    add("--text", help="Words to say, as they are written")
    add("--text_file", metavar="FILE", help="Texts to say: 'id word word ...' lines")
    add("--style", metavar="FILE", help="Recording whose manner the texts are said in")
    add("--style_text", help="Transcript of --style (default: it is recognised)")
    arguments.add_voice_arguments(parser, "the one of --style")
    continuation.add_generation_arguments(parser, ["speech_top_p"])
    add_stream_argument(parser)


@dataclass(frozen=True)
class SayJob(continuation.SpokenLmJob):
    """Says texts.

    Attributes:
        texts: By utterance id.
        voice: Recording of who says them.
        style: Recording, under the id "style", whose manner is followed, or None.
    """

    texts: Mapping[str, str]
    voice: str
    style: sources.WavSource | None

    def process(self, model, names):
        """See ``ModelJob.process``."""
        speakers = sources.repeated_voice(self.voice, model.tokenizer, len(names))
        styles = [self._style(model)] * len(names)
        texts = [self.texts[name] for name in names]
        said = model.say_batch(texts, speakers, styles, names)
        return [(item, voice, speech) for voice, (item, speech) in zip(speakers, said)]

    def stream(self, model, name):
        """See ``SpokenLmJob.stream``."""
        (voice,) = sources.repeated_voice(self.voice, model.tokenizer, 1)
        return voice, model.stream_codes(self.texts[name], self._style(model), name)

    def _style(self, model):
        """``SpeechTokens`` of the recording whose manner is followed, or None."""
        if self.style is None:
            return None
        return self.style.tokens(model.tokenizer, ["style"])[0]


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
    fields = continuation.model_of(args) | {"texts": texts, "voice": voice}
    job = SayJob.from_args(args, style=style_of(args), **fields)
    inputs = {name: arguments.digest_values(text) for name, text in texts.items()}
    return run_spoken(args, job, inputs)
