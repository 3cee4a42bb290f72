"""Normalisers and segmenters: quotes, punctuation, line ends, other scripts."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_taste.text.normalizers import (
    BasicNormalizer,
    KeepNormalizer,
    _verbalizer,
    has_letter_or_digit,
    normalizer_choices,
)
from espnet2_taste.text.segmenters import CharacterSegmenter, segmenter_choices


@pytest.mark.parametrize(
    "raw, expected",
    [
        ("Hello, World!\r\n", "hello world"),
        ("“It’s” ‘fine’", "it's fine"),
        ("twenty-one/two", "twenty one two"),
        ("the dogs' 'tis", "the dogs tis"),
        ("Ärger in Łódź, naïve", "ärger in łódź naïve"),
        ("\ufeffa\u200bb\u00a0c\td", "ab c d"),
        ("e\u0301t\u0301", "ét\u0301"),
        ("say''it", "say it"),
        ("—… ''' ?!", ""),
        ("你好，世界。", "你好 世界"),
    ],
)
def test_basic(raw, expected):
    assert BasicNormalizer()(raw) == expected


def test_keep_touches_whitespace_only():
    assert KeepNormalizer()("\ufeff Hello,  “World”!\r\n") == "Hello, “World”!"


@given(st.text())
def test_basic_is_idempotent_and_clean(text):
    once = BasicNormalizer()(text)
    assert BasicNormalizer()(once) == once
    assert once == " ".join(once.split())
    assert not set(once) & set(',.!?;:"“”’-\r\n\t')


@given(st.text())
def test_character_segmenter_loses_nothing(text):
    words = CharacterSegmenter()(text)
    assert "".join(words) == "".join(text.split())
    assert all(words)


@pytest.mark.parametrize(
    "text, words",
    [
        ("今天天气好", ["今", "天", "天", "气", "好"]),
        ("ラーメンとsushi 2個", ["ラー", "メ", "ン", "と", "sushi", "2", "個"]),
        ("ก็ดี", ["ก็", "ดี"]),
        ("don't 我", ["don't", "我"]),
    ],
)
def test_characters_are_words(text, words):
    assert CharacterSegmenter()(text) == words


def test_has_letter_or_digit():
    assert has_letter_or_digit("b") and has_letter_or_digit("7")
    assert has_letter_or_digit("我")
    assert not has_letter_or_digit("--") and not has_letter_or_digit("")


@pytest.mark.parametrize("choices", [normalizer_choices, segmenter_choices])
def test_every_choice_builds_and_runs(choices):
    for name in choices.classes:
        assert choices.get_class(name)()("a b")


@pytest.mark.parametrize(
    "raw, expected",
    [
        ("$43,000.50", "forty three thousand point five dollars"),
        ("3:45pm,", "three forty five pm"),
        ("10%", "ten percent"),
        ("2nd", "second"),
        ("Dr.", "doctor"),
        ("“Don’t”", "don't"),
        ("well-known!", "well known"),
        ("naïve", "naïve"),
    ],
)
def test_written_forms_become_what_is_said(raw, expected):
    pytest.importorskip("wetext", reason="the extra 'written' is not installed")
    assert normalizer_choices.get_class("written")()(raw) == expected


def test_a_missing_package_for_written_forms_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "wetext", None)
    _verbalizer.cache_clear()
    normalizer = normalizer_choices.get_class("written")()
    assert normalizer("Plain words") == "plain words"
    with pytest.raises(RuntimeError, match=r"pip install 'espnet2_taste\[written\]'"):
        normalizer("77%")
