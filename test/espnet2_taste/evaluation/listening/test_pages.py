"""Pages as files: blind, complete, without anything from outside."""

import json
import re

import numpy as np
import pytest
from ark_sets import pack_audio

from espnet2_taste.data.audio import read_audio, write_audio
from espnet2_taste.data.ctm import read_rows
from espnet2_taste.data.files import read_json
from espnet2_taste.data.kaldi_dir import read_table, write_table
from espnet2_taste.evaluation.listening.design import TESTS, choose_utterances
from espnet2_taste.evaluation.listening.pages import (
    PageOptions,
    render_page,
    set_level,
    write_study,
)

ALL = PageOptions(utterances=0)


def read_study(folder):
    page = (folder / "page" / "index.html").read_text(encoding="utf-8")
    found = re.search(r'id="study">(.*?)</script>', page, re.DOTALL)
    return page, json.loads(found[1])


def test_mushra_has_every_system_and_the_reference_twice(systems, tmp_path):
    del systems["context"]
    assert write_study(tmp_path / "study", TESTS["mushra"], systems, ALL)
    _, study = read_study(tmp_path / "study")
    key = {row["stimulus"]: row for row in read_rows(tmp_path / "study" / "key.tsv")}
    assert len(study["trials"]) == 3 and len(key) == 9
    for trial in study["trials"]:
        owners = [key[item["id"]]["system"] for item in trial["stimuli"]]
        assert sorted(owners) == ["bad", "good", "reference"]
        sources = [item["src"] for item in trial["stimuli"]]
        assert trial["reference"] not in sources and trial["context"] is None
        hidden = sources[owners.index("reference")]
        page = tmp_path / "study" / "page"
        assert (page / hidden).read_bytes() == (page / trial["reference"]).read_bytes()


def test_recordings_in_arks_make_the_same_pages(systems, tmp_path):
    found = []
    for study in ("files", "arks"):
        write_study(tmp_path / study, TESTS["mushra"], systems, ALL)
        files = sorted((tmp_path / study / "page/audio").iterdir())
        found.append(sorted(file.read_bytes() for file in files))
        for folder in systems.values() if study == "files" else ():
            pack_audio(folder)
    assert found[0] == found[1] and len(found[0]) > 9


def test_mos_rates_one_recording_after_its_context(systems, tmp_path):
    write_study(tmp_path / "study", TESTS["mos"], systems, ALL)
    _, study = read_study(tmp_path / "study")
    assert len(study["trials"]) == 9
    assert all(len(trial["stimuli"]) == 1 for trial in study["trials"])
    assert len({trial["context"] for trial in study["trials"]}) == 3
    assert [choice["score"] for choice in study["scale"]["choices"]] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("kind", sorted(TESTS))
def test_a_page_is_blind_and_needs_nothing_from_outside(kind, systems, tmp_path):
    write_study(tmp_path / "study", TESTS[kind], systems, ALL)
    page, study = read_study(tmp_path / "study")
    secrets = ("good", "bad.wav", "u1", "u2", str(tmp_path))
    told = json.dumps({key: study[key] for key in ("id", "trials", "seed")})
    assert not [secret for secret in secrets if secret in told]
    assert not re.search(r"https?:|//[a-z]|@import|url\(|fetch\(|XMLHttp", page)
    assert not re.findall(r"@[A-Z]+@", page)
    needed = set(re.findall(r"audio/[0-9a-f]{12}\.wav", page))
    there = {f"audio/{p.name}" for p in (tmp_path / "study/page/audio").glob("*")}
    assert needed == there and needed


def test_the_order_in_the_page_tells_nothing(systems, tmp_path):
    write_study(tmp_path / "study", TESTS["mushra"], systems, ALL)
    _, study = read_study(tmp_path / "study")
    for trial in study["trials"]:
        names = [item["id"] for item in trial["stimuli"]]
        assert names == sorted(names)
    names = [trial["id"] for trial in study["trials"]]
    assert names == sorted(names)


