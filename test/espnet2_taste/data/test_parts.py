"""Sets are split into parts and joined again without a loss."""

import shutil
from pathlib import Path

import pytest

from espnet2_taste.data import parts
from espnet2_taste.data.files import read_lines
from espnet2_taste.data.kaldi_dir import read_table, write_table


@pytest.fixture
def dump(tmp_path, monkeypatch):
    """A set of 53 utterances and a small one, beside a folder for parts."""
    monkeypatch.setattr(parts, "LARGEST", 25)
    monkeypatch.setattr(parts, "SMALLEST", 5)
    for name, count in (("train", 53), ("dev", 3)):
        ids = [f"{name}-{number}" for number in range(count)]
        (tmp_path / "raw" / name).mkdir(parents=True)
        write_table(tmp_path / "raw" / name / "wav.scp", {i: f"{i}.wav" for i in ids})
        write_table(tmp_path / "raw" / name / "text", {i: "a b" for i in ids[1:]})
    return tmp_path


def split(dump, jobs=2, sets=("train", "dev"), tables=("wav.scp", "text")):
    return parts.split_sets(dump / "raw", sets, tables, dump / "parts", jobs)


@pytest.mark.parametrize("jobs", [1, 2, 3, 7, 50])
def test_every_utterance_goes_to_one_part_and_every_part_to_one_job(dump, jobs):
    assert split(dump, jobs) == min(jobs, 56 // 5)
    lists = list((dump / "parts").glob("*.sets"))
    names = [n for file in lists for n in parts.set_names(f"@{file}").split()]
    assert len(lists) == min(jobs, 11) and len(names) == len(set(names))
    for name in ("train", "dev"):
        found = parts.find_parts(dump / "parts", name)
        assert {f"{part.parent.name}/{name}" for part in found} <= set(names)
        for table in ("wav.scp", "text"):
            parts.join_parts(found, dump / "again" / name, [table])
            one, two = (dump / d / name / table for d in ("raw", "again"))
            assert one.read_bytes() == two.read_bytes()
        assert max(len(read_table(p / "wav.scp")) for p in found) <= 25


def test_what_a_job_left_is_kept_while_its_part_is_the_same(dump):
    split(dump)
    first, second, *_ = found = parts.find_parts(dump / "parts", "train")
    for part in found:
        (part / "units").touch()
    assert split(dump) == 2 and all((part / "units").is_file() for part in found)
    wavs = read_table(dump / "raw/train/wav.scp")
    changed = next(iter(read_table(second / "wav.scp")))
    write_table(dump / "raw/train/wav.scp", wavs | {changed: "other.wav"})
    split(dump)
    assert (first / "units").is_file() and not (second / "units").exists()


def test_results_beside_the_parts_go_with_them(dump):
    """Another number of jobs makes other parts: old results are of other utterances."""
    split(dump)
    for part in parts.find_parts(dump / "parts", "train"):
        (dump / "parts/out" / part.parent.name / "train").mkdir(parents=True)
    before = list((dump / "parts/out").glob("*/train"))
    split(dump)
    assert list((dump / "parts/out").glob("*/train")) == before != []
    split(dump, jobs=7)
    assert not list((dump / "parts/out").glob("*/train"))


def test_a_smaller_set_has_fewer_parts(dump):
    split(dump)
    before = len(parts.find_parts(dump / "parts", "train"))
    for table in ("wav.scp", "text"):
        path = dump / "raw/train" / table
        path.write_text("".join(path.read_text().splitlines(True)[:20]))
    split(dump)
    assert len(parts.find_parts(dump / "parts", "train")) < before


def test_segments_bring_the_recordings_they_are_cut_from(dump):
    source = dump / "raw/long"
    source.mkdir()
    rows = {f"u{number:02d}": f"rec{number // 10} 0 1" for number in range(30)}
    write_table(source / "segments", rows)
    write_table(source / "wav.scp", {f"rec{number}": "x.wav" for number in range(3)})
    split(dump, 3, ["long"], ["wav.scp", "segments"])
    found = parts.find_parts(dump / "parts", "long")
    assert [list(read_table(part / "wav.scp")) for part in found] == [
        ["rec0"],
        ["rec1"],
        ["rec2"],
    ]


def test_headers_are_written_once(dump):
    split(dump)
    found = parts.find_parts(dump / "parts", "train")
    for number, part in enumerate(found):
        (part / "dropped.tsv").write_text(f"utt\treason\nu{number}\tshort\n")
    parts.join_parts(found, dump / "again", ["dropped.tsv"])
    lines = read_lines(dump / "again/dropped.tsv")
    assert lines == ["utt\treason", *(f"u{n}\tshort" for n in range(len(found)))]


def test_a_part_without_a_result_and_a_set_without_a_table_are_named(dump):
    split(dump)
    found = parts.find_parts(dump / "parts", "train")
    with pytest.raises(ValueError, match=f"{found[0]} lacks units: its job"):
        parts.join_parts(found, dump / "again", ["units"])
    with pytest.raises(ValueError, match="expected ctm, found none of them"):
        split(dump, tables=["ctm"])
    shutil.rmtree(dump / "parts")
    with pytest.raises(ValueError, match="no part of 'train'"):
        parts.find_parts(dump / "parts", "train")


def test_paths_that_begin_at_the_set_hold_from_anywhere(dump, monkeypatch):
    (dump / "raw/dev/dev-0.wav").touch()
    monkeypatch.chdir(dump)
    parts.split_sets(Path("raw"), ["dev"], ["wav.scp"], Path("parts"), 1, resolve=True)
    wavs = read_table("parts/0001/dev/wav.scp")
    assert Path(wavs["dev-0"]).is_file() and wavs["dev-1"] == "dev-1.wav"
