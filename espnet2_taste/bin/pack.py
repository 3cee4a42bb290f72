"""Pack a trained model for the ESPnet model zoo (stage 14).

Enters: experiments of a recipe, named relative to its directory. Leaves: an archive
that holds all that tokenizing, continuing and speaking need, frozen models of this
machine included (public ones are named, or included with --include_public), with
``meta.yaml``, a model card, RESULTS.md, pictures and the licence. It is loaded with
``TasteTokenizer.from_pretrained`` or ``SpokenLM.from_pretrained``, anywhere; the latter
also loads designs that write units.
"""

import argparse
import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser

from espnet2_taste import inference
from espnet2_taste.bin.command import Command, Program
from espnet2_taste.data.files import read_text
from espnet2_taste.evaluation.pictures import pictures_of, with_links
from espnet2_taste.experiment_files import MODEL_FILE, read_config
from espnet2_taste.inference.card_facts import (
    TASLM_SETTINGS,
    TASTE_SETTINGS,
    UNIT_LM_SETTINGS,
    PackedExperiment,
    collect_facts,
)
from espnet2_taste.inference.loading import find_weights
from espnet2_taste.inference.model_card import model_card
from espnet2_taste.inference.packing import Package, find_license, image_folders

_TASTE = """TASTE tokenizer with its unit vocoder.

Example, in the recipe's directory:
    python -m espnet2_taste.bin.pack taste --expdir exp --taste_exp exp/taste_vq \\
        --outpath exp/packed/taste.zip
"""
_TASLM = """Spoken language model, tokenizer inside.

Example, in the recipe's directory:
    python -m espnet2_taste.bin.pack taslm --expdir exp --taste_exp exp/taste_vq \\
        --taslm_exp exp/taslm_embed --outpath exp/packed/taslm.zip
"""
_UNITS = """Spoken language model that writes units, e.g. gslm or moshi.

Example, in the recipe's directory:
    python -m espnet2_taste.bin.pack units --expdir exp --unit_lm_exp exp/gslm \\
        --durations exp/unit_durations --outpath exp/packed/gslm.zip
"""


def taste_options(parser: ArgumentParser) -> None:
    """Add the options of a package with a tokenizer."""
    shared_options(parser)
    parser.set_defaults(add=add_taste, loader="TasteTokenizer", trained="taste_exp")
    parser.add_argument("--taste_exp", required=True, help="TASTE experiment directory")
    parser.add_argument("--taste_model_file", help="Checkpoint, default: the best one")


def shared_options(parser: ArgumentParser) -> None:
    """Add the options of every package."""
    add = parser.add_argument
    add("--expdir", default="exp", help="Where unit_vocoder, units, RESULTS.md are")
    add("--unit_vocoder_exp", help="Default: <expdir>/unit_vocoder")
    add("--unit_vocoder_file", help="Its weights, default: the best ones")
    add("--units_dir", help="Default: <expdir>/units")
    add("--resynthesis_config", help="How stage 9 drew units, default: published")
    add("--inference_config", help="How stage 12 drew text and codes, likewise")
    add("--seed", type=int, default=0, help="Of all sampling")
    add("--option", action="append", default=[], help="More files or folders")
    add("--lang", default="en", help="Languages of the data, e.g. 'en zh'")
    add("--license", default="apache-2.0", help="Of the weights, SPDX identifier")
    add(
        "--include_public",
        action="store_true",
        help="Download frozen models that are named on a hub, and pack them too",
    )
    add("--outpath", required=True, help="The archive: .zip, .tgz ...")


def taslm_options(parser: ArgumentParser) -> None:
    """Add the options of a spoken language model's package."""
    taste_options(parser)
    parser.set_defaults(add=add_taslm, loader="SpokenLM")
    parser.add_argument("--taslm_exp", required=True, help="TASLM experiment directory")
    parser.add_argument("--taslm_model_file", help="Checkpoint, default: the best one")


