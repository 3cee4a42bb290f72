"""Continue prompts with a spoken language model (stage 12).

Enters: a TASLM experiment, the TASTE experiment whose codes it speaks, a unit vocoder,
and sets with ``spembs.scp``. What a prompt is, ``--prompt_kind`` says:

- audio: the first words of an utterance with their codes (stage 9), as many as
  ``prompt_words`` (``utt``, ``n_words``) of the set says;
- text: a line of the set's ``text``, in writing only;
- unconditional: nothing, ``--num_samples`` times; the set only lends its speakers;
- instruct: an utterance with its codes as a turn of a dialogue, between the texts of
  ``--turn_frame`` or of the tokenizer's chat template; the answer is spoken.

Leaves <output_dir>/<set>: ``text``, ``codes.scp``, ``units`` and ``wav.scp`` of the
continuations alone; for audio the same of the prompts and of both together in
``prompt/`` and ``full/``. Finished sets are kept.
"""

import argparse
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser
from espnet2.utils.types import str2bool

from espnet2_taste.bin.command import run_command
from espnet2_taste.slm.prompt_sets import PROMPT_KINDS, AbsPromptSet
from espnet2_taste.speech_decoder.sampling_options import (
    UnitSampling,
    add_unit_sampling_arguments,
)

_EXAMPLE = """examples:
  python -m espnet2_taste.bin.taslm_inference --config conf/decode_taslm.yaml \\
      --taslm_exp exp/taslm_embed --taste_exp exp/taste_vq \\
      --unit_vocoder_exp exp/unit_vocoder --dump_dir dump/raw --sets prompts \\
      --output_dir exp/taslm_embed/continuation
  twenty utterances of the model's own, in the voices of the set:
    ... --prompt_kind unconditional --num_samples 20 --text_top_p 0.9 \\
      --output_dir exp/taslm_embed/samples
"""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = ArgumentParser(
        description="Continue prompts with a spoken language model",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--taslm_exp", required=True, help="TASLM experiment directory")
    add("--taslm_model_file", help="TASLM checkpoint, default: the best one")
    add("--taste_exp", required=True, help="TASTE experiment that made the codes")
    add("--taste_model_file", help="TASTE checkpoint, default: the best one")
    add("--unit_vocoder_exp", required=True, help="Its experiment directory")
    add("--dump_dir", default="dump/raw", help="Where the sets are")
    add("--codes_dir", help="Parent of <set>/codes.scp, default: <taste_exp>/codes")
    add("--sets", required=True, help="Names of sets, one string")
    add("--output_dir", required=True, help="Parent of the results")
    add("--batch_size", type=int, default=16, help="Prompts at once")
    add("--seed", type=int, default=0, help="Of text, codes and units")
    add("--ngpu", type=int, default=0, help="0 for the CPU")
    add("--log_level", default="INFO", help="Level of messages")
    add_prompt_arguments(parser)
    add_sampling_arguments(parser)
    return parser


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
    add("--num_samples", type=int, default=8, help="Of the kind unconditional")
    add(
        "--turn_frame",
        nargs=2,
        metavar=("BEFORE", "AFTER"),
        help="Text around an utterance of the kind instruct; default: the chat "
        "template of the text LM's tokenizer",
    )


def add_sampling_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how text, codes and units are drawn and when speech ends."""
    add = parser.add_argument
    add("--max_words", type=int, default=16, help="Most words of a continuation")
    add("--min_words", type=int, default=1, help="Fewest words")
    add("--sentence_end_after", type=int, help="Words after which '.' ends speech too")
    add("--stop_token", help="Text token that ends speech; default: as trained")
    add("--text_top_p", type=float, default=0.0, help="0 takes the likeliest token")
    add("--text_temperature", type=float, default=1.0, help="Of the text")
    add("--repetition_penalty", type=float, default=1.0, help="1 for none")
    add("--taste_top_p", type=float, default=0.0, help="0 takes the likeliest codes")
    add(
        "--reference_compat",
        type=str2bool,
        default=False,
        help="Published rules of sampling, vocabulary, latent head and end of speech "
        "(test/README.md); the end follows from --sentence_end_after alone",
    )
    add_unit_sampling_arguments(parser)


def stop_rules(args: argparse.Namespace, tokenizer, eos_id: int):
    """When speech ends.

    Args:
        args: Options.
        tokenizer: The text LM's, of ``transformers``.
        eos_id: Text token that ends speech in training.

    Returns:
        ``StopRules``.

    Raises:
        ValueError: The stop token does not exist, or the published rules lack the one
            number they need.
    """
    from espnet2_taste.slm.stepper import StopRules

    stop_id = None
    if args.stop_token is not None:
        stop_id = tokenizer.get_vocab().get(args.stop_token)
        if stop_id is None:
            raise ValueError(
                f"--stop_token {args.stop_token}: expected a token of the text LM; its "
                f"special ones are {tokenizer.all_special_tokens}"
            )
    if not args.reference_compat:
        return StopRules(
            end_id=eos_id if stop_id is None else stop_id,
            max_words=args.max_words,
            min_words=args.min_words,
            sentence_end_after=args.sentence_end_after,
        )
    if args.sentence_end_after is None:
        raise ValueError(
            "with reference_compat a full stop ends speech after some words, three "
            "times as many end it anyway; say how many (--sentence_end_after 8)"
        )
    return StopRules.published(args.sentence_end_after, stop_id)


def build_continuer(args: argparse.Namespace, device: str):
    """Load the language model.

    Args:
        args: Options.
        device: Where it goes.

    Returns:
        A ``TaslmContinuer``.
    """
    from espnet2_taste.slm.generation import GenerationOptions
    from espnet2_taste.slm.inference import TaslmContinuer, load_taslm_exp

    model, preprocessor = load_taslm_exp(args.taslm_exp, args.taslm_model_file, device)
    tokenizer = preprocessor.tokenizer.tokenizer
    rules = stop_rules(args, tokenizer, model.taslm.eos_id)
    options = GenerationOptions(
        text_top_p=args.text_top_p,
        text_temperature=args.text_temperature,
        repetition_penalty=args.repetition_penalty,
        taste_top_p=args.taste_top_p,
        reference_compat=args.reference_compat,
    )
    return TaslmContinuer(model, preprocessor, rules, options, args.seed)


def build_speaker(args: argparse.Namespace, device: str):
    """Load what turns words with codes into speech.

    Args:
        args: Options.
        device: Where it goes.

    Returns:
        A ``CodeSpeaker``.
    """
    from espnet2_taste.speech_decoder.code_speaker import CodeSpeaker
    from espnet2_taste.tasks.fitting import check_speakable
    from espnet2_taste.tokenizer.inference import TasteEncoder
    from espnet2_taste.vocoder.loading import load_unit_vocoder

    encoder = TasteEncoder.from_exp(args.taste_exp, args.taste_model_file, device)
    generator = UnitSampling.from_options(vars(args)).generator(encoder)
    vocoder = load_unit_vocoder(args.unit_vocoder_exp, device)
    unit_decoder = generator.encoder.model.unit_decoder
    check_speakable(unit_decoder, vocoder, args.taste_exp, args.unit_vocoder_exp)
    return CodeSpeaker(generator, vocoder)


def build_prompt_set(args: argparse.Namespace) -> AbsPromptSet:
    """The kind of prompts that the options name."""
    frame = tuple(args.turn_frame) if args.turn_frame else None
    return PROMPT_KINDS[args.prompt_kind](args.prompt_words, args.num_samples, frame)


def continue_set(
    prompt_set: AbsPromptSet, continuer, speaker, args, folder: Path, output: Path
) -> int:
    """Continue and speak one set.

    Args:
        prompt_set: The kind of its prompts.
        continuer: ``TaslmContinuer``.
        speaker: ``CodeSpeaker``.
        args: Options.
        folder: The set.
        output: Where the files go; made when absent.

    Returns:
        Number of continuations.
    """
    import tqdm

    from espnet2_taste.slm.inference import length_batches

    codes_dir = Path(args.codes_dir or Path(args.taste_exp) / "codes")
    prompts = prompt_set.read(folder, codes_dir / folder.name)
    spembs = prompt_set.voices(folder, list(prompts))
    results: dict[str, dict] = {part: {} for part in prompt_set.folders}
    for names in tqdm.tqdm(length_batches(prompts, args.batch_size), desc=output.name):
        given = [prompts[name] for name in names]
        added = continuer(names, given)
        parts = prompt_set.parts(given, added)
        for part, items in zip(prompt_set.folders, parts, strict=True):
            spoken = speaker(output / part, names, items, spembs)
            results[part].update(zip(names, zip(items, spoken)))
    for part, result in results.items():
        speaker.write_tables(output / part, result)
    return len(prompts)


def run(args: argparse.Namespace) -> None:
    """Continue the sets that are not done, with one model."""
    outputs = {name: Path(args.output_dir) / name for name in args.sets.split()}
    waiting = {n: p for n, p in outputs.items() if not (p / "wav.scp").is_file()}
    if not waiting:
        print("taslm_inference: all sets are done")
        return
    device = "cuda" if args.ngpu else "cpu"
    prompt_set = build_prompt_set(args)
    continuer, speaker = build_continuer(args, device), build_speaker(args, device)
    for name, output in waiting.items():
        folder = Path(args.dump_dir) / name
        count = continue_set(prompt_set, continuer, speaker, args, folder, output)
        print(f"{output}: {count} continuations")


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
