"""Word ids are shared by vocabularies, whatever their sub-words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_taste.text.normalizers import BasicNormalizer
from espnet2_taste.text.segmenters import CharacterSegmenter, WhitespaceSegmenter
from espnet2_taste.text.token_list_tokenizers import CharacterTokenizer
from espnet2_taste.text.tokenizers import build_text_tokenizer
from espnet2_taste.text.words import normalize_text, tokenize_words


class _Letters:
    """One token a letter; 0 marks a word's beginning, spaces give nothing."""

    def encode_word(self, word, first=False):
        return [0] * (not first) + [ord(char) for char in word if char != "?"]


@given(st.lists(st.text("abc", min_size=1, max_size=5), max_size=6), st.booleans())
def test_word_ids_by_slow_loop(words, first_word_space):
    result = tokenize_words(words, _Letters(), first_word_space)
    ids, word_ids = [], []
    for index, word in enumerate(words):
        for token in _Letters().encode_word(word, index == 0 and not first_word_space):
            ids.append(token)
            word_ids.append(index)
    assert result.ids.tolist() == ids and result.word_ids.tolist() == word_ids
    assert result.ids.dtype == result.word_ids.dtype == np.int64


def test_both_sides_index_the_same_words(sentences, bpe_dir, lm_tokenizer_dir):
    asr = build_text_tokenizer(
        "bpe", str(bpe_dir / "tokens.txt"), str(bpe_dir / "bpe.model")
    )
    llm = build_text_tokenizer("hf", tokenizer_path=str(lm_tokenizer_dir))
    for sentence in sentences[:4]:
        words = sentence.split()
        one, two = tokenize_words(words, asr), tokenize_words(words, llm)
        assert one.word_ids[-1] == two.word_ids[-1] == len(words) - 1
        assert asr.decode(one.ids) == llm.decode(two.ids) == sentence


def test_no_space_language():
    tokens = ["<blank>", "<unk>", "<space>", "我", "好", "<sos/eos>"]
    result = tokenize_words(["我", "好"], CharacterTokenizer(tokens), word_space=False)
    assert result.ids.tolist() == [3, 4] and result.word_ids.tolist() == [0, 1]


def test_word_without_token_is_an_error():
    with pytest.raises(ValueError, match=r"word 1 \('\?'\) gives no token"):
        tokenize_words(["a", "?"], _Letters(), word_space=False)


@pytest.mark.parametrize(
    "text, segmenter, words, removed",
    [
        ("Yes — no!\r", WhitespaceSegmenter(), ("yes", "no"), ("—",)),
        ("twenty-one", WhitespaceSegmenter(), ("twenty", "one"), ()),
        ("... ?", WhitespaceSegmenter(), (), ("...", "?")),
        ("今天，好。", CharacterSegmenter(), ("今", "天", "好"), ()),
    ],
)
def test_normalize_text(text, segmenter, words, removed):
    result = normalize_text(text, BasicNormalizer(), segmenter)
    assert result.words == words and result.removed == removed


TAGGED = {
    "yes <COMMA> no": ("yes no", ["<COMMA>"]),
    "the [noise] dog [background speech]": (
        "the dog",
        ["[noise]", "[background speech]"],
    ),
    "<|en|> a {breath} b<unk>c (breath) (LAUGHTER)": (
        "a b c",
        ["<|en|>", "{breath}", "<unk>", "(breath)", "(LAUGHTER)"],
    ),
    "he (then young) said %uh %uhlan": ("he then young said uhlan", ["%uh"]),
    "2 < 3 and 4 > 1": ("2 3 and 4 1", ["<", ">"]),
}


@pytest.mark.parametrize("text", TAGGED)
def test_tags_are_removed_and_listed_but_not_spoken(text):
    found = normalize_text(text, BasicNormalizer(), WhitespaceSegmenter(), ("%uh",))
    assert (" ".join(found.words), list(found.removed)) == TAGGED[text]
