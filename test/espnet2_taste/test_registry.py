"""Every name that a YAML file can give: built by its task, trained, saved, reloaded.

A new class in a ``ClassChoices`` needs a row in ``ROWS``; without one
``test_every_name_has_a_row`` fails. What a row does is in ``support/registry_rows.py``.
"""

import importlib
import pkgutil

import pytest
import torch
from espnet2.train.class_choices import ClassChoices
from registry_rows import (
    FSQ,
    SIZES,
    UNITS,
    Elsewhere,
    Grid,
    Needing,
    Taslm,
    Taste,
    Text,
    Tokens,
    Tools,
    Units,
    Vocoder,
)
from tiny_models import tiny_hifigan

import espnet2_taste
from espnet2_taste.text.preparation import TextRules
from espnet2_taste.text.preprocessor import TastePreprocessor

SMALL = dict(hidden_size=8, num_blocks=1, attention_heads=2, linear_units=12)
ALIGNED = dict(
    unit_decoder="aligned",
    unit_decoder_conf=UNITS | dict(unit_rate=25.0, hidden_size=8, row_blocks=1),
    unit_history_conf=dict(num_blocks=1),
)
FRONTEND = dict(
    frontend_conf=dict(n_fft=512, win_length=400, hop_length=160, n_mels=20),
    encoder="transformer",
    encoder_conf=dict(output_size=16, attention_heads=2, linear_units=24, num_blocks=2),
)
FLOW = dict(
    num_units=7,
    spembs_size=3,
    flow_conf=dict(
        encoder_size=8,
        encoder_blocks=1,
        attention_heads=2,
        linear_units=8,
        estimator_conf=dict(
            channels=[8, 8], num_blocks=1, num_mid_blocks=1, heads=1, head_size=4
        ),
        decoder_conf=dict(num_steps=1),
    ),
)
MEL = dict(
    num_units=7,
    spembs_size=3,
    network_conf=dict(
        unit_size=8, unit_layers=1, frame_size=8, pitch_layers=1, frame_layers=1
    ),
)
GAN = tiny_hifigan(num_units=7, spembs_size=3)


WHISPER = dict(
    speech_encoder="whisper",
    speech_encoder_conf=dict(model="{whisper}", value_layer=1, full_window=False),
)
SSL = dict(speech_encoder="ssl", speech_encoder_conf=dict(model="{ssl}", value_layer=1))
MIX = dict(asr_exp="{asr}", value_layer=[0, 2])
VOCABULARY = dict(tokenizer_path="{llm}", token_list=None, bpemodel=None)
CTC = dict(layout="text_ctc", tail_head="ctc", tail_head_conf=dict(num_heads=2))

