"""Log-mel, aggregator and quantizer against the reference's tensors (G0, G1, G2)."""

import json

import pytest
import torch
from reference_rules import SpanAverage, reference_word_ids

from espnet2_taste.reference.configs import PUBLISHED_PREFIX
from espnet2_taste.slm.heads import soft_code_vectors
from espnet2_taste.structures import EncoderStates
from espnet2_taste.tokenizer.aggregator import WhisperAggregator
from espnet2_taste.tokenizer.decoder_init import decoder_state_from_whisper
from espnet2_taste.tokenizer.encoders.whisper import (
    WhisperSpeechEncoder,
    random_encoder,
)
from espnet2_taste.tokenizer.logmel import WhisperLogMel, pad_to_window
from espnet2_taste.tokenizer.quantizers.rvq import ResidualQuantizer
from espnet2_taste.tokenizer.states_sources import (
    LastLayerStates,
    NormedSumStates,
    SummedStates,
)

WHISPER_PREFIX = (50258, 50259, 50360, 50364)
"""Start, English, transcribe, no times: of the model that the cases are made with."""

JOINT = "audio_tower.audio_joint_encoder_segmenter."

SOURCES = {
    "asr_attn_pooling": lambda size: None,
    "original": lambda size: LastLayerStates(size, size),
    "add": lambda size: SummedStates(size, size),
    "add_and_norm": lambda size: NormedSumStates(size, size),
}


@pytest.mark.golden("G0*")
def test_log_mel(golden, golden_check):
    waveform = golden["waveform"][None]
    log_mel = WhisperLogMel(golden["logmel_nopad"].size(-1))
    golden_check(log_mel(waveform), golden["logmel_nopad"], "logmel_nopad")
    lengths = torch.tensor([waveform.size(1)])
    padded = log_mel(pad_to_window(waveform, lengths))
    head, tail = golden["logmel_pad30_head"], golden["logmel_pad30_tail"]
    golden_check(padded[:, : head.size(1)], head, "logmel_pad30_head")
    golden_check(padded[:, -tail.size(1) :], tail, "logmel_pad30_tail")


def whisper_config(golden):
    return json.loads((golden.root / "config" / "whisper" / "config.json").read_text())


def whisper_encoder(golden):
    """The package's encoder with the case's weights and target layer."""
    options = golden.config["case"]
    options = options.get("kwargs_for_joint_encoder_segmenter", options)
    backbone = random_encoder(whisper_config(golden))
    backbone.load_state_dict(golden.weights(JOINT + "audio_encoder.encoder."))
    return WhisperSpeechEncoder(backbone, options["target_hidden_layer"])


def aggregator(golden):
    """The package's aggregator with the case's weights and options."""
    options = golden.config["case"]["kwargs_for_joint_encoder_segmenter"]
    config = whisper_config(golden)
    size = config["d_model"]
    model = WhisperAggregator(
        config["vocab_size"],
        size,
        size,
        max_positions=config["max_target_positions"],
        size=size,
        num_heads=config["decoder_attention_heads"],
        num_layers=config["decoder_layers"],
        linear_units=config["decoder_ffn_dim"],
        prefix=PUBLISHED_PREFIX[: options["skip_prefix_idx"]],
        word_level=options["is_word_level"],
        states_source=SOURCES[options["forward_type"]](size),
    )
    state = golden.weights(JOINT + "audio_segmenter.decoder.")
    model.load_decoder_state(decoder_state_from_whisper(state))
    norm = golden.weights(JOINT + "encoder_early_exit_layer_norm.")
    if norm:
        model.states_source.norm.load_state_dict(norm)
    return model.eval()


def golden_states(golden, encoder):
    features = golden["audio_features"]
    frames = torch.full((len(features),), encoder.num_positions)
    layers, final, lengths = encoder.feature_states(
        features, frames, encoder.value_layers
    )
    return EncoderStates(final, layers[0], lengths)


@pytest.mark.golden("G1[a-h]_*")
@torch.no_grad()
def test_aggregator(golden, golden_check):
    encoder, model = whisper_encoder(golden), aggregator(golden)
    states = golden_states(golden, encoder)
    golden_check(states.keys, golden["states_for_key"], "states_for_key")
    golden_check(states.values, golden["states_for_val"], "states_for_val")
    text, lengths = golden["asr_token_ids"], golden["asr_token_lengths"]
    hidden = model.decode(text, model.states_source(states))
    want = golden["dec_last_hidden"][:, : hidden.size(1)]
    golden_check(hidden, want, "dec_last_hidden")
    groups = reference_word_ids(golden["asr_word_ids"], lengths)
    features = model(text, lengths, groups, states)
    valid = torch.arange(text.size(1)) < lengths[:, None]
    got, want = features[valid], golden["segmented_feats"][valid]
    golden_check(got, want, "segmented_feats")


@pytest.mark.golden("G1a_*")
@torch.no_grad()
def test_attention_maps(golden, golden_check):
    states = golden_states(golden, whisper_encoder(golden))
    maps = aggregator(golden).attention(golden["asr_token_ids"], states)
    want = golden["dec_cross_attn_0"][
        :, :, len(PUBLISHED_PREFIX) : len(PUBLISHED_PREFIX) + maps.size(3)
    ]
    golden_check(maps[:, 0], want, "dec_cross_attn_0")


