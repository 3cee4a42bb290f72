"""Audio measures of sets: what is compared with what, kept numbers, tables, noise."""

import json
import shutil

import numpy as np
import pytest
from ark_sets import pack_audio

from espnet2_taste.bin import audio_score, tables, write_results
from espnet2_taste.data.audio import write_audio
from espnet2_taste.data.kaldi_dir import write_table
from espnet2_taste.evaluation.audio import renditions_of, score_renditions
from espnet2_taste.evaluation.audio_metrics.abs_metric import RecordingMetric
from espnet2_taste.evaluation.audio_metrics.choices import audio_metric_choices
from espnet2_taste.metrics.tables import write_json

RATE = 16000


class Peak(RecordingMetric):
    """Highest sample; refuses the utterance u3."""

    needs_reference = False
    columns = ("peak",)
    calls = 0

    def __init__(self, factor=1.0):
        self.factor = float(factor)
        self.settings = {"model": f"factor {factor}", "reference": "none"}

    def score(self, speech, reference):
        Peak.calls += 1
        if speech.max() > 0.85:
            raise ValueError("too loud")
        return (self.factor * speech.max(),)


class Distance(RecordingMetric):
    """Mean distance to the reference."""

    columns = ("distance",)
    settings = {"model": "mean distance", "reference": "the original"}

    def score(self, speech, reference):
        return (float(np.abs(speech - reference).mean()),)


class Absent(RecordingMetric):
    """Cannot be built."""

    def __init__(self):
        raise RuntimeError("needs weights: give them")

    def score(self, speech, reference):
        raise AssertionError


@pytest.fixture(autouse=True)
def choices(monkeypatch):
    classes = {"peak": Peak, "distance": Distance, "absent": Absent}
    monkeypatch.setattr(audio_metric_choices, "classes", classes)


