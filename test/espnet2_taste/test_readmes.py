"""Every command and every block of code in the READMEs does something.

Shell lines pass through bash. What uses packed models is run on tiny ones; recipes,
``make`` and commands that need data, hours or published models only parse their line,
for the reason that is printed.
"""

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet2_taste.cli.main import get_parser, main

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *("README.md", "CONTRIBUTING.md", "test/README.md", "egs2/README.md"),
    *("espnet2_taste/inference/README.md", "espnet2_taste/evaluation/README.md"),
    *(str(p.relative_to(ROOT)) for p in sorted(ROOT.glob("egs2/*/taslm1/README.md"))),
    "egs2/mini_espeak/taslm1/conf/tuning/README.md",
    "egs2/TEMPLATE/taslm1/demo/README.md",
]
OF_PACKED_MODELS = ("README.md", "espnet2_taste/inference/README.md")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = "make|python|espnet2-taste|pip|pytest|diff|cd"
COMMAND = re.compile(rf"(\./|egs2/\S+\.sh |[A-Z_]+=\S+ |({PROGRAMS}) )")
PARSED = {
    "make": "it installs, and trains for an hour: make -n",
    "recipe": "it trains: its options are parsed, and the files they name are there",
    "pytest": "it runs all tests: the paths are there",
    "python": "it needs data or published models: its options are parsed",
    "pip": "it installs: extras and files are there",
    "espnet2-taste": "it serves until it is stopped: its options are parsed",
}
SHIMS = f"""
note() {{ printf '%s\\x1f' "$PWD" "$@" >>"$NOTES"; printf '\\n' >>"$NOTES"; }}
make() {{ note make; command make -n "$@" >/dev/null; }}
./run.sh() {{ note recipe "$@"; command ./run.sh "$@" --help >/dev/null; }}
./tune.sh() {{ note recipe "$@"; command ./tune.sh "$@" --help >/dev/null; }}
./controls.sh() {{ note recipe "$@"; command ./controls.sh "$@" --help >/dev/null; }}
./mistakes.sh() {{ note recipe "$@"; command ./mistakes.sh "$@" --help >/dev/null; }}
pytest() {{ note pytest "$@"; }}
pip() {{ note pip "$@"; }}
diff() {{ command diff "$@" >/dev/null || [ $? = 1 ]; }}
espnet2-taste() {{ note espnet2-taste "$@"; }}
python() {{
    if [ "${{2-}}" = espnet2_taste.bin.merge_configs ]; then
        command "{sys.executable}" "$@"
    else
        note python "$@"
    fi
}}
"""


def blocks_of(page, *languages):
    found = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    return [body for language, body in found if language in languages]


