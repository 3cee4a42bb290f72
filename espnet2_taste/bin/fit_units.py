"""Learn speech units and the speaker average from a training set (stage 5).

Enters: a recognizer and a set with ``wav.scp``. Leaves: a unit directory
(``config.yaml``, ``kmeans.pt``, ``spembs.pt``). A finished directory that was made with
the same options is kept.
"""

import argparse
import random
from collections.abc import Mapping
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser
from espnet2.utils.nested_dict_action import NestedDictAction

from espnet2_taste.bin.command import run_command
from espnet2_taste.data.files import read_yaml
from espnet2_taste.recognizers.options import add_recognizer_arguments

_EXAMPLE = """example:
  python -m espnet2_taste.bin.fit_units --recognizer exp/asr --layer 4 \\
      --num_units 200 --data_dir dump/raw/train --output_dir exp/units
"""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = ArgumentParser(
        description="Learn speech units and the speaker average from a set",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data_dir", required=True, help="Training set")
    parser.add_argument("--output_dir", required=True, help="Unit directory to write")
    parser.add_argument("--unit_extractor", default="kmeans", help="Kind of units")
    parser.add_argument(
        "--unit_extractor_conf",
        action=NestedDictAction,
        default={},
        help="Options of the units",
    )
    add_recognizer_arguments(parser)
    parser.add_argument(
        "--layer", type=int, help="Short for unit_extractor_conf layer=..."
    )
    parser.add_argument("--num_units", type=int, help="Short for its num_units=...")
    parser.add_argument(
        "--speaker_embedder", default="mel_statistics", help="Kind of embeddings"
    )
    parser.add_argument(
        "--speaker_embedder_conf",
        action=NestedDictAction,
        default={},
        help="Options of the embeddings",
    )
    parser.add_argument(
        "--max_utterances",
        type=int,
        help="Fit on so many utterances, drawn at random; default: all",
    )
    parser.add_argument("--batch_size", type=int, default=16, help="Utterances at once")
    parser.add_argument("--seed", type=int, default=0, help="Of the first centroids")
    parser.add_argument("--ngpu", type=int, default=0, help="0 for the CPU")
    parser.add_argument("--log_level", default="INFO", help="Level of messages")
    return parser


def unit_config(args: argparse.Namespace) -> dict:
    """Choices and options that define the units, as ``config.yaml`` keeps them."""
    short = {name: getattr(args, name) for name in ("layer", "num_units")}
    given = {name: value for name, value in short.items() if value is not None}
    conf = {**_recognizer_options(args), **args.unit_extractor_conf, **given}
    return {
        "unit_extractor": args.unit_extractor,
        "unit_extractor_conf": conf,
        "speaker_embedder": args.speaker_embedder,
        "speaker_embedder_conf": dict(args.speaker_embedder_conf),
        "data_dir": args.data_dir,
        "max_utterances": args.max_utterances,
        "seed": args.seed,
    }


def _recognizer_options(args: argparse.Namespace) -> dict:
    """The recognizer, for units that are made of its frames."""
    import inspect

    from espnet2_taste.recognizers.choices import find_recognizer
    from espnet2_taste.units.unit_exp import unit_extractor_choices

    units = unit_extractor_choices.get_class(args.unit_extractor)
    if not args.recognizer or "recognizer" not in inspect.signature(units).parameters:
        return {}
    kind, conf = find_recognizer(args.recognizer, args.recognizer_conf)
    return {"recognizer": kind, "recognizer_conf": conf}


def drawn(
    wavs: Mapping[str, str], max_utterances: int | None, seed: int
) -> dict[str, str]:
    """At most so many utterances in their old order, drawn at random; None for all."""
    count = len(wavs) if max_utterances is None else min(max_utterances, len(wavs))
    if count < 1:
        raise ValueError(
            f"nothing to fit on: {len(wavs)} utterances and --max_utterances "
            f"{max_utterances}; expected at least one of each"
        )
    kept = set(random.Random(seed).sample(list(wavs), count))
    return {name: path for name, path in wavs.items() if name in kept}


def is_done(output_dir: Path, config: dict) -> bool:
    """Whether the directory was finished with these options."""
    path = output_dir / "config.yaml"
    if not path.is_file():
        return False
    return config.items() <= read_yaml(path).items()


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


def run(args: argparse.Namespace) -> None:
    """Fit both on the training set and write the directory."""
    config = unit_config(args)
    if is_done(Path(args.output_dir), config):
        print(f"fit_units: {args.output_dir} is done")
        return
    from espnet2_taste.data.kaldi_dir import read_table
    from espnet2_taste.units import unit_exp
    from espnet2_taste.units.batches import speech_batches

    wavs = read_table(Path(args.data_dir) / "wav.scp")
    wavs = drawn(wavs, args.max_utterances, args.seed)
    device = "cuda" if args.ngpu else "cpu"
    extractor = unit_exp.build_unit_extractor(config).to(device)
    embedder = unit_exp.build_speaker_embedder(config).to(device)

    def batches(rate: int, label: str):
        return speech_batches(wavs, rate, args.batch_size, label, device)

    facts = extractor.fit(batches(extractor.sample_rate, "units"), args.seed)
    embedder.fit(batches(embedder.sample_rate, "speakers"))
    unit_exp.write_units_dir(args.output_dir, {**config, **facts}, extractor, embedder)
    print(
        f"fit_units: {args.output_dir}: {extractor.num_units} units at "
        f"{extractor.unit_rate:g} Hz, embeddings of {embedder.size}; {dict(facts)}"
    )


if __name__ == "__main__":
    main()
