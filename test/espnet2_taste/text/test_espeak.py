"""eSpeak: phones of a word, whatever was asked before and by which thread."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from espnet2_taste.text import espeak
from espnet2_taste.text.espeak import phones_of

needs_espeak = pytest.mark.usefixtures("_library")


@pytest.fixture
def _library():
    pytest.importorskip("espeakng_loader", reason="the extra espeak is not installed")


@needs_espeak
@pytest.mark.parametrize(
    "word, language, phones",
    [
        ("hello", "en-us", "həlˈoʊ"),
        ("church", "en-us", "tʃˈɜːtʃ"),
        ("u.s.", "en-us", "jˌuːˈɛs"),
        ("80", "en-us", "ˈeɪɾi"),
        ("hell, o. yes", "en-us", "hˈɛlˈoʊjˈɛs"),  # clauses, without their spaces
        ("...", "en-us", ""),
        ("", "en-us", ""),
        ("über", "de", "ˈyːbɜ"),
        ("日", "ja", "tʃˈaɪniːzlˈe̞tə"),  # from English: the mark (en) is no phone
    ],
)
def test_phones(word, language, phones):
    assert phones_of(word, language) == phones


@needs_espeak
def test_phones_do_not_depend_on_order_language_or_thread():
    words = "the boat of a church did not reach two rendezvous through 1984".split()
    asked = [(w, language) for w in words for language in ("en-us", "de", "cmn")]
    alone = {item: phones_of(*item) for item in asked}
    with ThreadPoolExecutor(4) as pool:
        turned = [*reversed(asked)] * 20
        found = list(pool.map(lambda item: phones_of(*item), turned))
    assert found == [alone[item] for item in turned]


@needs_espeak
def test_an_unknown_language_is_named():
    with pytest.raises(ValueError, match="no voice 'xx-nothing'.*such as en-us"):
        phones_of("hello", "xx-nothing")


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(RuntimeError, match=r"pip install 'espnet2_taste\[espeak\]'"):
        phones_of("hello", "en-us")


def test_a_long_data_path_is_shortened(tmp_path):
    deep = tmp_path.joinpath(*["a" * 50] * 4)
    deep.mkdir(parents=True)
    short = espeak._short_path(str(deep))
    assert len(short) < espeak.DATA_PATH_LIMIT and Path(short).samefile(deep)
