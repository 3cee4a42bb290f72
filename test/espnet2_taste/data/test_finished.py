"""Folders that are finished or not there."""

import os

import pytest

from espnet2_taste.data.finished import (
    digest,
    finish_folder,
    is_finished,
    start_folder,
)


def test_a_folder_appears_only_when_finished(tmp_path):
    folder = tmp_path / "set"
    temporary = start_folder(folder, "r.json", {"x": 1})
    assert not folder.exists() and not is_finished(folder, "r.json", {"x": 1})
    finish_folder(temporary, folder)
    assert is_finished(folder, "r.json", {"x": 1})
    assert not is_finished(folder, "r.json", {"x": 2})
    assert not temporary.exists()


def test_what_was_left_is_kept_only_for_the_same_record(tmp_path):
    temporary = start_folder(tmp_path / "set", "r.json", {"x": 1})
    (temporary / "half").write_text("x")
    assert (start_folder(tmp_path / "set", "r.json", {"x": 1}) / "half").is_file()
    assert not (start_folder(tmp_path / "set", "r.json", {"x": 2}) / "half").exists()


def test_a_folder_without_the_record_is_refused(tmp_path):
    (tmp_path / "precious").write_text("x")
    with pytest.raises(ValueError, match="not made by this command"):
        start_folder(tmp_path, "r.json", {})


def test_digests_see_contents_or_times(tmp_path):
    file, gone = tmp_path / "a", tmp_path / "gone"
    file.write_text("one")
    before = [digest([file, gone], contents) for contents in (True, False)]
    os.utime(file, (1, 1))
    after = [digest([file, gone], contents) for contents in (True, False)]
    assert before[0] == after[0] and before[1] != after[1]
    file.write_text("two")
    assert digest([file, gone], True) != before[0]


def test_digests_of_places_see_their_ark(tmp_path):
    ark = tmp_path / "audio.ark"
    ark.write_text("one")
    one, other = (digest([f"{ark}:{offset}"], contents=False) for offset in (2, 3))
    os.utime(ark, (1, 1))
    assert len({one, other, digest([f"{ark}:2"], contents=False)}) == 3
