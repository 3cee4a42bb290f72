"""Small unit decoder: padding, cached generation, gradients, its size."""

import pytest
import torch

from espnet2_taste.speech_decoder.fusion import ConcatFusion, WeightedSumFusion
from espnet2_taste.speech_decoder.small_unit_decoder import SmallUnitDecoder
from espnet2_taste.speech_decoder.unit_decoder import UnitDecoder
from espnet2_taste.speech_decoder.unit_sampling import (
    ArgmaxSampler,
    LengthRule,
    UtteranceNoise,
)

LENGTHS = torch.tensor([4, 2])


def build(fusion=WeightedSumFusion, **options):
    torch.manual_seed(0)
    sizes = dict(hidden_size=8, num_blocks=2, attention_heads=2, linear_units=12)
    decoder = SmallUnitDecoder(12, 9, 5, 3, fusion(8), **(sizes | options))
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.4 * torch.randn_like(parameter))
    return decoder.eval()


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    return {
        "text": torch.randint(12, (2, 4), generator=generator),
        "text_lengths": LENGTHS,
        "taste": torch.randn(2, 4, 5, generator=generator),
        "spembs": torch.randn(2, 3, generator=generator),
    }


def alone(batch, row):
    cut = {"text", "taste"}
    length = int(LENGTHS[row])
    return {
        name: x[row : row + 1, :length] if name in cut else x[row : row + 1]
        for name, x in batch.items()
    }


@pytest.mark.parametrize("fusion", [WeightedSumFusion, ConcatFusion])
def test_generation_equals_argmax_of_uncached_logits(batch, fusion):
    decoder, rule = build(fusion), LengthRule(0.5, 4)
    noise = UtteranceNoise.from_ids(["a", "b"], 0)
    generated = decoder.generate(
        **batch, sampler=ArgmaxSampler(), noise=noise, length_rule=rule
    )
    for row in range(2):
        units = torch.zeros(1, 0, dtype=torch.long)
        fewest, most = (int(bound[row]) for bound in rule.bounds(LENGTHS))
        while units.size(1) < most:
            count = torch.tensor([units.size(1)])
            logits = decoder(**alone(batch, row), units=units, units_lengths=count)
            classes = 10 if units.size(1) >= fewest else 9
            unit = logits[:, -1, :classes].argmax(-1)
            if int(unit) == decoder.end:
                break
            units = torch.cat([units, unit[None]], dim=1)
        assert generated[row].tolist() == units[0].tolist()


@pytest.mark.parametrize("with_taste", [True, False])
def test_gradients_reach_what_is_used(batch, with_taste):
    decoder = build(unit_dropout=0.5).train()
    taste = batch["taste"] if with_taste else None
    units = torch.tensor([[1, 2, 3], [4, 5, 0]])
    args = batch | {"taste": taste, "units": units, "units_lengths": LENGTHS - 1}
    decoder(**args).square().mean().backward()
    without = {n.split(".")[0] for n, p in decoder.named_parameters() if p.grad is None}
    taste_side = {"audio_embed_affine_layer", "audio_token_encoder"}
    taste_side |= {"audio_token_encoder_affine_layer", "fuse_encoded_audio_text_module"}
    assert without == (set() if with_taste else taste_side)


def test_is_smaller_than_the_published_one_at_the_same_width():
    def size(decoder):
        return sum(p.numel() for p in decoder.parameters())

    common = dict(hidden_size=96, attention_heads=4, linear_units=384)
    small = SmallUnitDecoder(120, 200, 144, 80, WeightedSumFusion(96), **common)
    large = UnitDecoder(
        *(120, 200, 144, 80, WeightedSumFusion(96)),
        **common,
        **dict(embed_size=96, taste_attention_heads=4, lm_blocks=3),
    )
    assert size(small) < 0.4 * size(large)