def test_a_study_is_made_once_and_again_when_something_changes(systems, tmp_path):
    target = tmp_path / "study"
    assert write_study(target, TESTS["mos"], systems, ALL)
    first = read_study(target)[1]["id"]
    assert not write_study(target, TESTS["mos"], systems, ALL)
    record = read_json(target / "study.json")
    assert record["test"] == "MosTest"  # other names would void studies under way
    wav = read_table(systems["good"] / "wav.scp")["u1"]
    write_audio(wav, np.full(3200, 0.2), 16000)
    assert write_study(target, TESTS["mos"], systems, ALL)
    assert read_study(target)[1]["id"] != first


def test_texts_cannot_break_out_of_the_page():
    study = {"instructions": ["</script><b>@SCRIPT@"], "trials": []}
    page = render_page(study, "A <b> & @STUDY@")
    assert "<title>A &lt;b&gt; &amp; @STUDY@</title>" in page
    assert "</script><b>" not in page
    found = re.search(r'id="study">(.*?)</script>', page, re.DOTALL)
    assert json.loads(found[1]) == study


def test_levels_are_brought_together(systems, tmp_path):
    for level in (-26.0, None):
        options = PageOptions(utterances=1, level=level)
        target = tmp_path / f"study{level}"
        write_study(target, TESTS["mos"], systems, options)
        for path in (target / "page" / "audio").glob("*.wav"):
            speech, _ = read_audio(path)
            decibels = 10 * np.log10(np.mean(speech**2))
            assert decibels == pytest.approx(level or -9.03, abs=0.1)
    loud = set_level(np.array([0.0, 0.0, 0.0, 0.01]), -3.0)
    assert np.abs(loud).max() == pytest.approx(1.0)
    assert not set_level(np.zeros(3), -26.0).any()


def test_anchors_are_low_passed_references(systems, tmp_path):
    options = PageOptions(utterances=1, level=None, anchors=(350,))
    write_study(tmp_path / "study", TESTS["mushra"], systems, options)
    key = {row["system"]: row for row in read_rows(tmp_path / "study" / "key.tsv")}
    power = {}
    for system in ("reference", "anchor_350"):
        name = key[system]["stimulus"]
        speech, _ = read_audio(tmp_path / "study" / "page" / "audio" / f"{name}.wav")
        power[system] = np.mean(speech[400:-400] ** 2)
    assert power["anchor_350"] < 1e-3 * power["reference"]  # it hums at 400 Hz
    wide = PageOptions(utterances=1, anchors=(8000,))
    with pytest.raises(ValueError, match="--anchors 8000: .*16000"):
        write_study(tmp_path / "other", TESTS["mushra"], systems, wide)
    with pytest.raises(ValueError, match="anchors need natural recordings"):
        write_study(tmp_path / "s", TESTS["mos"], {"a": systems["good"]}, options)


def test_utterances_are_those_that_all_have(systems):
    by_system = {"a": {"1", "2", "3"}, "b": {"2", "3", "4"}}
    chosen, lacking = choose_utterances(by_system, 1, seed=0)
    assert set(chosen) <= {"2", "3"} and len(chosen) == 1
    assert lacking == {"1": "not in b", "4": "not in a"}
    assert choose_utterances(by_system, 0, 0)[0] == ["2", "3"]
    with pytest.raises(ValueError, match=r"found 2 \(a 3, b 3\)"):
        choose_utterances(by_system, 3, seed=0)


def test_errors_name_system_and_utterance(systems, tmp_path):
    options = PageOptions(utterances=0)
    with pytest.raises(ValueError, match="--reference FOLDER"):
        write_study(tmp_path / "s", TESTS["mushra"], {"good": systems["good"]}, options)
    with pytest.raises(ValueError, match="no system to rate"):
        only = {"reference": systems["reference"]}
        write_study(tmp_path / "s", TESTS["mos"], only, options)
    wav = read_table(systems["bad"] / "wav.scp")["u2"]
    with open(wav, "wb") as stream:
        stream.write(b"no audio")
    with pytest.raises(ValueError, match="system 'bad', utterance 'u2'"):
        write_study(tmp_path / "s", TESTS["mos"], systems, options)
    write_table(systems["bad"] / "wav.scp", {"u9": "none.wav"})
    with pytest.raises(ValueError, match="'u9' has no audio at none.wav"):
        write_study(tmp_path / "s", TESTS["mos"], systems, options)
