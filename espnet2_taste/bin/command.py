"""What every command of this package does around its work.

Enters: a parser and a function of its options. Leaves: the work done, or one line with
the command's name and the reason, and exit status 1.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path


def run_command(
    get_parser: Callable[[], argparse.ArgumentParser],
    run: Callable[[argparse.Namespace], None],
    cmd: Sequence[str] | None = None,
) -> None:
    """Parse, set the level of messages if there is ``--log_level``, and run.

    Args:
        get_parser: Gives the parser.
        run: Called with the options. The file it is defined in names the command.
        cmd: Arguments; those of the process when None.

    Raises:
        SystemExit: The options are wrong, or what ``run`` was given is: ``ValueError``,
            ``RuntimeError`` and ``OSError`` become one line.
    """
    args = get_parser().parse_args(cmd)
    if hasattr(args, "log_level"):
        logging.basicConfig(level=args.log_level)
    try:
        run(args)
    except (ValueError, RuntimeError, OSError) as error:
        sys.exit(f"{Path(run.__code__.co_filename).stem}: {error}")
