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
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser

from espnet2_taste import inference
from espnet2_taste.bin.command import Command, Program, add_shared
from espnet2_taste.data.files import read_text
from espnet2_taste.evaluation.pictures import pictures_of, with_links
from espnet2_taste.experiment_files import MODEL_FILE, read_config
from espnet2_taste.inference.loading import best_weights
from espnet2_taste.inference.model_card import PackedExperiment, model_card
from espnet2_taste.inference.packing import Package, find_license

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


KINDS = {
    "taste": ("taste", "quantizer", "speech_encoder"),
    "taslm": ("slm", "head", "head"),
    "unit_lm": ("slm", "layout", "layout"),
}
"""Trained models: what the constructors of inference call them, the option that says
which class one is, and an option that experiments of the kind alone have."""


def options_of(loader: str, parts: Sequence[str]) -> Callable[[ArgumentParser], None]:
    """What adds the options of a package.

    Args:
        loader: Class of ``espnet2_taste.inference`` that loads it.
        parts: Trained models beside the unit vocoder, of ``KINDS``; the text of the
            last one is prepared as the package's will be.
    """

    def add_options(parser: ArgumentParser) -> None:
        add = parser.add_argument
        parser.set_defaults(loader=loader, parts=parts)
        for part in parts:
            add(f"--{part}_exp", required=True, help="Experiment directory")
            add(f"--{part}_model_file", help="Checkpoint, default: the best one")
        if "unit_lm" in parts:
            add("--durations", help="Folder of units durations, for deduplicated units")
        add_shared_options(parser)

    return add_options


def add_shared_options(parser: ArgumentParser) -> None:
    """Add the options of every package."""
    add = parser.add_argument
    add("--expdir", default="exp", help="Where unit_vocoder, units, RESULTS.md are")
    add("--unit_vocoder_exp", help="Default: <expdir>/unit_vocoder")
    add("--unit_vocoder_file", help="Its weights, default: the best ones")
    add("--units_dir", help="Default: <expdir>/units")
    add("--resynthesis_config", help="How stage 9 drew units, default: published")
    add("--inference_config", help="How stage 12 drew text and codes, likewise")
    add_shared(parser, "seed")
    add("--option", action="append", default=[], help="More files or folders")
    add("--lang", default="en", help="Languages of the data, e.g. 'en zh'")
    add("--license", default="apache-2.0", help="Of the weights, SPDX identifier")
    add(
        "--include_public",
        action="store_true",
        help="Download frozen models that are named on a hub, and pack them too",
    )
    add("--outpath", required=True, help="The archive: .zip, .tgz ...")


def add_experiment(package, item, option: str, mark: str, keys: Sequence[str]):
    """Add a trained network of the kind that is meant.

    Args:
        package: ``Package``.
        item: ``PackedExperiment``.
        option: Option that names it, for the error.
        mark: Option that experiments of this kind alone have.
        keys: Constructor arguments that take its ``config.yaml`` and its weights.

    Returns:
        ``item``.

    Raises:
        ValueError: A file is missing, or the experiment is of another kind.
    """
    if item.config.is_file() and mark not in read_config(item.config):
        raise ValueError(
            f"{option} {item.config.parent} is an experiment of another kind: its "
            f"config.yaml has no option '{mark}', as every {item.name} has"
        )
    package.yaml_files[keys[0]] = package.add_config(item.config, item.name)
    package.files[keys[1]] = package.add_file(item.weights, item.name)
    return item


def add_trained(package, args: argparse.Namespace, name: str):
    """Add one of ``KINDS``, by its name, as :func:`add_experiment` does."""
    argument, choice, mark = KINDS[name]
    exp = Path(getattr(args, f"{name}_exp"))
    weights = Path(getattr(args, f"{name}_model_file") or exp / MODEL_FILE)
    item = PackedExperiment(name, choice, exp / "config.yaml", weights)
    keys = (f"{argument}_train_config", f"{argument}_model_file")
    return add_experiment(package, item, f"--{name}_exp", mark, keys)


def add_models(package, args: argparse.Namespace) -> list:
    """Add the trained models, the unit vocoder, the units and the speaker embedder.

    Args:
        package: ``Package``.
        args: Options.

    Returns:
        What the model card describes, and whose pictures belong to the model.
    """
    from espnet2_taste.slm.unit_durations import CONFIG, WEIGHTS
    from espnet2_taste.units.unit_exp import SPEMBS, UNITS

    experiments = [add_trained(package, args, part) for part in args.parts]
    expdir, given = Path(args.expdir), getattr(args, "durations", None)
    vocoder = Path(args.unit_vocoder_exp or expdir / "unit_vocoder")
    weights = Path(args.unit_vocoder_file or best_weights(vocoder))
    name, mark = "unit_vocoder", "vocoder"
    item = PackedExperiment(name, mark, vocoder / "config.yaml", weights)
    keys = ("unit_vocoder_config", "unit_vocoder_file")
    add_experiment(package, item, "--unit_vocoder_exp", mark, keys)
    units = Path(args.units_dir or expdir / "units")
    folders = [("units", units, "config.yaml", UNITS, SPEMBS)]
    folders += [("durations", Path(given), CONFIG, WEIGHTS)] if given else []
    for part, folder, config, *files in folders:
        package.yaml_files[f"{part}_config"] = package.add_config(folder / config, part)
        for name in files:
            package.add_file(folder / name, part)
    return [*experiments, item]


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
    config = read_config(Path(getattr(args, f"{args.parts[-1]}_exp")) / "config.yaml")
    rows = config.get("train_data_path_and_name_and_type") or []
    folders = [Path(path).parent for path, name, *_ in rows if name == "text"]
    settings = InferenceSettings.from_recipe(
        resynthesis, inference, folders[0] if folders else None, args.seed
    )
    package.add_text("inference.yaml", settings.as_yaml())
    package.yaml_files["inference_config"] = "inference.yaml"


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
    folders = [item.config.parent for item in experiments]
    paths = [path for exp in folders for path in sorted(exp.rglob("images/*"))]
    links = [os.path.relpath(path, args.expdir) for path in paths]
    places: dict[str, str] = {}
    for link in dict.fromkeys([*links, *pictures_of(page)]):
        kept = [part for part in Path(link).parts if part not in ("..", "images")]
        places[link] = "/".join(["images", *kept])
        package.add_option(Path(args.expdir) / link, places[link])
    page = with_links(page, places)
    about = (args.loader, args.lang.split(), args.license, page)
    package.add_text("README.md", model_card(experiments, *about))
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
        experiments = add_models(package, args)
        add_settings(package, args)
        add_papers(package, args, experiments)
        package.write(outpath, partial(check_archive, args.loader, folder / "loaded"))
        print(f"pack: wrote {outpath}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main = Program(
    __doc__,
    taste=Command(run, options_of("TasteTokenizer", ["taste"]), _TASTE),
    taslm=Command(run, options_of("SpokenLM", ["taslm", "taste"]), _TASLM),
    units=Command(run, options_of("SpokenLM", ["unit_lm"]), _UNITS),
)


if __name__ == "__main__":
    main()
