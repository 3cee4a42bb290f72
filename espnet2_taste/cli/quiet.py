"""What libraries say to developers stays off the terminal."""

import argparse
import contextlib
import importlib
import io
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

PRINTS = "espnet2.legacy.nets.pytorch_backend.transformer.attention"
"""Prints a line on standard error where flash attention is not installed."""


def quiet_libraries(args: argparse.Namespace) -> None:
    """Keep what libraries say to developers off the terminal, unless it was asked for.

    Args:
        args: Options; ``--log_level INFO`` and ``DEBUG`` show everything.
    """
    if log_from(args.log_level) and Path(args.model).exists():
        hide_bars()  # nothing is downloaded, so no bar is missed


def quiet_command(words: Sequence[str]) -> None:
    """The same for a command of ``bin``, whose files are all here.

    Args:
        words: Its options; it reads ``--log_level`` itself if that is among them.
    """
    silence_warnings()
    if not any(word.startswith(("--log_level", "--help", "-h")) for word in words):
        log_from("WARNING")
        hide_bars()
        import_quietly()


def log_from(level: str) -> bool:
    """Log what is as grave as ``level``; return whether libraries are kept quiet."""
    import logging

    logging.basicConfig(level=level, format="%(levelname)s: %(message)s")
    quiet = logging.getLevelNamesMapping()[level] > logging.INFO
    if quiet:
        silence_warnings()
    return quiet


def hide_bars() -> None:
    """Show no bars of Hugging Face's libraries, which load weights in seconds."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def silence_warnings() -> None:
    """Show no warnings of libraries, of other processes neither."""
    warnings.simplefilter("ignore")
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


def import_quietly() -> None:
    """Import what prints while it is imported; called before a model is loaded."""
    with contextlib.redirect_stderr(io.StringIO()):
        importlib.import_module(PRINTS)
