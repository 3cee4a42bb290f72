"""Phones of words: the same for every vocabulary, and nothing is lost unseen."""

import logging
from types import SimpleNamespace

import pytest
import torch

from espnet2_taste.speech_decoder import text_input
from espnet2_taste.speech_decoder.spelling import BORDER
from espnet2_taste.speech_decoder.text_input import IPA, PhoneInput

UNKNOWN = len(IPA) + 1


def phone_input(tokens, language="en-us"):
    pytest.importorskip("espeakng_loader", reason="the extra espeak is not installed")
    text_input._phone_ids.cache_clear()
    spelled = [token.encode() for token in tokens]
    tokenizer = SimpleNamespace(token_bytes=lambda: spelled)
    return PhoneInput(4, tokenizer, language)


def read(symbols):
    """Symbols as text, borders as spaces, one line an utterance."""
    return [
        "".join(" " if i == BORDER else IPA[i - 1] for i in ids[:length])
        for ids, length in zip(symbols.ids.tolist(), symbols.lengths.tolist())
    ]


def test_words_are_read_whole():
    phones = phone_input(["knight", "kn", "ight", "S", "<s>"])
    text = torch.tensor([[0, 1, 2, 3], [1, 2, 0, 4]])
    word_ids = torch.tensor([[0, 1, 1, 1], [0, 0, -1, -1]])
    symbols = phones.symbols(text, word_ids)
    assert read(symbols) == [" nˈaɪt nˈaɪts ", " nˈaɪt "]
    assert symbols.count.tolist() == [[5, 6], [5, 0]]
    assert symbols.words.tolist() == [2, 1]
    assert int(symbols.ids.max()) < phones.embed.num_embeddings


def test_a_word_alone_has_the_phones_it_has_in_a_text():
    phones = phone_input(["the", "a", "record", "I"])
    both = phones.symbols(torch.tensor([[0, 1, 2, 3]]), torch.arange(4)[None])
    alone = [
        read(phones.symbols(torch.tensor([[token]]), torch.zeros(1, 1).long()))[0]
        for token in range(4)
    ]
    assert read(both) == ["".join(word[:-1] for word in alone) + " "]


def test_a_character_in_two_tokens():
    phones = phone_input(["na", "ve"])
    phones.spelled = [b"na\xc3", b"\xafve"]
    symbols = phones.symbols(torch.tensor([[0, 1]]), torch.zeros(1, 2).long())
    assert read(symbols) == [" naɪˈiːv "]


def test_a_word_without_phones_is_named_once(caplog):
    phones = phone_input(["...", "so"])
    text, word_ids = torch.tensor([[0, 1, 0]]), torch.arange(3)[None]
    with caplog.at_level(logging.WARNING):
        symbols = [phones.symbols(text, word_ids) for _ in range(2)]
    assert read(symbols[1]) == ["  sˈoʊ  "]
    assert [r.getMessage() for r in caplog.records] == [
        "eSpeak has no phones for the word '...' (en-us)"
    ]
    only = phones.symbols(torch.tensor([[0]]), torch.zeros(1, 1).long())
    assert only.count.tolist() == [[0]] and read(only) == ["  "]


def test_symbols_outside_the_ipa_are_named_and_kept(caplog, monkeypatch):
    phones = phone_input(["so"])
    monkeypatch.setattr(text_input, "phones_of", lambda word, language: "sЖo")
    with caplog.at_level(logging.WARNING):
        symbols = phones.symbols(torch.tensor([[0]]), torch.zeros(1, 1).long())
    assert symbols.ids[0, 2] == UNKNOWN < phones.embed.num_embeddings
    assert "'so' (en-us) have symbols outside the IPA" in caplog.text
    assert caplog.text.rstrip().endswith(": Ж")


@pytest.mark.parametrize(
    "language, words",
    [
        ("cmn", "北 京 人 们"),
        ("ja", "に ほ ん"),
        ("fr", "garçon œuf bonjour"),
        ("vi", "xin chào"),
        ("hi", "नमस्ते"),
        ("ar", "سلام"),
        ("ru", "привет"),
    ],
)
def test_symbols_of_other_languages_are_known(language, words, caplog):
    phones = phone_input(words.split(), language)
    count = torch.arange(len(words.split()))[None]
    with caplog.at_level(logging.WARNING):
        symbols = phones.symbols(count, count)
    assert (symbols.count > 0).all() and not caplog.records
    assert UNKNOWN not in symbols.ids


def test_an_unknown_language_is_named_before_training():
    with pytest.raises(ValueError, match="no voice 'xx-none'"):
        phone_input([], "xx-none")
