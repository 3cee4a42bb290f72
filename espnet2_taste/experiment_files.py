"""The files of an experiment, where it was trained or unpacked from a package.

Enters: an experiment, named by its directory or by its ``config.yaml`` (a package
names files, because ESPnet's ``unpack`` finds only files again). Leaves: its options
and its weights, read without running any code.

A package is a folder with ``meta.yaml`` and one folder a part. In it, options name
files relative to the package; they are resolved here, so that a package works where it
was unpacked, downloaded or copied, even if nothing was rewritten.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from espnet2_taste.data.files import read_yaml

CONFIG, META = "config.yaml", "meta.yaml"
ARCHIVES = (".zip", ".tgz", ".gz", ".bz2", ".xz", ".tar")
"""Endings of packed models."""
MODEL_FILE = "valid.loss.best.pth"
"""Checkpoint of an experiment that is used unless another one is named."""


def local_place(name_or_dir: str | Path) -> str:
    """Directory of what is given as a directory, as a file in it, or as a hub name.

    Args:
        name_or_dir: What the configuration holds.

    Returns:
        The directory for a local file, else the argument as it is.
    """
    place = Path(name_or_dir)
    return str(place.parent if place.is_file() else name_or_dir)


def from_hub(class_: type, name_or_dir: str | Path, **options) -> Any:
    """What a class of ``transformers`` reads from a directory or the hub.

    Args:
        class_: With ``from_pretrained``.
        name_or_dir: See :func:`local_place`.
        **options: Of ``from_pretrained``.

    Raises:
        OSError, ValueError: It cannot be had.
    """
    place = local_place(name_or_dir)
    local = Path(place).is_dir()
    return class_.from_pretrained(place, local_files_only=local, **options)


def current(paths: Iterable[Path], expdir: Path) -> list[Path]:
    """Leave out what a recipe made from earlier settings and set aside as ``.old``.

    Args:
        paths: Below the directory of experiments.
        expdir: That directory.

    Returns:
        The others, sorted.
    """
    return sorted(
        path
        for path in paths
        if not any(part.endswith(".old") for part in path.relative_to(expdir).parts)
    )


def config_of(experiment: str | Path) -> Path:
    """Path of the options of an experiment.

    Args:
        experiment: Its directory, or the file itself.

    Returns:
        The file, which need not exist.
    """
    place = Path(experiment)
    return place if place.is_file() else place / CONFIG


def trained_files(
    experiment: str | Path, model_file: str | Path | None, default: str, remedy: str
) -> tuple[Path, Path]:
    """Options and weights of a trained experiment.

    Args:
        experiment: Its directory, or its ``config.yaml``.
        model_file: The weights; ``default`` beside the options when None.
        default: Name of the default weights.
        remedy: What to do when a file is missing.

    Returns:
        Both paths.

    Raises:
        ValueError: A file is missing.
    """
    config = config_of(experiment)
    path = Path(model_file) if model_file else config.parent / default
    for wanted in (config, path):
        if not wanted.is_file():
            raise ValueError(f"{wanted} not found: {remedy}")
    return config, path


def find_checkpoint(folder: Path, names: Iterable[str], option: str) -> Path:
    """The default checkpoint of an ESPnet experiment.

    Args:
        folder: Of the experiment.
        names: Preferred ones, the best first.
        option: That names another one, for errors.

    Returns:
        The first of them that exists, else the only ``.pth`` file.

    Raises:
        ValueError: None, or no obvious one.
    """
    named = [folder / name for name in names if (folder / name).is_file()]
    others = sorted(p for p in folder.glob("*.pth") if p.name != "checkpoint.pth")
    if not named and len(others) != 1:
        raise ValueError(
            f"{folder} holds {len(others)} model files and none of {', '.join(names)}: "
            f"set {option}"
        )
    return (named or others)[0]


def package_root(config: Path) -> Path | None:
    """The package that holds a part's options.

    Args:
        config: ``<package>/<part>/.../config.yaml``.

    Returns:
        The folder with ``meta.yaml``, None outside of a package.
    """
    for folder in list(config.absolute().parents)[:5]:
        if (folder / META).is_file():
            return folder
    return None


def read_config(config: str | Path) -> dict[str, Any]:
    """Options of an experiment, paths of a package resolved.

    Args:
        config: A YAML file.

    Returns:
        Option -> value.

    Raises:
        ValueError: Not a table of options, or an option of a package names a file
            outside of it.
    """
    config = Path(config)
    options = read_yaml(config)
    if not options:
        raise ValueError(f"{config} holds no options; is it an ESPnet config.yaml?")
    root = package_root(config)
    return options if root is None else _resolved(options, root, config)


def _resolved(options: Mapping, root: Path, config: Path) -> dict[str, Any]:
    """Make the paths in nested options absolute; lists hold tokens, never paths."""
    result = {}
    for name, value in options.items():
        if isinstance(value, Mapping):
            value = _resolved(value, root, config)
        elif isinstance(value, str) and "/" in value:
            place = root / value
            if not is_inside(place, root):
                raise ValueError(
                    f"{config}: {name} names '{value}', which is not in the package "
                    f"{root}: do not trust it, or, if it was unpacked elsewhere and "
                    "moved here, unpack it again"
                )
            value = str(place) if place.exists() else value
        result[name] = value
    return result


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Options with some of them changed.

    Args:
        base: A complete configuration.
        changes: Options that differ. Tables are merged entry by entry, but a part that
            is chosen anew (``x``) forgets the options of the old one (``x_conf``).

    Returns:
        The complete configuration.

    Example:
        >>> base = {"part": "a", "part_conf": {"n": 1}, "conf": {"m": 1, "k": 2}}
        >>> merged(base, {"part": "b", "conf": {"m": 3}})
        {'part': 'b', 'conf': {'m': 3, 'k': 2}}
    """
    anew = {f"{name}_conf" for name in changes if changes[name] != base.get(name)}
    result = {name: value for name, value in base.items() if name not in anew}
    for name, value in changes.items():
        old = result.get(name)
        both = isinstance(value, Mapping) and isinstance(old, Mapping)
        result[name] = merged(old, value) if both else value
    return result


