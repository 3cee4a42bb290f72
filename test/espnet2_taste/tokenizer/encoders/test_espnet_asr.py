"""ESPnet encoder: padding, layers, files, equality with ESPnet's own forward."""

import pytest
import torch

from espnet2_taste.tokenizer.encoders.espnet_asr import (
    EspnetAsrEncoder,
    load_asr_model,
)
from espnet2_taste.tokenizer.encoders.espnet_stack import reflect_tails

EBRANCHFORMER = {
    "encoder": "e_branchformer",
    "encoder_conf": {
        "output_size": 16,
        "attention_heads": 2,
        "num_blocks": 2,
        "cgmlp_linear_units": 24,
        "cgmlp_conv_kernel": 7,
        "merge_conv_kernel": 3,
        "linear_units": 24,
        "rel_pos_type": "latest",
        "use_linear_after_conv": False,
        "gate_activation": "identity",
        "attention_layer_type": "rel_selfattn",
        "pos_enc_layer_type": "rel_pos",
    },
}
TRANSFORMER = {
    "encoder": "transformer",
    "encoder_conf": {
        "output_size": 16,
        "attention_heads": 2,
        "linear_units": 24,
        "num_blocks": 2,
    },
}


@pytest.fixture(scope="module")
def encoder(tiny_asr_exp):
    return EspnetAsrEncoder(str(tiny_asr_exp), value_layer=1)


def batch(*lengths):
    torch.manual_seed(1)
    speech = torch.randn(len(lengths), max(lengths)) * 0.1
    return speech, torch.tensor(lengths)


def test_equals_espnet_without_padding(encoder, tiny_asr_exp):
    speech, lengths = batch(9000)
    model, _ = load_asr_model(tiny_asr_exp, whole=True)
    with torch.no_grad():
        want, want_lengths = model.encode(speech, lengths)
    states = encoder(speech, lengths)
    assert torch.equal(states.lengths, want_lengths)
    assert torch.allclose(states.keys, want, atol=1e-6)


@pytest.mark.parametrize("changes", [{}, EBRANCHFORMER, TRANSFORMER])
def test_padding_changes_nothing(asr_exp_builder, changes):
    encoder = EspnetAsrEncoder(str(asr_exp_builder(**changes)))
    speech, lengths = batch(16000, 7777, 15900, 8321)
    together = encoder(speech, lengths)
    for row, length in enumerate(lengths):
        alone = encoder(speech[row : row + 1, :length], lengths[row : row + 1])
        frames = int(alone.lengths[0])
        assert int(together.lengths[row]) == frames
        for got, want in (
            (together.keys, alone.keys),
            (together.values, alone.values),
        ):
            assert torch.allclose(got[row, :frames], want[0], atol=2e-5)


@pytest.mark.parametrize("changes", [{}, EBRANCHFORMER, TRANSFORMER])
def test_sizes_alone_need_no_weights(asr_exp_builder, changes):
    folder = asr_exp_builder(**changes)
    for path in folder.glob("*.pth"):
        path.write_bytes(b"")  # not read
    with torch.device("meta"):
        encoder = EspnetAsrEncoder(str(folder))
        decoder = encoder.decoder_state()
    values = {name for name, p in encoder.named_parameters() if not p.is_meta}
    assert all("pos_bias" in name for name in values)  # ESPnet makes these on the CPU
    assert encoder.key_size and decoder and all(p.is_meta for p in decoder.values())


def test_layers_run_from_the_first_input_to_the_last_output(encoder):
    speech, lengths = batch(8000)
    layers, final, _ = encoder.layer_states(speech, lengths, [0, 1, 2, 1])
    assert len(layers) == 4 and torch.equal(layers[1], layers[3])
    assert torch.allclose(encoder.encoder.after_norm(layers[2]), final, atol=1e-6)
    assert not torch.allclose(layers[0], layers[1])


def test_stays_frozen_and_deterministic(encoder):
    encoder.train()
    assert not encoder.training
    assert not any(p.requires_grad for p in encoder.parameters())
    speech, lengths = batch(8000)
    first, second = encoder(speech, lengths), encoder(speech, lengths)
    assert torch.equal(first.keys, second.keys)
    assert not first.keys.requires_grad


def test_rates(encoder):
    assert encoder.sample_rate == 16000
    assert encoder.frame_rate == 25.0


def test_unknown_layer_is_refused(tiny_asr_exp):
    with pytest.raises(ValueError, match="value_layer to 0..2"):
        EspnetAsrEncoder(str(tiny_asr_exp), value_layer=3)


def test_short_utterance_is_refused(encoder):
    with pytest.raises(ValueError, match="utterance 1 .* 700 samples"):
        encoder(*batch(8000, 700))


def test_checkpoint_must_fit(tiny_asr_exp, tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(RuntimeError, match="does not fit"):
        EspnetAsrEncoder(str(tiny_asr_exp), model_file=str(path))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ValueError, match="config.yaml not found"):
        EspnetAsrEncoder(str(tmp_path))
    (tmp_path / "config.yaml").write_text("{}")
    with pytest.raises(ValueError, match="0 model files"):
        load_asr_model(tmp_path)


