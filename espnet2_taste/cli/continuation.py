"""``espnet2-taste continue``: a spoken language model goes on where something stops."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet2_taste.cli import arguments, results
from espnet2_taste.cli.parts import Job, Outcome, run_job
from espnet2_taste.cli.prompts import PROMPT_KINDS, Prompts, add_prompt_arguments
from espnet2_taste.cli.resynthesize import sampling_of

SUMMARY = "beginnings, mostly spoken -> more words with codes, and speech"
EXAMPLE = """examples:
  espnet2-taste continue --model taslm.zip --wav hello.wav --text "hello there" \\
      --output more
  espnet2-taste continue --model taslm.zip --codes tokens --max_words 12 \\
      --text_top_p 0.9 --taste_top_p 0.9 --output more
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
    arguments.add_wav_arguments(parser)
    arguments.add_codes_arguments(parser)
    arguments.add_voice_arguments(parser)
    add_prompt_arguments(parser)
    add = parser.add_argument
    add("--max_words", type=int, default=16, help="Most words of a continuation")
    add("--min_words", type=int, default=1, help="Fewest words")
    add("--text_top_p", type=float, default=0.0, help="0: the likeliest token")
    add("--text_temperature", type=float, default=1.0, help="Below 1 sharpens")
    add("--repetition_penalty", type=float, default=1.0, help="Above 1 repeats less")
    add("--taste_top_p", type=float, default=0.0, help="0: the likeliest codes")


@dataclass(frozen=True)
class ContinueJob(Job):
    """Continues utterances and speaks what was added.

    Attributes:
        given: The beginnings.
        model: What ``from_pretrained`` takes.
        cache_dir: Where archives are unpacked.
        sampling: Options of ``UnitSampling``.
        text: Options of ``GenerationOptions``.
        words: Fewest and most words.
    """

    given: Prompts
    model: str
    cache_dir: str | None
    sampling: dict
    text: dict
    words: dict

    def load(self, device: str):
        """See ``Job.load``."""
        from espnet2_taste.inference import SpokenLM, UnitSampling
        from espnet2_taste.slm.generation import GenerationOptions

        return SpokenLM.from_pretrained(
            self.model,
            self.cache_dir,
            device=device,
            sampling=UnitSampling(**self.sampling),
            options=GenerationOptions(**self.text),
            seed=self.sampling["seed"],
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
    sampling = sampling_of(args)
    names = ("text_top_p", "text_temperature", "repetition_penalty", "taste_top_p")
    text = {name: getattr(args, name) for name in names}
    words = {name: getattr(args, name) for name in ("max_words", "min_words")}
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
    return run_job(job, given.inputs, **arguments.division(args))
