"""Cached encoder states: other batches, other audio, no more room."""

import torch

from espnet2_taste.structures import EncoderStates
from espnet2_taste.tokenizer.state_cache import EncoderStateCache

NAMES = [("a", 100), ("b", 60)]


def states():
    torch.manual_seed(0)
    keys, values = torch.randn(2, 5, 3), torch.randn(2, 5, 4)
    return EncoderStates(keys, values, torch.tensor([5, 3]))


def test_rows_come_back_in_any_order():
    cache, known = EncoderStateCache(1), states()
    cache.put(NAMES, known)
    found = cache.get(NAMES[::-1], "cpu")
    assert found.lengths.tolist() == [3, 5]
    assert torch.equal(found.keys[1], known.keys[0])
    assert torch.equal(found.values[0, :3], known.values[1, :3])
    assert not found.keys[0, 3:].any()


def test_other_audio_under_the_same_name_is_unknown():
    cache = EncoderStateCache(1)
    cache.put(NAMES, states())
    assert cache.get([("a", 101)], "cpu") is None


def test_what_does_not_fit_is_not_kept():
    cache = EncoderStateCache(1)
    cache.free = 5 * 7 * 4
    cache.put(NAMES, states())
    assert cache.get(NAMES[:1], "cpu") is not None
    assert cache.get(NAMES[1:], "cpu") is None