def units_options(parser: ArgumentParser) -> None:
    """Add the options of a package of a design that writes units."""
    shared_options(parser)
    parser.set_defaults(add=add_unit_lm, loader="SpokenLM", trained="unit_lm_exp")
    parser.add_argument("--unit_lm_exp", required=True, help="Experiment directory")
    parser.add_argument("--unit_lm_model_file", help="Checkpoint, default: the best")
    parser.add_argument(
        "--durations", help="Folder of units durations, for deduplicated units"
    )


def add_experiment(package, item, option: str, mark: str, keys: Sequence[str]) -> None:
    """Add a trained network of the kind that is meant.

    Args:
        package: ``Package``.
        item: ``PackedExperiment``.
        option: Option that names it, for the error.
        mark: Option that experiments of this kind alone have.
        keys: Constructor arguments that take its ``config.yaml`` and its weights.

    Raises:
        ValueError: A file is missing, or the experiment is of another kind.
    """
    if item.config.is_file() and mark not in read_config(item.config):
        raise ValueError(
            f"{option} {item.config.parent} is an experiment of another kind: its "
            f"config.yaml has no option '{mark}', as every {item.name} has"
        )
    package.add_model(keys[0], item.config, keys[1], item.weights, item.name)


def add_trained(
    package,
    args: argparse.Namespace,
    name: str,
    kind: str,
    choice: str,
    mark: str,
    settings: Sequence[str],
):
    """Add a trained model and its configuration.

    Args:
        package: ``Package``.
        args: Options, with ``<name>_exp`` and ``<name>_model_file``.
        name: Of the model in the package.
        kind: What the constructors of inference call it.
        choice: Option that says which class it is.
        mark: An option that every such experiment has.
        settings: What the model card describes.

    Returns:
        What the model card describes.
    """
    exp = Path(getattr(args, f"{name}_exp"))
    weights = getattr(args, f"{name}_model_file") or exp / MODEL_FILE
    config = exp / "config.yaml"
    item = PackedExperiment(name, choice, config, Path(weights), settings)
    keys = (f"{kind}_train_config", f"{kind}_model_file")
    add_experiment(package, item, f"--{name}_exp", mark, keys)
    return item


def add_taste(package, args: argparse.Namespace) -> list:
    """Add the tokenizer, its unit vocoder, its units and the speaker embedder.

    Args:
        package: ``Package``.
        args: Options.

    Returns:
        What the model card describes, and whose pictures belong to the model.
    """
    names = ("taste", "taste", "quantizer", "speech_encoder")
    taste = add_trained(package, args, *names, TASTE_SETTINGS)
    return [taste, add_vocoder(package, args)]


def add_vocoder(package, args: argparse.Namespace):
    """Add the unit vocoder, the units and the speaker embedder.

    Args:
        package: ``Package``.
        args: Options.

    Returns:
        What the model card describes.
    """
    from espnet2_taste.units.unit_exp import SPEMBS, UNITS

    expdir = Path(args.expdir)
    vocoder = Path(args.unit_vocoder_exp or expdir / "unit_vocoder")
    units = Path(args.units_dir or expdir / "units")
    speaker = PackedExperiment(
        "unit_vocoder",
        "vocoder",
        vocoder / "config.yaml",
        Path(args.unit_vocoder_file or find_weights(vocoder)),
    )
    keys = ("unit_vocoder_config", "unit_vocoder_file")
    add_experiment(package, speaker, "--unit_vocoder_exp", "vocoder", keys)
    package.yaml_files["units_config"] = package.add_config(
        units / "config.yaml", "units"
    )
    for name in (UNITS, SPEMBS):
        package.add_file(units / name, "units")
    return speaker


def add_unit_lm(package, args: argparse.Namespace) -> list:
    """Add a design that writes units, its text LM, and what ``add_vocoder`` adds.

    Args:
        package: ``Package``.
        args: Options.

    Returns:
        What the model card describes, and whose pictures belong to the model.
    """
    from espnet2_taste.slm import unit_durations

    names = ("unit_lm", "slm", "layout", "layout")
    lm = add_trained(package, args, *names, UNIT_LM_SETTINGS)
    if args.durations:
        place = Path(args.durations)
        package.yaml_files["durations_config"] = package.add_config(
            place / unit_durations.CONFIG, "durations"
        )
        package.add_file(place / unit_durations.WEIGHTS, "durations")
    return [lm, add_vocoder(package, args)]


