"""What commands share: help by example, options from YAML, errors of one line."""

import argparse
import importlib
import pkgutil

import pytest

from espnet2_taste import bin as commands
from espnet2_taste.bin.command import Command, Program

ADDED = ("argv", "called", "device", "module")
"""What a command gets beside its options."""
NAMES = [name for _, name, _ in pkgutil.iter_modules(commands.__path__)]


def all_commands():
    """Module and name of every command that is not one of ESPnet's trainings."""
    for module in NAMES:
        if module == "command" or module.endswith("_train"):
            continue
        main = importlib.import_module(f"espnet2_taste.bin.{module}").main
        for name in getattr(main, "commands", [""]):
            yield f"{module} {name}".strip()


@pytest.mark.parametrize("command", all_commands())
def test_every_help_shows_the_command_at_work(command, capsys):
    module, *words = command.split()
    with pytest.raises(SystemExit, match="0"):
        importlib.import_module(f"espnet2_taste.bin.{module}").main([*words, "--help"])
    shown = capsys.readouterr().out
    assert f"espnet2_taste.bin.{command} " in shown and "xample" in shown


@pytest.mark.parametrize("command", all_commands())
def test_every_option_says_what_it_means_and_its_default(command):
    module, *words = command.split()
    main = importlib.import_module(f"espnet2_taste.bin.{module}")
    if words:
        parser = argparse.ArgumentParser()
        main.main.commands[words[0]].fill(parser)
    else:
        parser = getattr(main, "get_parser", None) or main.main.get_parser
        parser = parser()
    for action in parser._actions:
        assert len((action.help or "").split()) >= 2, action.dest
        assert action.dest not in ADDED  # it would be lost
    assert "(default: INFO)" in " ".join(parser.format_help().split())


def test_a_line_of_help_stands_beside_each_sub_command(capsys):
    def first(args):
        """Do one thing."""

    with pytest.raises(SystemExit, match="0"):
        Program("Things.", first=Command(first, lambda parser: None))(["--help"])
    shown = capsys.readouterr().out
    assert "Things." in shown and "Do one thing." in shown


def test_options_come_from_a_yaml_file_and_the_words_are_kept(tmp_path):
    (tmp_path / "conf.yaml").write_text("size: 3\n")
    seen = []

    def measure(args):
        """Measure."""
        seen.append((args.size, args.argv))

    def options(parser):
        parser.add_argument("--size", type=int, default=1)

    words = ["measure", "--config", str(tmp_path / "conf.yaml")]
    Program("Things.", measure=Command(measure, options))(words)
    assert seen == [(3, words)]


@pytest.mark.parametrize("level", ["LOUD", "3"])
def test_levels_that_do_not_exist_are_refused(level, capsys):
    with pytest.raises(SystemExit, match="2"):
        Command(lambda args: None, lambda parser: None, "Look.")(["--log_level", level])
    assert "--log_level: invalid choice" in capsys.readouterr().err


def test_ctrl_c_is_one_line(capsys):
    def run(args: argparse.Namespace):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit, match="130"):
        Command(run, lambda parser: None, "Look.")([])
    assert capsys.readouterr().err == "test_command: stopped\n"


@pytest.mark.parametrize("error", [ValueError, RuntimeError, OSError])
def test_errors_become_one_line_with_the_name_of_the_command(error):
    def run(args: argparse.Namespace):
        raise error("no such set")

    with pytest.raises(SystemExit, match="^test_command: no such set$"):
        Command(run, lambda parser: None, "Look.")([])
    with pytest.raises(SystemExit, match="^test_command look: no such set$"):
        Program("", look=Command(run, lambda parser: None, "Look."))(["look"])