ROWS = {
    "AbsSpeechEncoder": {
        "espnet_asr": Taste(),
        "whisper": Taste(**WHISPER, init_aggregator=False),
        "ssl": Taste(**SSL),
        "frontend": Taste(
            speech_encoder="frontend",
            speech_encoder_conf=FRONTEND,
            model_conf=dict(encoder_cache_mb=0),
        ),
    },
    "AbsStatesSource": {
        "separate": Taste(),
        "prosody": Taste(states_source="prosody", speech_encoder_conf=MIX),
        "mix": Taste(states_source="mix", speech_encoder_conf=MIX),
        "last": Taste(states_source="last"),
        "sum": Taste(states_source="sum"),
        "normed_sum": Taste(states_source="normed_sum"),
    },
    "AbsWordTimer": {
        "letters": Taste(word_timer="letters", word_timer_conf=dict(letters="abc")),
    },
    "AbsAggregator": {
        "espnet": Taste(),
        "whisper": Taste(
            aggregator="whisper",
            aggregator_conf=SIZES | dict(prefix=[2]),
            init_aggregator=False,
        ),
    },
    "AbsQuantizer": {
        "rvq": Taste(),
        "fsq": Taste(quantizer="fsq", quantizer_conf=FSQ),
        "continuous": Taste(quantizer=None, quantizer_conf={}),
    },
    "AbsFusion": {
        name: Taste(fusion=name) for name in ("weighted_sum", "sum", "concat")
    },
    "AbsUnitDecoder": {
        "taste": Taste(),
        "small": Taste(unit_decoder="small", unit_decoder_conf=UNITS | SMALL),
        "aligned": Taste(**ALIGNED),
    },
    "AbsTextInput": {
        "letters": Taste(**ALIGNED, text_input="letters"),
        "phones": Needing(
            "espeakng_loader",
            Taste(
                **ALIGNED, text_input="phones", text_input_conf=dict(language="en-us")
            ),
        ),
        "tokens": Taste(**ALIGNED, text_input="tokens"),
    },
    "AbsUnitHistory": {
        name: Taste(**ALIGNED, unit_history=name) for name in ("causal", "one_pass")
    },
    "AbsTextTokenizer": {
        "bpe": Taste(),
        "char": Tokens(token_type="char", token_list=[*"the rdog", "<unk>", "<e>"]),
        "hf": Tokens(token_type="hf", **VOCABULARY),
        "whisper": Tokens(
            token_type="whisper", **VOCABULARY | dict(tokenizer_path="{tokens}")
        ),
    },
    "AbsNormalizer": {
        name: Text("normalizer") for name in ("basic", "nfkc", "written", "keep")
    },
    "AbsSegmenter": {name: Text("segmenter") for name in ("whitespace", "character")},
    "AbsBackbone": {
        name: Taslm(adaptation=name) for name in ("lora", "full", "frozen")
    },
    "AbsCodeEmbedding": {
        name: Taslm(code_embedding=name, quantizer="fsq")
        for name in ("fill_forward", "arrival", "first_codebook")
    },
    "AbsInputFusion": {
        name: Taslm(input_fusion=name)
        for name in ("weighted_sum", "simple_sum", "reference_mix")
    },
    "AbsTasteHead": {
        name: Taslm(head=name, quantizer="fsq")
        for name in (
            "continue_latent_linear_last",
            "linear_last",
            "weighted_layer",
            "multi_linear_last",
        )
    },
    "AbsUnitVocoder": {
        "unit_to_mel_griffin_lim": Vocoder(**MEL, griffin_lim_conf=dict(num_iters=1)),
        "unit_to_mel": Vocoder(**MEL, renderer_conf=dict(num_iters=1)),
        "flow": Vocoder(**FLOW, renderer_conf=dict(num_iters=1)),
        "flow_hift": Vocoder(**FLOW, hift_conf=dict(base_channels=8, f0_channels=4)),
        "unit_hifigan": Vocoder(**GAN),
    },
    "AbsUnitExtractor": {
        "kmeans": Units(),
        "s3": Elsewhere("units/test_s3.py"),
        "espnet_codec": Elsewhere("units/test_espnet_codec.py"),
    },
    "AbsSpeakerEmbedder": {
        "mel_statistics": Units(),
        "campplus": Elsewhere("units/test_campplus.py"),
        "resemblyzer": Elsewhere("units/test_resemblyzer.py"),
    },
    "AbsLayout": {
        "text_aligned": Taslm(layout="text_aligned"),
        "text_aligned_token_delay": Taslm(layout="text_aligned_token_delay"),
        "unit": Grid(layout="unit"),
        "parallel": Grid(layout="parallel"),
        "frame_aligned": Grid(layout="frame_aligned"),
        "interleave": Grid(layout="interleave"),
        "expressive": Grid(layout="expressive"),
        "text": Grid(layout="text"),
        "text_ctc": Grid(**CTC),
    },
    "AbsStreamFusion": {
        name: Grid(stream_fusion=name) for name in ("sum", "mean", "weighted")
    },
    "AbsGridHead": {
        "linear": Grid(),
        "depth": Grid(grid_head="depth", grid_head_conf=dict(size=8, num_heads=2)),
    },
    "AbsTailHead": {"no_tail": Grid(), "ctc": Grid(**CTC)},
    "AbsRenderer": {
        name: Elsewhere("vocoder/test_renderers.py")
        for name in ("griffin_lim", "parallel_wavegan", "vocos")
    },
    "AbsAudioMetric": {
        name: Elsewhere("evaluation/audio_metrics/test_audio_metrics.py")
        for name in (
            *("speaker", "campplus", "resemblyzer", "utmos", "dnsmos"),
            *("visqol", "pesq", "stoi", "versa"),
        )
    },
    "AbsRecognizer": {
        name: Elsewhere(f"recognizers/test_{name}.py")
        for name in ("espnet", "whisper", "hf_ctc")
    },
    "AbsNoise": {
        name: Elsewhere("evaluation/test_noise.py")
        for name in ("white", "speech_shaped", "recorded")
    },
}


