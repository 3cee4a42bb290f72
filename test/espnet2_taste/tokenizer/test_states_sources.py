"""Keys and values of the aggregator: a learned mix, its gradients, its checkpoints."""

from dataclasses import replace

import pytest
import torch

from espnet2_taste.structures import EncoderStates
from espnet2_taste.tokenizer.aggregator import EspnetAggregator
from espnet2_taste.tokenizer.state_cache import EncoderStateCache
from espnet2_taste.tokenizer.states_sources import (
    LastLayerStates,
    MixedStates,
    NormedSumStates,
    ProsodyStates,
    SeparateStates,
    SummedStates,
)


def states(layers=1, size=4):
    generator = torch.Generator().manual_seed(0)
    keys = torch.randn(2, 5, size, generator=generator)
    values = torch.randn(2, 5, layers * size, generator=generator)
    return EncoderStates(keys, values, torch.tensor([5, 3]))


@pytest.mark.parametrize("normalize", [True, False])
def test_mix_by_slow_loop(normalize):
    source = MixedStates(4, 4, num_layers=3, normalize=normalize)
    with torch.no_grad():
        source.logits.copy_(torch.tensor([0.0, 1.0, -2.0]))
    given = states(3)
    want = torch.zeros(2, 5, 4)
    for index, layer in enumerate(given.values.split(4, dim=-1)):
        if normalize:
            layer = layer - layer.mean(-1, keepdim=True)
            layer = layer / (layer.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()
        want += torch.tensor([0.0, 1.0, -2.0]).softmax(0)[index] * layer
    mixed = source(given)
    torch.testing.assert_close(mixed.values, want)
    assert mixed.keys is given.keys and mixed.values.shape[-1] == source.value_size
    assert float(source.weights.sum()) == pytest.approx(1.0)


def test_mix_learns_and_is_saved_with_the_aggregator():
    source = MixedStates(4, 4, num_layers=2)
    aggregator = EspnetAggregator(
        6, 4, 4, size=4, num_heads=2, linear_units=8, states_source=source
    )
    text, ids = torch.tensor([[1, 2], [3, 0]]), torch.tensor([[0, 1], [0, -1]])
    output = aggregator(text, torch.tensor([2, 1]), ids, states(2))
    output.square().sum().backward()
    assert source.logits.grad.abs().sum() > 0
    assert "states_source.logits" in aggregator.state_dict()


def test_the_cache_gives_back_all_layers():
    cache = EncoderStateCache(1)
    given = states(3)
    cache.put([("a", 50), ("b", 30)], given)
    found = cache.get([("b", 30), ("a", 50)], "cpu")
    assert torch.equal(found.values[1], given.values[0])
    assert torch.equal(found.values[0, :3], given.values[1, :3])


def test_other_sources():
    given = states()
    assert SeparateStates(4, 4)(given) is given
    last = LastLayerStates(6, 4)
    assert last(given).values is given.keys and last.value_size == 6
    both = SummedStates(4, 4)(given)
    torch.testing.assert_close(both.keys, given.keys + given.values)
    normed = NormedSumStates(4, 4)(given)
    torch.testing.assert_close(normed.values.mean(-1), torch.zeros(2, 5))


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="keys of 6 and values of 4 features cannot"):
        SummedStates(6, 4)
    with pytest.raises(ValueError, match="names 2 layers, SeparateStates takes one"):
        SeparateStates(4, 4, 2)
    with pytest.raises(ValueError, match="needs several layers"):
        MixedStates(4, 4, 1)


def test_prosody_stands_behind_the_values_and_starts_without_weight():
    source = ProsodyStates(4, 4)
    assert source.needs_prosody and source.value_size == 7
    options = dict(size=4, num_heads=2, linear_units=8, identity_values=True)
    aggregator = EspnetAggregator(
        6, source.key_size, source.value_size, **options, states_source=source
    )
    given = states()
    prosody = torch.ones(2, 5, 3)
    told = EncoderStates(
        given.keys, torch.cat([given.values, prosody], dim=-1), given.lengths
    )
    silent = EncoderStates(
        given.keys, torch.cat([given.values, 0 * prosody], dim=-1), given.lengths
    )
    text, ids = torch.tensor([[1, 2], [3, 0]]), torch.tensor([[0, 1], [0, -1]])
    both = [aggregator(text, torch.tensor([2, 1]), ids, x) for x in (told, silent)]
    assert torch.equal(both[0], both[1])
    both[0].square().sum().backward()
    for block in aggregator.blocks:
        assert block.encoder_attn.v_proj.weight.grad[:, 4:].abs().sum() > 0


@pytest.mark.parametrize("normalize", [True, False])
def test_prosody_stands_behind_a_mix_of_layers(normalize):
    source = ProsodyStates(4, 4, num_layers=2, normalize=normalize)
    mix = MixedStates(4, 4, num_layers=2, normalize=normalize)
    given = states(2)
    prosody = torch.randn(2, 5, 3)
    wide = EncoderStates(
        given.keys, torch.cat([given.values, prosody], dim=-1), given.lengths
    )
    values = source(wide).values
    torch.testing.assert_close(values[..., :4], mix(given).values)
    assert torch.equal(values[..., 4:], prosody) and source.value_size == 7
    options = dict(size=4, num_heads=2, linear_units=8, identity_values=True)
    aggregator = EspnetAggregator(
        *(6, source.key_size, source.value_size),
        **options | dict(states_source=source, timed_words=True, word_parts=2),
    )
    timed = replace(wide, word_frames=torch.tensor([[[0, 2], [3, 5]], [[0, 3]] * 2]))
    text, ids = torch.tensor([[1, 2], [3, 0]]), torch.tensor([[0, 1], [0, -1]])
    torch.nn.init.normal_(aggregator.word_lengths.proj.weight)
    vectors = aggregator(text, torch.tensor([2, 1]), ids, timed)
    vectors.square().sum().backward()
    assert source.mix.logits.grad.abs().sum() > 0
    assert "states_source.mix.logits" in aggregator.state_dict()
    assert not ProsodyStates(4, 4).state_dict()  # as saved with one layer