def lines_of(page):
    """Shell blocks, then the commands within sentences and tables."""
    text = BLOCK.sub("", (ROOT / page).read_text(encoding="utf-8"))
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]
    return blocks_of(page, "sh") + [span for span in spans if COMMAND.match(span)]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The recipes and tools as they are, without what was made with them."""
    root = tmp_path_factory.mktemp("checkout")
    made = shutil.ignore_patterns("exp*", "data", "dump", "downloads", "venv", ".*")
    for name in ("egs2", "tools"):
        shutil.copytree(ROOT / name, root / name, symlinks=True, ignore=made)
    for name in ("espnet2_taste", "test", "setup.py"):
        (root / name).symlink_to(ROOT / name)
    (root / "tools/env.done").write_text(sys.executable + "\n")
    return root


@pytest.fixture
def shell(checkout, tmp_path):
    """Runs shell text; gives where its commands were called, and with what."""

    def run(text, folder):
        notes = tmp_path / "notes"
        notes.write_text("")
        variables = os.environ | {"NOTES": str(notes), "PYTHONPATH": str(ROOT)}
        given = ["bash", "-euo", "pipefail", "-c", SHIMS + text]
        subprocess.run(given, cwd=folder, env=variables, check=True)
        rows = notes.read_text().splitlines()
        return [row.split("\x1f")[:-1] for row in rows]

    return run


def check_parsed(kind, arguments, folder):
    """A line that is not run: its options exist, and so do the files it names."""
    print(f"only parsed ({PARSED[kind]}): {kind} {' '.join(arguments)}")
    if kind == "python" and arguments[0] == "-m":
        module = importlib.import_module(arguments[1])
        options = getattr(module, "get_parser", None) or module.main.get_parser
        options().parse_args(arguments[2:])
    elif kind == "python":
        script = folder / arguments[0]
        compile(script.read_text(encoding="utf-8"), script, "exec")
    elif kind == "recipe":
        numbers = re.findall(r"--\w*stage (\S+)", " ".join(arguments))
        assert all(1 <= int(number) <= 17 for number in numbers)
        named = re.findall(r"(?:exp/)?conf/\S+", " ".join(arguments))
        assert all((folder / name).is_file() for name in named)
    elif kind == "espnet2-taste":
        get_parser().parse_args(arguments)
    elif kind == "pip":
        named = [name for name in arguments[1:] if "/" in name or name == "."]
        assert all((folder / name).exists() for name in named)
        extras = re.findall(r"\[(\w+)\]", " ".join(arguments))
        assert all(f'"{e}": [' in (ROOT / "setup.py").read_text() for e in extras)
    elif kind == "pytest":
        assert all((ROOT / name).exists() for name in arguments if name[0] != "-")


def folder_of(page, line):
    """Where a reader of a page stands."""
    recipe = re.match(r"egs2/\w+/taslm1", page)
    if recipe and not line.startswith("make"):
        return recipe.group()
    return "egs2/mini_espeak/taslm1" if line.startswith("./") else "."


@pytest.mark.parametrize("page", PAGES)
def test_shell_lines_are_commands_that_exist(page, shell, checkout):
    for line in lines_of(page):
        if "espnet2-taste " in line:
            continue  # run below
        folder = checkout / folder_of(page, line)
        for where, kind, *arguments in shell(line, folder):
            check_parsed(kind, arguments, Path(where))


@pytest.fixture
def packed(packed_models, tmp_path, monkeypatch):
    """A folder as stage 14 leaves it; the current one."""
    for name in ("taste.zip", "taslm.zip"):
        shutil.copyfile(packed_models[0] / name, tmp_path / name)
    noise = 0.1 * np.random.default_rng(0).standard_normal(24000)
    soundfile.write(tmp_path / "sample.wav", noise, 16000)
    (tmp_path / "sample.txt").write_text("the red dog\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_packed_models_do_what_the_readme_shows(packed, shell):
    for block in (b for page in OF_PACKED_MODELS for b in blocks_of(page, "python")):
        exec(block, {})
    blocks = [b for page in OF_PACKED_MODELS for b in blocks_of(page, "sh")]
    blocks = [block for block in blocks if "espnet2-taste " in block]
    calls = [call for block in blocks for call in shell(block, packed)]
    for _, program, *arguments in calls:
        if program == "espnet2-taste" and arguments[0] != "demo":
            main(arguments)
        else:
            check_parsed(program, arguments, packed)
    made = ("again.wav", "tokens/codes.scp", "again/wav.scp", "more/wav.scp", "said")
    assert all((packed / name).exists() for name in made)


def test_the_python_of_the_other_pages_runs():
    from espnet2_taste.tasks.choices import quantizer_choices
    from espnet2_taste.tokenizer.quantizers.rvq import ResidualQuantizer

    before = dict(quantizer_choices.classes)
    pages = [page for page in PAGES if page not in OF_PACKED_MODELS]
    for block in (b for page in pages for b in blocks_of(page, "python")):
        exec(block, {"MyQuantizer": ResidualQuantizer})
    added = quantizer_choices.classes.pop("mine")
    assert added is ResidualQuantizer and quantizer_choices.classes == before


def test_no_block_is_of_another_language():
    found = {
        lang for page in PAGES for lang, _ in BLOCK.findall((ROOT / page).read_text())
    }
    assert found <= {"", "sh", "python"}
