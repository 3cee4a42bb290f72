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

from espnet2_taste.bin.command import Command, add_shared
from espnet2_taste.data.parts import only_listed, set_of
from espnet2_taste.data.set_loop import finish_sets
from espnet2_taste.inference import continued_sets
from espnet2_taste.inference.loading import (
    build_untrained,
    load_spoken_lm,
    load_unit_vocoder,
)
from espnet2_taste.inference.prompt_sets import PROMPT_KINDS, AudioPrompts
from espnet2_taste.inference.sampling_options import (
    UnitSampling,
    add_unit_sampling_arguments,
)
from espnet2_taste.option_fields import add_field_options
from espnet2_taste.tasks.fitting import check_speakable

_OF_TASLM = {
    "prompt_kind": "audio",
    "stop_token": None,
    "reference_compat": False,
}
"""Options that other designs cannot follow, with their defaults."""


def add_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run`."""
    add = parser.add_argument
    add("--exp", required=True, help="Experiment, or the YAML of the cascade")
    add("--model_file", help="Checkpoint, default: the best one")
    add("--lm", help="Text LM of the cascade")
    add("--taste_exp", help="TASTE experiment: of TASLM's codes, or the cascade's")
    add("--taste_model_file", help="TASTE checkpoint, default: the best one")
    add("--durations", help="Folder of units durations, for deduplicated units")
    add("--unit_vocoder_exp", required=True, help="Its experiment directory")
    add("--codes_dir", help="Parent of <set>/codes.scp, default: <taste_exp>/codes")
    add("--ctm", default="ctm", help="File with word times in the sets")
    add("--output_dir", type=Path, required=True, help="Parent of the results")
    add("--batch_size", type=int, default=16, help="Prompts at once")
    add("--seed", type=int, default=0, help="Of text, codes and units")
    add_shared(parser, "dump_dir", "sets", "ids_dir", "parts_dir", "ngpu")
    add_shared(parser, "audio_format")
    add_prompt_arguments(parser)
    add_sampling_arguments(parser)


def add_prompt_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is continued."""
    add = parser.add_argument
    add(
        "--prompt_kind",
        choices=list(PROMPT_KINDS),
        default="audio",
        help="audio: first words as spoken; text: lines of the set's text; "
        "unconditional: nothing; instruct: utterances as turns that are answered",
    )
    add(
        "--prompt_words",
        type=int,
        help="Words of a prompt without a prompt_words table, 0 for all; default: 4 of "
        "audio, all of other kinds",
    )
    add("--num_samples", type=int, default=8, help="With unconditional")
    add(
        "--turn_frame",
        nargs=2,
        metavar=("BEFORE", "AFTER"),
        help="Text around each utterance with instruct; default: the chat "
        "template of the text LM's tokenizer",
    )


def add_sampling_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how text, codes and units are drawn and when speech ends."""
    from espnet2_taste.slm.limits import Limits
    from espnet2_taste.slm.sampling import GenerationOptions

    add = parser.add_argument
    add_field_options(parser, Limits)
    add("--stop_token", help="Text token that ends speech; default: as trained")
    add_field_options(parser, GenerationOptions)
    add_unit_sampling_arguments(parser)


def stop_id(token: str | None, tokenizer) -> int | None:
    """Id of the text token that ends TASLM's speech; None for the one of training.

    Args:
        token: It as text, or None.
        tokenizer: The text LM's, of ``transformers``.

    Raises:
        ValueError: It does not exist.
    """
    found = None if token is None else tokenizer.get_vocab().get(token)
    if token is not None and found is None:
        raise ValueError(
            f"--stop_token {token}: expected a token of the text LM; its special ones "
            f"are {tokenizer.all_special_tokens}"
        )
    return found


def options_of(args: argparse.Namespace, class_: type):
    """An instance of a dataclass whose fields are options."""
    from dataclasses import fields

    return class_(**{field.name: getattr(args, field.name) for field in fields(class_)})


def build_unit_generator(args: argparse.Namespace, device: str):
    """Load the unit decoder of ``--taste_exp``.

    Raises:
        ValueError: It was not given.
    """
    from espnet2_taste.inference.taste_encoder import TasteEncoder

    if not args.taste_exp:
        raise ValueError(
            f"{args.exp} writes no units: give --taste_exp, the experiment whose codes "
            "it writes, for the cascade a text-only one"
        )
    encoder = TasteEncoder.from_exp(args.taste_exp, args.taste_model_file, device)
    return UnitSampling.from_options(vars(args)).generator(encoder)


def build_taslm(args: argparse.Namespace, model, preprocessor, vocoder, device: str):
    """TASLM with the decoder of its codes: ``TaslmDesign``."""
    from espnet2_taste.inference.continuer import TaslmContinuer
    from espnet2_taste.inference.designs import TaslmDesign
    from espnet2_taste.inference.speakers import CodeSpeaker
    from espnet2_taste.slm.limits import Limits
    from espnet2_taste.slm.sampling import GenerationOptions

    end = stop_id(args.stop_token, preprocessor.reader.tokenizer.tokenizer)
    how = (options_of(args, Limits), options_of(args, GenerationOptions))
    continuer = TaslmContinuer(model, preprocessor, *how, args.seed, end)
    generator = build_unit_generator(args, device)
    unit_decoder = generator.encoder.model.unit_decoder
    check_speakable(unit_decoder, vocoder, args.taste_exp, args.unit_vocoder_exp)
    frame = tuple(args.turn_frame) if args.turn_frame else None
    kind = PROMPT_KINDS[args.prompt_kind]
    prompt_set = kind(args.prompt_words, args.num_samples, frame)
    codes_dir = Path(args.codes_dir or Path(args.taste_exp) / "codes")
    speaker = CodeSpeaker(vocoder, generator, args.audio_format)
    return TaslmDesign(continuer, speaker, prompt_set, codes_dir)


def build_writer(args: argparse.Namespace, layout, device: str):
    """Load what makes units of what a design writes: an ``AbsUnitWriter``.

    Raises:
        ValueError: Something that the design needs was not given.
    """
    from espnet2_taste.inference.unit_writers import UnitsFromText, unit_writer

    if args.lm:
        return UnitsFromText(build_unit_generator(args, device))
    return unit_writer(layout, args.durations, "--durations")


def build_grid(args: argparse.Namespace, model, preprocessor, vocoder, device: str):
    """A design that writes a grid: ``GridDesign``.

    Raises:
        ValueError: An option that has no effect on other designs than TASLM.
    """
    from espnet2_taste.inference.designs import GridDesign
    from espnet2_taste.inference.speakers import UnitSpeaker
    from espnet2_taste.inference.unit_continuer import UnitContinuer
    from espnet2_taste.slm.limits import Limits
    from espnet2_taste.slm.sampling import GenerationOptions

    for name, default in _OF_TASLM.items():
        if (value := getattr(args, name)) != default:
            raise ValueError(
                f"--{name} {value}: only TASLM knows it, {args.exp} is of another "
                "design; leave it out for all that are compared"
            )
    how = (options_of(args, Limits), options_of(args, GenerationOptions))
    writer = build_writer(args, preprocessor.layout, device)
    speaker = UnitSpeaker(vocoder, args.audio_format)
    count = AudioPrompts(args.prompt_words).words
    continuer = UnitContinuer(model, preprocessor, *how, writer, args.seed)
    return GridDesign(continuer, speaker, args.ctm, count)


def build_design(args: argparse.Namespace, device: str):
    """Load what the options describe: an ``AbsDesign``."""
    if args.lm:
        model, preprocessor = build_untrained(args.exp, args.lm, device)
    else:
        model, preprocessor = load_spoken_lm(args.exp, args.model_file, device)
    build = build_taslm if "codes" in preprocessor.layout.needs else build_grid
    vocoder = load_unit_vocoder(args.unit_vocoder_exp, device)
    return build(args, model, preprocessor, vocoder, device)


def run(args: argparse.Namespace) -> None:
    """Continue the sets that are not done, with one model, or join their parts."""

    def work(design, output: Path) -> str:
        part = str(output.relative_to(args.output_dir))
        folder = args.dump_dir / set_of(part)
        choose = partial(only_listed, ids_dir=args.ids_dir, name=part)
        options = (args.batch_size, choose)
        count = continued_sets.continue_set(design, folder, output, *options)
        return f"{count} continuations"

    finish_sets(
        "slm_inference",
        [args.output_dir / name for name in args.sets.split()],
        lambda output: (output / "speed.tsv").is_file(),
        lambda: build_design(args, "cuda" if args.ngpu else "cpu"),
        work,
        args.parts_dir,
        partial(
            continued_sets.join_continuations,
            folders=PROMPT_KINDS[args.prompt_kind].folders,
        ),
    )


main = Command(run, add_options, __doc__)

if __name__ == "__main__":
    main()
