"""Pack a trained model for the ESPnet model zoo (stage 14).

Enters: experiments of a recipe, named relative to its directory. Leaves: an archive
that holds all that tokenizing, continuing and speaking need, the frozen speech encoder
and language model included, with ``meta.yaml``, RESULTS.md and pictures. It is loaded
with ``TasteTokenizer.from_pretrained`` or ``SpokenLM.from_pretrained``, anywhere.
"""

import argparse
import shutil
import sys
from pathlib import Path

_EXAMPLE = """example, in the recipe's directory:
  python -m espnet2_taste.bin.pack taste --expdir exp --taste_exp exp/taste_vq \\
      --outpath exp/packed/taste.zip
  python -m espnet2_taste.bin.pack taslm --expdir exp --taste_exp exp/taste_vq \\
      --taslm_exp exp/taslm_embed --outpath exp/packed/taslm.zip
"""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Pack a trained model for the ESPnet model zoo",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    taste = commands.add_parser("taste", help="TASTE tokenizer with its unit vocoder")
    taste.set_defaults(add=add_taste)
    taslm = commands.add_parser("taslm", help="Spoken language model, tokenizer inside")
    taslm.set_defaults(add=add_taslm)
    taslm.add_argument("--taslm_exp", required=True, help="TASLM experiment directory")
    taslm.add_argument("--taslm_model_file", help="Checkpoint, default: the best one")
    for command in (taste, taslm):
        add = command.add_argument
        add("--expdir", default="exp", help="Where unit_vocoder, units, RESULTS.md are")
        add("--taste_exp", required=True, help="TASTE experiment directory")
        add("--taste_model_file", help="Checkpoint, default: the best one")
        add("--unit_vocoder_exp", help="Default: <expdir>/unit_vocoder")
        add("--unit_vocoder_file", help="Its weights, default: the best ones")
        add("--units_dir", help="Default: <expdir>/units")
        add("--option", action="append", default=[], help="More files or folders")
        add("--outpath", required=True, help="The archive: .zip, .tgz ...")
    return parser


def add_taste(package, args: argparse.Namespace) -> list[Path]:
    """Add the tokenizer, its unit vocoder, its units and the speaker embedder.

    Args:
        package: ``Package``.
        args: Options.

    Returns:
        The experiments whose pictures belong to the model.
    """
    from espnet2_taste.tokenizer.inference import MODEL_FILE
    from espnet2_taste.units.unit_exp import SPEMBS, UNITS
    from espnet2_taste.vocoder.loading import find_weights

    taste_exp, expdir = Path(args.taste_exp), Path(args.expdir)
    vocoder = Path(args.unit_vocoder_exp or expdir / "unit_vocoder")
    units = Path(args.units_dir or expdir / "units")
    package.add_model(
        "taste_train_config",
        taste_exp / "config.yaml",
        "taste_model_file",
        Path(args.taste_model_file or taste_exp / MODEL_FILE),
        "taste",
    )
    package.add_model(
        "unit_vocoder_config",
        vocoder / "config.yaml",
        "unit_vocoder_file",
        Path(args.unit_vocoder_file or find_weights(vocoder)),
        "unit_vocoder",
    )
    package.yaml_files["units_config"] = package.add_config(
        units / "config.yaml", "units"
    )
    for name in (UNITS, SPEMBS):
        package.add_file(units / name, "units")
    return [taste_exp, vocoder]


def add_taslm(package, args: argparse.Namespace) -> list[Path]:
    """Add the spoken language model, its text LM, and what ``add_taste`` adds.

    Args:
        package: ``Package``.
        args: Options.

    Returns:
        The experiments whose pictures belong to the model.
    """
    from espnet2_taste.slm.inference import MODEL_FILE

    taslm_exp = Path(args.taslm_exp)
    package.add_model(
        "taslm_train_config",
        taslm_exp / "config.yaml",
        "taslm_model_file",
        Path(args.taslm_model_file or taslm_exp / MODEL_FILE),
        "taslm",
    )
    return [taslm_exp, *add_taste(package, args)]


def run(args: argparse.Namespace) -> None:
    """Collect the files in a folder beside the archive, then write it."""
    from espnet2_taste.inference.packing import Package, image_folders

    outpath = Path(args.outpath)
    folder = outpath.with_name(f".{outpath.name}.files")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        package = Package(folder)
        experiments = args.add(package, args)
        results = Path(args.expdir) / "RESULTS.md"
        if results.is_file():
            package.add_option(results, results.name)
        for path in image_folders(experiments):
            name = path.parent.name if path.parent not in experiments else "training"
            owner = next(exp for exp in experiments if path.is_relative_to(exp))
            package.add_option(path, f"images/{owner.name}/{name}")
        for option in map(Path, args.option):
            if not option.exists():
                raise ValueError(f"--option {option}: no such file or directory")
            package.add_option(option, option.name)
        package.write(outpath)
        print(f"pack: wrote {outpath}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main(cmd=None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    try:
        run(args)
    except (ValueError, RuntimeError) as error:
        sys.exit(f"pack: {error}")


if __name__ == "__main__":
    main()
