"""Write a trained text backbone as a Hugging Face directory (stage 11).

Enters: an experiment directory of ``text_lm_train``. Leaves: config.json,
model.safetensors and the tokenizer, for ``AutoModelForCausalLM.from_pretrained``.
"""

import argparse
import logging
from pathlib import Path

from espnet2_taste.bin.command import run_command

logger = logging.getLogger("export_text_lm")

_EXAMPLE = """example:
  python -m espnet2_taste.bin.export_text_lm --train_config exp/text_lm/config.yaml \\
      --model_file exp/text_lm/valid.loss.best.pth --output_dir exp/llm_base"""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Write a trained text backbone as a Hugging Face directory",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--train_config", required=True, help="config.yaml")
    parser.add_argument("--model_file", required=True, help="Checkpoint of the model")
    parser.add_argument("--output_dir", required=True, help="Directory to write")
    parser.add_argument("--log_level", default="INFO", help="Level of messages")
    return parser


def is_up_to_date(output_dir: Path, model_file: Path) -> bool:
    """Tell whether the directory was written after the checkpoint.

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
        ValueError: The checkpoint is of another model.
    """
    from espnet2_taste.data.files import read_yaml
    from espnet2_taste.experiment_files import load_weights
    from espnet2_taste.slm.causal_lm import load_tokenizer
    from espnet2_taste.tasks.build_text_lm import build_text_lm
    from espnet2_taste.text.training import write_directory

    config = read_yaml(train_config)
    model = build_text_lm(argparse.Namespace(**config))
    state = load_weights(model_file)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(
            f"'{model_file}' does not fit '{train_config}': {error}"
        ) from error
    tokenizer = load_tokenizer(config["tokenizer_path"])

    def fill(directory: Path) -> None:
        model.lm.save_pretrained(directory)
        tokenizer.save_pretrained(directory)

    write_directory(output_dir, fill)


def run(args: argparse.Namespace) -> None:
    """Export unless that is done."""
    config, model = Path(args.train_config), Path(args.model_file)
    output_dir = Path(args.output_dir)
    for path in (config, model):
        if not path.is_file():
            raise ValueError(f"no such file: '{path}'; train with text_lm_train")
    if is_up_to_date(output_dir, model):
        logger.info("%s is up to date", output_dir)
        return
    export(config, model, output_dir)
    logger.info("wrote %s", output_dir)


def main(cmd: list[str] | None = None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