def write_wavs(folder, **levels):
    folder.mkdir(parents=True, exist_ok=True)
    wavs = {name: str(folder / f"{name}.wav") for name in levels}
    for name, level in levels.items():
        write_audio(wavs[name], np.full(RATE // 4, level), RATE)
    write_table(folder / "wav.scp", wavs)
    return wavs


@pytest.fixture
def recipe(tmp_path):
    write_wavs(tmp_path / "dump" / "test", u1=0.25, u2=0.5, u3=0.75)
    taste = tmp_path / "exp" / "taste_vq" / "resynthesis" / "test"
    write_wavs(taste, u1=0.5, u2=0.75, u3=0.9)
    return tmp_path


def score(recipe, output, sets, *more):
    options = ["--taste_exp", str(recipe / "exp" / "taste_vq")]
    options += ["--expdir", str(recipe / "exp"), "--dump_dir", str(recipe / "dump")]
    options += ["--sets", sets, "--output_dir", str(output)]
    audio_score.main([*options, *more])


def run(recipe, *more):
    output = recipe / "exp" / "taste_vq" / "audio"
    score(recipe, output, "test", *more)
    return json.loads((output / "scores.json").read_text()), output


def test_scores_intervals_reasons_and_tables(recipe, capsys):
    scores, output = run(recipe, "--metric_conf", "peak.factor=2")
    assert scores["study"] == "audio" and "--metric_conf" in scores["command"]
    found = scores["sets"]["test"]
    assert list(found) == ["original", "TASTE"]
    assert list(found["original"]) == ["peak"]  # nothing to compare with
    assert found["TASTE"]["peak"]["mean"] == pytest.approx(1.25, abs=1e-3)
    assert found["TASTE"]["peak"]["utterances"] == 2
    assert found["TASTE"]["peak"]["low"] == pytest.approx(1, abs=1e-3)
    assert found["TASTE"]["distance"]["mean"] == pytest.approx(0.65 / 3, abs=1e-3)
    assert scores["left_out"] == {"absent": "needs weights: give them"}
    assert scores["not_scored"]["test"] == {"TASTE": {"peak": {"u3": "too loud"}}}
    assert scores["metrics"]["peak"]["model"] == "factor 2"
    rows = (output / "test.tsv").read_text().splitlines()
    assert rows[0] == "utt\trendition\tpeak\tdistance"
    assert "u3\tTASTE\t-\t0.1500" in rows and len(rows) == 7
    shown = capsys.readouterr().out
    assert "- absent: **left out**: needs weights: give them" in shown
    assert "- TASTE, peak: 1 utterances without a number, for example u3" in shown
    assert "| original | 1.000 [0.50, 1.50] | - |" in shown
    page = recipe / "RESULTS.md"
    write_results.main(["--expdir", str(recipe / "exp"), "--output", str(page)])
    assert "## Audio measures of the tokenizer" in page.read_text()
    assert "| TASTE | 1.250 [1.00, 1.50] | 0.217 [0.15, 0.25] |" in page.read_text()


def test_audio_in_arks_is_measured_alike(recipe):
    files, _ = run(recipe)
    for folder in ("dump/test", "exp/taste_vq/resynthesis/test"):
        pack_audio(recipe / folder)
    arks, _ = run(recipe)
    assert arks["sets"] == files["sets"]
    assert arks["not_scored"] == files["not_scored"]


def test_recordings_without_a_measure_of_their_own_have_no_row(recipe):
    scores, output = run(recipe, "--metrics", "distance")
    assert list(scores["sets"]["test"]) == ["TASTE"]
    assert len((output / "test.tsv").read_text().splitlines()) == 4


def test_kept_numbers_are_used_until_audio_or_settings_change(recipe):
    run(recipe)
    calls = Peak.calls
    first, _ = run(recipe)
    assert Peak.calls == calls
    second, _ = run(recipe, "--metric_conf", "peak.factor=3")
    assert Peak.calls == calls + 6
    assert first["sets"] != second["sets"]
    write_wavs(recipe / "exp" / "taste_vq" / "resynthesis" / "test", u1=0.125, u2=0.5)
    third, _ = run(recipe, "--metric_conf", "peak.factor=3")
    assert Peak.calls == calls + 8
    assert third["sets"]["test"]["TASTE"]["peak"]["mean"] == pytest.approx(0.9375, 1e-3)


def test_what_jobs_measure_of_parts_is_what_one_measures(recipe):
    alone, output = run(recipe)
    tables = [(output / "test.tsv").read_text()]
    shutil.rmtree(output)
    for number, names in enumerate((["u1"], ["u2", "u3"], ["gone"]), start=1):
        folder = recipe / f"parts/{number:04d}/test"
        folder.mkdir(parents=True)
        write_table(folder / "text", dict.fromkeys(names, "x"))
    left, parts = recipe / "parts/out", ["--parts_dir", f"{recipe}/parts/out"]
    for names in ("0001/test 0003/test", "0002/test"):
        score(recipe, left, names, "--ids_dir", f"{recipe}/parts")
    calls = Peak.calls
    joined, _ = run(recipe, *parts)
    assert Peak.calls == calls
    for key in ("sets", "not_scored", "metrics", "left_out"):
        assert joined[key] == alone[key]
    assert [(output / "test.tsv").read_text()] == tables
    with pytest.raises(SystemExit, match="factor 2.*found.*factor 1.*repeat the stage"):
        run(recipe, *parts, "--metric_conf", "peak.factor=2")
    shutil.rmtree(output)
    shutil.rmtree(left / "0002")
    with pytest.raises(SystemExit, match="lack 2 utterances, for example 'u2'"):
        run(recipe, *parts)
    (left / "0001/test/original/peak.json").unlink()
    with pytest.raises(SystemExit, match="expected numbers with the settings"):
        run(recipe, *parts)


def test_noisy_sets_are_compared_with_clean_recordings(recipe):
    noisy = recipe / "dump" / "test_snr5"
    write_wavs(noisy, u1=0.375, u2=0.625)
    clean = {n: str(recipe / "dump" / "test" / f"{n}.wav") for n in ("u1", "u2")}
    write_table(noisy / "clean.scp", clean)
    write_wavs(recipe / "x" / "test_snr5", u1=0.25, u2=0.5)
    sets = {"test_snr5": renditions_of(noisy, {"mine": recipe / "x"}, True)}
    scores = score_renditions(sets, {"distance": Distance()}, recipe / "out")
    found = scores["sets"]["test_snr5"]
    assert found["original"]["distance"]["mean"] == pytest.approx(0.125, abs=1e-3)
    assert found["mine"]["distance"]["mean"] == 0
    alone = renditions_of(noisy, {"mine": recipe / "x"}, False)
    assert [rendition.references for rendition in alone] == [{}, {}]


def test_what_is_missing_is_one_line(recipe):
    with pytest.raises(SystemExit, match="expected label=folder, found 'x'"):
        run(recipe, "--renditions", "x")
    with pytest.raises(SystemExit, match="resynthesize the set first"):
        run(recipe, "--renditions", f"x={recipe}/none")
    with pytest.raises(SystemExit, match="no measure can be had: needs weights"):
        run(recipe, "--metrics", "absent")
    with pytest.raises(SystemExit, match="no measure 'mos'"):
        run(recipe, "--metrics", "mos")


def noisy_study(place, study, sets):
    write_json(place, {"study": study, "sets": sets})
    return str(place)


def test_scores_by_ratio_stand_in_one_table(recipe, capsys):
    for snr in (20, 5):
        record = {"source": "test", "noise": "white", "snr_db": float(snr)}
        write_json(recipe / "dump" / f"test_snr{snr}" / "noise.json", record)
    tokenizer = {
        name: {"TASTE": {"wer": {"rate": rate}, "durations": {"share_within": None}}}
        for name, rate in (("test_snr5", 0.4), ("test", 0.1), ("test_snr20", 0.2))
    }
    first = noisy_study(recipe / "a.json", "tokenizer_in_noise", tokenizer)
    audio = {"test_snr5": {"TASTE": {"peak": {"mean": 0.5}}}}
    write_json(recipe / "b.json", {"study": "x", "metrics": {}, "sets": audio})
    output = recipe / "exp" / "noise"
    options = ["--dump_dir", str(recipe / "dump"), "--output_dir", str(output)]
    tables.main(["noise", *options, "--scores", f"{first} {recipe / 'b.json'}"])
    group = json.loads((output / "scores.json").read_text())["groups"][0]
    assert [row["snr"] for row in group["rows"]] == ["clean", "20", "5"]
    assert group["columns"] == ["WER %", "peak"]
    shown = capsys.readouterr().out
    assert "### `test` in white noise" in shown
    assert "| 5 | TASTE | 40.000 | 0.500 |" in shown
    assert "| clean | TASTE | 10.000 | - |" in shown
    lines = (output / "noise.tsv").read_text().splitlines()
    assert lines[1].split("\t")[:4] == ["test", "white", "clean", "TASTE"]
    page = recipe / "RESULTS.md"
    write_results.main(["--expdir", str(recipe / "exp"), "--output", str(page)])
    assert "## Noise" in page.read_text()
    with pytest.raises(SystemExit, match="make noisy sets with data noise"):
        tables.main(["noise", *options[2:], "--dump_dir", "x", "--scores", first])
