"""Commands of the published layout: errors in one line."""

import pytest

from espnet2_taste.bin import exports, imports


def test_a_folder_without_config(tmp_path):
    command = ["--source", str(tmp_path), "--whisper", "w", "--llm", "l"]
    with pytest.raises(SystemExit) as stop:
        imports.main(["reference", *command, "--output_dir", str(tmp_path / "exp")])
    assert str(stop.value).startswith("imports reference: ")
    assert "config.json" in str(stop.value) and "\n" not in str(stop.value)


def test_a_directory_that_no_import_wrote(tmp_path):
    command = ["--imported_dir", str(tmp_path), "--output_dir", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match="was not written by imports reference"):
        exports.main(["reference", *command])
