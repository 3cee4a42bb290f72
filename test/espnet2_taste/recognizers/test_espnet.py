"""The vocabulary of a given recognizer, wherever its recipe's folder is."""

import shutil

import pytest
import torch
import yaml

from espnet2_taste.recognizers.choices import load_recognizer
from espnet2_taste.recognizers.espnet import find_beside
from espnet2_taste.text.tokenizers import build_text_tokenizer
from espnet2_taste.text.training import write_directory
from espnet2_taste.tokenizer.encoders.espnet_asr import EspnetAsrEncoder, load_asr_model


def copy_tokens(exp, directory):
    write_directory(directory, load_recognizer(str(exp)).write_vocabulary)
    return (directory / "token_type").read_text().strip()


@pytest.fixture
def recognizer(tmp_path, bpe_dir):
    """``recipe/exp/asr``, whose configuration names files relative to ``recipe``."""
    exp = tmp_path / "recipe/exp/asr"
    exp.mkdir(parents=True)
    shutil.copytree(bpe_dir, tmp_path / "recipe/data/bpe")
    (exp / "valid.acc.ave.pth").touch()

    def write(**options):
        tokens = (bpe_dir / "tokens.txt").read_text().splitlines()
        config = {"token_type": "bpe", "token_list": tokens, **options}
        (exp / "config.yaml").write_text(yaml.safe_dump(config))
        return exp

    return write


def test_tokens_and_model_are_those_of_the_recognizer(recognizer, tmp_path, bpe_dir):
    exp = recognizer(bpemodel="data/bpe/bpe.model")
    assert copy_tokens(exp, tmp_path / "given") == "bpe"
    for name in ("tokens.txt", "bpe.model"):
        assert (tmp_path / "given" / name).read_bytes() == (bpe_dir / name).read_bytes()
    assert (tmp_path / "given/token_type").read_text() == "bpe\n"


def test_characters_need_no_model(recognizer, tmp_path):
    tokens = ["<blank>", "<unk>", "<space>", "a", "<sos/eos>"]
    exp = recognizer(token_type="char", token_list=tokens, bpemodel=None)
    assert copy_tokens(exp, tmp_path / "given") == "char"
    assert not (tmp_path / "given/bpe.model").exists()
    kind = build_text_tokenizer("char", tmp_path / "given/tokens.txt")
    assert kind.encode_word("aa") == [2, 3, 3]


def test_another_kind_is_refused(recognizer, tmp_path):
    exp = recognizer(token_type="phn")
    with pytest.raises(ValueError, match="token_type is 'phn', expected one of bpe, c"):
        copy_tokens(exp, tmp_path / "given")
    assert not (tmp_path / "given").exists()


def test_a_lost_model_is_named(recognizer):
    exp = recognizer()
    with pytest.raises(ValueError, match="bpemodel 'x/bpe.model' is neither here nor"):
        find_beside(exp / "config.yaml", "x/bpe.model")


def test_owsm_ctc_scores_the_tokens_of_its_frames(s2t_ctc_exp):
    aligner = load_recognizer(str(s2t_ctc_exp)).aligner()
    speech, lengths = torch.randn(1, 8000), torch.tensor([8000])
    scores, frames = aligner.scorer(speech, lengths)
    model, _ = load_asr_model(s2t_ctc_exp)
    assert scores.shape == (1, int(frames), len(model.token_list))
    final = EspnetAsrEncoder(str(s2t_ctc_exp))(speech, lengths).keys
    torch.testing.assert_close(scores, model.ctc.log_softmax(final))
