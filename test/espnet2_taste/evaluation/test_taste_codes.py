"""Bit rate of codes: tokens are counted as the tokenizer was trained with them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from espnet2_taste.data.arks import write_ark
from espnet2_taste.data.audio import write_audio
from espnet2_taste.evaluation.taste import score_codes
from espnet2_taste.text.huggingface_tokenizer import HuggingFaceTokenizer
from espnet2_taste.text.words import tokenize_words


@pytest.mark.parametrize("space", [True, False])
def test_marks_of_words_are_those_of_training(tmp_path, lm_tokenizer_dir, space):
    words = ["the", "dog", "runs"]
    write_ark(tmp_path, "codes", {"u1": np.zeros((3, 2), dtype=np.int64)})
    (tmp_path / "codes.json").write_text(json.dumps({"codebook_size": 8}))
    config = {"token_type": "hf", "token_list": None, "word_space": space}
    config["tokenizer_path"] = str(lm_tokenizer_dir)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    write_audio(tmp_path / "u1.wav", np.zeros(16000, np.float32), 16000)
    original = SimpleNamespace(
        texts={"u1": " ".join(words)}, wavs={"u1": str(tmp_path / "u1.wav")}
    )
    rate = score_codes(tmp_path / "codes.scp", tmp_path, original)
    tokenizer = HuggingFaceTokenizer(lm_tokenizer_dir)
    ids = tokenize_words(words, tokenizer, word_space=space).ids
    bits = len(ids) * np.log2(tokenizer.vocab_size)  # in a second
    assert rate["text_bits_per_second"] == pytest.approx(bits)
