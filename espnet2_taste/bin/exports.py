"""Models for elsewhere: the published layout, Hugging Face's, its hub."""

import argparse
import logging
from dataclasses import replace
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser

from espnet2_taste.bin.command import Command, Program
from espnet2_taste.experiment_files import load_model
from espnet2_taste.inference.packages import check_archive
from espnet2_taste.text.training import write_directory


def reference_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_reference`."""
    add = parser.add_argument
    add("--imported_dir", help="--output_dir of imports reference, if there was one")
    add("--output_dir", required=True, help="Folder to write")
    for part in PARTS:
        add(f"--{part}_exp", help="Experiment instead of the imported one")
        add(
            f"--{part}_model_file",
            default="valid.loss.best.pth",
            help=f"Weights in --{part}_exp",
        )


PARTS = ("taste", "taslm", "vocoder")


def export_sources(args: argparse.Namespace):
    """Find the experiments.

    Args:
        args: Options.

    Returns:
        ``ExportSources``.

    Raises:
        ValueError: Without an import, tokenizer or spoken LM are not named.
    """
    from espnet2_taste.reference.exporting import Experiment, ExportSources, imported

    options = vars(args)
    given = {
        part: Experiment(Path(options[f"{part}_exp"]), options[f"{part}_model_file"])
        for part in PARTS
        if options[f"{part}_exp"]
    }
    if args.imported_dir:
        return replace(imported(Path(args.imported_dir)), **given)
    missing = [f"--{part}_exp" for part in PARTS[:2] if part not in given]
    if missing:
        raise ValueError(
            f"name {' and '.join(missing)}, or --imported_dir for experiments that "
            "imports reference wrote"
        )
    return ExportSources(None, **{"vocoder": None, **given})


def run_reference(args: argparse.Namespace) -> None:
    """Write experiments in the published model's layout.

    Enters: the directories of ``imports reference``, of which single experiments may be
    replaced by ones trained from them; or experiments trained here with the parts of
    the published model (Whisper tokenizer and aggregator, residual quantizer). Leaves:
    config.json, safetensors (after an import the same shards) and the voice generator.

    Examples:
        python -m espnet2_taste.bin.exports reference --imported_dir exp \\
            --taslm_exp exp/taslm_tuned --output_dir downloads/taste_tuned
        python -m espnet2_taste.bin.exports reference --taste_exp exp/taste_vq \\
            --taslm_exp exp/taslm_embed --output_dir downloads/taste_of_ours
    """
    from espnet2_taste.reference.exporting import export_folder

    export_folder(export_sources(args), Path(args.output_dir))
    logging.info("wrote %s", args.output_dir)


def text_lm_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_text_lm`."""
    add = parser.add_argument
    add("--train_config", required=True, help="config.yaml of its training")
    add("--model_file", required=True, help="Checkpoint of the model")
    add("--output_dir", required=True, help="Directory to write")


def is_up_to_date(output_dir: Path, model_file: Path) -> bool:
    """Whether the directory was written after the checkpoint.

    Args:
        output_dir: Directory of an earlier export.
        model_file: Checkpoint.

    Returns:
        True when nothing is to be done.
    """
    weights = output_dir / "model.safetensors"
    return weights.is_file() and (
        weights.stat().st_mtime_ns >= model_file.stat().st_mtime_ns
    )


def export(train_config: Path, model_file: Path, output_dir: Path) -> None:
    """Write the directory.

    Args:
        train_config: config.yaml of the experiment.
        model_file: Checkpoint; every weight must fit.
        output_dir: Directory to write, replaced when it exists.

    Raises:
        RuntimeError: The checkpoint is of another model.
    """
    from espnet2_taste.tasks.build_text_lm import build_text_lm
    from espnet2_taste.text.huggingface_tokenizer import load_tokenizer

    model, options = load_model(build_text_lm, train_config, model_file)
    tokenizer = load_tokenizer(options.tokenizer_path)

    def fill(directory: Path) -> None:
        model.lm.save_pretrained(directory)
        tokenizer.save_pretrained(directory)

    write_directory(output_dir, fill)


def run_text_lm(args: argparse.Namespace) -> None:
    """Write a trained text backbone as a Hugging Face directory (stage 11).

    Enters: an experiment directory of ``text_lm_train``. Leaves: config.json,
    model.safetensors and the tokenizer, for ``AutoModelForCausalLM.from_pretrained``.

    Example:
        python -m espnet2_taste.bin.exports text_lm \\
            --train_config exp/text_lm/config.yaml \\
            --model_file exp/text_lm/valid.loss.best.pth --output_dir exp/llm_base
    """
    config, model = Path(args.train_config), Path(args.model_file)
    output_dir = Path(args.output_dir)
    for path in (config, model):
        if not path.is_file():
            raise ValueError(f"no such file: '{path}'; train with text_lm_train")
    if is_up_to_date(output_dir, model):
        logging.info("%s is up to date", output_dir)
        return
    export(config, model, output_dir)
    logging.info("wrote %s", output_dir)


def hub_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_hub`."""
    add = parser.add_argument
    add("--archive", required=True, help="What pack made")
    add("--hf_repo", required=True, help="Repository, user/name; made when absent")
    add("--private", action="store_true", help="If it is made, only you see it")
    add("--tag", action="append", default=[], help="Name of this version, e.g. v1")
    add("--message", default="Upload a packed TASTE model", help="Of the commit")


def upload(archive: Path, repo: str, private: bool, tags: list[str], message: str):
    """Unpack an archive and upload its files.

    Args:
        archive: What pack made.
        repo: ``user/name``.
        private: Whether a new repository is private.
        tags: Names of this version.
        message: Of the commit.

    Returns:
        Address of the commit.

    Raises:
        ValueError: It is no archive of pack, or the name is no ``user/name``.
    """
    import shutil
    import tempfile

    from huggingface_hub import HfApi

    if repo.count("/") != 1 or not all(repo.split("/")):
        raise ValueError(f"--hf_repo is '{repo}', expected user/name")
    if not archive.is_file():
        raise ValueError(f"{archive} not found: pack the model first (stage 14)")
    check_archive(archive)
    api = HfApi()
    with tempfile.TemporaryDirectory() as folder:
        shutil.unpack_archive(archive, folder)
        api.create_repo(repo, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo, folder_path=folder, commit_message=message
        )
    for tag in tags:
        api.create_tag(repo, tag=tag, exist_ok=True)
    return commit.commit_url


def run_hub(args: argparse.Namespace) -> None:
    """Upload packed models to the Hugging Face hub (stage 15).

    Enters: an archive that ``pack`` made, and the name of a repository. Leaves:
    the repository with the unpacked files, its model card as README.md, and a tag;
    anyone then loads it with ``from_pretrained("user/name")``. The token is that of
    ``hf auth login`` or of the variable HF_TOKEN.

    Example:
        python -m espnet2_taste.bin.exports hub --archive exp/packed/taste.zip \\
            --hf_repo user/taste_mini --tag v1
    """
    address = upload(
        Path(args.archive), args.hf_repo, args.private, args.tag, args.message
    )
    print(address)


main = Program(
    __doc__,
    reference=Command(run_reference, reference_options),
    text_lm=Command(run_text_lm, text_lm_options),
    hub=Command(run_hub, hub_options),
)

if __name__ == "__main__":
    main()
