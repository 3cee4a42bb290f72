"""``espnet2-taste continue``: a spoken language model goes on where something stops."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet2_taste.cli import arguments, results
from espnet2_taste.cli.parts import Job, Outcome, run_job
from espnet2_taste.cli.prompts import PROMPT_KINDS, Prompts, add_prompt_arguments

TEXT = ("text_top_p", "text_temperature", "repetition_penalty", "speech_top_p")
WORDS = ("max_words", "min_words", "seed")
_TOP_P = (
    "drawn from the likeliest ones of this total probability, 0 takes the likeliest"
)
SUMMARY = "beginnings, mostly spoken -> more words with codes, and speech"
EXAMPLE = """examples:
  espnet2-taste continue --model taslm.zip --wav hello.wav --text "hello there" \\
      --output more
  espnet2-taste continue --model taslm.zip --codes tokens --max_words 12 \\
      --text_top_p 0.9 --speech_top_p 0.9 --output more
  from written words, and from nothing, in a voice of your own:
  espnet2-taste continue --model taslm.zip --prompt_kind text --text "hello there" \\
      --voice me.wav --output more
  espnet2-taste continue --model taslm.zip --prompt_kind unconditional \\
      --num_samples 20 --text_top_p 0.9 --voice me.wav --output samples

--output receives codes.scp, words and wav.scp of the continuations, without the
beginnings; it can itself be given as --codes.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the sub-command."""
    arguments.add_model_arguments(parser)
    arguments.add_output_arguments(parser)
    arguments.add_wav_arguments(parser)
    arguments.add_codes_arguments(parser)
    arguments.add_voice_arguments(parser)
    add_prompt_arguments(parser)
    add_generation_arguments(parser)


def add_generation_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how words and codes are drawn; what is not given is the model's setting."""
    add, default = parser.add_argument, "(default: the setting of the model)"
    positive, share = arguments.number(float, 0.01), arguments.number(float, 0, 1)
    texts = {
        "max_words": (arguments.COUNT, "Most words of a continuation"),
        "min_words": (arguments.COUNT, "Fewest words of a continuation"),
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
    for name, (kind, text) in texts.items():
        add(f"--{name}", type=kind, help=f"{text} {default}")


@dataclass(frozen=True)
class ContinueJob(Job):
    """Continues utterances and speaks what was added.

    Attributes:
        given: The beginnings.
        model: What ``from_pretrained`` takes.
        cache_dir: Where archives are unpacked.
        sampling: Fields of ``UnitSampling`` that were given.
        text: Fields of ``GenerationOptions`` that were given.
        words: Fewest and most words and the seed, where given.
    """

    given: Prompts
    model: str
    cache_dir: str | None
    sampling: dict
    text: dict
    words: dict

    def load(self, device: str):
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

    def work(self, model, names: Sequence[str], folder: Path) -> None:
        """See ``Job.work``."""
        items, voices, spoken, dropped = {}, {}, {}, {}

        def go_on(some: Sequence[str]) -> list:
            added = model.go_on(self.given.beginnings(model.tokenizer, some), some)
            speakers = self.given.voices(model.tokenizer, some)
            speech = model.tokenizer.decode_batch(added, speakers, some)
            return list(zip(added, speakers, speech))

        for batch in self.batches(names):
            for name, found in results.usable(go_on, batch, dropped).items():
                items[name], voices[name], spoken[name] = found
        results.write_tokens(folder, items, voices)
        results.write_speech(folder, spoken)
        results.write_dropped(folder, dropped)


def run(args: argparse.Namespace) -> Outcome:
    """Run the sub-command."""
    given = PROMPT_KINDS[args.prompt_kind].from_args(args)
    sampling = arguments.sampling_of(args)
    arguments.check_order(args, "min_words", "max_words")
    given_options = {k: v for k, v in vars(args).items() if v is not None}
    text = {name: given_options[name] for name in TEXT if name in given_options}
    words = {name: given_options[name] for name in WORDS if name in given_options}
    job = ContinueJob(
        arguments.switches_of(args, ["num_samples"]),
        args.batch_size,
        given,
        args.model,
        args.cache_dir,
        sampling,
        text,
        words,
    )
    outcome = run_job(job, given.inputs, **arguments.division(args))
    results.show_speech(outcome.output)
    return outcome
