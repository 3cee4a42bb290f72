"""Audio measures of resynthesized sets against the original recordings.

Enters: renditions of sets (by default those of every experiment that taste_score
compares), the sets, and which measures to take. Leaves in --output_dir: ``scores.json``
(means with bootstrap intervals, every measure's model, sample rate and reference, the
reasons of those that cannot be had), ``<set>.tsv`` (every utterance) and ``values``
(what a later run uses again). Of parts of sets (--ids_dir) only such values are left,
in a folder of each part.

Examples:
    python -m espnet2_taste.bin.audio_score --taste_exp exp/taste_vq --expdir exp \\
        --dump_dir dump/raw --sets "test" --output_dir exp/taste_vq/audio_scores \\
        --metric_conf utmos.weights=utmos22_strong.pt
    continuations, which say something else than the recordings:
    python -m espnet2_taste.bin.audio_score --renditions \\
        "embed=exp/taslm_embed/continuation" --with_reference false --sets prompts \\
        --metrics "utmos dnsmos" --output_dir exp/taslm_embed/audio_scores \\
        --study audio_of_continuations
"""

import argparse
from dataclasses import replace
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import str2bool

from espnet2_taste.bin.command import Command, add_shared, save_study
from espnet2_taste.data.parts import is_part, only_listed, set_of
from espnet2_taste.evaluation.audio_metrics.choices import (
    audio_metric_choices,
    build_metrics,
)
from espnet2_taste.evaluation.audio_report import audio_tables
from espnet2_taste.evaluation.variants import find_variants


def add_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run`."""
    add = parser.add_argument
    add("--taste_exp", help="TASTE with codes, in --expdir")
    add("--expdir", default="exp", help="Where the experiments are")
    add("--renditions", default="", help="'label=folder', one string, in their place")
    add("--output_dir", required=True, help="Directory of the scores")
    add("--metrics", default="", help="Names of measures, one string; default: all")
    add(
        "--metric_conf",
        action=NestedDictAction,
        default={},
        help="Options of measures, e.g. utmos.weights=FILE speaker.units_dir=DIR",
    )
    add(
        "--with_reference",
        type=str2bool,
        default=True,
        help="Whether the renditions say what the recordings say",
    )
    add(
        "--study", default="audio", help="Name in scores.json; RESULTS.md shows 'audio'"
    )
    add_shared(parser, "dump_dir", "sets", "ids_dir", "parts_dir")


def find_places(args: argparse.Namespace) -> dict[str, Path]:
    """Parent folders of renditions by label.

    Raises:
        ValueError: Neither --taste_exp nor --renditions says where to look.
    """
    if args.renditions:
        pairs = [item.partition("=") for item in args.renditions.split()]
        wrong = [label for label, _, place in pairs if not label or not place]
        if wrong:
            raise ValueError(f"--renditions: expected label=folder, found '{wrong[0]}'")
        return {label: Path(place) for label, _, place in pairs}
    if not args.taste_exp:
        raise ValueError("give --taste_exp, or --renditions 'label=folder'")
    variants = find_variants(Path(args.expdir), Path(args.taste_exp))
    return {variant.label: variant.exp / "resynthesis" for variant in variants}


def run(args: argparse.Namespace) -> None:
    """Measure, write and print."""
    from espnet2_taste.evaluation import audio

    places, dump, output = find_places(args), args.dump_dir, Path(args.output_dir)
    sets = {}
    for name in args.sets.split():
        found = audio.renditions_of(dump / set_of(name), places, args.with_reference)
        sets[name] = [
            replace(item, wavs=only_listed(item.wavs, args.ids_dir, name))
            for item in found
        ]
    names = args.metrics.split() or list(audio_metric_choices.classes)
    metrics, left_out = build_metrics(names, args.metric_conf)
    if not metrics:
        raise ValueError("no measure can be had: " + "; ".join(left_out.values()))
    if any(is_part(name) for name in sets):
        for name, renditions in sets.items():
            audio.measure(renditions, metrics, output / name)
        return
    scores = audio.score_renditions(sets, metrics, output, args.parts_dir)
    settings = {
        "interval": "95 % bootstrap over utterances",
        "levels": "as recorded",
        "with_reference": args.with_reference,
    }
    scores["metrics"] = {name: metric.settings for name, metric in metrics.items()}
    scores["left_out"] = left_out
    path = output / "scores.json"
    result = save_study(args, path, args.study, settings, **scores)
    print("\n\n".join(audio_tables(result)))
    print(f"{path} written")


main = Command(run, add_options, __doc__)

if __name__ == "__main__":
    main()
