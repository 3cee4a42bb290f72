"""What commands share: errors of one line."""

import argparse

import pytest

from espnet2_taste.bin.command import run_command


@pytest.mark.parametrize("error", [ValueError, RuntimeError, OSError])
def test_errors_become_one_line_with_the_name_of_the_command(error):
    def run(args: argparse.Namespace):
        raise error("no such set")

    with pytest.raises(SystemExit, match="^test_command: no such set$"):
        run_command(argparse.ArgumentParser, run, [])