def is_inside(path: str | Path, root: str | Path) -> bool:
    """Whether a path stays below a folder, ``..`` taken into account.

    Args:
        path: Any path; links in a hub's cache may point elsewhere and are not followed.
        root: A folder.

    Returns:
        True or False.
    """
    import os

    path, root = os.path.abspath(path), os.path.abspath(root)
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def load_weights(path: str | Path, mmap: bool = False) -> dict[str, Any]:
    """Read tensors and nothing that could run.

    Args:
        path: A ``.pth``, ``.pt`` or ``.safetensors`` file.
        mmap: Read from the disk what is used and when it is used.

    Returns:
        Names -> tensors.

    Raises:
        ValueError: No such file.
        RuntimeError: It holds something else than weights, or is damaged, or values are
            not finite.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path} not found: name another model file")
    try:
        state = _read_tensors(Path(path), mmap)
    except Exception as error:  # damaged bytes make the readers raise anything
        raise RuntimeError(
            f"{path} is refused: it holds more than weights and could run code, or it "
            f"is damaged ({type(error).__name__}). Get the model again, from its "
            "authors, as a plain state dict"
        ) from error
    if not isinstance(state, Mapping):
        raise RuntimeError(f"{path} holds no weights by name, found {type(state)}")
    for name, tensor in state.items():
        _check_finite(path, name, tensor)
    return dict(state)


def load_part(module, name: str, state: Mapping[str, Any]) -> None:
    """Load the tensors ``<name>.*`` of a whole model into its part."""
    prefix = f"{name}."
    own = {n.removeprefix(prefix): x for n, x in state.items() if n.startswith(prefix)}
    module.load_state_dict(own)


def _read_tensors(path: Path, mmap: bool) -> Any:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(str(path))
    import torch

    return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)


def _check_finite(path: str | Path, name: str, tensor: Any) -> None:
    """Refuse NaN and infinite weights; masks of 0 and -inf are none."""
    import torch

    if not (isinstance(tensor, torch.Tensor) and tensor.is_floating_point()):
        return
    if not tensor.isfinite().all() and not ((tensor == 0) | tensor.isneginf()).all():
        raise RuntimeError(
            f"{path} is refused: '{name}' holds NaN or infinite values. Name the "
            "checkpoint of another epoch, or train again with a lower learning rate"
        )


def load_model(
    build: Callable, config: str | Path, weights: str | Path, device: str = "cpu"
):
    """Build the model of an experiment and load its weights, every name accounted for.

    Args:
        build: Makes the model from its options, a namespace.
        config: Its ``config.yaml``.
        weights: Its checkpoint.
        device: Where the model goes.

    Returns:
        The model in evaluation mode, and its options as a namespace.

    Raises:
        ValueError: A file is missing or an option cannot be used.
        RuntimeError: The checkpoint does not fit or is refused.
    """
    import argparse

    args = argparse.Namespace(**read_config(config))
    try:
        model = build(args)
    except AttributeError as error:
        if error.obj is not args:
            raise
        raise ValueError(
            f"{config} is an experiment of another kind: it has no option "
            f"'{error.name}'; give one of the kind that is asked for"
        ) from error
    state = load_weights(weights)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise RuntimeError(f"{weights} does not fit {config}: {error}") from error
    return model.to(device).eval(), args
