"""A package that cannot be imported is refused with what to do."""

import importlib.util
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "check_install.py"


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """The tool, for a package that imports what lies in tmp_path."""
    spec = importlib.util.spec_from_file_location("check_install", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "espnet2_taste").mkdir()
    (tmp_path / "tools").mkdir()
    module.lock_of_interpreter().write_text("numpy==0.0.1\n")
    return module


def package_imports(tmp_path, line):
    """Make the package import something."""
    (tmp_path / "espnet2_taste" / "part.py").write_text(f"def use():\n    {line}\n")


def test_a_library_that_does_not_load_is_named_with_the_remedy(tool, tmp_path, capsys):
    (tmp_path / "other_torch.py").write_text("raise OSError('undefined symbol: x')")
    package_imports(tmp_path, "import other_torch")
    assert tool.main() == 1
    shown = capsys.readouterr()
    assert "other_torch cannot be imported (OSError: undefined symbol: x)" in shown.err
    assert "make -C tools UPGRADE=1" in shown.err and shown.err.count("\n") == 1
    assert "(tested: 0.0.1)" in shown.out


def test_with_the_tested_versions_the_environment_is_built_anew(tool, tmp_path, capsys):
    (tmp_path / "torn_file.py").write_text("raise ImportError('short file')")
    package_imports(tmp_path, "import torn_file")
    tool.lock_of_interpreter().write_text("")
    assert tool.main() == 1
    assert "make -C tools clean all" in capsys.readouterr().err


def test_a_name_that_a_release_no_longer_has_is_a_fault(tool, tmp_path, capsys):
    package_imports(tmp_path, "from json_tools_of_test import gone")
    (tmp_path / "json_tools_of_test.py").write_text("here = 1")
    assert tool.main() == 1
    assert "json_tools_of_test cannot be imported" in capsys.readouterr().err


def test_an_absent_module_is_a_fault_unless_an_extra_brings_it(tool, tmp_path):
    package_imports(tmp_path, "import surely_absent.part")
    assert list(tool.faults({}, set()).values()) == [["surely_absent.part"]]
    assert tool.faults({}, {"surely_absent"}) == {}


def test_compiled_packages_of_the_lock_are_imported(tool):
    assert set(tool.compiled_packages(["numpy", "not-installed"])) == {"numpy"}


def test_a_sound_installation_passes(tool, tmp_path, capsys):
    package_imports(tmp_path, "from collections import OrderedDict, abc")
    package_imports(tmp_path, "from xml.dom import minidom")
    assert tool.main() == 0
    assert capsys.readouterr().err == ""
