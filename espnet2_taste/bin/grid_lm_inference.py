"""Continue spoken prompts with any design of the comparison.

Enters: the experiment of a design (for the cascade its YAML, a text LM and a text-only
TASTE experiment), a unit vocoder, and sets with ``text``, ``units``, word times and
``spembs.scp``; the prompt is the first words of an utterance, as many as the set's
``prompt_words`` says. Leaves <output_dir>/<set>: ``text``, ``units``, ``empty.tsv`` and
``wav.scp`` of the continuations alone, the same of prompts (their own units) and of
both together in ``prompt/`` and ``full/``, and ``speed.tsv``. Finished sets are kept.
"""

import argparse
import time
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser
from espnet2.utils.types import str2bool

from espnet2_taste.bin.command import run_command
from espnet2_taste.speech_decoder.sampling_options import (
    UnitSampling,
    add_unit_sampling_arguments,
)

_EXAMPLE = """examples:
  python -m espnet2_taste.bin.grid_lm_inference --exp exp/gslm \\
      --durations exp/unit_durations --unit_vocoder_exp exp/unit_vocoder \\
      --sets prompts --output_dir exp/gslm/continuation
  cascade: --exp conf/systems/cascade.yaml --lm exp/llm_base \\
      --taste_exp exp/taste_text_only (in place of --durations)
"""

