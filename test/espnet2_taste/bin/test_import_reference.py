"""Commands of the published layout: help, and errors in one line."""

import pytest

from espnet2_taste.bin import export_reference, import_reference


@pytest.mark.parametrize("command", [import_reference, export_reference])
def test_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit) as stop:
        command.main(["--help"])
    assert stop.value.code == 0
    assert "example:" in capsys.readouterr().out


def test_a_folder_without_config(tmp_path):
    command = ["--source", str(tmp_path), "--whisper", "w", "--llm", "l"]
    with pytest.raises(SystemExit) as stop:
        import_reference.main([*command, "--output_dir", str(tmp_path / "exp")])
    assert str(stop.value).startswith("import_reference: ")
    assert "config.json" in str(stop.value) and "\n" not in str(stop.value)


def test_a_directory_that_no_import_wrote(tmp_path):
    command = ["--imported_dir", str(tmp_path), "--output_dir", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match="was not written by import_reference"):
        export_reference.main(command)
