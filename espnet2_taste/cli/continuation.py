"""``espnet2-taste continue``: a spoken language model goes on where something stops."""

import argparse
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from espnet2_taste.cli import arguments
from espnet2_taste.cli.jobs import ModelJob
from espnet2_taste.cli.parts import Outcome
from espnet2_taste.cli.prompts import PROMPT_KINDS, Prompts, add_prompt_arguments
from espnet2_taste.cli.stream import add_stream_argument, run_spoken

TEXT = ("text_top_p", "text_temperature", "repetition_penalty", "speech_top_p")
WORDS = ("max_words", "min_words", "seed")
OPTIONS = ("max_words", "min_words", *TEXT)
_TOP_P = (
    "drawn from the likeliest ones of this total probability, 0 takes the likeliest"
)
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
    arguments.add_model_arguments(parser)
    arguments.add_output_arguments(parser)
    arguments.add_wav_arguments(parser)
    arguments.add_codes_arguments(parser)
    arguments.add_voice_arguments(parser)
    add_prompt_arguments(parser)
    add_generation_arguments(parser, OPTIONS)
    add_stream_argument(parser)


def add_generation_arguments(
    parser: argparse.ArgumentParser, names: Sequence[str]
) -> None:
    """Add how words and codes are drawn; what is not given is the model's setting."""
    add, default = parser.add_argument, "(default: the setting of the model)"
    positive, share = arguments.number(float, 0.01), arguments.number(float, 0, 1)
    texts = {
        "max_words": (arguments.COUNT, "Maximum words of a continuation"),
        "min_words": (arguments.COUNT, "Minimum words of a continuation"),
        "text_top_p": (share, f"Next text tokens: {_TOP_P}"),
        "text_temperature": (
            positive,
            "Of drawing text: below 1 favours likely tokens",
        ),
        "repetition_penalty": (
            positive,
            "Above 1 makes tokens less likely that occurred",
        ),
        "speech_top_p": (share, f"Codes of a word: {_TOP_P}"),
    }
    for name in names:
        kind, text = texts[name]
        add(f"--{name}", type=kind, help=f"{text} {default}")
    add(
        "--dtype",
        choices=("float32", "bfloat16", "int8"),
        help="Weights of the language model; int8, for CPUs, is about 1.6 times as "
        "fast and changes what is drawn (default: as trained)",
    )


def model_of(args: argparse.Namespace) -> dict[str, Any]:
    """Fields of ``SpokenLmJob`` beside those of ``ModelJob``."""
    given = {key: value for key, value in vars(args).items() if value is not None}
    return {
        "sampling": arguments.sampling_of(args),
        "text": {name: given[name] for name in (*TEXT, "dtype") if name in given},
        "words": {name: given[name] for name in WORDS if name in given},
    }


@dataclass(frozen=True)
class SpokenLmJob(ModelJob):
    """Lets a spoken language model make words with codes, and speaks them.

    Attributes:
        sampling: Fields of ``UnitSampling`` that were given.
        text: Fields of ``GenerationOptions`` that were given.
        words: Fewest and most words and the seed, where given.
    """

    sampling: dict
    text: dict
    words: dict

    def load(self, device):
        """See ``Job.load``."""
        from espnet2_taste.inference import SpokenLM

        return SpokenLM.from_pretrained(
            self.model,
            self.cache_dir,
            device=device,
            sampling=self.sampling,
            options=self.text,
            **self.words,
        )

    @abstractmethod
    def stream(self, model, name: str) -> tuple:
        """Speaker (E,) of an utterance, and an iterator of its ``StreamedWord``."""


@dataclass(frozen=True)
class ContinueJob(SpokenLmJob):
    """Continues utterances and speaks what was added.

    Attributes:
        given: The beginnings.
    """

    given: Prompts

    def process(self, model, names):
        """See ``ModelJob.process``."""
        added = model.continue_batch(
            self.given.beginnings(model.tokenizer, names), names
        )
        speakers = self.given.voices(model.tokenizer, names)
        speech = model.tokenizer.decode_batch(added, speakers, names)
        return list(zip(added, speakers, speech))

    def stream(self, model, name):
        """See ``SpokenLmJob.stream``."""
        (beginning,) = self.given.beginnings(model.tokenizer, [name])
        (voice,) = self.given.voices(model.tokenizer, [name])
        return voice, model.stream_words(beginning, name)


def run(args: argparse.Namespace) -> Outcome:
    """Run the sub-command."""
    given = PROMPT_KINDS[args.prompt_kind].from_args(args)
    arguments.check_order(args, "min_words", "max_words")
    fields = model_of(args)
    job = ContinueJob.from_args(args, ["num_samples"], given=given, **fields)
    return run_spoken(args, job, given.inputs)
