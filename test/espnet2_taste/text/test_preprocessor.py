"""Preprocessors: batches' fields, and errors that name the utterance."""

import numpy as np
import pytest

from espnet2_taste.text.huggingface_tokenizer import HuggingFaceTokenizer
from espnet2_taste.text.preprocessor import TastePreprocessor, TextPreprocessor


@pytest.fixture
def taste(bpe_dir):
    return TastePreprocessor(
        "bpe", str(bpe_dir / "tokens.txt"), str(bpe_dir / "bpe.model")
    )


@pytest.fixture
def words(lm_tokenizer_dir):
    return TextPreprocessor(HuggingFaceTokenizer(str(lm_tokenizer_dir)))


def test_taste_fields(taste):
    speech = np.zeros(5, dtype=np.float32)
    result = taste("utt1", {"text": "the red dog", "speech": speech})
    assert result["speech"] is speech
    assert result["text"].shape == result["word_ids"].shape
    assert result["word_ids"].max() == 2


def test_input_is_left_alone(taste):
    data = {"text": "the red dog"}
    taste("utt1", data)
    assert data == {"text": "the red dog"}


def test_what_is_not_text_passes(taste, words):
    assert set(words("utt1", {"text": "red dog"})) == {"text", "word_ids"}
    assert set(taste("utt1", {"speech": np.zeros(3)})) == {"speech"}


@pytest.mark.parametrize("text", ["", "  ", "\r\n"])
def test_empty_text_names_the_utterance(taste, words, text):
    for preprocessor in (taste, words):
        with pytest.raises(ValueError, match="utterance 'utt7': empty text"):
            preprocessor("utt7", {"text": text})


def test_word_times_become_pairs(taste):
    times = np.array([0.0, 0.25, 0.25, 0.5], dtype=np.float32)
    result = taste("utt1", {"text": "red dog", "word_times": times})
    assert result["word_times"].tolist() == [[0.0, 0.25], [0.25, 0.5]]
    with pytest.raises(ValueError, match="'utt1': 4 word times.* 3 words"):
        taste("utt1", {"text": "the red dog", "word_times": times})
