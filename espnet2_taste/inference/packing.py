"""Collects all that a trained model needs in one folder and packs it for the zoo.

Enters: experiments of a recipe. Leaves: an archive with ``meta.yaml`` in the form of
ESPnet's model zoo, whose keys are the constructor arguments of the inference classes.

The archive has one folder a part, each with a ``config.yaml`` and its weights. Options
that name files or directories are followed: the files travel along, under the folder
of the part and the name of the option, and the option then names them relative to the
archive. A directory (an ASR experiment, a Hugging Face model) is named by a file in
it, because ESPnet's ``unpack`` finds only files again. Options that name data of the
training are emptied. Names of public models on a hub stay as they are, unless they
are to be included.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from espnet2_taste.data.files import read_yaml
from espnet2_taste.experiment_files import CONFIG

FILE_OPTIONS = ("bpemodel", "token_list")
PLACE_OPTIONS = ("tokenizer_path", "init_lm", "model")
FILE_SUFFIXES = ("_exp", "_file", "_dir", "_path")
DOWNLOADS = ("download_dir",)
EMPTIED: Mapping[str, Any] = {
    "config": None,
    "output_dir": None,
    "init_param": [],
    "train_data_path_and_name_and_type": [],
    "valid_data_path_and_name_and_type": [],
    "train_shape_file": [],
    "valid_shape_file": [],
    "rir_scp": None,
    "noise_scp": None,
    "non_linguistic_symbols": None,
    "taste_exp": None,
    "taste_model_file": None,
    "data_dir": None,
}
"""Options of the training alone; nothing is built from them."""
MARKERS = ("config.json", "tokenizer_config.json", "tokenizer.json")
UNSAFE = (".bin", ".pt", ".pth", ".pkl", ".h5", ".msgpack", ".ot")


class Package:
    """A folder that becomes an archive.

    Args:
        root: An empty folder.
        include_public: Fetch models that are named on a hub, and pack them too.
    """

    def __init__(self, root: Path, include_public: bool = False):
        self.root = root
        self.include_public = include_public
        self.files: dict[str, str] = {}
        self.yaml_files: dict[str, str] = {}
        self.options: list[str] = []
        self._names: dict[Path, str] = {}

    def add_option(self, source: Path, name: str) -> None:
        """Add a file or folder that no constructor asks for, if it is there.

        Args:
            source: File or folder.
            name: Its name in the archive.
        """
        sources = [source] if source.is_file() else sorted(source.rglob("*"))
        for path in sources:
            if path.is_file():
                target = self.root / name / path.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
                self.options.append(str(target.relative_to(self.root)))

    def add_text(self, name: str, content: str) -> None:
        """Add a file of this content that no constructor asks for.

        Args:
            name: Its name in the archive.
            content: Its text.
        """
        (self.root / name).write_text(content, encoding="utf-8")
        self.options.append(name)

    def add_file(self, source: Path, folder: str) -> str:
        """Copy a file, once.

        Args:
            source: The file.
            folder: Folder in the archive.

        Returns:
            Its name in the archive.

        Raises:
            ValueError: There is no such file.
        """
        name = self._place(source, folder, source.name)
        if not (self.root / name).exists():
            shutil.copyfile(source, self.root / name)
        return name

    def add_config(self, source: Path, folder: str) -> str:
        """Copy options and the files they name.

        Args:
            source: A YAML file.
            folder: Folder in the archive.

        Returns:
            Its name in the archive.

        Raises:
            ValueError: It is missing, or an option names a file that is.
        """
        name = self._place(source, folder, CONFIG)
        if not (self.root / name).exists():
            options = read_yaml(source)
            emptied = {key: EMPTIED[key] for key in EMPTIED if key in options}
            packed = self._follow({**options, **emptied}, folder, source, nested=False)
            text = yaml.safe_dump(packed, sort_keys=False, allow_unicode=True)
            (self.root / name).write_text(text, encoding="utf-8")
        return name

    def _place(self, source: Path, folder: str, name: str) -> str:
        """Name in the archive of a file, the same however often it is asked for."""
        if not source.is_file():
            raise ValueError(f"{source} not found: nothing to pack; train it first")
        (self.root / folder).mkdir(parents=True, exist_ok=True)
        return self._names.setdefault(source.resolve(), f"{folder}/{name}")

    def _follow(
        self, options: Mapping, folder: str, source: Path, nested: bool
    ) -> dict[str, Any]:
        """Copy what options name; lists hold tokens, never paths."""
        result = {}
        for name, value in options.items():
            target = f"{folder}/{name}"
            if isinstance(value, Mapping):
                value = self._follow(value, target, source, nested=True)
            elif isinstance(value, str) and _may_name_a_place(name, value, nested):
                value = self._add_place(name, value, target, source, options)
            result[name] = value
        return result

    def _add_place(
        self, name: str, value: str, folder: str, source: Path, siblings: Mapping
    ) -> str:
        """Copy what an option names; its new value."""
        path = Path(value)
        if self.include_public and not path.exists() and name in PLACE_OPTIONS:
            path = fetch_public(value)
        if path.is_file() and path.name not in MARKERS:
            return self.add_file(path, folder)
        place = path.parent if path.is_file() else path
        if (place / CONFIG).is_file():
            return self._add_experiment(place, folder, siblings)
        if any((place / marker).is_file() for marker in MARKERS):
            return self._add_hub_directory(place, folder)
        if path.exists() or name not in PLACE_OPTIONS:
            raise ValueError(
                f"{source}: {name} names '{value}', which is no file, no ESPnet "
                "experiment and no Hugging Face directory here: run the command in "
                "the recipe's directory, or correct the option"
            )
        return value

    def _add_experiment(self, place: Path, folder: str, siblings: Mapping) -> str:
        """Copy an ASR experiment: options and one checkpoint."""
        from espnet2_taste.tokenizer.encoders.espnet_asr import asr_checkpoint

        name = self.add_config(place / CONFIG, folder)
        if not siblings.get("model_file"):  # it is looked for beside the options
            weights = asr_checkpoint(place)
            self.add_option(weights, f"{Path(name).parent}/{weights.name}")
        return name

    def _add_hub_directory(self, place: Path, folder: str) -> str:
        """Copy a Hugging Face directory, but no weights that could hold code."""
        names = {
            path.name: self.add_file(path, folder)
            for path in sorted(place.iterdir())
            if path.is_file() and path.suffix not in UNSAFE
        }
        return next(names[marker] for marker in MARKERS if marker in names)

    def write(self, outpath: Path, check: Callable[[Path], None]) -> None:
        """Write the archive; a file of that name is replaced at the end.

        Args:
            outpath: ``.zip``, ``.tgz`` or another suffix that ESPnet knows.
            check: Called with the archive before it gets its name; what it raises
                keeps it from getting one.
        """
        from espnet2.main_funcs.pack_funcs import pack

        outpath = outpath.absolute()
        part = outpath.with_name(f".{outpath.name}")
        known = {*self.files.values(), *self.yaml_files.values()}
        others = sorted({*self._names.values(), *self.options} - known)
        with contextlib.chdir(self.root):  # names in the archive are relative to it
            pack(self.files, self.yaml_files, part, option=others)
        try:
            check(part)
        except BaseException:
            part.unlink()
            raise
        os.replace(part, outpath)


def _may_name_a_place(name: str, value: str, nested: bool) -> bool:
    """Whether an option can name a file or directory."""
    if not value or name in DOWNLOADS:
        return False
    if name in FILE_OPTIONS + PLACE_OPTIONS:
        return True
    return nested and (name.endswith(FILE_SUFFIXES) or Path(value).is_file())


def fetch_public(name: str) -> Path:
    """Files of a public model, without weights that could hold code.

    Args:
        name: On the Hugging Face hub.

    Returns:
        A folder.
    """
    from huggingface_hub import snapshot_download

    unwanted = [f"*{suffix}" for suffix in UNSAFE]
    return Path(snapshot_download(name, ignore_patterns=unwanted))


def find_license() -> Path:
    """The licence of this package, beside its source or in its installation.

    Returns:
        A path, which need not exist.
    """
    import importlib.metadata

    import espnet2_taste

    beside = Path(espnet2_taste.__file__).parents[1] / "LICENSE"
    if beside.is_file():
        return beside
    try:
        files = importlib.metadata.files("espnet2_taste") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    found = [Path(file.locate()) for file in files if file.name == "LICENSE"]
    return found[0] if found else beside
