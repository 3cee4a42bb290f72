"""Fixtures for all tests: small vocabularies of each kind, trained on the spot."""

import pytest

SENTENCES = [
    "the red dog runs home",
    "a small bird doesn't sing",
    "the elephant considers a banana",
    "naïve dogs sing the banana song",
] * 5


@pytest.fixture(scope="session")
def sentences():
    return list(SENTENCES)


@pytest.fixture(scope="session")
def bpe_dir(tmp_path_factory):
    from espnet2_taste.text.training import train_sentencepiece

    path = tmp_path_factory.mktemp("token_list") / "bpe"
    train_sentencepiece(SENTENCES, path, vocab_size=40)
    return path


@pytest.fixture(scope="session")
def lm_tokenizer_dir(tmp_path_factory):
    from espnet2_taste.text.training import train_lm_tokenizer

    path = tmp_path_factory.mktemp("lm") / "tokenizer"
    train_lm_tokenizer(SENTENCES, path, vocab_size=280)
    return path
