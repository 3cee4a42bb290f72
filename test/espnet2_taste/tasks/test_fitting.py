"""Wrong combinations are refused when a task builds its model, with both numbers."""

import argparse
import json

import numpy as np
import pytest
import torch
import yaml

from espnet2_taste.espnet_taste_model import ESPnetTasteModel
from espnet2_taste.speech_decoder.fusion import SumFusion
from espnet2_taste.speech_decoder.small_unit_decoder import SmallUnitDecoder
from espnet2_taste.tasks import fitting
from espnet2_taste.tasks.parts import keyword_names
from espnet2_taste.tasks.spoken_lm import SpokenLMTask
from espnet2_taste.tasks.taste import TasteTask
from espnet2_taste.tasks.unit_vocoder import UnitVocoderTask
from espnet2_taste.text.huggingface_tokenizer import HuggingFaceTokenizer
from espnet2_taste.text.preprocessor import TextPreprocessor
from espnet2_taste.tokenizer.quantizers.rvq import ResidualQuantizer
from espnet2_taste.tokenizer.word_pooling import word_means

SIZES = {"size": 16, "num_heads": 2, "linear_units": 24}
UNITS = {"num_units": 7, "spembs_size": 3}
DECODER = UNITS | dict(hidden_size=8, num_blocks=1, attention_heads=2, linear_units=12)


@pytest.fixture
def taste(tiny_asr_exp, bpe_dir, tmp_path):
    """``taste(x=...)`` builds the model of a small configuration with changes."""

    def build(**changes):
        options = {
            "speech_encoder_conf": {"asr_exp": str(tiny_asr_exp), "value_layer": 1},
            "aggregator_conf": SIZES,
            "quantizer_conf": {"num_codebooks": 2, "codebook_size": 4},
            "unit_decoder": "small",
            "unit_decoder_conf": DECODER,
            "token_list": str(bpe_dir / "tokens.txt"),
            "bpemodel": str(bpe_dir / "bpe.model"),
        }
        path = tmp_path / "train.yaml"
        path.write_text(yaml.safe_dump(options | changes), encoding="utf-8")
        args = TasteTask.get_parser().parse_args(["--config", str(path)])
        return TasteTask.build_model(args)

    return build


@pytest.fixture
def units_dir(tmp_path):
    config = {"num_units": 9, "spembs_size": 3, "unit_rate": 25.0}
    (tmp_path / "units").mkdir()
    (tmp_path / "units" / "config.yaml").write_text(yaml.safe_dump(config))
    return str(tmp_path / "units")


