"""``espnet2-taste continue``: a spoken language model goes on where something stops."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from espnet2_taste.cli import arguments
from espnet2_taste.cli.parts import Outcome
from espnet2_taste.cli.prompts import prompts_of
from espnet2_taste.cli.stream import SpokenJob, add_stream_argument
from espnet2_taste.inference.prompt_sets import add_prompt_arguments, prompt_specs

WORDS = ("max_words", "min_words", "seed")
_TOP_P = (
    "drawn from the likeliest ones of this total probability, 0 takes the likeliest"
)
_POSITIVE, _SHARE = arguments.number(float, 0.01), arguments.number(float, 0, 1)
_TEMPERATURE = "Of drawing text: below 1 favours likely tokens"
GENERATION = {
    "max_words": (arguments.COUNT, "Maximum words of a continuation"),
    "min_words": (arguments.COUNT, "Minimum words of a continuation"),
    "text_top_p": (_SHARE, f"Next text tokens: {_TOP_P}"),
    "text_temperature": (_POSITIVE, _TEMPERATURE),
    "repetition_penalty": (_POSITIVE, "Above 1 makes tokens less likely that occurred"),
    "speech_top_p": (_SHARE, f"Codes of a word: {_TOP_P}"),
}
"""Type and help of how words and codes are drawn."""
SUMMARY = "beginnings, mostly spoken -> more words with codes, and speech"
EXAMPLE = """examples:
  espnet2-taste continue --model taslm.zip --wav hello.wav --text "hello there" \\
      --output more
  espnet2-taste continue --model taslm.zip --codes tokens --max_words 12 \\
      --text_top_p 0.9 --speech_top_p 0.9 --output more
  played while it is made:
  espnet2-taste continue --model taslm.zip --wav hello.wav --output more --stream \\
      | aplay
  from written words, and from nothing, in a voice of your own:
  espnet2-taste continue --model taslm.zip --prompt_kind text --text "hello there" \\
      --voice me.wav --output more
  espnet2-taste continue --model taslm.zip --prompt_kind unconditional \\
      --num_samples 20 --text_top_p 0.9 --voice me.wav --output samples

--output receives codes.scp, words and wav.scp of the continuations, without the
beginnings, and the times of the words where the unit decoder knows them (ctm); it can
itself be given as --codes.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the sub-command."""
    arguments.add(parser, *arguments.SPOKEN)
    written = "words of --text or --text_file, which nobody spoke"
    add_prompt_arguments(parser, written, arguments.COUNT)
    add_generation_arguments(parser, list(GENERATION))
    add_stream_argument(parser)


def add_generation_arguments(
    parser: argparse.ArgumentParser, names: Sequence[str]
) -> None:
    """Add how words and codes are drawn; what is not given is the model's setting."""
    add, default = parser.add_argument, "(default: the setting of the model)"
    for name in names:
        kind, text = GENERATION[name]
        add(f"--{name}", type=kind, help=f"{text} {default}")
    add(
        "--dtype",
        choices=("float32", "bfloat16", "int8"),
        help="Weights of the language model; int8, for CPUs, is about 1.6 times as "
        "fast and changes what is drawn (default: as trained)",
    )


def model_of(args: argparse.Namespace) -> dict[str, Any]:
    """What ``SpokenLM.from_pretrained`` is given: values that differ from its own."""
    given = {key: value for key, value in vars(args).items() if value is not None}
    drawn = [name for name in (*GENERATION, "dtype") if name not in WORDS]
    return {
        "sampling": arguments.sampling_of(args),
        "options": {name: given[name] for name in drawn if name in given},
        **{name: given[name] for name in WORDS if name in given},
    }


@dataclass(frozen=True)
class ContinueJob(SpokenJob):
    """Continues utterances and speaks what was added.

    Attributes:
        prompt_kind: One of ``PROMPT_KINDS``.
        frame: See ``SpokenTurn``.
    """

    prompt_kind: str
    frame: Sequence[str] | None

    def prompts(self, model, names: Sequence[str]) -> list:
        """``PromptSpec`` of utterances."""
        items = dict(zip(names, self.given.items(model.tokenizer, names)))
        return list(prompt_specs(self.prompt_kind, items, self.frame).values())

    def speak(self, model, names):
        """See ``SpokenJob.speak``."""
        added = model.continue_batch(self.prompts(model, names), names)
        speakers = self.given.voices(model.tokenizer, names)
        speech = model.tokenizer.decode_batch(added, speakers, names)
        return list(zip(added, speakers, speech))

    def words(self, model, name):
        """See ``SpokenJob.words``."""
        return model.stream_words(*self.prompts(model, [name]), name)


def run(args: argparse.Namespace) -> Outcome:
    """Run the sub-command."""
    given = prompts_of(args)
    arguments.check_order(args, "min_words", "max_words")
    kind = {"prompt_kind": args.prompt_kind, "frame": args.turn_frame}
    job = ContinueJob.from_args(args, given, model_of(args), ["num_samples"], **kind)
    return job.run(args)
