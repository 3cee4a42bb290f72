"""Continue spoken prompts with a spoken language model (stage 12).

Enters: a TASLM experiment, the TASTE experiment whose codes it speaks, a unit vocoder,
and sets with codes (stage 9) and ``spembs.scp``; the prompt is the first words of an
utterance, as many as ``prompt_words`` (``utt``, ``n_words``) of the set says. Leaves
<output_dir>/<set>: ``text``, ``codes.scp``, ``units`` and ``wav.scp`` of the
continuations alone; the same of the prompts and of both together in ``prompt/`` and
``full/``. Finished sets are kept.
"""

import argparse
import sys
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser
from espnet2.utils.types import str2bool

from espnet2_taste.speech_decoder.sampling_options import (
    add_unit_sampling_arguments,
    unit_sampling,
)

_EXAMPLE = """example:
  python -m espnet2_taste.bin.taslm_inference --config conf/decode_taslm.yaml \\
      --taslm_exp exp/taslm_embed --taste_exp exp/taste_vq \\
      --unit_vocoder_exp exp/unit_vocoder --dump_dir dump/raw --sets prompts \\
      --output_dir exp/taslm_embed/continuation
"""
PARTS = ("prompt", "full", ".")
"""Folders of the results; the continuation alone comes last and marks the set done."""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = ArgumentParser(
        description="Continue spoken prompts with a spoken language model",
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
    add("--prompt_words", type=int, default=4, help="Without a prompt_words table")
    add("--batch_size", type=int, default=16, help="Prompts at once")
    add("--seed", type=int, default=0, help="Of text, codes and units")
    add("--ngpu", type=int, default=0, help="0 for the CPU")
    add("--log_level", default="INFO", help="Level of messages")
    add_sampling_arguments(parser)
    return parser


def add_sampling_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how text, codes and units are drawn and when speech ends."""
    add = parser.add_argument
    add("--max_words", type=int, default=16, help="Most words of a continuation")
    add("--min_words", type=int, default=1, help="Fewest words")
    add("--sentence_end_after", type=int, help="Words after which '.' ends speech too")
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


def stop_rules(args: argparse.Namespace, end_id: int):
    """When speech ends.

    Args:
        args: Options.
        end_id: Text token that ends speech.

    Returns:
        ``StopRules``.

    Raises:
        ValueError: The published rules lack the one number they need.
    """
    from espnet2_taste.slm.stepper import StopRules

    if not args.reference_compat:
        return StopRules(
            end_id=end_id,
            max_words=args.max_words,
            min_words=args.min_words,
            sentence_end_after=args.sentence_end_after,
        )
    if args.sentence_end_after is None:
        raise ValueError(
            "with reference_compat a full stop ends speech after some words, three "
            "times as many end it anyway; say how many (--sentence_end_after 8)"
        )
    return StopRules.published(args.sentence_end_after)


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
    rules = stop_rules(args, model.taslm.eos_id)
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
    from espnet2_taste.speech_decoder.resynthesis import UnitGenerator
    from espnet2_taste.tasks.fitting import check_speakable
    from espnet2_taste.tokenizer.inference import TasteEncoder
    from espnet2_taste.vocoder.loading import load_unit_vocoder

    generator = UnitGenerator(
        TasteEncoder.from_exp(args.taste_exp, args.taste_model_file, device),
        seed=args.seed,
        **unit_sampling(args),
    )
    vocoder = load_unit_vocoder(args.unit_vocoder_exp, device)
    unit_decoder = generator.encoder.model.unit_decoder
    check_speakable(unit_decoder, vocoder, args.taste_exp, args.unit_vocoder_exp)
    return CodeSpeaker(generator, vocoder)


def read_prompts(folder: Path, codes_dir: Path, default_words: int) -> dict:
    """Spoken beginnings of a set.

    Args:
        folder: The set, perhaps with ``prompt_words``.
        codes_dir: Its codes.
        default_words: Words of a prompt without that table.

    Returns:
        ``WordCodes`` by utterance id.

    Raises:
        ValueError: A prompt is not shorter than its utterance allows, or unknown.
    """
    from espnet2_taste.data.ctm import read_rows
    from espnet2_taste.slm.inference import read_spoken_words

    items = read_spoken_words(codes_dir)
    if not (folder / "prompt_words").is_file():
        return {name: item.first(default_words) for name, item in items.items()}
    prompts = {}
    for row in read_rows(folder / "prompt_words"):
        name, count = row["utt"], int(row["n_words"])
        words = len(items[name].words) if name in items else 0
        if not 1 <= count <= words:
            raise ValueError(
                f"{folder / 'prompt_words'}: '{name}' asks for {count} words, but its "
                f"codes have {words}; correct the table or tokenize the set (stage 9)"
            )
        prompts[name] = items[name].first(count)
    return prompts


def continue_set(continuer, speaker, prompts: dict, spembs, args, output: Path) -> None:
    """Continue and speak one set.

    Args:
        continuer: ``TaslmContinuer``.
        speaker: ``CodeSpeaker``.
        prompts: ``WordCodes`` by utterance id.
        spembs: Speaker embeddings by utterance id.
        args: Options.
        output: Where the files go; made when absent.
    """
    import tqdm

    from espnet2_taste.slm.inference import length_batches

    results: dict[str, dict] = {part: {} for part in PARTS}
    for names in tqdm.tqdm(length_batches(prompts, args.batch_size), desc=output.name):
        given = [prompts[name] for name in names]
        added = continuer(names, given)
        together = [first + second for first, second in zip(given, added)]
        for part, items in zip(PARTS, (given, together, added)):
            spoken = speaker(output / part, names, items, spembs)
            results[part].update(zip(names, zip(items, spoken)))
    for part, result in results.items():
        speaker.write_tables(output / part, result)


def run(args: argparse.Namespace) -> None:
    """Continue the sets that are not done, with one model."""
    outputs = {name: Path(args.output_dir) / name for name in args.sets.split()}
    waiting = {n: p for n, p in outputs.items() if not (p / "wav.scp").is_file()}
    if not waiting:
        print("taslm_inference: all sets are done")
        return
    from espnet2_taste.speech_decoder.resynthesis import read_spembs

    device = "cuda" if args.ngpu else "cpu"
    codes_dir = Path(args.codes_dir or Path(args.taste_exp) / "codes")
    continuer, speaker = build_continuer(args, device), build_speaker(args, device)
    for name, output in waiting.items():
        folder = Path(args.dump_dir) / name
        prompts = read_prompts(folder, codes_dir / name, args.prompt_words)
        continue_set(continuer, speaker, prompts, read_spembs(folder), args, output)
        print(f"{output}: {len(prompts)} continuations")


def main(cmd=None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    import logging

    logging.basicConfig(level=args.log_level)
    try:
        run(args)
    except (ValueError, RuntimeError) as error:
        sys.exit(f"taslm_inference: {error}")


if __name__ == "__main__":
    main()
