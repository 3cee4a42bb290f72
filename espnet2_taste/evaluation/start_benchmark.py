"""How long commands and modules take to start.

Enters: nothing, or a packed model. Leaves: processor seconds of new Python processes,
which import a module, print a command's help or load the model, and nothing else.
"""

import resource
import subprocess
import sys
from statistics import median

INFERENCE = "espnet2_taste.inference"
MODULES = (
    "torch",
    f"{INFERENCE}.taste_tokenizer",
    f"{INFERENCE}.resynthesis",
    f"{INFERENCE}.spoken_lm",
    f"{INFERENCE}.scorer",
    "espnet2_taste.data.formatting",
    "espnet2_taste.text.preparation",
    "espnet2_taste.align.sets",
    "espnet2_taste.tasks.taste",
)
LOAD = """
import sys
from espnet2_taste.inference.taste_tokenizer import TasteTokenizer

TasteTokenizer.from_pretrained(sys.argv[1], cache_dir=sys.argv[2] or None)
"""


def start_commands(model: str | None, cache_dir: str | None) -> dict[str, list[str]]:
    """Arguments of Python by name; the first is the one that others are compared with.

    Args:
        model: Packed model that is loaded as well; None for none.
        cache_dir: Where archives are unpacked; None for ESPnet's cache.
    """
    commands = {f"import {name}": ["-c", f"import {name}"] for name in MODULES}
    commands["espnet2_taste --help"] = ["-m", "espnet2_taste", "--help"]
    if model:
        commands[f"load {model}"] = ["-c", LOAD, model, cache_dir or ""]
    return commands


def start_rows(model: str | None, cache_dir: str | None, repeat: int) -> list[dict]:
    """Start each in turns, after one turn that fills the caches of files.

    Args:
        model: See :func:`start_commands`.
        cache_dir: Likewise.
        repeat: Turns.

    Returns:
        For each its median of processor seconds, and what it takes beyond the first.
    """
    commands = start_commands(model, cache_dir)
    turns = [
        {name: _processor_seconds(given) for name, given in commands.items()}
        for _ in range(1 + repeat)
    ][1:]
    seconds = {name: median(turn[name] for turn in turns) for name in commands}
    first = next(iter(commands))
    return [
        {"start": name, "CPU s": own, f"beyond {first}": own - seconds[first]}
        for name, own in seconds.items()
    ]


def _processor_seconds(arguments: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
