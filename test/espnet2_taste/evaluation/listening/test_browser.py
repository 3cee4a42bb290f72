"""Both pages from start to end in a headless Chromium, opened from disk."""

import json
import time

import pytest
from browser import Browser, why_absent

from espnet2_taste.data.ctm import read_rows
from espnet2_taste.evaluation.listening.design import TESTS
from espnet2_taste.evaluation.listening.pages import PageOptions, write_study
from espnet2_taste.evaluation.listening.results import read_ratings

pytestmark = pytest.mark.skipif(bool(why_absent()), reason=why_absent())
PLAY_ALL = """
const rows = [...document.querySelectorAll('.row')];
const next = rows.find((row) => !row.classList.contains('heard'));
if (next && !document.querySelector('.playing')) next.querySelector('.play').click();
return !next;
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("downloads")) as window:
        yield window


def make(systems, tmp_path, kind, utterances):
    options = PageOptions(title=f"Test of {kind}", utterances=utterances)
    write_study(tmp_path / "study", TESTS[kind], systems, options)
    return tmp_path / "study"


def start(browser, study, listener):
    browser.open(study / "page" / "index.html")
    browser.write("#listener", listener)
    browser.click("#start")


def fetch_results(browser, study, listener):
    """What the page gives, as text and as a downloaded file."""
    browser.click("#download")
    (key,) = {json.loads((study / "study.json").read_text())["id"]}
    file = browser.downloads / f"ratings_{key}_{listener}.json"
    end = time.monotonic() + 10
    while not file.is_file() and time.monotonic() < end:
        time.sleep(0.05)
    shown = browser.run("return document.getElementById('results').value")
    assert json.loads(file.read_text()) == json.loads(shown)
    return file


def test_mos_from_start_to_end(browser, systems, tmp_path):
    study = make(systems, tmp_path, "mos", 1)
    start(browser, study, "anna")
    disabled = "return document.getElementById('next').disabled"
    for number in range(1, 4):
        progress = browser.run("return document.getElementById('progress').textContent")
        assert progress == f"{number} of 3"
        browser.click("input[value='4']")
        if number == 1:  # rated, but not heard
            assert browser.run(disabled)
        browser.wait(PLAY_ALL)
        assert not browser.run(disabled)
        browser.click("#next")
    file = fetch_results(browser, study, "anna")
    ratings = read_ratings(study, [file])
    assert [rating.score for rating in ratings] == [4.0] * 3
    loaded = browser.run(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert all(name.startswith(("file:", "blob:")) for name in loaded)
    assert not browser.complaints()


def test_mushra_goes_on_after_a_reload(browser, systems, tmp_path):
    del systems["context"]
    study = make(systems, tmp_path, "mushra", 2)
    owners = {row["stimulus"]: row["system"] for row in read_rows(study / "key.tsv")}
    marks = {"reference": 100, "good": 70, "bad": 10}
    start(browser, study, "b.7")
    for number in range(2):
        if number == 1:
            browser.run("location.reload()")
            browser.wait("return !document.getElementById('welcome').hidden")
            start(browser, study, "b.7")
            progress = "return document.getElementById('progress').textContent"
            assert browser.run(progress) == "2 of 2"
        browser.wait(PLAY_ALL)
        scores = {name: marks[owner] for name, owner in owners.items()}
        browser.run(
            f"const marks = {json.dumps(scores)};"
            "for (const row of document.querySelectorAll('.stimulus')) {"
            "  const slider = row.querySelector('input');"
            "  slider.value = marks[row.dataset.stimulus];"
            "  slider.dispatchEvent(new Event('input'));"
            "}"
        )
        browser.click("#next")
    ratings = read_ratings(study, [fetch_results(browser, study, "b.7")])
    assert {(r.system, r.score) for r in ratings} == set(marks.items())
    assert len(ratings) == 6 and not browser.complaints()


def test_a_missing_recording_is_named(browser, systems, tmp_path):
    study = make(systems, tmp_path, "mos", 1)
    for path in (study / "page" / "audio").glob("*.wav"):
        path.unlink()
    start(browser, study, "anna")
    message = browser.wait(
        "return !document.getElementById('message').hidden && "
        "document.getElementById('message').textContent"
    )
    assert "cannot be read" in message and ".wav" in message
