"""The page in a headless Chromium: upload, drag, exchange, play, continue, say."""

import pytest
from browser import Browser, why_absent

pytestmark = pytest.mark.skipif(bool(why_absent()), reason=why_absent())
READY = "return document.getElementById('status').textContent === ''"
STATUS = "return document.getElementById('status').textContent"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("downloads")) as window:
        yield window


@pytest.fixture
def page(browser, address):
    browser.open(address)
    return browser


def seconds(page, selector):
    """Duration of an audio element, once it is known."""
    return page.wait(f"return document.querySelector('{selector}').duration || 0", 60)


def upload(page, name, path, text):
    page.write(f"#{name} .text", text)
    page.write(f"#{name} .file", str(path))
    seconds(page, f"#{name} .before")
    page.wait(READY, 60)


def test_a_recording_is_edited_continued_and_its_voice_says_a_text(page, wav, tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        (tmp_path / f"{name}.wav").write_bytes(wav(1.0, seed))
        upload(page, name.upper(), tmp_path / f"{name}.wav", "the red dog")
    assert seconds(page, "#A .original") == pytest.approx(1.0, abs=0.01)
    label = page.run("return document.querySelector('#A .rendition').ariaLabel")
    assert [part.split()[0] for part in label.split(", ")] == ["the", "red", "dog"]
    first = "return recordings[0].shown.timings[0].duration"
    before, whole = page.run(first), seconds(page, "#A .before")
    width = page.run("return document.querySelector('#A .rendition').clientWidth")
    page.drag("#A .rendition", (int(width * (before / 2 / whole - 0.5)), 0), 100)
    seconds(page, "#A .after")
    page.wait(READY, 60)
    assert page.run("return document.querySelector('#A .tempo').value") == "1"
    assert page.run(first) == pytest.approx(2 * before, abs=0.05)
    page.click("#A .exchange")
    page.click("#A .speak")
    page.wait(READY, 60)
    mixed = "return recordings[0].edited().codes[0].join() === "
    assert page.run(mixed + "recordings[1].tokens.codes[0].join()")
    half = page.run("return document.querySelector('#A .reading').clientWidth") // 2
    page.drag("#A .reading", (-half + 8, 0), 2 * half)
    assert page.run("return document.querySelector('#A .reading').value") == "1"
    page.click("#A .exchange")  # off again
    page.click("#A .speak")
    page.wait(READY, 60)
    said = "return recordings[0].shown.codes[0].join() === "
    assert page.run(said + "recordings[1].tokens.codes[0].join()")
    said = "return recordings[0].shown.codes[1].join() === "
    assert page.run(said + "recordings[0].tokens.codes[1].join()")
    page.click("#continue")
    assert seconds(page, "#continued") > 0
    assert page.run("return document.getElementById('added').textContent").split()[1:]
    page.write("#input", "a small bird")
    page.click("#say")
    assert seconds(page, "#said") > 0
    page.wait(READY, 60)
    played = "const a = document.getElementById('said'); a.muted = true; a.play();"
    page.run(played)
    page.wait("return document.getElementById('said').currentTime > 0")
    assert not page.complaints()


def test_the_microphone_is_recorded(page):
    page.write("#A .text", "dog")
    page.click("#A .record")
    page.wait("return recordings[0].recorder && recordings[0].recorder.state")
    page.wait("return performance.now() > 2500", 30)
    page.click("#A .record")
    assert seconds(page, "#A .original") > 0.5
    seconds(page, "#A .before")
    page.wait(READY, 60)
    assert not page.complaints()


def test_what_is_wrong_is_one_line(page, wav, tmp_path):
    (tmp_path / "no.wav").write_bytes(b"nothing")
    page.write("#A .file", str(tmp_path / "no.wav"))
    page.wait(STATUS + ".includes('cannot read this file as audio')")
    (tmp_path / "a.wav").write_bytes(wav(5.0))
    page.write("#A .file", str(tmp_path / "a.wav"))
    page.wait(STATUS + ".includes('lasts 5.00 s, expected at most 3 s')", 60)
    complaints = page.complaints()
    assert len(complaints) == 1 and "400" in complaints[0]


def test_every_control_has_a_name(page):
    """A label, its own text, or an aria-label."""
    nameless = page.run("""
        return [...document.querySelectorAll('button, input, textarea')].filter((e) =>
          !e.textContent.trim() && !e.ariaLabel && !e.labels.length).length""")
    assert nameless == 0
