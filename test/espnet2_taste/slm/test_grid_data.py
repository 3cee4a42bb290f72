"""Codes of words from data: what is checked, with errors that name the utterance."""

import numpy as np
import pytest

from espnet2_taste.slm.grid_data import UtteranceOptions, UtteranceReader
from espnet2_taste.text.huggingface_tokenizer import HuggingFaceTokenizer


@pytest.fixture
def reader(lm_tokenizer_dir):
    tokenizer = HuggingFaceTokenizer(str(lm_tokenizer_dir))
    return UtteranceReader(tokenizer, UtteranceOptions())


def test_codes_become_integers(reader):
    codes = np.array([[1.0, 2.0], [3.0, -1.0]], dtype=np.float32)
    found = reader("utt1", {"text": "red dog", "codes": codes})
    assert found.codes == ((1, 2), (3, -1)) and len(found.words) == 2
    assert reader("utt1", {"text": "red dog"}).codes == ()


@pytest.mark.parametrize("text", ["", "  ", "\r\n"])
def test_empty_text_names_the_utterance(reader, text):
    with pytest.raises(ValueError, match="utterance 'utt7': empty text"):
        reader("utt7", {"text": text})


def test_units_need_no_words(reader):
    found = reader("utt1", {"text": "", "units": np.array([3, 1]), "word_times": []})
    assert found.words == () and found.units == ((3,), (1,))


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
def test_wrong_codes(reader, codes, message):
    with pytest.raises(ValueError, match=f"utterance 'utt7': .*{message}"):
        reader("utt7", {"text": "red dog", "codes": codes})