def families():
    """Every ``ClassChoices`` of the package by the name of its base class."""
    found = {}
    for info in pkgutil.walk_packages(espnet2_taste.__path__, "espnet2_taste."):
        module = importlib.import_module(info.name)
        for value in vars(module).values():
            if isinstance(value, ClassChoices) and value.base_type is not None:
                if value.base_type.__module__.startswith("espnet2_taste."):
                    found[value.base_type.__name__] = value
    return found


@pytest.fixture(scope="module")
def places(tmp_path_factory, tiny_asr_exp, tiny_llm, whisper_dirs):
    """Directories of tiny pretrained models."""
    import transformers

    torch.manual_seed(0)
    whisper = transformers.WhisperConfig(
        vocab_size=30,
        num_mel_bins=16,
        d_model=16,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=12,
        decoder_ffn_dim=12,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    hubert = transformers.HubertConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        conv_dim=(8,),
        conv_kernel=(320,),
        conv_stride=(320,),
        num_feat_extract_layers=1,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
    )
    root = tmp_path_factory.mktemp("places")
    transformers.WhisperModel(whisper).save_pretrained(root / "whisper")
    transformers.HubertModel(hubert).save_pretrained(root / "ssl")
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(root / "ssl")
    local = {name: str(root / name) for name in ("whisper", "ssl")}
    local["tokens"] = str(whisper_dirs[True])
    return local | {"asr": str(tiny_asr_exp), "llm": str(tiny_llm)}


@pytest.fixture
def tools(places, tmp_path, bpe_dir):
    return Tools(places, tmp_path, bpe_dir)


def test_every_name_has_a_row():
    found = {base: sorted(choices.classes) for base, choices in families().items()}
    rows = {base: sorted(names) for base, names in ROWS.items()}
    for base in sorted(set(found) | set(rows)):
        assert rows.get(base) == found.get(base), (
            f"{base}: ROWS has {rows.get(base)}, the package {found.get(base)}; add a "
            "row to test_registry.py"
        )


@pytest.mark.parametrize(
    "base, name", [(base, name) for base, names in ROWS.items() for name in names]
)
def test_trains_and_comes_back(base, name, tools):
    tools.choices = families()[base]
    tools.class_name = tools.choices.get_class(name).__name__
    ROWS[base][name].check(name, tools)


def test_quantizer_none_is_the_continuous_one(tools):
    """ESPnet's parser turns "none" into None, and YAML null is None."""
    from espnet2_taste.tasks.taste import TasteTask

    args = TasteTask.get_parser().parse_args(["--quantizer", "none"])
    choices = families()["AbsQuantizer"]
    assert args.quantizer is None
    assert choices.get_class(None) is choices.classes["continuous"]
    assert choices.get_class("rvq") is choices.classes["rvq"]


def test_third_parties_register_at_import(tools, monkeypatch):
    """A class that another package registers is chosen like one of this package."""
    from espnet2_taste.tasks.choices import quantizer_choices
    from espnet2_taste.text.segmenters import AbsSegmenter, segmenter_choices
    from espnet2_taste.tokenizer.quantizers.rvq import ResidualQuantizer

    class Mine(ResidualQuantizer):
        """The same under another name."""

    class LongestMatch(AbsSegmenter):
        """What a dictionary knows is a word."""

        def __call__(self, text):
            words = []
            while text:
                ends = range(len(text), 0, -1)
                end = next((e for e in ends if text[:e] in {"今天", "天气"}), 1)
                words, text = [*words, text[:end]], text[end:]
            return words

    monkeypatch.setitem(quantizer_choices.classes, "mine", Mine)
    monkeypatch.setitem(segmenter_choices.classes, "longest", LongestMatch)
    Taste(quantizer="mine").check("mine", tools)
    words = TextRules(segmenter="longest").function()("今天天气好。").words
    assert words == ("今天", "天气", "好")
    tokens = ["<blank>", "<unk>", *"今天气好", "<sos/eos>"]
    preprocessor = TastePreprocessor("char", tokens, word_space=False)
    result = preprocessor("utt", {"text": " ".join(words)})
    assert result["word_ids"].tolist() == [0, 0, 1, 1, 2]
