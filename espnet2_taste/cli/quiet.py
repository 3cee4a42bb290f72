"""What libraries say to developers stays off the terminal."""

import argparse
import contextlib
import importlib
import io
import os
import warnings
from pathlib import Path

PRINTS = "espnet2.legacy.nets.pytorch_backend.transformer.attention"
"""Prints a line on standard error where flash attention is not installed."""


def quiet_libraries(args: argparse.Namespace) -> None:
    """Keep what libraries say to developers off the terminal, unless it was asked for.

    Args:
        args: Options; ``--log_level INFO`` and ``DEBUG`` show everything.
    """
    import logging

    logging.basicConfig(level=args.log_level, format="%(levelname)s: %(message)s")
    if logging.getLevelNamesMapping()[args.log_level] <= logging.INFO:
        return
    silence_warnings()
    if Path(args.model).exists():  # nothing is downloaded, so no bar is missed
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
