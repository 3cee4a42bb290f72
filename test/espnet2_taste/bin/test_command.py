"""What commands share: one-line errors, and a start without run-time type checks."""

import argparse

import pytest
import typeguard

from espnet2_taste.bin.command import run_command, unchecked_types


def test_types_are_unchecked_inside_and_checked_again_afterwards():
    checked = typeguard.typechecked
    with unchecked_types():

        @typeguard.typechecked
        def double(number: int) -> int:
            return 2 * number

        @typeguard.typechecked(collection_check_strategy=None)
        def triple(number: int) -> int:
            return 3 * number

        assert double("a") == "aa" and triple("a") == "aaa"
    assert typeguard.typechecked is checked


def test_they_are_checked_again_after_an_error():
    checked = typeguard.typechecked
    with pytest.raises(KeyError), unchecked_types():
        raise KeyError
    assert typeguard.typechecked is checked


@pytest.mark.parametrize("error", [ValueError, RuntimeError, OSError])
def test_errors_become_one_line_with_the_name_of_the_command(error):
    def run(args: argparse.Namespace):
        raise error("no such set")

    with pytest.raises(SystemExit, match="^test_command: no such set$"):
        run_command(argparse.ArgumentParser, run, [])
