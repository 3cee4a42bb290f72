"""Fixtures for all tests: small vocabularies of each kind, trained on the spot."""

import pytest
from hypothesis import HealthCheck, settings

# how long examples take to draw depends on the machine
settings.register_profile(
    "taste", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("taste")

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


@pytest.fixture(scope="session")
def tiny_llm(tmp_path_factory, lm_tokenizer_dir):
    """A Hugging Face directory with a random Llama of 16 features and its tokenizer."""
    from tiny_models import write_lm

    path = tmp_path_factory.mktemp("llm")
    write_lm(path, lm_tokenizer_dir)
    return path


TINY_ASR = {
    "frontend": "default",
    "frontend_conf": {"n_fft": 512, "win_length": 400, "hop_length": 160},
    "normalize": "utterance_mvn",
    "encoder": "conformer",
    "encoder_conf": {
        "output_size": 16,
        "attention_heads": 2,
        "linear_units": 24,
        "num_blocks": 2,
        "macaron_style": False,
        "cnn_module_kernel": 15,
        "pos_enc_layer_type": "rel_pos",
        "selfattention_layer_type": "rel_selfattn",
        "rel_pos_type": "latest",
    },
    "decoder": "transformer",
    "decoder_conf": {"attention_heads": 2, "linear_units": 24, "num_blocks": 2},
}


def build_asr_exp(path, tokens, task=None, **changes):
    """Write an ESPnet ASR experiment with random weights; return its directory."""
    import torch
    import yaml
    from espnet2.tasks.asr import ASRTask

    task = task or ASRTask
    config = path / "train_asr.yaml"
    given = {k: v for k, v in (TINY_ASR | changes).items() if v is not None}
    config.write_text(yaml.safe_dump(given), encoding="utf-8")
    parser = task.get_parser()
    options = ["--config", str(config), "--token_list", str(tokens)]
    args = parser.parse_args([*options, "--output_dir", str(path)])
    torch.manual_seed(0)
    model = task.build_model(args)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    torch.save(model.state_dict(), path / "valid.acc.ave.pth")
    (path / "config.yaml").write_text(yaml.safe_dump(vars(args)), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_asr_exp(tmp_path_factory, bpe_dir):
    """A conformer ASR experiment of 16 features with random weights."""
    return build_asr_exp(tmp_path_factory.mktemp("asr"), bpe_dir / "tokens.txt")


@pytest.fixture(scope="session")
def asr_exp_builder(tmp_path_factory, bpe_dir):
    """``build(encoder="transformer", ...)`` writes another tiny ASR experiment."""

    def build(**changes):
        path = tmp_path_factory.mktemp("asr")
        return build_asr_exp(path, bpe_dir / "tokens.txt", **changes)

    return build


@pytest.fixture(scope="session")
def s2t_exp(tmp_path_factory, bpe_dir):
    """An experiment of OWSM's task with random weights."""
    from espnet2.tasks.s2t import S2TTask

    path = tmp_path_factory.mktemp("s2t")
    return build_asr_exp(path, write_owsm_tokens(path, bpe_dir), task=S2TTask)


def write_owsm_tokens(path, bpe_dir):
    """Write a token list with OWSM's symbols; return its file."""
    words = (bpe_dir / "tokens.txt").read_text(encoding="utf-8").split()
    symbols = ["<eng>", "<asr>", "<na>", "<sop>", "<sos>", "<eos>"]
    (path / "tokens.txt").write_text("\n".join([*words[:-1], *symbols]) + "\n", "utf-8")
    return path / "tokens.txt"


@pytest.fixture(scope="session")
def s2t_ctc_exp(tmp_path_factory, bpe_dir):
    """An experiment of OWSM-CTC's task with random weights, conditioned on its CTC."""
    from espnet2.tasks.s2t_ctc import S2TTask

    path = tmp_path_factory.mktemp("s2t_ctc")
    sizes = {"output_size": 16, "attention_heads": 2, "linear_units": 24}
    changes = {
        "decoder": None,
        "decoder_conf": None,
        "encoder": "e_branchformer_ctc",
        "encoder_conf": sizes
        | {
            "num_blocks": 3,
            "input_layer": "conv1d2",
            "use_cross_attention": [False, True, False],
        }
        | {"cgmlp_linear_units": 24, "cgmlp_conv_kernel": 7, "merge_conv_kernel": 7}
        | {"interctc_layer_idx": [2], "interctc_use_conditioning": True},
        "promptencoder_conf": sizes | {"num_blocks": 1},
        "model_conf": {"interctc_weight": 0.5, "ctc_asr_only": [False, False]},
        "bpemodel": str(bpe_dir / "bpe.model"),
    }
    tokens = write_owsm_tokens(path, bpe_dir)
    return build_asr_exp(path, tokens, task=S2TTask, **changes)


@pytest.fixture(scope="session")
def whisper_dirs(tmp_path_factory):
    """Folders of tiny Whispers, by whether the model knows several languages."""
    from tiny_recognizers import write_whisper

    root = tmp_path_factory.mktemp("whisper")
    return {
        multilingual: write_whisper(root / str(multilingual), SENTENCES, multilingual)
        for multilingual in (False, True)
    }


@pytest.fixture(scope="session")
def ctc_dir(tmp_path_factory):
    """Folder of a tiny CTC model of Hugging Face."""
    from tiny_recognizers import write_ctc

    return write_ctc(tmp_path_factory.mktemp("ctc"))


@pytest.fixture(scope="session")
def packed_models(tmp_path_factory, asr_exp_builder, bpe_dir, lm_tokenizer_dir):
    """Folder of ``taste.zip`` and ``taslm.zip``, their results, and how to repeat."""
    from packed_models import pack_models

    root = tmp_path_factory.mktemp("recipe")
    return pack_models(root, asr_exp_builder, bpe_dir, lm_tokenizer_dir)
