"""Arguments of ``espnet2-taste`` and its sub-commands.

Enters: a command line. Leaves: what the sub-command writes; an error is one line.
"""

import argparse
import importlib
import os
import sys

from espnet2_taste.bin.command import HelpFormatter
from espnet2_taste.cli import (
    again,
    continuation,
    demo,
    resynthesize,
    say,
    score,
    swap,
    tokenize,
)
from espnet2_taste.cli.parts import Outcome
from espnet2_taste.cli.quiet import quiet_command, quiet_libraries

COMMANDS = {
    "again": again,
    "tokenize": tokenize,
    "resynthesize": resynthesize,
    "swap": swap,
    "continue": continuation,
    "say": say,
    "score": score,
    "demo": demo,
}
FORWARDED = {
    "import": (
        "espnet2_taste.bin.imports",
        ["reference"],
        "a folder of the published model -> experiment directories",
    ),
    "pack": (
        "espnet2_taste.bin.pack",
        [],
        "experiments of a recipe -> an archive for the model zoo",
    ),
}
_CLOSED = 141  # as of a program that SIGPIPE ends
_STOPPED = "stopped; finished parts are kept, repeat the command to go on"
_EXAMPLE = """examples:
  a recording, spoken again from its tokens:
    espnet2-taste again --model taste.zip hello.wav again.wav
  speech to words with codes, and back:
    espnet2-taste tokenize --model taste.zip --wav hello.wav --text "hello there" \\
        --output tokens
    espnet2-taste resynthesize --model taste.zip --codes tokens --output again
  a list of recordings, on 4 processes; repeat the command to go on after a stop:
    espnet2-taste tokenize --model taste.zip --wav_scp wav.scp --text_file text \\
        --output tokens --nj 4
  let a spoken language model go on, say a text, and compare utterances:
    espnet2-taste continue --model taslm.zip --codes tokens --output more
    espnet2-taste say --model taslm.zip --text "hello" --style me.wav --output said
    espnet2-taste score --model taslm.zip --codes tokens --output scores

--model is an archive, an unpacked directory or a name on the Hugging Face hub.
Each command has its own --help.
"""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="espnet2-taste",
        description="TASTE speech tokens and spoken language models",
        epilog=_EXAMPLE,
        formatter_class=HelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=module.SUMMARY,
            description=module.SUMMARY,
            epilog=module.EXAMPLE,
            formatter_class=HelpFormatter,
        )
        module.add_arguments(command)
    for name, (*_, summary) in FORWARDED.items():
        commands.add_parser(name, help=summary, add_help=False)
    return parser


def main(cmd=None) -> None:
    """Run a sub-command.

    Args:
        cmd: Arguments; those of the process when None.
    """
    cmd = sys.argv[1:] if cmd is None else list(cmd)
    if cmd and cmd[0] in FORWARDED:
        quiet_command(cmd[1:])
        module, words, _ = FORWARDED[cmd[0]]
        importlib.import_module(module).main([*words, *cmd[1:]])
        return
    args = get_parser().parse_args(cmd)
    try:
        quiet_libraries(args)
        outcome = COMMANDS[args.command].run(args)
    except BrokenPipeError:  # nobody reads standard output any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_CLOSED)
    except (OSError, ValueError, RuntimeError, MemoryError) as error:
        sys.exit(f"espnet2-taste {args.command}: {error}")
    except KeyboardInterrupt:
        print(f"\nespnet2-taste {args.command}: {_STOPPED}", file=sys.stderr)
        sys.exit(130)
    close(args.command, outcome)


def close(command: str, outcome: Outcome) -> None:
    """Say what became of the utterances.

    Args:
        command: The sub-command.
        outcome: What it did.

    Raises:
        SystemExit: No utterance could be used.
    """
    lost, name = len(outcome.dropped), f"espnet2-taste {command}"
    for reason in list(outcome.dropped.values())[:1]:
        if outcome.count == 1:
            sys.exit(f"{name}: {reason}")
        if lost == outcome.count:
            sys.exit(
                f"{name}: none of the {lost} utterances could be used, see "
                f"{outcome.output / 'dropped.tsv'}; the first: {reason}"
            )
    if outcome.count > 1:
        reasons = f", reasons in {outcome.output / 'dropped.tsv'}" if lost else ""
        print(
            f"{name}: {outcome.count - lost} done, {lost} dropped{reasons}; results in "
            f"{outcome.output}",
            file=sys.stderr,
        )
