"""Test modules as helpers of other tests, for the experiments that they build."""

import importlib.util
from pathlib import Path

TESTS = Path(__file__).parents[1] / "espnet2_taste"


def load_tests(*parts: str):
    """A test module by its path below ``test/espnet2_taste``."""
    path = TESTS.joinpath(*parts)
    spec = importlib.util.spec_from_file_location(f"helpers_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
