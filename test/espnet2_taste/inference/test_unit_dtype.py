"""The unit decoder with weights of another type, and what it cannot do."""

from types import SimpleNamespace

import pytest
import torch

from espnet2_taste.inference.sampling_options import UnitSampling
from espnet2_taste.speech_decoder.abs_unit_decoder import UnitInputs
from espnet2_taste.speech_decoder.fusion import WeightedSumFusion
from espnet2_taste.speech_decoder.unit_decoder import UnitDecoder

BATCH = 9  # as many rows as take the other product


def decoder():
    torch.manual_seed(0)
    sizes = {"embed_size": 8, "hidden_size": 8, "attention_heads": 2, "lm_blocks": 2}
    sizes |= {"taste_attention_heads": 2, "linear_units": 16, "taste_linear_units": 16}
    return UnitDecoder(11, 7, 6, 5, WeightedSumFusion(8), **sizes).eval()


def generated(sampling, own):
    encoder = SimpleNamespace(model=SimpleNamespace(unit_decoder=own))
    generator = sampling.generator(encoder)
    torch.manual_seed(1)
    inputs = UnitInputs(
        text=torch.randint(0, 11, (BATCH, 3)),
        text_lengths=torch.full((BATCH,), 3),
        word_ids=torch.arange(3).expand(BATCH, -1),
        taste=torch.randn(BATCH, 3, 6),
        spembs=torch.randn(BATCH, 5),
    )
    names = [str(row) for row in range(BATCH)]
    make = generator.unit_decoder.generate_units
    return generator.unit_decoder, make(inputs, names, 0, generator.settings)


def test_int8_writes_units_and_leaves_the_own_weights_alone():
    own = decoder()
    kept = {name: value.clone() for name, value in own.state_dict().items()}
    options = {"temperature": 0.0, "max_unit_ratio": 3.0}
    assert generated(UnitSampling(**options), own)[0] is own
    used, found = generated(UnitSampling(**options, unit_dtype="int8"), own)
    assert any("quantized" in type(module).__module__ for module in used.modules())
    assert all(12 <= len(row.units) <= 18 for row in found)
    assert all(torch.equal(kept[name], own.state_dict()[name]) for name in kept)


def test_other_types_are_refused():
    with pytest.raises(ValueError, match="unit_dtype is 'int4', expected one of"):
        UnitSampling(unit_dtype="int4")


def test_a_decoder_that_mixes_no_units_refuses_by_name():
    with pytest.raises(
        ValueError, match="unit_mixing is 0.5, but .* UnitDecoder mixes"
    ):
        generated(UnitSampling(unit_mixing=0.5), decoder())
