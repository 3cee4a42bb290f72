"""Parts of ESPnet's recognizers are those that ESPnet's own tasks build."""

import pytest
import torch

from espnet2_taste.tokenizer.encoders.espnet_asr import load_asr_model
from espnet2_taste.tokenizer.encoders.espnet_parts import (
    PARTS,
    RecognizerParts,
    part_class,
)

CTC_ALONE = {"decoder": None, "model_conf": {"ctc_weight": 1.0}}
NO_CTC = {"model_conf": {"ctc_weight": 0.0}}


@pytest.mark.parametrize("kind", PARTS)
def test_common_names_are_espnets(kind):
    from espnet2.tasks import asr

    classes = getattr(asr, f"{kind}_choices").classes
    for name in PARTS[kind]:
        assert issubclass(part_class(kind, name), classes[name])
    assert part_class(kind, None) is None
    with pytest.raises(ValueError, match=f"--{kind} must be one of .*: --{kind} lost"):
        part_class(kind, "lost")


def test_other_names_come_from_the_task():
    from espnet2.asr.encoder.vgg_rnn_encoder import VGGRNNEncoder

    assert part_class("encoder", "vgg_rnn") is VGGRNNEncoder


@pytest.mark.parametrize("changes", [{}, CTC_ALONE, NO_CTC])
def test_parts_compute_what_the_whole_model_does(asr_exp_builder, changes):
    exp = asr_exp_builder(**changes)
    parts, _ = load_asr_model(exp)
    whole, _ = load_asr_model(exp, whole=True)
    assert isinstance(parts, RecognizerParts)
    assert not isinstance(whole, RecognizerParts)
    assert parts.token_list == whole.token_list
    for kind in ("frontend", "normalize", "preencoder", "encoder", "ctc", "decoder"):
        own, espnets = getattr(parts, kind), getattr(whole, kind)
        assert own is espnets is None or isinstance(own, type(espnets))
        if own is not None:
            torch.testing.assert_close(own.state_dict(), espnets.state_dict())


def test_the_decoder_can_be_left_out(asr_exp_builder):
    parts, _ = load_asr_model(asr_exp_builder(), with_decoder=False)
    assert parts.decoder is None and parts.ctc is not None


@pytest.mark.parametrize(
    "changes", [{"decoder": "rnn", "decoder_conf": {}}, {"input_size": 80}]
)
def test_recognizers_of_other_parts_are_left_to_the_task(asr_exp_builder, changes):
    model, _ = load_asr_model(asr_exp_builder(**changes))
    assert type(model).__name__ == "ESPnetASRModel"
