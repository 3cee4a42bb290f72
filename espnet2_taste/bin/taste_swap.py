"""Exchange the codes of chosen words between two readings of a text (stages 10, 17).

Enters: a TASTE experiment with the codes of two swap sets, a unit vocoder, the
recipe's ASR and ``pairs.tsv`` of the first set: two columns of utterances, titled by
what the readings are (``slow`` and ``fast``, or two voices). Leaves in --output_dir:
audio before (``own``) and after (``swapped``), ``words.tsv``, ``images`` and
``scores.json``.

Examples:
    python -m espnet2_taste.bin.taste_swap --taste_exp exp/taste_vq \\
        --unit_vocoder_exp exp/unit_vocoder --recognizer exp/asr --dump_dir dump/raw \\
        --sets "swap_slow swap_fast" --output_dir exp/taste_vq/swap
    two voices:
    python -m espnet2_taste.bin.taste_swap ... --sets "swap_woman swap_man" \\
        --study swap_voices --output_dir exp/taste_vq/swap_voices
"""

import argparse
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser

from espnet2_taste.bin.command import Command, add_shared, save_study
from espnet2_taste.data.arks import ArkTable
from espnet2_taste.data.ctm import read_rows
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.inference.loading import load_unit_vocoder
from espnet2_taste.inference.sampling_options import (
    UnitSampling,
    add_unit_sampling_arguments,
    unit_sampling_settings,
)
from espnet2_taste.metrics.swap import measure_leakage, score_pitch_swaps, score_swaps
from espnet2_taste.recognizers.options import LazyAligner, add_recognizer_arguments
from espnet2_taste.tasks.fitting import check_speakable


def add_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run`."""
    add = parser.add_argument
    add("--taste_exp", required=True, help="TASTE with codes")
    add("--model_file", help="TASTE checkpoint, default: the best one")
    add("--codes_dir", help="Default: codes in the experiment")
    add("--unit_vocoder_exp", required=True, help="Its experiment")
    add_recognizer_arguments(parser, required=True)
    add("--sets", required=True, help="The two sets, one string")
    add("--output_dir", required=True, help="Directory of the study")
    add("--study", default="swap", help="Its name in RESULTS.md")
    add("--share", type=float, default=0.25, help="Words to swap")
    add("--batch_size", type=int, default=16, help="Readings at once")
    add("--seed", type=int, default=0, help="Of choice and sampling")
    add_unit_sampling_arguments(parser)
    add_shared(parser, "dump_dir", "ngpu")


def read_material(args: argparse.Namespace) -> tuple[list, dict, dict, dict]:
    """Pairs, texts, codes and speaker embeddings of the swap sets.

    Args:
        args: Options.

    Returns:
        Rows of ``pairs.tsv``; the others by utterance.

    Raises:
        ValueError: A file is missing.
    """
    from espnet2_taste.inference.resynthesis import read_spembs

    codes_dir = Path(args.codes_dir or Path(args.taste_exp) / "codes")
    folders = [Path(args.dump_dir) / name for name in args.sets.split()]
    texts, codes, spembs = {}, {}, {}
    for folder in folders:
        scp = codes_dir / folder.name / "codes.scp"
        table = ArkTable(scp, "run taste_tokenize (stage 9) first")
        texts |= read_table(folder / "text")
        codes |= {name: array.astype("int64") for name, array in table.items()}
        spembs |= dict(read_spembs(folder).items())
    return read_rows(folders[0] / "pairs.tsv"), texts, codes, spembs


def build_tools(args: argparse.Namespace, spembs: dict):
    """Function from readings and codes to a batch of units, and the vocoder.

    The sampling noise of a reading depends on its name and the seed alone, so it is
    the same before and after the swap.
    """
    from espnet2_taste.inference.resynthesis import UnitBatch, look_up_speakers
    from espnet2_taste.inference.taste_encoder import TasteEncoder

    encoder = TasteEncoder.from_exp(args.taste_exp, args.model_file, args.device)
    generator = UnitSampling.from_options(vars(args)).generator(encoder)
    vocoder = load_unit_vocoder(args.unit_vocoder_exp, args.device)
    unit_decoder = generator.encoder.model.unit_decoder
    check_speakable(unit_decoder, vocoder, args.taste_exp, args.unit_vocoder_exp)

    def generate(plans, codes):
        names = [plan.name for plan in plans]
        ids = generator.encoder.texts(names, [" ".join(plan.words) for plan in plans])
        taste = generator.taste_from_codes(names, ids, codes)
        vectors = look_up_speakers(spembs, names)
        units = generator(names, ids, taste, vectors)
        return UnitBatch.of(names, units, vectors)

    return generate, vocoder


def run(args: argparse.Namespace) -> None:
    """Run the study, always anew: models may have been trained since."""
    output = Path(args.output_dir)
    from espnet2_taste.evaluation import swap
    from espnet2_taste.inference.resynthesis import speak

    pairs, texts, codes, spembs = read_material(args)
    plans = swap.plan_swaps(pairs, texts, codes, args.seed, args.share)
    generate, vocoder = build_tools(args, spembs)
    said, wavs = {}, {}
    for name in ("own", "swapped"):
        batches = swap.generate_condition(plans, name, generate, args.batch_size)
        said[name] = swap.word_times(plans, batches)
        wavs[name] = swap.render_condition(
            batches, lambda x: speak(vocoder, x), vocoder.sample_rate, output / name
        )
    aligned = swap.align_conditions(plans, wavs, LazyAligner.from_args(args)())
    readings, left_out = swap.read_swaps(plans, aligned["own"], aligned["swapped"])
    readings = swap.add_pitch(readings, plans, wavs)
    swap.write_words(output / swap.WORDS, readings)
    swap.draw_swaps(output / "images", readings)
    curve = measure_leakage(readings)
    swap.draw_leakage(output / "images", curve)
    settings = {"share": args.share, "seed": args.seed, "aligner": args.recognizer}
    settings["sets"] = args.sets
    settings |= unit_sampling_settings(args)
    result = {"scores": score_swaps(readings), "pitch": score_pitch_swaps(readings)}
    if said["own"].timings:
        predicted, _ = swap.read_swaps(plans, said["own"], said["swapped"])
        result["predicted"] = score_swaps(predicted)
    result |= {"by_distance": curve, "left_out": left_out}
    save_study(args, output / "scores.json", args.study, settings, **result)
    print(f"{output / 'scores.json'} written")


main = Command(run, add_options, __doc__)

if __name__ == "__main__":
    main()
