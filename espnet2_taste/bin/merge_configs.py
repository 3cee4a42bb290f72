"""Training configurations with a few options changed, e.g. those of conf/tuning.

Enters: configurations and a YAML file with the options that differ. Leaves: a complete
configuration for each, in its own words where nothing differs; their names, which are
what ``run.sh --taste_configs`` wants. ESPnet's configurations cannot include others.

Example:
    example: the three steps of TASTE with another quantizer
    ./run.sh --stage 7 --stop_stage 10 --taste_configs "$(python -m \\
        espnet2_taste.bin.merge_configs --changes conf/tuning/quantizer_fsq.yaml \\
        --output_dir exp/conf conf/train_taste_{text_only,no_vq,vq}.yaml)"
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from espnet2.utils.config_argparse import ArgumentParser

from espnet2_taste.bin.command import Command
from espnet2_taste.data.files import read_yaml
from espnet2_taste.experiment_files import merged


def add_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run`."""
    add = parser.add_argument
    add("configs", type=Path, nargs="+", help="Complete configurations")
    add("--changes", type=Path, required=True, help="YAML of the options that differ")
    add("--output_dir", type=Path, required=True, help="Receives <config>_<changes>")


def write(configs: list[Path], changes: Path, output_dir: Path) -> list[str]:
    """Write the changed configurations.

    Args:
        configs: Complete configurations.
        changes: YAML of the options that differ.
        output_dir: Receives ``<config>_<changes>.yaml``.

    Returns:
        Their paths.

    Raises:
        ValueError: A file holds no options.
    """
    different = _read(changes)
    output_dir.mkdir(parents=True, exist_ok=True)
    paths = []
    for config in configs:
        path = output_dir / f"{config.stem}_{changes.stem}.yaml"
        path.write_text(_dump(merged(_read(config), different)), encoding="utf-8")
        paths.append(str(path))
    return paths


def _read(path: Path) -> dict[str, Any]:
    content = read_yaml(path)
    if not content:
        raise ValueError(f"{path} holds no options: give a YAML table")
    return content


def _dump(content: Mapping) -> str:
    import yaml

    return yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True)


def run(args: argparse.Namespace) -> None:
    """Write them and print their names."""
    print(" ".join(write(args.configs, args.changes, args.output_dir)))


main = Command(run, add_options, __doc__)

if __name__ == "__main__":
    main()
