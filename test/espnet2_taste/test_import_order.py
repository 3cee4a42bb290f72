"""Imports of the package point one way, also those inside of functions."""

import ast
import re
from pathlib import Path

import espnet2_taste

ROOT = Path(espnet2_taste.__file__).parent
ORDER = """
optional structures masks precision ranks dropout weight_types
data experiment_files
text
metrics prosody
resuming trainable_state
tokenizer align recognizers units
speech_decoder
vocoder
slm
espnet_taste_model espnet_text_lm_model espnet_spoken_lm_model
espnet_unit_vocoder_model
tasks
inference
evaluation reference
bin
demo cli __main__
"""
"""What stands in a line may import what stands in it or above it."""
LEVELS = {
    name: level
    for level, line in enumerate(ORDER.strip().splitlines())
    for name in line.split()
}


def level_of(module: str) -> int:
    """Level of ``espnet2_taste.folder.module``; of what is at the top, the first."""
    return LEVELS.get(module.split(".")[1], 0)


def is_module(name: str) -> bool:
    place = ROOT.parent.joinpath(*name.split("."))
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def imports_of(path: Path):
    """Modules of the package that a file imports, with the line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            folder = ROOT.parent.joinpath(*node.module.split("."), "__init__.py")
            inside = folder.read_text(encoding="utf-8") if folder.is_file() else None
            names = [
                (
                    f"{node.module}.{alias.name}"
                    if inside is not None and alias.name not in inside
                    else node.module
                )
                for alias in node.names
            ]
        for name in names:
            if name.startswith("espnet2_taste."):
                yield name, node.lineno


def test_imports_point_down_and_name_modules_that_exist():
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        own = path.relative_to(ROOT.parent).with_suffix("")
        own = ".".join(part for part in own.parts if part != "__init__")
        if own == "espnet2_taste":
            continue
        for name, line in imports_of(path):
            if not is_module(name):
                wrong.append(f"{path}:{line}: there is no module {name}")
            elif level_of(name) > level_of(own):
                wrong.append(f"{path}:{line}: {own} imports {name}, which comes later")
    assert not wrong, "\n".join(wrong)


def test_every_folder_has_its_place():
    """A module at the top that is not listed imports nothing of the package."""
    folders = {path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file()}
    assert folders <= set(LEVELS)
    assert all(is_module(f"espnet2_taste.{name}") for name in LEVELS)


PRIVATE = re.compile(r"\btorch(\.\w+)*\._[a-z]|from torch[\w.]*(\._| import _)")


def test_no_private_function_of_torch_is_called():
    assert PRIVATE.search("torch._weight_norm(v)") and not PRIVATE.search("torch.a.b_c")
    found = [path for path in ROOT.rglob("*.py") if PRIVATE.search(path.read_text())]
    assert not found