PARTS = ("prompt", "full", ".")
"""Folders of the results; the continuation alone comes last."""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = ArgumentParser(
        description="Continue spoken prompts with any design",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--exp", required=True, help="Experiment, or the YAML of the cascade")
    add("--model_file", help="Checkpoint, default: the best one")
    add("--lm", help="Text LM of the cascade")
    add("--taste_exp", help="Text-only TASTE experiment that speaks the cascade")
    add("--durations", help="Folder of fit_durations, for deduplicated units")
    add("--unit_vocoder_exp", required=True, help="Its experiment directory")
    add("--dump_dir", default="dump/raw", help="Where the sets are")
    add("--sets", required=True, help="Names of sets, one string")
    add("--ctm", default="ctm", help="File with word times in the sets")
    add("--output_dir", required=True, help="Parent of the results")
    add("--prompt_words", type=int, default=4, help="Without a prompt_words table")
    add("--batch_size", type=int, default=16, help="Prompts at once")
    add("--max_seconds", type=float, default=6.0, help="Longest continuation")
    add("--min_seconds", type=float, default=0.0, help="Shortest continuation")
    add("--text_top_p", type=float, default=0.0, help="0 takes the likeliest token")
    add("--text_temperature", type=float, default=1.0, help="Of the text")
    add("--speech_top_p", type=float, default=0.95, help="0 takes the likeliest unit")
    add("--speech_temperature", type=float, default=0.8, help="Of the units")
    add("--speech_top_k", type=int, default=0, help="Candidates of a unit, 0 for all")
    add("--speech_only", type=str2bool, default=True, help="Ban changing to text")
    add("--seed", type=int, default=0, help="Of all sampling")
    add("--ngpu", type=int, default=0, help="0 for the CPU")
    add("--log_level", default="INFO", help="Level of messages")
    add_unit_sampling_arguments(parser)
    return parser


def build_continuer(args: argparse.Namespace, device: str):
    """Load the design.

    Args:
        args: Options.
        device: Where it goes.

    Returns:
        A ``GridContinuer``.
    """
    from espnet2_taste.slm.grid_generation import GridSampling, IdSampling
    from espnet2_taste.slm.grid_inference import (
        GridContinuer,
        build_untrained,
        load_grid_lm_exp,
    )

    if args.lm:
        loaded = build_untrained(args.exp, args.lm, args.lm, device)
    else:
        loaded = load_grid_lm_exp(args.exp, args.model_file, device)
    speech = (args.speech_top_p, args.speech_temperature, args.speech_top_k)
    sampling = GridSampling(
        IdSampling(args.text_top_p, args.text_temperature),
        IdSampling(*speech),
        args.speech_only,
    )
    seconds = (args.min_seconds, args.max_seconds)
    return GridContinuer(*loaded, sampling, seconds, args.seed)


def build_writer(args: argparse.Namespace, layout, device: str):
    """Load what makes units of what the design says.

    Args:
        args: Options.
        layout: Of the design.
        device: Where it goes.

    Returns:
        An ``AbsUnitWriter``.

    Raises:
        ValueError: Something that the design needs was not given.
    """
    from espnet2_taste.slm.grid_inference import OwnUnits, UnitsFromText
    from espnet2_taste.units.durations import UnitDurationPredictor

    if args.taste_exp:
        from espnet2_taste.tokenizer.inference import TasteEncoder

        encoder = TasteEncoder.from_exp(args.taste_exp, None, device)
        return UnitsFromText(UnitSampling.from_options(vars(args)).generator(encoder))
    if args.lm:
        raise ValueError("a text LM writes no units: give --taste_exp, a text-only one")
    if not layout.deduplicates:
        return OwnUnits(None)
    if not args.durations:
        raise ValueError(
            f"{args.exp} leaves repeated units out: give --durations (fit_durations)"
        )
    return OwnUnits(UnitDurationPredictor.load(args.durations))


def prompt_lengths(folder: Path, names, default: int) -> dict[str, int]:
    """Words of each prompt of a set; those of its table, or all alike."""
    from espnet2_taste.data.prompt_words import read_prompt_words

    counts = read_prompt_words(folder)
    if counts is None:
        return {name: default for name in names}
    return {name: count for name, count in counts.items() if name in names}


def read_prompts(folder: Path, continuer, args: argparse.Namespace) -> tuple:
    """Beginnings of the utterances of a set.

    Args:
        folder: The set.
        continuer: Knows layout and tokenizer.
        args: Options.

    Returns:
        Beginnings and their texts, by utterance id.
    """
    from espnet2_taste.slm.grid_sets import read_fields

    needs = (continuer.layout.needs | {"units", "word_times"}) - {"codes"}
    fields = read_fields(folder, args.ctm, needs)
    prompts, texts = {}, {}
    for name, count in prompt_lengths(folder, fields, args.prompt_words).items():
        utterance = continuer.preprocessor.reader(name, fields[name])
        prompts[name] = utterance.first(min(count, len(utterance.words)))
        texts[name] = " ".join(fields[name]["text"].split()[:count])
    return prompts, texts


def parts_of(before: str, prompt, said, own) -> dict[str, tuple]:
    """Text and units of the prompt, of both together, and of the continuation.

    Args:
        before: Text of the prompt.
        prompt: Its ``Utterance``.
        said: ``SpokenText``.
        own: Units of the continuation, (U,).

    Returns:
        Text and units by part.
    """
    import torch

    first = torch.tensor([frame[0] for frame in prompt.units])
    whole = f"{before} {said.text}".strip()
    return {
        "prompt": (before, first),
        "full": (whole, torch.cat([first, own])),
        ".": (said.text, own),
    }


def write_speed(path: Path, said: list, seconds: float) -> None:
    """Write how much was generated in how many seconds; it marks a set as done."""
    from espnet2_taste.data.ctm import write_rows

    rows = sum(item.rows for item in said)
    ended = 100 * sum(item.ended for item in said) / max(len(said), 1)
    header = ("utterances", "rows", "seconds", "rows_per_second", "ended_percent")
    speed = f"{rows / max(seconds, 1e-9):.1f}"
    write_rows(
        path, header, [(len(said), rows, f"{seconds:.2f}", speed, f"{ended:.1f}")]
    )


def continue_set(continuer, writer, speaker, folder: Path, output: Path, args) -> None:
    """Continue and speak one set.

    Args:
        continuer: ``GridContinuer``.
        writer: ``AbsUnitWriter``.
        speaker: ``UnitSpeaker``.
        folder: The set.
        output: Where the files go.
        args: Options.
    """
    import numpy as np
    import torch
    import tqdm

    from espnet2_taste.speech_decoder.resynthesis import look_up, read_spembs

    prompts, before = read_prompts(folder, continuer, args)
    table, order = read_spembs(folder), sorted(prompts, key=lambda n: len(before[n]))
    results: dict[str, dict[str, tuple]] = {part: {} for part in PARTS}
    everything, seconds = [], 0.0
    for start in tqdm.tqdm(range(0, len(order), args.batch_size), desc=output.name):
        names = order[start : start + args.batch_size]
        spembs = torch.from_numpy(np.stack(look_up(table, names, folder)))
        begin = time.perf_counter()
        said = continuer(names, [prompts[name] for name in names])
        seconds += time.perf_counter() - begin
        everything += said
        for name, item, own in zip(names, said, writer(names, said, spembs)):
            for part, pair in parts_of(before[name], prompts[name], item, own).items():
                results[part][name] = pair
        for part, found in results.items():
            speaker(output / part, names, [found[n][1] for n in names], spembs)
    for part, found in results.items():
        texts = {name: text for name, (text, _) in found.items()}
        speaker.write_tables(
            output / part, texts, {n: u for n, (_, u) in found.items()}
        )
    write_speed(output / "speed.tsv", everything, seconds)


def run(args: argparse.Namespace) -> None:
    """Continue the sets that are not done, with one model."""
    outputs = {name: Path(args.output_dir) / name for name in args.sets.split()}
    waiting = {n: p for n, p in outputs.items() if not (p / "speed.tsv").is_file()}
    if not waiting:
        print("grid_lm_inference: all sets are done")
        return
    from espnet2_taste.speech_decoder.unit_speaker import UnitSpeaker
    from espnet2_taste.vocoder.loading import load_unit_vocoder

    device = "cuda" if args.ngpu else "cpu"
    continuer = build_continuer(args, device)
    writer = build_writer(args, continuer.layout, device)
    speaker = UnitSpeaker(load_unit_vocoder(args.unit_vocoder_exp, device))
    for name, output in waiting.items():
        folder = Path(args.dump_dir) / name
        continue_set(continuer, writer, speaker, folder, output, args)
        print(f"{output}: done")


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