def add_taslm(package, args: argparse.Namespace) -> list:
    """Add the spoken language model, its text LM, and what ``add_taste`` adds.

    Args:
        package: ``Package``.
        args: Options.

    Returns:
        What the model card describes, and whose pictures belong to the model.
    """
    names = ("taslm", "slm", "head", "head")
    taslm = add_trained(package, args, *names, TASLM_SETTINGS)
    return [taslm, *add_taste(package, args)]


def add_settings(package, args: argparse.Namespace) -> None:
    """Add what made the model's numbers: sampling, lengths and rules of the text.

    Args:
        package: ``Package``.
        args: Options.
    """
    from espnet2_taste.inference.settings import InferenceSettings

    resynthesis, inference = (
        read_config(path) if path else {}
        for path in (args.resynthesis_config, args.inference_config)
    )
    config = read_config(Path(getattr(args, args.trained)) / "config.yaml")
    rows = config.get("train_data_path_and_name_and_type") or []
    folders = [Path(path).parent for path, name, *_ in rows if name == "text"]
    settings = InferenceSettings.from_recipe(
        resynthesis, inference, folders[0] if folders else None, args.seed
    )
    package.add_settings("inference_config", "inference.yaml", settings.as_yaml())


def check_archive(loader: str, cache: Path, archive: Path) -> None:
    """Load all that is in an archive, as its users will.

    Args:
        loader: Name of a class of ``espnet2_taste.inference``.
        cache: A folder to unpack it in.
        archive: What was packed.

    Raises:
        ValueError: Something is wrong with it.
        RuntimeError: Likewise.
    """
    model = getattr(inference, loader).from_pretrained(archive, cache)
    if loader == "SpokenLM":
        model.scorer  # noqa: B018  (the language model is loaded when it is needed)


def add_papers(package, args: argparse.Namespace, experiments: list) -> None:
    """Add the model card, RESULTS.md, pictures, the licence and what --option names.

    Args:
        package: ``Package``.
        args: Options.
        experiments: What was packed.

    Raises:
        ValueError: --option names something that is not there.
    """
    results = Path(args.expdir) / "RESULTS.md"
    page = read_text(results) if results.is_file() else ""
    own = image_folders(item.config.parent for item in experiments)
    paths = [path for folder in own for path in sorted(folder.iterdir())]
    links = [os.path.relpath(path, args.expdir) for path in paths]
    places: dict[str, str] = {}
    for link in dict.fromkeys([*links, *pictures_of(page)]):
        kept = [part for part in Path(link).parts if part not in ("..", "images")]
        places[link] = "/".join(["images", *kept])
        package.add_option(Path(args.expdir) / link, places[link])
    page = with_links(page, places)
    facts = collect_facts(
        experiments, args.loader, args.lang.split(), args.license, page
    )
    package.add_text("README.md", model_card(facts))
    if page:
        package.add_text(results.name, page)
    package.add_option(find_license(), "LICENSE")
    for option in map(Path, args.option):
        if not option.exists():
            raise ValueError(f"--option {option}: no such file or directory")
        package.add_option(option, option.name)


def run(args: argparse.Namespace) -> None:
    """Collect the files in a folder beside the archive, then write it."""
    outpath = Path(args.outpath)
    folder = outpath.with_name(f".{outpath.name}.files")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        package = Package(folder, args.include_public)
        experiments = args.add(package, args)
        add_settings(package, args)
        add_papers(package, args, experiments)
        package.write(outpath, partial(check_archive, args.loader, folder / "loaded"))
        print(f"pack: wrote {outpath}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main = Program(
    __doc__,
    taste=Command(run, taste_options, _TASTE),
    taslm=Command(run, taslm_options, _TASLM),
    units=Command(run, units_options, _UNITS),
)


if __name__ == "__main__":
    main()
