"""Continue prompts with a spoken language model of any design (stages 12 and 16).

Enters: an experiment, a unit vocoder, what makes units of its output, and sets with
``spembs.scp``:

- TASLM: the TASTE experiment whose codes it writes, and the sets' codes (stage 9);
- designs that write units: ``--durations`` if they leave repetitions out, and sets with
  ``text``, ``units`` and word times;
- the cascade: its YAML in place of an experiment, ``--lm`` and a text-only TASTE
  experiment.

What a prompt is, ``--prompt_kind`` says; designs other than TASLM know the first:

- audio: the first words of an utterance, as many as the set's ``prompt_words``
  (``utt``, ``n_words``) says;
- text: a line of the set's ``text``, in writing only;
- unconditional: nothing, ``--num_samples`` times; the set only lends its speakers;
- instruct: an utterance with its codes as a turn of a dialogue, between the texts of
  ``--turn_frame`` or of the tokenizer's chat template; the answer is spoken.

Sampling and limits are the same for every design. Leaves <output_dir>/<set>: ``text``,
``units``, ``empty.tsv`` and ``wav.scp`` of the continuations alone; for audio the same
of the prompts and of both together in ``prompt/`` and ``full/``; and, last,
``speed.tsv``. Finished sets are kept.

Examples:
  python -m espnet2_taste.bin.slm_inference --config conf/decode_slm.yaml \\
      --exp exp/taslm_embed --taste_exp exp/taste_vq \\
      --unit_vocoder_exp exp/unit_vocoder --dump_dir dump/raw --sets prompts \\
      --output_dir exp/taslm_embed/continuation
  another design:
    ... --exp exp/gslm --durations exp/unit_durations \\
      --output_dir exp/gslm/continuation
  the cascade:
    ... --exp conf/systems/cascade.yaml --lm exp/llm_base \\
      --taste_exp exp/taste_text_only --output_dir exp/cascade/continuation
  twenty utterances of the model's own, in the voices of the set:
    ... --prompt_kind unconditional --num_samples 20 --text_top_p 0.9 \\
      --output_dir exp/taslm_embed/samples
"""

import argparse
from functools import partial
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser

from espnet2_taste.bin.command import Command, add_shared, finish
from espnet2_taste.data.parts import only_listed, set_of
from espnet2_taste.inference import continued_sets
from espnet2_taste.inference.prompt_sets import PROMPT_KINDS, add_prompt_arguments
from espnet2_taste.inference.sampling_options import add_unit_sampling_arguments
from espnet2_taste.option_fields import add_field_options


def add_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run`."""
    add = parser.add_argument
    add("--exp", required=True, help="Experiment, or the YAML of the cascade")
    add("--lm", help="Text LM of the cascade")
    add("--taste_exp", help="TASTE experiment: of TASLM's codes, or the cascade's")
    add("--taste_model_file", help="TASTE checkpoint, default: the best one")
    add("--durations", help="Folder of units durations, for deduplicated units")
    add("--unit_vocoder_exp", required=True, help="Its experiment directory")
    add("--codes_dir", help="Parent of <set>/codes.scp, default: <taste_exp>/codes")
    add("--output_dir", type=Path, required=True, help="Parent of the results")
    add("--batch_size", type=int, default=16, help="Prompts at once")
    add_shared(parser, "dump_dir", "sets", "ids_dir", "parts_dir", "ngpu", "seed")
    add_shared(parser, "model_file", "ctm")
    add_shared(parser, "audio_format")
    add_prompt_arguments(parser)
    parser.add_argument(
        "--prompt_words",
        type=int,
        help="Words of a prompt without a prompt_words table, 0 for all; default: 4 of "
        "audio, all of other kinds",
    )
    add_sampling_arguments(parser)


def add_sampling_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how text, codes and units are drawn and when speech ends."""
    from espnet2_taste.slm.limits import Limits
    from espnet2_taste.slm.sampling import GenerationOptions

    add = parser.add_argument
    add_field_options(parser, Limits)
    add("--stop_token", help="Text token that ends speech; default: as trained")
    add_field_options(parser, GenerationOptions)
    add_unit_sampling_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Continue the sets that are not done, with one model, or join their parts."""

    def load():
        from espnet2_taste.inference.designs import build_design

        return build_design(args)

    def work(design, output: Path) -> str:
        part = str(output.relative_to(args.output_dir))
        folder = args.dump_dir / set_of(part)
        choose = partial(only_listed, ids_dir=args.ids_dir, name=part)
        options = (args.batch_size, choose)
        count = continued_sets.continue_set(design, folder, output, *options)
        return f"{count} continuations"

    folders = PROMPT_KINDS[args.prompt_kind]
    finish(
        args,
        lambda output: (output / "speed.tsv").is_file(),
        *(load, work),
        partial(continued_sets.join_continuations, folders=folders),
        args.output_dir,
    )


main = Command(run, add_options, __doc__)

if __name__ == "__main__":
    main()
