"""The page of recordings: what is on it, and that its links hold."""

import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from ark_sets import pack_audio

from espnet2_taste.data.audio import read_audio, write_audio
from espnet2_taste.data.ctm import write_rows
from espnet2_taste.data.kaldi_dir import write_table
from espnet2_taste.evaluation.sounds import SoundTable, find_tables, write_page


def spoken(folder: Path, names, texts=None) -> None:
    """A folder of empty recordings."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / f"{name}.wav").touch()
    write_table(folder / "wav.scp", {n: str(folder / f"{n}.wav") for n in names})
    if texts:
        write_table(folder / "text", texts)


@pytest.fixture
def recipe(tmp_path):
    """Stages 9, 10 and 12 of a recipe, and a set aside experiment."""
    names = [f"u{number}" for number in range(12)]
    spoken(tmp_path / "dump/test", names, {name: "the <red> dog" for name in names})
    exp = tmp_path / "exp"
    for part in ("taste_vq", "taste_text_only", "taste_vq.1.old"):
        spoken(exp / part / "resynthesis/test", names[1:])
    for part in ("own", "swapped"):
        spoken(exp / "taste_vq/swap" / part, ["a-slow", "a-fast"])
    header = ("utt", "word_index", "word", "swapped")
    rows = [("a-slow", 0, "red", 0), ("a-slow", 1, "dog", 1), ("a-fast", 0, "red", 0)]
    write_rows(exp / "taste_vq/swap/words.tsv", header, rows)
    folder = exp / "taslm_embed/continuation/test"
    spoken(folder / "prompt", ["u1"], {"u1": "the"})
    spoken(folder / "full", ["u1"])
    write_table(folder / "text", {"u1": "cat sleeps"})
    return tmp_path


def test_every_kind_of_speech_has_a_table(recipe):
    tables = find_tables(recipe / "exp", recipe / "dump")
    columns = {table.title: list(table.columns) for table in tables}
    assert columns == {
        "Resynthesis of test": ["original", "taste_text_only", "taste_vq"],
        "taste_vq: swap": ["own codes", "codes exchanged"],
        "taslm_embed: test continued": ["prompt", "with continuation"],
    }
    assert tables[1].texts["a-slow"] == "red [dog]"
    assert tables[2].texts["u1"] == "the … cat sleeps"


def test_sets_that_are_gone_have_no_column(recipe):
    table = find_tables(recipe / "exp", recipe / "moved")[0]
    assert list(table.columns) == ["taste_text_only", "taste_vq"]


def test_the_links_of_the_page_hold_and_words_are_escaped(recipe):
    page = recipe / "exp/listen.html"
    write_page(page, find_tables(recipe / "exp", recipe / "dump"))
    content = page.read_text(encoding="utf-8")
    links = [unquote(link) for link in re.findall(r'src="([^"]+)"', content)]
    assert len(links) == 5 * 3 + 2 * 2 + 1 * 2
    assert all((page.parent / link).is_file() for link in links)
    assert "the &lt;red&gt; dog" in content and "<red>" not in content


def test_recordings_in_arks_are_copied_beside_the_page(tmp_path):
    folder, waves = tmp_path / "dump/test", {}
    for number, name in enumerate(("u1", "u2"), start=1):
        waves[name] = np.full(160, number / 4)
        folder.mkdir(parents=True, exist_ok=True)
        write_audio(folder / f"{name}.wav", waves[name], 16000)
    write_table(folder / "wav.scp", {n: str(folder / f"{n}.wav") for n in waves})
    pack_audio(folder)
    table = SoundTable("read aloud", {"original": folder}, {})
    write_page(tmp_path / "page.html", [table])
    content = (tmp_path / "page.html").read_text(encoding="utf-8")
    links = [unquote(link) for link in re.findall(r'src="([^"]+)"', content)]
    for link, (_, wave) in zip(links, sorted(waves.items()), strict=True):
        assert read_audio(tmp_path / link)[0] == pytest.approx(wave, abs=1e-4)


def test_rows_are_drawn_from_all_of_a_set(tmp_path):
    names = [f"u{number:02d}" for number in range(10)]
    spoken(tmp_path / "set", names)
    table = SoundTable("", {"original": tmp_path / "set"}, {})
    assert [name for name, _ in table.rows(5)] == names[::2]
    assert len(table.rows(99)) == 10


def test_a_table_without_a_common_utterance_is_left_out(tmp_path):
    spoken(tmp_path / "a", ["u1"])
    spoken(tmp_path / "b", ["u2"])
    table = SoundTable("apart", {"a": tmp_path / "a", "b": tmp_path / "b"}, {})
    write_page(tmp_path / "page.html", [table])
    assert "apart" not in (tmp_path / "page.html").read_text()
