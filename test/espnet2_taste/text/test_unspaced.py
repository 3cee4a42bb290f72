"""Languages without spaces: from raw text to the same words for both vocabularies."""

import pytest

from espnet2_taste.text.huggingface_tokenizer import HuggingFaceTokenizer
from espnet2_taste.text.preparation import TextRules
from espnet2_taste.text.preprocessor import TastePreprocessor, TextPreprocessor
from espnet2_taste.text.training import train_lm_tokenizer

TEXTS = {
    "chinese": (
        "今天天气很好，我们去看《红楼梦》！",
        "今 天 天 气 很 好 我 们 去 看 红 楼 梦",
    ),
    "mixed": ("我用Python３写代码。", "我 用 python3 写 代 码"),
    "japanese": (
        "「ｺﾝﾋﾟｭｰﾀｰ」は、東京で買いました。",
        "コ ン ピュ ー タ ー は 東 京 で 買 い ま し た",
    ),
}


def words_of(name, **options):
    rules = TextRules(**({"normalizer": "nfkc", "segmenter": "character"} | options))
    return rules.function()(TEXTS[name][0]).words


@pytest.fixture(scope="module")
def tokenizer_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("lm") / "tokenizer"
    train_lm_tokenizer([raw for raw, _ in TEXTS.values()] * 5, path, vocab_size=280)
    return str(path)


@pytest.mark.parametrize("name", ["chinese", "mixed"])
def test_characters_are_the_words(name):
    assert words_of(name) == tuple(TEXTS[name][1].split())


def test_japanese_marks_join_their_character():
    words = words_of("japanese")
    assert "".join(words) == TEXTS["japanese"][1].replace(" ", "")
    assert words[:5] == ("コ", "ン", "ピ", "ュー", "ター")
    assert len(words) == 14


def test_width_matters_without_folding():
    assert "ｺ" in "".join(words_of("japanese", normalizer="basic"))
    assert "python３" in words_of("mixed", normalizer="basic")


@pytest.mark.parametrize("name", TEXTS)
def test_both_vocabularies_index_the_same_words(name, tokenizer_dir):
    words = words_of(name)
    tokens = ["<blank>", "<unk>", *sorted(set("".join(words))), "<sos/eos>"]
    speech = TastePreprocessor("char", tokens, word_space=False)
    language = TextPreprocessor(HuggingFaceTokenizer(tokenizer_dir), word_space=False)
    data = {"text": " ".join(words)}
    one, two = speech("utt", data), language("utt", data)
    assert one["word_ids"][-1] == two["word_ids"][-1] == len(words) - 1
    assert speech.tokenizer.decode(one["text"]) == "".join(words)
    assert language.tokenizer.decode(two["text"]) == "".join(words)
