"""What every command of this package does around its work.

Enters: functions that add options and do the work. Leaves: the work done, or one line
with the command's name and the reason, and exit status 1. Every command takes its
options from a YAML file as well (``--config``, as ESPnet's do).
"""

import argparse
import inspect
import logging
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from espnet2.utils.config_argparse import ArgumentParser

from espnet2_taste.data.parts import set_names
from espnet2_taste.data.recording_writer import FORMATS
from espnet2_taste.data.set_loop import finish_sets
from espnet2_taste.metrics.tables import provenance, write_json

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
SHARED = {
    "dump_dir": {"type": Path, "default": "dump/raw", "help": "Where the sets are"},
    "sets": {"type": set_names, "required": True, "help": "Names of sets, one string"},
    "parts_dir": {
        "type": Path,
        "help": "Join what jobs left in these parts of the sets",
    },
    "ids_dir": {
        "type": Path,
        "help": "With parts of sets (0001/test): where their lists of utterances are; "
        "everything else is read of the whole sets",
    },
    "audio_format": {
        "default": "wav",
        "choices": FORMATS,
        "help": "Of what is made: a file each, or all recordings of a set (or of a "
        "part) in one ark",
    },
    "seed": {"type": int, "default": 0, "help": "Of all that is drawn at random"},
    "fs": {"type": int, "default": 16000, "help": "Samples a second of what is made"},
    "ctm": {"default": "ctm", "help": "File with word times in the sets"},
    "model_file": {"help": "Checkpoint, default: the best one"},
    "continuation_dir": {"type": Path, "required": True, "help": "Parent of the sets"},
    "transcripts": {"default": "text_recognized", "help": "Table with what was said"},
    "transcript_source": {"help": "Who wrote the transcripts, if they do not say"},
    "batch_size": {"type": int, "default": 16, "help": "Utterances at once"},
    "ngpu": {"type": int, "default": 0, "help": "0 for the CPU"},
    "log_level": {
        "default": "INFO",
        "choices": LEVELS,
        "help": "Least important messages that are shown",
    },
}
"""Options that mean the same in many commands."""
_EXAMPLE = re.compile("Examples?.*", re.DOTALL)


def add_shared(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add options of :data:`SHARED`."""
    for name in names:
        parser.add_argument(f"--{name}", **SHARED[name])


class HelpFormatter(
    argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter
):
    """Keeps the lines of descriptions and ends options with their defaults."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        """Text of an option; a default that is nothing is not shown."""
        nothing = action.default is None or action.default in ("", [], {})
        if nothing or action.nargs == 0:
            return action.help
        return super()._get_help_string(action)


class Command:
    """One command: ``main`` of a module, or a sub-command of a :class:`Program`.

    Args:
        run: Does the work; gets the options, in ``argv`` the words they come from, in
            ``called`` the name of the command, in ``module`` its module, and in
            ``device`` what ``--ngpu`` asks for.
        add_options: Adds the options to a parser.
        description: Shown by ``--help``; the docstring of ``run`` when None.
    """

    def __init__(
        self,
        run: Callable[[argparse.Namespace], None],
        add_options: Callable[[ArgumentParser], None],
        description: str | None = None,
    ) -> None:
        self.run = run
        self.add_options = add_options
        self.description = description or inspect.getdoc(run)
        self.name = Path(run.__code__.co_filename).stem

    def fill(self, parser: ArgumentParser) -> None:
        """Add help and options to a parser."""
        parser.description = self.description
        parser.formatter_class = HelpFormatter
        self.add_options(parser)
        add_shared(parser, "log_level")

    def get_parser(self) -> ArgumentParser:
        """Return the parser of a command without sub-commands."""
        parser = ArgumentParser()
        self.fill(parser)
        return parser

    def __call__(self, cmd: Sequence[str] | None = None) -> None:
        """Run with arguments; those of the process when None.

        Raises:
            SystemExit: The options are wrong, or what ``run`` was given is:
                ``ValueError``, ``RuntimeError`` and ``OSError`` become one line.
        """
        _run(self.name, self, _parse(self.get_parser(), cmd))


class Program:
    """Commands that belong to one idea: ``main`` of a module.

    Args:
        description: What they have in common.
        commands: By their names.
    """

    def __init__(self, description: str, **commands: Command) -> None:
        self.description = description
        self.commands = commands

    def get_parser(self) -> argparse.ArgumentParser:
        """Return the parser of all of them; its help ends with all their examples."""
        texts = [command.description for command in self.commands.values()]
        parser = argparse.ArgumentParser(
            description=self.description,
            epilog="\n\n".join(
                part for text in texts for part in _EXAMPLE.findall(text)
            ),
            formatter_class=HelpFormatter,
        )
        parsers = parser.add_subparsers(
            dest="command", required=True, parser_class=ArgumentParser
        )
        for name, command in self.commands.items():
            summary = command.description.splitlines()[0].replace("%", "%%")
            command.fill(parsers.add_parser(name, help=summary))
        return parser

    def __call__(self, cmd: Sequence[str] | None = None) -> None:
        """Run with arguments, the first a command; those of the process when None."""
        args = _parse(self.get_parser(), cmd)
        command = self.commands[args.command]
        _run(f"{command.name} {args.command}", command, args)


def finish(
    args: argparse.Namespace,
    is_done: Callable[[Path], bool],
    load: Callable[[], Any],
    work: Callable[[Any, Path], str],
    join: Callable[[Sequence[Path], Path], str],
    parent: Path | None = None,
) -> None:
    """Do the work on the sets of a command that are not finished, or join their parts.

    Args:
        args: Options of the command, with ``sets`` and ``parts_dir``.
        is_done: See ``data.set_loop.finish_sets``.
        load: Likewise.
        work: Likewise.
        join: Likewise.
        parent: Of the folders of the sets; ``dump_dir`` when None.
    """
    parent = args.dump_dir if parent is None else parent
    folders = [parent / name for name in args.sets.split()]
    finish_sets(args.called, folders, is_done, load, work, args.parts_dir, join)


def save_study(
    args: argparse.Namespace,
    path: Path,
    study: str,
    settings: Mapping[str, Any],
    **content: Any,
) -> dict[str, Any]:
    """Write results with the command, the versions and the settings that made them.

    Args:
        args: Options of the command.
        path: JSON file.
        study: Name by which reports find it.
        settings: Choices that change the numbers.
        **content: The numbers.

    Returns:
        What was written.
    """
    made = provenance(args.module, args.argv, settings)
    result = {"study": study, **made, **content}
    write_json(path, result)
    return result


def _parse(parser: argparse.ArgumentParser, cmd: Sequence[str] | None):
    argv = sys.argv[1:] if cmd is None else [str(word) for word in cmd]
    args = parser.parse_args(argv)
    args.argv = argv
    return args


def _run(name: str, command: Command, args: argparse.Namespace) -> None:
    logging.basicConfig(level=args.log_level)
    if hasattr(args, "ngpu"):
        args.device = "cuda" if args.ngpu else "cpu"
    args.module, args.called = f"{__package__}.{command.name}", name
    try:
        command.run(args)
    except (ValueError, RuntimeError, OSError) as error:
        sys.exit(f"{name}: {error}")
    except KeyboardInterrupt:
        print(f"{name}: stopped", file=sys.stderr)
        sys.exit(130)
