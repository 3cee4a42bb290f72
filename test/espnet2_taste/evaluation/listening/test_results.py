"""Screening and means of ratings; what is refused."""

import json

import numpy as np
import pytest

from espnet2_taste.bin import listening
from espnet2_taste.data.ctm import read_rows
from espnet2_taste.evaluation.listening.results import (
    Rating,
    rating_matrix,
    screen,
    summarize,
)

MARKS = {"reference": 97, "good": 80, "bad": 30}


def rate(listener, marks, utterances=("u1", "u2", "u3", "u4")):
    return [
        Rating(listener, f"{system}-{name}", system, name, float(score + place))
        for place, name in enumerate(utterances)
        for system, score in marks.items()
    ]


def test_listeners_who_miss_the_reference_are_left_out():
    good = rate("anna", MARKS)
    deaf = rate("bob", MARKS | {"reference": 40})
    bored = [Rating("carl", r.stimulus, r.system, r.utterance, 95.0) for r in good]
    reasons = screen(good + deaf + bored, reference_below=90, most_missed=0.15)
    assert set(reasons) == {"bob", "carl"}
    assert reasons["bob"] == "rated the hidden reference below 90 in 4 of 4 trials"
    assert reasons["carl"] == "gave 95 to all 12 recordings"


@pytest.mark.parametrize(("missed", "out"), [(0, False), (1, False), (2, True)])
def test_one_slip_is_forgiven(missed, out):
    names = [f"u{i}" for i in range(10)]
    ratings = [
        Rating("anna", f"r{i}", "reference", name, 50.0 if i < missed else 100.0)
        for i, name in enumerate(names)
    ]
    ratings.append(Rating("anna", "g", "good", "u0", 70.0))
    assert bool(screen(ratings, 90, 0.15)) == out


def test_means_differences_and_agreement():
    ratings = rate("anna", MARKS) + rate("bob", MARKS | {"good": 70})
    result = summarize(ratings)
    assert list(result["systems"]) == ["reference", "good", "bad"]
    good = result["systems"]["good"]
    assert good["mean"] == pytest.approx(76.5) and good["ratings"] == 8
    assert good["low"] < 76.5 < good["high"]
    assert result["differences"]["bad - good"]["mean"] == pytest.approx(-45)
    assert result["agreement"]["krippendorff_alpha_interval"] > 0.9
    with pytest.raises(ValueError, match="--most_missed"):
        summarize([])


def test_a_matrix_has_holes_where_nothing_was_rated():
    ratings = rate("anna", MARKS, ["u1"]) + rate("bob", {"good": 5}, ["u2"])
    matrix = rating_matrix(ratings, "stimulus")
    assert matrix.shape == (2, 4) and np.isnan(matrix).sum() == 4
    assert summarize(ratings)["systems"]["bad"]["ratings"] == 1


@pytest.fixture
def study(systems, tmp_path):
    options = [f"{name}={systems[name]}" for name in ("good", "bad")]
    listening.main(
        ["pages", "--test", "mushra", "--systems", *options, "--utterances", "3"]
        + ["--reference", str(systems["reference"])]
        + ["--title", "Heard today", "--output_dir", str(tmp_path / "study")]
    )
    (tmp_path / "ratings").mkdir()
    return tmp_path / "study"


def hand_in(study, listener, marks, changes=()):
    """Write the file that a listener sends back."""
    key = read_rows(study / "key.tsv")
    ratings = [
        {"trial": r["trial"], "stimulus": r["stimulus"], "score": marks[r["system"]]}
        for r in key
    ]
    content = {
        "study": json.loads((study / "study.json").read_text())["id"],
        "listener": listener,
        "ratings": ratings,
    }
    path = study.parent / "ratings" / f"{listener}{len(changes)}.json"
    path.write_text(json.dumps(content | dict(changes)))
    return path


def analyze(study):
    folder = str(study.parent / "ratings")
    listening.main(["scores", "--study_dir", str(study), "--ratings", folder])
    return json.loads((study / "listening.json").read_text())


def test_from_files_to_results(study, capsys):
    page = (study / "page" / "index.html").read_text(encoding="utf-8")
    assert "<title>Heard today</title>" in page
    hand_in(study, "anna", MARKS)
    hand_in(study, "bob", MARKS | {"good": 90})
    hand_in(study, "carl", MARKS | {"reference": 20})
    result = analyze(study)
    assert result["listeners"] == 2 and set(result["left_out"]) == {"carl"}
    assert result["systems"]["good"]["mean"] == 85
    assert result["settings"]["reference_below"] == 90
    rows = read_rows(study / "ratings.tsv")
    assert len(rows) == 27 and {row["kept"] for row in rows} == {"True", "False"}
    printed = capsys.readouterr().out
    assert "left out: carl rated the hidden reference" in printed


def test_files_that_do_not_fit_are_refused(study):
    with pytest.raises(SystemExit, match="no ratings: put the files"):
        analyze(study)
    hand_in(study, "anna", MARKS)
    cases = [
        ({"study": "else"}, "it is of study 'else'"),
        ({"ratings": [{"stimulus": "x", "score": 1}]}, "'x' is there but it is not in"),
        ({"ratings": [{"stimulus": "x"}]}, "KeyError.*is missing; ask the listener"),
        ({"listener": "anna"}, "both of listener 'anna'"),
    ]
    for changes, message in cases:
        path = hand_in(study, "bob", MARKS, changes)
        with pytest.raises(SystemExit, match=message):
            analyze(study)
        path.unlink()
    for score in (101, -1, "5", True, None):
        path = hand_in(study, "bob", MARKS | {"good": score})
        with pytest.raises(SystemExit, match="expected a number from 0 to 100"):
            analyze(study)
        path.unlink()


def test_options_are_checked(systems, tmp_path):
    options = ["--test", "mos", "--output_dir", str(tmp_path / "s"), "--systems"]
    for system in ("good", "=x", "reference=x"):
        with pytest.raises(SystemExit, match="expected name=folder"):
            listening.main(["pages", *options, system])
    with pytest.raises(SystemExit, match="--instructions: no such file"):
        given = f"good={systems['good']}"
        listening.main(["pages", *options, given, "--instructions", "none"])