CHARACTERS = ["<blank>", "<unk>", *"abc", "<sos/eos>"]
FRONTEND = {
    "speech_encoder": "frontend",
    "speech_encoder_conf": {"encoder": "transformer", "encoder_conf": {}},
}
WRONG = {
    "rate": ({"fs": 8000}, "takes 16000 Hz, the data have 8000 Hz: .* set fs"),
    "key size": (
        {"aggregator_conf": SIZES | {"key_size": 80}},
        "aggregator_conf.key_size is 80, but the part before gives 16: leave it out",
    ),
    "value size": (
        {
            "aggregator_conf": {"size": 8, "num_heads": 2, "identity_values": True},
            "init_aggregator": False,
        },
        "identity_values needs encoder values of 8 features, found 16: set aggreg",
    ),
    "decoder size": (
        {"aggregator_conf": SIZES | {"linear_units": 32}},
        r"\(24, 16\) given, \(32, 16\) wanted.*make aggregator_conf match",
    ),
    "quantizer size": (
        {"quantizer_conf": {"dim": 12}},
        "the aggregator gives 16 features, the quantizer takes 12: set quantizer_conf",
    ),
    "layers": (
        {"states_source": "last", "speech_encoder_conf": {"value_layer": [0, 1]}},
        "names 2 layers, LastLayerStates takes one: .* set states_source to mix",
    ),
    "no models of letters": (
        {"word_timer": "letters"},
        "word_timer letters needs --letter_models: run the recipe with --refine_times",
    ),
    "timed words without a timer": (
        {"aggregator_conf": SIZES | {"timed_words": True}},
        "aggregator_conf.timed_words is True, but the part before gives False: leave",
    ),
    "models of letters that are not there": (
        {"word_timer": "letters", "letter_models": "/none.npz"},
        "/none.npz not found: run stage 4 with --refine_times true",
    ),
    "one layer to mix": (
        {"states_source": "mix"},
        "mix needs several layers.* 1: give",
    ),
    "token list": (
        {"token_type": "char", "token_list": CHARACTERS},
        r"vocabulary \(6 tokens\) is not the one of the speech encoder's decoder "
        r"\(37 tokens\): give the token list",
    ),
    "few embeddings": (
        {"aggregator_conf": SIZES | {"vocab_size": 30}},
        "aggregator_conf.vocab_size is 30, but the text side has 37 tokens: leave",
    ),
    "few embeddings of the decoder": (
        {"unit_decoder_conf": DECODER | {"vocab_size": 30}},
        "unit_decoder_conf.vocab_size is 30, but the text side has 37 tokens: leave",
    ),
    "prefix": (
        {"aggregator_conf": {"prefix": [50258]}, "init_aggregator": False},
        r"begins with the ids \[50258\], but knows 37 tokens: set aggregator_conf.pref",
    ),
    "random embeddings": (
        {"init_embeddings": False},
        "they do not train: set aggregator_conf.train_embeddings to true",
    ),
    "sizes of stage 5": ({"unit_decoder_conf": {"num_units": 7}}, "lacks spembs_size"),
    "option": (
        {"quantizer_conf": {"codebooks": 4}},
        "quantizer_conf: ResidualQuantizer has no option 'codebooks'; it has .*codeb",
    ),
    "cache": (
        FRONTEND | {"model_conf": {"encoder_cache_mb": 5}},
        "encoder_cache_mb is 5, but FrontendEncoder trains.* set encoder_cache_mb to 0",
    ),
    "no experiment": (
        {"speech_encoder_conf": {"asr_exp": "/none"}},
        "config.yaml not found: give an ESPnet experiment directory",
    ),
    "no weights": (
        {"speech_encoder": "ssl", "speech_encoder_conf": {"model": "/none"}},
        "no weights of a speech encoder at '/none' .*speech_encoder_conf.model",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_taste_refuses(taste, tiny_asr_exp, case):
    changes, message = WRONG[case]
    encoder = changes.get("speech_encoder_conf", {})
    if "value_layer" in encoder:
        conf = encoder | {"asr_exp": str(tiny_asr_exp)}
        changes = changes | {"speech_encoder_conf": conf}
    with pytest.raises(ValueError, match=message):
        taste(**changes)


def test_units_of_another_stage_5_are_refused_and_missing_ones_taken(taste, units_dir):
    with pytest.raises(ValueError, match="num_units is 7, but .* have 9: set it to 9"):
        taste(units_dir=units_dir)
    rest = {name: DECODER[name] for name in set(DECODER) - set(UNITS)}
    model = taste(units_dir=units_dir, unit_decoder_conf=rest)
    assert model.unit_decoder.num_units == 9
    with pytest.raises(ValueError, match="not found: run units fit"):
        taste(units_dir=units_dir + "/none")


def test_the_vocoder_asks_the_same_unit_directory(units_dir):
    args = argparse.Namespace(
        vocoder="unit_to_mel_griffin_lim",
        vocoder_conf={"num_units": 9, "unit_rate": 50.0},
        model_conf={},
        units_dir=units_dir,
        dry_run=False,
    )
    with pytest.raises(ValueError, match="unit_rate is 50.0, but .* have 25.0: set it"):
        UnitVocoderTask.build_model(args)


@pytest.mark.parametrize(
    "vocoder, message",
    [
        ((8, 3), "exp/taste knows 7 units, the vocoder in exp/v 8: give a vocoder"),
        ((7, 4), "knows 3 speaker features, the vocoder in exp/v 4: give a vocoder"),
    ],
)
def test_a_vocoder_of_other_units_is_refused(vocoder, message):
    fusion = SumFusion(8)
    conf = {name: DECODER[name] for name in set(DECODER) - set(UNITS)}
    decoder = SmallUnitDecoder(12, 7, 5, 3, fusion, **conf)
    other = argparse.Namespace(num_units=vocoder[0], spembs_size=vocoder[1])
    with pytest.raises(ValueError, match=message):
        fitting.check_speakable(decoder, other, "exp/taste", "exp/v")


def test_units_that_the_decoder_does_not_know_are_named(bpe_dir, tiny_asr_exp):
    from espnet2_taste.text.preprocessor import TastePreprocessor

    files = [str(bpe_dir / name) for name in ("tokens.txt", "bpe.model")]
    preprocessor = TastePreprocessor("bpe", *files, num_units=7)
    with pytest.raises(ValueError, match="'utt1': unit 7, .* 7 classes: set unit_deco"):
        preprocessor("utt1", {"text": "the dog", "units": np.array([6, 7])})


def taslm_args(tiny_llm, taste_exp, *options):
    cmd = ["--tokenizer_path", str(tiny_llm), "--init_lm", str(tiny_llm)]
    cmd += ["--taste_exp", str(taste_exp), "--output_dir", "none", *options]
    return SpokenLMTask.get_parser().parse_args(cmd)


def write_taste_exp(path, **options):
    conf = {"num_codebooks": 2, "codebook_size": 4, "latent_size": 6}
    state = ResidualQuantizer(12, **conf).state_dict()
    state = {f"tokenizer.quantizer.{name}": value for name, value in state.items()}
    torch.save(state, path / "valid.loss.best.pth")
    config = {"quantizer": "rvq", "quantizer_conf": conf} | options
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    return path


@pytest.mark.parametrize(
    "options", [{"quantizer": None}, {"model_conf": {"quantize": False}}]
)
def test_a_spoken_lm_needs_codes(tiny_llm, tmp_path, options):
    args = taslm_args(tiny_llm, write_taste_exp(tmp_path, **options))
    with pytest.raises(ValueError, match="training without codes .*give --taste_exp"):
        SpokenLMTask.build_model(args)


def test_codes_of_another_quantizer_are_refused(tiny_llm, tmp_path):
    summary = {"codebook_size": 8, "used": [0.5, 0.5, 0.5]}
    (tmp_path / "codes.json").write_text(json.dumps(summary))
    data = ["--train_data_path_and_name_and_type"]
    data += [f"{tmp_path}/codes.scp,codes,kaldi_ark"]
    args = taslm_args(tiny_llm, write_taste_exp(tmp_path), *data)
    message = "holds 3 codebooks of 8 codes, .* has 2 of 4: give the experiment that"
    with pytest.raises(ValueError, match=message):
        SpokenLMTask.build_model(args)


def test_keyword_names_follow_open_ends():
    class Base:
        def __init__(self, size, depth=1):
            pass

    class Open(Base):
        def __init__(self, extra=1, **options):
            pass

    class Closed(Open):
        def __init__(self, only=1):
            pass

    assert keyword_names(Open) == {"extra", "size", "depth"}
    assert keyword_names(Closed) == {"only"}


def test_a_vector_for_each_token_of_the_language_model(taste, tiny_llm):
    """The LLM's own vocabulary without word pooling; the ASR's decoder stays."""
    conf = SIZES | {"word_level": False, "train_embeddings": True}
    conf |= {"trainable_layers": []}
    vocabulary = {"token_type": "hf", "tokenizer_path": str(tiny_llm)}
    vocabulary |= {"token_list": None, "bpemodel": None}
    with pytest.raises(ValueError, match="is not the one of the speech encoder's"):
        taste(**vocabulary, aggregator_conf=conf)
    model = taste(**vocabulary, aggregator_conf=conf, init_embeddings=False)
    assert isinstance(model, ESPnetTasteModel)
    aggregator, encoder = model.tokenizer.aggregator, model.tokenizer.encoder
    for name, value in encoder.decoder_state().items():
        if name != "embed.weight":
            assert torch.equal(aggregator.state_dict()[name], value)
    trained = {n for n, p in aggregator.named_parameters() if p.requires_grad}
    assert trained == {"embed.weight", "norm.weight", "norm.bias"}
    tokens = TextPreprocessor(HuggingFaceTokenizer(str(tiny_llm)))(
        "utt", {"text": "elephant considers"}
    )
    ids, words = (torch.tensor(tokens[k])[None] for k in ("text", "word_ids"))
    bos = HuggingFaceTokenizer(str(tiny_llm)).special_id("bos")
    assert aggregator.prefix.tolist() == [bos]
    count = torch.tensor([ids.size(1)])
    assert count > words.max() + 1
    speech = torch.randn(1, 16000) * 0.1
    states = model.eval().tokenizer.encoder(speech, torch.tensor([16000]))
    vectors = aggregator(ids, count, words, states)
    assert vectors.shape == (1, ids.size(1), 16)
    assert not torch.allclose(vectors, word_means(vectors, words), atol=1e-4)
    aggregator.word_level = True
    pooled = aggregator(ids, count, words, states)
    torch.testing.assert_close(pooled, word_means(vectors, words))
