"""Files of a packed model, wherever it is: archive, directory, or name on a hub.

Enters: what a user gives to ``from_pretrained``. Leaves: constructor arguments. An
archive is looked through before anything is written: members that would leave the
target directory, and links, are refused.
"""

import contextlib
import hashlib
import inspect
import re
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Self

from espnet2_taste.data.files import parse_yaml, read_yaml
from espnet2_taste.experiment_files import ARCHIVES, META, is_inside

DAMAGED_ARCHIVE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, struct.error, EOFError),
    *(NotImplementedError, RuntimeError, UnicodeDecodeError),
)
"""What the archive readers raise: bytes, then methods, passwords and names."""

FORMER = re.compile("^(taslm|unit_lm)_")
"""Beginnings of names in packages of a time when each kind had its own class."""


def pretrained_files(model: str | Path, cache_dir: str | Path | None = None) -> dict:
    """Fetch and unpack a model.

    Args:
        model: Unpacked package (a directory), archive, URL, or name on a hub.
        cache_dir: Where archives are unpacked; ESPnet's cache by default.

    Returns:
        Constructor argument -> path of a file.

    Raises:
        ValueError: It does not exist, is no package, or must not be unpacked.
    """
    place = Path(model)
    if not place.exists():
        place = _fetch(str(model), cache_dir)
    if place.is_dir():
        return directory_files(place)
    check_archive(place)
    return _unpacked(place, cache_dir)


def _unpacked(archive: Path, cache_dir: str | Path | None) -> dict[str, str]:
    """Files of a checked archive of this machine, in a folder of its own in the cache.

    The downloader could do it as well, but takes .7 s to import and knows an archive by
    its path alone, so that a new one of the same name would not be read.
    """
    state = archive.stat()
    place = f"{archive.absolute()} {state.st_mtime_ns} {state.st_size}"
    cache = Path(cache_dir or Path.home() / ".cache" / "espnet_model_zoo").expanduser()
    folder = cache.absolute() / hashlib.sha256(place.encode()).hexdigest()[:32]
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as new, damaged_archives(archive):
            _extract(archive, f"{new}/files")
            with contextlib.suppress(OSError):  # another process was faster
                Path(new, "files").rename(folder)
    return directory_files(folder)


def _extract(archive: Path, folder: str) -> None:
    """Unpack a zip or tar file whose members were checked."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            file.extractall(folder)
    else:
        with tarfile.open(archive) as file:
            file.extractall(folder, filter="data")


def _fetch(model: str, cache_dir: str | Path | None) -> Path:
    """An archive, or a folder of the hub's cache."""
    from espnet_model_zoo.downloader import ModelDownloader

    tag = model.count("/") == 1 and Path(model).suffix not in ARCHIVES
    if not (tag or "://" in model):
        raise ValueError(
            f"{model}: no such file or folder; give a packed model, its folder, or "
            "the name of a published one (user/name)"
        )
    try:
        return Path(ModelDownloader(cache_dir).download(model))
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise ValueError(
            f"{model} is no file or folder here, and it cannot be downloaded "
            f"({str(error).splitlines()[0]}): correct the path or name, or check "
            "the network"
        ) from error


def directory_files(root: Path) -> dict[str, str]:
    """Files of an unpacked package.

    Args:
        root: Folder with ``meta.yaml``.

    Returns:
        Constructor argument -> path.

    Raises:
        ValueError: It has no ``meta.yaml``, or that names files that are missing or
            outside.
    """
    if not (root / META).is_file():
        raise ValueError(
            f"{root} has no {META}: give a packed model (bin/pack.py), its archive or "
            "the name of a published one"
        )
    meta = read_yaml(root / META)
    result = {}
    for key, name in _named_files(meta, root).items():
        if not is_inside(root / name, root):
            raise ValueError(_refusal(root, name, "it lies outside of the package"))
        if not (root / name).is_file():
            raise ValueError(
                f"{root} lacks {name} ({key}): unpack or download it again"
            )
        result[key] = str(root / name)
    return result


