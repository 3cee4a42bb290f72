"""Preprocessors: batches' fields, and errors that name the utterance."""

import numpy as np
import pytest

from espnet2_taste.text.preprocessor import TaslmPreprocessor, TastePreprocessor


@pytest.fixture
def taste(bpe_dir):
    return TastePreprocessor(
        "bpe", str(bpe_dir / "tokens.txt"), str(bpe_dir / "bpe.model")
    )


@pytest.fixture
def taslm(lm_tokenizer_dir):
    return TaslmPreprocessor(str(lm_tokenizer_dir))


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


def test_taslm_codes_become_integers(taslm):
    codes = np.array([[1.0, 2.0], [3.0, -1.0]], dtype=np.float32)
    result = taslm("utt1", {"text": "red dog", "codes": codes})
    assert result["codes"].dtype == np.int64
    assert result["codes"].tolist() == [[1, 2], [3, -1]]


def test_text_alone_and_speech_alone_pass(taste, taslm):
    assert set(taslm("utt1", {"text": "red dog"})) == {"text", "word_ids"}
    assert set(taste("utt1", {"speech": np.zeros(3)})) == {"speech"}
    assert taslm("utt1", {"codes": np.zeros((3, 2))})["codes"].shape == (3, 2)


@pytest.mark.parametrize("text", ["", "  ", "\r\n"])
def test_empty_text_names_the_utterance(taste, taslm, text):
    for preprocessor in (taste, taslm):
        with pytest.raises(ValueError, match="utterance 'utt7': empty text"):
            preprocessor("utt7", {"text": text})


@pytest.mark.parametrize(
    "codes, message",
    [
        (np.zeros((3, 2)), "2 words in the text but 3 rows"),
        (np.zeros((0, 2)), "2 words in the text but 0 rows"),
        (np.zeros(2), "words x codebooks"),
        (np.zeros((2, 0)), "words x codebooks"),
        (np.full((2, 2), 0.5), "whole numbers"),
    ],
)
def test_wrong_codes(taslm, codes, message):
    with pytest.raises(ValueError, match=f"utterance 'utt7': .*{message}"):
        taslm("utt7", {"text": "red dog", "codes": codes})


def test_word_times_become_pairs(taste):
    times = np.array([0.0, 0.25, 0.25, 0.5], dtype=np.float32)
    result = taste("utt1", {"text": "red dog", "word_times": times})
    assert result["word_times"].tolist() == [[0.0, 0.25], [0.25, 0.5]]
    with pytest.raises(ValueError, match="'utt1': 4 word times.* 3 words"):
        taste("utt1", {"text": "the red dog", "word_times": times})
