"""Letter case and punctuation follow the vocabulary; what it lacks is counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_taste.data.ctm import read_rows
from espnet2_taste.text.tokenizers import build_text_tokenizer
from espnet2_taste.text.unknown import UnknownTokens, find_unknown, report_unknown

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def characters(letters: str):
    """A vocabulary of single characters."""
    tokens = ["<blank>", "<unk>", "<space>", *letters, "<sos/eos>"]
    return build_text_tokenizer("char", token_list=tokens)


@pytest.mark.parametrize("text", ["the red dog", "THE RED DOG", "The re“d”, Dog!"])
@pytest.mark.parametrize("letters", [LETTERS, LETTERS.upper()])
def test_case_and_punctuation_follow_the_vocabulary(letters, text):
    tokenizer = characters(letters)
    found = find_unknown([text], tokenizer)
    assert found.unknown == 0 and found.words == {}
    ids = [index for word in text.split() for index in tokenizer.encode_word(word)]
    spoken = tokenizer.decode(ids).lower()
    assert spoken.replace(" ", "") == "thereddog"


def test_a_vocabulary_with_both_cases_and_commas_keeps_them():
    tokenizer = characters(LETTERS + LETTERS.upper() + ",")
    assert tokenizer.decode(tokenizer.encode_word("Dog,")) == "Dog,"


def test_sentencepiece_in_lower_case_reads_upper_case(bpe_dir):
    tokenizer = build_text_tokenizer(
        "bpe", str(bpe_dir / "tokens.txt"), str(bpe_dir / "bpe.model")
    )
    assert tokenizer.encode_word("THE") == tokenizer.encode_word("the")
    assert find_unknown(["THE RED DOG"], tokenizer).share == 0


@given(st.lists(st.text("abcяж,", min_size=1, max_size=5), min_size=1, max_size=6))
def test_unknown_tokens_by_a_slow_loop(words):
    tokenizer = characters("abc")
    tokens = unknown = 0
    for word in words:
        spoken = word.replace(",", " ").split() if set(word) & set("abc") else [word]
        if any(set(word) & set("яж")) or not set(word) & set("abc"):
            continue  # several forms are equally bad
        tokens += sum(len(part) + 1 for part in spoken)
    known = [w for w in words if set(w) & set("abc") and not set(w) & set("яж")]
    found = find_unknown([" ".join(known)], tokenizer)
    assert (found.tokens, found.unknown) == (tokens, unknown)
    every = find_unknown([" ".join(words)], tokenizer)
    assert sum(every.words.values()) == len(words) - len(known)


def test_a_share_above_five_percent_is_refused_with_examples(tmp_path):
    few = UnknownTokens(100, 5, {"żółw": 2, "ß": 1})
    assert report_unknown(tmp_path, few).startswith("5 of 100 tokens (5.00 %)")
    assert [row["word"] for row in read_rows(tmp_path / "unknown_words.tsv")] == [
        "żółw",
        "ß",
    ]
    with pytest.raises(ValueError, match=f"{tmp_path}: 6 of 100.*'żółw'.*--normalizer"):
        report_unknown(tmp_path, UnknownTokens(100, 6, {"żółw": 6}))
    accepted = report_unknown(tmp_path, UnknownTokens(100, 6, {"żółw": 6}), 0.06)
    assert accepted.startswith("6 of 100 tokens")