def check_archive(path: Path) -> None:
    """Refuse an archive that could write where it should not.

    Args:
        path: A zip or tar file.

    Raises:
        ValueError: It is no archive, has no ``meta.yaml``, or a member is a link or
            lies outside of the archive.
    """
    with damaged_archives(path):
        members = list(_members(path))
        meta = _read_member(path, META) if META in dict(members) else None
    for name, is_plain in members:
        if not is_plain:
            raise ValueError(_refusal(path, name, "it is a link or a device"))
        if _leaves(name):
            raise ValueError(_refusal(path, name, "it lies outside of the package"))
    if meta is None:
        raise ValueError(f"{path} is no packed model: it has no {META}")
    for name in _named_files(parse_yaml(meta, f"{path}/{META}"), path).values():
        if _leaves(name):
            raise ValueError(_refusal(path, name, "it lies outside of the package"))


@contextlib.contextmanager
def damaged_archives(path: Path) -> Iterator[None]:
    """Turn what the archive readers raise for damaged bytes into one error.

    Args:
        path: The archive.

    Raises:
        ValueError: It is damaged.
    """
    try:
        yield
    except (*DAMAGED_ARCHIVE, OSError) as error:
        raise ValueError(
            f"{path} cannot be unpacked, it is damaged ({error}): download or pack it "
            "again"
        ) from error


def constructor_arguments(cls: type, files: Mapping[str, str], source: str) -> dict:
    """The files of a package that a class asks for; others belong to other classes.

    Args:
        cls: Inference class.
        files: Of the package.
        source: What the user gave, for errors.

    Returns:
        Arguments of ``cls``.

    Raises:
        ValueError: The package lacks one.
    """
    parameters = inspect.signature(cls).parameters.values()
    missing = [
        item.name
        for item in parameters
        if item.default is item.empty and item.name not in files
    ]
    if missing:
        raise ValueError(
            f"{source} is no package for {cls.__name__}: it has {sorted(files)}, but "
            f"not {', '.join(missing)}; load it with another class"
        )
    known = {item.name for item in parameters}
    return {name: path for name, path in files.items() if name in known}


class Pretrained:
    """A class of users that a package loads."""

    @classmethod
    def from_pretrained(
        cls, model: str | Path, cache_dir: str | Path | None = None, **options
    ) -> Self:
        """Load a packed model.

        Args:
            model: Archive, unpacked directory, URL, or name on a hub.
            cache_dir: Where archives are unpacked; ESPnet's cache by default.
            **options: Other arguments of the constructor.

        Returns:
            The model.

        Raises:
            ValueError: No package, an unsafe one, or one of another class.
        """
        found = pretrained_files(model, cache_dir).items()
        files = {FORMER.sub("slm_", name): path for name, path in found}
        return cls(**constructor_arguments(cls, files, str(model)), **options)


def _named_files(meta, source: Path) -> dict[str, str]:
    parts = [meta.get(key) for key in ("files", "yaml_files")] if meta else [None]
    if not all(isinstance(part, dict) for part in parts):
        raise ValueError(f"{source}: {META} does not list files and yaml_files")
    return {str(key): str(name) for part in parts for key, name in part.items()}


def _leaves(name: str) -> bool:
    """Whether a member's name points out of the archive on any system."""
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    absolute = posix.is_absolute() or bool(windows.drive or windows.root)
    return absolute or ".." in posix.parts or ".." in windows.parts


def _members(path: Path) -> Iterator[tuple[str, bool]]:
    """Names of the members, and whether each is a plain file or directory."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                kind = stat.S_IFMT(info.external_attr >> 16)
                # `filename` is cleaned by the library, `orig_filename` is what is there
                yield info.orig_filename, kind in (0, stat.S_IFREG, stat.S_IFDIR)
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            for info in archive:
                yield info.name, info.isreg() or info.isdir()
    else:
        raise ValueError(f"{path} is neither a zip nor a tar archive")


def _read_member(path: Path, name: str) -> bytes:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    with tarfile.open(path) as archive:
        return archive.extractfile(name).read()


def _refusal(source: Path, name: str, reason: str) -> str:
    return f"{source} is refused: '{name}' must not be unpacked, {reason}"