def test_reflect_tails_equals_reflection_of_each_row():
    speech, lengths = batch(50, 20, 47)
    mirrored = reflect_tails(speech, lengths, 8)
    for row, length in enumerate(lengths.tolist()):
        want = torch.nn.functional.pad(
            speech[row, None, :length], (0, 8), mode="reflect"
        )[0]
        assert torch.equal(mirrored[row, : length + 8], want)
        assert not mirrored[row, length + 8 :].any()


def test_values_from_any_layers(tiny_asr_exp):
    encoder = EspnetAsrEncoder(str(tiny_asr_exp), value_layer=[2, 0])
    speech, lengths = batch(8000)
    (first, last), final, _ = encoder.layer_states(speech, lengths, [0, 2])
    states = encoder(speech, lengths)
    assert torch.equal(states.keys, final)
    assert torch.equal(states.values, torch.cat([last, first], dim=-1))
    with pytest.raises(ValueError, match="value_layer to 0..2"):
        EspnetAsrEncoder(str(tiny_asr_exp), value_layer=3)


def test_owsm_experiments_are_recognized(s2t_exp):
    encoder = EspnetAsrEncoder(str(s2t_exp), value_layer=1)
    whole, _ = load_asr_model(s2t_exp, whole=True)
    assert type(whole).__name__ == "ESPnetS2TModel"
    assert "blocks.0.encoder_attn.v_proj.weight" in encoder.decoder_state()
    assert encoder(*batch(8000)).keys.shape[-1] == 16


def test_states_of_owsm_ctc_equal_its_own_encoding(s2t_ctc_exp):
    """Language, task and conditioning by CTC are given; only frames are left."""
    encoder = EspnetAsrEncoder(str(s2t_ctc_exp), value_layer=2)
    model, _ = load_asr_model(s2t_ctc_exp)
    prefix = [model.token_list.index(name) for name in ("<eng>", "<asr>")]
    speech, lengths = batch(8000)
    want, _ = model.encode(
        speech,
        lengths,
        torch.tensor([[model.na]]),
        torch.tensor([1]),
        torch.tensor([prefix]),
        torch.tensor([2]),
    )
    states = encoder(speech, lengths)
    torch.testing.assert_close(
        states.keys, model.frames(want[0], torch.tensor([prefix]))
    )
    assert states.values.shape == states.keys.shape
    assert encoder.decoder_state() == {}


def test_frames_of_owsm_ctc_do_not_depend_on_the_batch(s2t_ctc_exp):
    encoder = EspnetAsrEncoder(str(s2t_ctc_exp), value_layer=1)
    speech, lengths = batch(8000, 5000)
    both = encoder(speech, lengths)
    one = encoder(speech[1:, :5000], lengths[1:])
    frames = one.keys.size(1)
    torch.testing.assert_close(both.keys[1, :frames], one.keys[0], atol=1e-5, rtol=1e-4)


def test_blocks_that_are_conditioned_on_ctc_equal_espnets_own(asr_exp_builder):
    conf = {"interctc_layer_idx": [1], "interctc_use_conditioning": True}
    conf |= EBRANCHFORMER["encoder_conf"]
    options = {"encoder_conf": conf, "model_conf": {"interctc_weight": 0.5}}
    exp = asr_exp_builder(encoder="e_branchformer", **options)
    speech, lengths = batch(8000)
    states = EspnetAsrEncoder(str(exp), value_layer=2)(speech, lengths)
    model, _ = load_asr_model(exp, whole=True)
    (final, _), _ = model.encode(speech, lengths)
    torch.testing.assert_close(states.keys, final)


def test_a_language_that_cannot_be_used_is_named(s2t_ctc_exp, tiny_asr_exp):
    with pytest.raises(ValueError, match="no '<xyz>'"):
        EspnetAsrEncoder(str(s2t_ctc_exp), language="xyz")
    with pytest.raises(ValueError, match="this recognizer takes none"):
        EspnetAsrEncoder(str(tiny_asr_exp), language="eng")


def test_a_published_archive_is_unpacked(tiny_asr_exp, tmp_path, monkeypatch):
    """What ``espnet2.bin.pack asr`` wrote, named as a zoo tag would be."""
    from espnet2.main_funcs.pack_funcs import pack

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tiny_asr_exp.parent)
    name = tiny_asr_exp.name
    pack(
        files={"asr_model_file": f"{name}/valid.acc.ave.pth"},
        yaml_files={"asr_train_config": f"{name}/config.yaml"},
        outpath=str(tmp_path / "asr.zip"),
    )
    published = EspnetAsrEncoder(str(tmp_path / "asr.zip"), value_layer=1)
    local = EspnetAsrEncoder(str(tiny_asr_exp), value_layer=1)
    speech, lengths = batch(8000)
    assert torch.equal(published(speech, lengths).keys, local(speech, lengths).keys)


def test_what_is_neither_here_nor_published_is_named(monkeypatch):
    def offline(tag):
        raise ConnectionError("no network")

    monkeypatch.setattr("espnet2.utils.pretrained.download_pretrained", offline)
    with pytest.raises(ValueError, match="'someone/model' is no directory .*no netw"):
        load_asr_model("someone/model")
    monkeypatch.setattr(
        "espnet2.utils.pretrained.download_pretrained", lambda tag: {"tts_x": "y"}
    )
    with pytest.raises(ValueError, match="is no recognizer: it holds tts_x"):
        load_asr_model("someone/model")
