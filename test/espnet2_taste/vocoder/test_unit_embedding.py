"""Mixtures of units: all vocoders speak them, one-hot ones as the units themselves."""

import pytest
import torch
from helper_modules import load_tests
from torch.nn.functional import one_hot

from espnet2_taste.vocoder.unit_embedding import UnitEmbedding

streams = load_tests("vocoder", "test_wave_stream.py")
CHUNKS = dict(chunk=8, chunk_context=4)
VOCODERS = {
    "unit_hifigan": (streams.hifigan, {}),
    "unit_to_mel": (lambda: streams.voiced(streams.griffin_lim()), {}),
    **{
        f"{kind.__name__}{tag}": (streams.flow_vocoder, dict(kind=kind, **conf))
        for kind, options in streams.FLOWS
        for tag, conf in (("", options), (" in chunks", options | CHUNKS))
    },
}


@pytest.fixture(params=VOCODERS)
def vocoder(request):
    build, options = VOCODERS[request.param]
    return build(**options)


def shares_of(units, temperature=1.0):
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(len(units), 12, generator=generator) + 3 * one_hot(units, 12)
    return (logits / temperature).softmax(-1)


def test_a_mixture_of_units_gets_the_mixture_of_their_vectors():
    torch.manual_seed(0)
    embedding, units = UnitEmbedding(7, 5), torch.randint(0, 7, (2, 4))
    vectors = embedding(units)
    assert torch.equal(embedding(one_hot(units, 7).float()), vectors)
    shares = torch.zeros(1, 2, 7)
    shares[0, 0, [1, 4]] = torch.tensor([0.25, 0.75])
    shares[0, 1, 2] = 1.0
    first = 0.25 * embedding.weight[1] + 0.75 * embedding.weight[4]
    wanted = torch.stack([first, embedding.weight[2]])[None]
    torch.testing.assert_close(embedding(shares), wanted)


def test_one_hot_mixtures_are_spoken_as_the_units_and_others_are_not(vocoder):
    units, spembs = streams.utterance()
    whole = streams.whole_wave(vocoder, units, spembs)
    same = streams.whole_wave(vocoder, one_hot(units, 12).float(), spembs)
    assert torch.equal(same, whole)
    mixed = streams.whole_wave(vocoder, shares_of(units), spembs)
    assert (mixed - whole).abs().max() > 1e-3 * whole.abs().max()


def test_a_batch_of_mixtures_gives_what_its_items_give(vocoder):
    units, spembs = streams.utterance(40)
    rows = torch.stack([shares_of(units), shares_of(units.flip(0))])
    rows[1, 25:] = torch.nan  # any value at padding
    lengths, voices = torch.tensor([40, 25]), torch.cat([spembs, -spembs])
    waves, samples = vocoder.synthesize(rows, lengths, voices)
    for row, (count, size) in enumerate(zip([40, 25], samples.tolist())):
        part = slice(row, row + 1)
        given = (rows[part, :count], lengths[part], voices[part])
        alone, _ = vocoder.synthesize(*given)
        assert alone.size(1) == size
        error = (waves[row, :size] - alone[0]).square().sum()
        assert error < streams.TOLERANCE * alone.square().sum()


def test_mixtures_in_pieces_are_spoken_as_mixtures_of_the_whole(vocoder):
    units, spembs = streams.utterance()
    shares = shares_of(units)
    whole = streams.whole_wave(vocoder, shares, spembs)
    sizes = [0, 7, 20, 1, 32]
    joined = torch.cat(streams.pieces_of(vocoder.stream(spembs), shares, sizes))
    assert joined.shape == whole.shape
    error = (joined - whole).square().sum()
    assert error < streams.TOLERANCE * whole.square().sum()


def test_mixtures_of_another_inventory_are_refused(vocoder):
    units, spembs = streams.utterance(5)
    with pytest.raises(ValueError, match="knows 12 units, found mixtures of 9"):
        streams.whole_wave(vocoder, torch.ones(5, 9) / 9, spembs)


def test_a_vocoder_that_mixes_no_vectors_refuses_by_name():
    class Codec(type(streams.griffin_lim())):
        takes_mixtures = False

    vocoder, (units, spembs) = Codec(num_units=12, spembs_size=4), streams.utterance(5)
    with pytest.raises(ValueError, match="vocoder Codec speaks no.*--unit_mixing 0"):
        streams.whole_wave(vocoder, shares_of(units), spembs)
