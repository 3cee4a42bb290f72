"""Nucleus, penalty and random streams against loops over one row."""

from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.slm import sampling
from espnet2_taste.slm.sampling import (
    NEVER,
    SpeechSampler,
    TextSampler,
    UniformStreams,
    choose,
    nucleus,
    penalize_repetition,
)


def slow_nucleus(logits, top_p, keep_crossing):
    probabilities = logits.softmax(-1).tolist()
    order = sorted(range(len(logits)), key=lambda i: -probabilities[i])
    kept, total = [], 0.0
    for index in order:
        before, total = total, total + probabilities[index]
        inside = before < top_p if keep_crossing else total <= top_p
        if inside or not kept:
            kept.append(index)
    return set(kept)


logit_rows = st.lists(  # on a grid: rounding must not make two as likely
    st.integers(-320, 320), min_size=2, max_size=12, unique=True
).map(lambda row: torch.tensor(row) / 64)


@settings(deadline=None, max_examples=60)
@given(logit_rows, st.floats(0.05, 0.99), st.booleans(), st.integers(1, 13))
def test_nucleus(logits, top_p, keep_crossing, candidates):
    probabilities = logits.softmax(-1).sort(descending=True).values.cumsum(-1)
    if ((probabilities - top_p).abs() < 1e-4).any():
        return  # rounding decides
    with mock.patch.object(sampling, "CANDIDATES", candidates):
        found = nucleus(logits, top_p, keep_crossing)
    kept = {i for i, value in enumerate(found.tolist()) if value != NEVER}
    assert kept == slow_nucleus(logits, top_p, keep_crossing)


def test_rows_of_a_nucleus_do_not_depend_on_each_other():
    generator = torch.Generator().manual_seed(0)
    flat = 0.01 * torch.randn(3, 2, 2000, generator=generator)
    rows = flat * torch.tensor([1.0, 300.0, 1000.0]).view(3, 1, 1)
    together = nucleus(rows, 0.9)
    kept = (together != NEVER).sum(dim=-1)
    assert kept.min() < sampling.CANDIDATES < kept.max()  # both ways are needed
    for row, found in zip(rows.flatten(0, 1), together.flatten(0, 1)):
        assert torch.equal(nucleus(row, 0.9), found)


@settings(deadline=None, max_examples=40)
@given(logit_rows, st.floats(0, 0.999))
def test_choose_inverts_the_distribution(logits, uniform):
    cumulative, index = 0.0, 0
    for index, p in enumerate(logits.double().softmax(-1).tolist()):
        cumulative += p
        if abs(cumulative - uniform) < 1e-5:
            return  # rounding decides
        if cumulative > uniform:
            break
    assert int(choose(logits, torch.tensor(uniform))) == index


def test_penalty_lowers_both_signs():
    logits, seen = torch.tensor([2.0, -2.0, 2.0]), torch.tensor([True, True, False])
    assert penalize_repetition(logits, seen, 2.0).tolist() == [1.0, -4.0, 2.0]


@settings(deadline=None, max_examples=20)
@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30), st.integers(1, 4)
)
def test_streams_do_not_depend_on_each_other(plan, count):
    together = UniformStreams.from_ids(["a", "b"], 0)
    alone = [UniformStreams.from_ids([name], 0) for name in "ab"]
    for active in plan:
        taken = together.take(torch.tensor(active), count)
        for row in (0, 1):
            if active[row]:
                assert torch.equal(
                    taken[row], alone[row].take(torch.tensor([True]), count)[0]
                )


def test_streams_go_on_across_blocks():
    generators = [torch.Generator().manual_seed(1)]
    short = UniformStreams([torch.Generator().manual_seed(1)], block=4)
    wanted = torch.rand(30, generator=generators[0])
    found = [short.take(torch.tensor([True]), 3)[0] for _ in range(10)]
    assert torch.equal(torch.cat(found), wanted)


def test_the_published_order_differs_from_ours():
    logits = torch.tensor([[2.0, 1.9, 1.0]])
    seen = torch.tensor([[True, False, False]])
    ours, theirs = (
        TextSampler(0.4, 0.5, 3.0, published) for published in (False, True)
    )
    assert ours.shape(logits, seen)[0, 0] == NEVER  # the penalty came first
    assert theirs.shape(logits, seen)[0].tolist() == pytest.approx(
        [2 / 3 / 0.5, NEVER, NEVER]
    )


def test_greedy_draws_nothing_and_bad_values_are_refused():
    streams = UniformStreams.from_ids(["a"], 0)
    before = streams.used.clone()
    everyone, row = torch.tensor([True]), torch.tensor([[0.0, 3.0]])
    assert int(TextSampler()(row, None, streams, everyone)) == 1
    assert int(SpeechSampler()(row[None], streams, everyone)) == 1
    assert torch.equal(streams.used, before)
    with pytest.raises(ValueError, match="text_top_p must be above 0"):
        TextSampler(top_p=1.2)
    with pytest.raises(ValueError, match="text_temperature"):
        TextSampler(top_p=0.9, temperature=0.0)
    for wrong in ({"top_p": 1.2}, {"temperature": 0.0}, {"top_k": -1}):
        with pytest.raises(ValueError, match="speech needs 0 <= speech_top_p"):
            SpeechSampler(**wrong)


def test_only_utterances_that_need_an_id_draw():
    streams = UniformStreams.from_ids(["a", "b"], 0)
    before = streams.used.clone()
    sampler = SpeechSampler(0.9, 0.8, 2)
    logits = torch.tensor([[3.0, 2.9, 2.8, -9.0]]).expand(2, 3, 4)
    for _ in range(20):
        found = sampler(logits, streams, torch.tensor([True, False]))
        assert found.shape == (2, 3) and int(found[0].max()) < 2  # of two candidates
    assert bool(streams.used[0] != before[0]) and bool(streams.used[1] == before[1])