@torch.no_grad()
def test_one_word_in_a_batch_equals_the_word_alone(golden_case, golden_check):
    padded = golden_case("G1g_quirk_single_word_padded")
    alone = golden_case("G1h_single_word_alone")
    states = golden_states(padded, whisper_encoder(padded))
    text, lengths = padded["asr_token_ids"], padded["asr_token_lengths"]
    valid = torch.arange(text.size(1)) < lengths[:, None]
    word_ids = torch.where(valid, padded["asr_word_ids"], -1)
    features = aggregator(padded)(text, lengths, word_ids, states)
    row = int(lengths.argmin())
    got = features[row : row + 1, : int(lengths[row])]
    golden_check(got, alone["segmented_feats"], "segmented_feats", case=alone.name)


@pytest.mark.golden("G1i_*")
@torch.no_grad()
def test_span_average(golden, golden_check):
    encoder = whisper_encoder(golden)
    states = golden_states(golden, encoder)
    lengths = golden["audio_feature_lengths"] // 2
    states = EncoderStates(states.keys, states.values, lengths)
    affine = golden.weights("audio_tower.audio_affine_layer.")
    outputs, inputs = affine["weight"].shape
    model = SpanAverage(inputs, outputs)
    model.affine.load_state_dict(affine)
    got = model(states, golden["asr_token_alignments"])
    valid = torch.arange(got.size(1)) < golden["asr_token_lengths"][:, None]
    want = golden["audio_unit_embeds"]
    golden_check(got[valid], want[valid], "audio_unit_embeds")


def quantizer(golden, **options):
    """The package's quantizer with the reference's weights."""
    sizes = golden.config["case"]["kwargs_for_quantizer"]
    model = ResidualQuantizer(
        sizes["dim"],
        sizes["num_quantizers"],
        sizes["codebook_size"],
        sizes["codebook_dim"],
        decay=sizes["decay"],
        **options,
    )
    state = golden.weights("audio_tower.vq.rvq.")
    for name in ("project_in", "project_out"):
        module = getattr(model, name)
        module.weight.data.copy_(state[f"{name}.weight"])
        module.bias.data.copy_(state[f"{name}.bias"])
    names = {"vectors": "embed", "sums": "embed_avg", "counts": "cluster_size"}
    for index, book in enumerate(model.codebooks):
        for own, theirs in names.items():
            source = state[f"layers.{index}._codebook.{theirs}"][0]
            getattr(book, own).copy_(source)
        book.initialized.copy_(state[f"layers.{index}._codebook.initted"])
    return model.eval()


@pytest.mark.golden("G2*")
@torch.no_grad()
def test_quantizer_evaluation(golden, golden_check):
    model, z, mask = quantizer(golden), golden["z"], golden["mask"]
    golden_check(model.project_in(z), golden["z_projected"], "z_projected")
    output = model(z, mask)
    golden_check(output.codes, golden["eval.indices"], "eval.indices")
    golden_check(output.quantized, golden["eval.quantized"], "eval.quantized")
    golden_check(output.loss, golden["eval.commit_loss"], "eval.commit_loss")
    output = model(z)
    golden_check(output.codes, golden["eval.indices_nomask"], "eval.indices_nomask")
    want = golden["eval.quantized_nomask"]
    golden_check(output.quantized, want, "eval.quantized_nomask")


@pytest.mark.golden("G2*")
@torch.no_grad()
def test_quantizer_lookups(golden, golden_check):
    model, codes = quantizer(golden), golden["eval.indices"]
    coarse = codes[..., :2]
    each = model.code_vectors(codes).movedim(-2, 0)
    rows = {
        "output_from_indices": model.decode(codes),
        "codes_from_indices": each,
        "code_from_indices": model.latent(codes),
        "code_from_indices_flat": model.latent(codes[golden["mask"]]),
        "indices_from_code": model.codes_from_latent(golden["code"]),
        "distributed_codes": soft_code_vectors(golden["taste_logits"], model),
        "output_from_coarse": model.decode(coarse),
    }
    for name, got in rows.items():
        golden_check(got, golden[f"lookup.{name}"], f"lookup.{name}")


@pytest.mark.golden("G2*")
@pytest.mark.parametrize("case", ["train", "train_qdrop"])
def test_quantizer_training_step(golden, golden_check, case, monkeypatch):
    model = quantizer(golden).train()
    depths = {"train": model.num_codebooks}
    depths["train_qdrop"] = int(golden.scalar("train_qdrop.keep_index")) + 1
    monkeypatch.setattr(model, "draw_depth", lambda device: depths[case])
    z = golden["z"].clone().requires_grad_()
    output = model(z, golden["mask"])
    golden_check(output.codes, golden[f"{case}.indices"], f"{case}.indices")
    golden_check(output.quantized, golden[f"{case}.quantized"], f"{case}.quantized")
    golden_check(output.loss, golden[f"{case}.commit_loss"], f"{case}.commit_loss")
    loss = (output.quantized * golden["train.cotangent"]).sum() + output.loss
    loss.backward()
    for name, gradient in {
        "z": z.grad,
        "project_in_w": model.project_in.weight.grad,
        "project_out_w": model.project_out.weight.grad,
    }.items():
        golden_check(gradient, golden[f"{case}.grad_{name}"], f"{case}.grad_{name}")
    names = {"embed": "vectors", "embed_avg": "sums", "cluster_size": "counts"}
    for index, book in enumerate(model.codebooks):
        for theirs, own in names.items():
            name = f"{case}.post.{theirs}_{index}"
            if name in golden.tensors:
                golden_check(getattr(book, own), golden[name][0], name)
