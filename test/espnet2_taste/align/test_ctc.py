"""CTC alignment against the enumeration of every path."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.align.ctc import (
    align_tokens,
    build_lattice,
    expected_entries,
    greedy_tokens,
    required_frames,
    state_posteriors,
    token_confidence,
)


def collapse(path):
    """Tokens of a path of ids, CTC's rule written out."""
    tokens = []
    for frame, token in enumerate(path):
        if token != 0 and (frame == 0 or token != path[frame - 1]):
            tokens.append(token)
    return tokens


def spans_of(path):
    """Begin and end frame of every token of a path."""
    spans = []
    for frame, token in enumerate(path):
        if token == 0:
            continue
        if frame and path[frame - 1] == token:
            spans[-1][1] = frame + 1
        else:
            spans.append([frame, frame + 1])
    return spans


def brute_force_spans(log_probs, target):
    """Expected begin and end of every token over all paths of one utterance."""
    num_frames, size = log_probs.shape
    total, sums = 0.0, torch.zeros(len(target), 2, dtype=torch.float64)
    for path in itertools.product(range(size), repeat=num_frames):
        if collapse(path) != list(target):
            continue
        weight = math.exp(sum(float(log_probs[f, v]) for f, v in enumerate(path)))
        total += weight
        sums += weight * torch.tensor(spans_of(path), dtype=torch.float64)
    return sums / total


def random_case(seed, num_frames, num_tokens, size=3):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, num_frames, size, generator=generator) * 2
    target = torch.randint(1, size, (1, num_tokens), generator=generator)
    return logits.log_softmax(2), target


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 3))
def test_expected_times_equal_the_mean_over_all_paths(seed, num_frames, num_tokens):
    log_probs, target = random_case(seed, num_frames, num_tokens)
    lengths = torch.tensor([num_frames]), torch.tensor([num_tokens])
    if num_frames < int(required_frames(target, lengths[1])):
        with pytest.raises(ValueError, match="need at least"):
            align_tokens(log_probs, lengths[0], target, lengths[1])
        return
    spans = align_tokens(log_probs, lengths[0], target, lengths[1])[0]
    reference = brute_force_spans(log_probs[0].double(), target[0].tolist())
    # a token's begin is the entry into its state: equal where no blank is skipped,
    # and equal in expectation where it is, since a skipped state lasts zero frames
    torch.testing.assert_close(spans, reference, atol=1e-6, rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_padding_and_neighbours_change_nothing(seed):
    short = random_case(seed, 5, 2)
    long = random_case(seed + 1, 9, 3)
    log_probs = torch.randn(2, 9, 3)
    log_probs[0, :5], log_probs[1] = short[0][0], long[0][0]
    targets = torch.full((2, 3), -1)
    targets[0, :2], targets[1] = short[1][0], long[1][0]
    frame_lengths, target_lengths = torch.tensor([5, 9]), torch.tensor([2, 3])
    together = align_tokens(log_probs, frame_lengths, targets, target_lengths)
    alone = align_tokens(short[0], frame_lengths[:1], short[1], target_lengths[:1])
    torch.testing.assert_close(together[:1, :2], alone)
    alone = align_tokens(long[0], frame_lengths[1:], long[1], target_lengths[1:])
    torch.testing.assert_close(together[1:], alone)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(4, 12), st.integers(1, 4))
def test_posteriors_are_distributions_and_entries_are_ordered(seed, frames, tokens):
    log_probs, target = random_case(seed, 2 * frames, tokens, size=5)
    lengths = torch.tensor([2 * frames]), torch.tensor([tokens])
    lattice = build_lattice(log_probs.double(), lengths[0], target, lengths[1])
    posteriors = state_posteriors(lattice)
    torch.testing.assert_close(posteriors.sum(2), torch.ones_like(posteriors[:, :, 0]))
    entries = expected_entries(posteriors)
    assert (entries.diff(dim=1) >= -1e-9).all()
    assert entries[0, -1].item() == pytest.approx(2 * frames)


def test_reversing_a_lattice_twice_gives_it_back():
    log_probs, target = random_case(3, 8, 3)
    lattice = build_lattice(log_probs, torch.tensor([8]), target, torch.tensor([3]))
    twice = lattice.reversed().reversed()
    torch.testing.assert_close(twice.emissions, lattice.emissions)
    assert (twice.skips == lattice.skips).all()


def test_a_sharp_alignment_is_the_viterbi_path():
    torchaudio = pytest.importorskip("torchaudio")
    log_probs, target = random_case(11, 12, 4, size=6)
    path, _ = torchaudio.functional.forced_align(log_probs, target)
    lengths = torch.tensor([12]), torch.tensor([4])
    spans = align_tokens(500 * log_probs, lengths[0], target, lengths[1])
    assert spans[0].round().int().tolist() == spans_of(path[0].tolist())


def test_greedy_collapses_repeats_and_drops_blanks():
    ids = torch.tensor([[1, 1, 0, 1, 2, 2, 0, 0]])
    log_probs = torch.nn.functional.one_hot(ids, 3).float()
    assert greedy_tokens(log_probs, torch.tensor([8])) == [[1, 1, 2]]
    assert greedy_tokens(log_probs, torch.tensor([3])) == [[1]]


def test_confidence_is_the_best_frame_of_each_token():
    probabilities = torch.full((6, 3), 0.05)
    probabilities[1, 1], probabilities[4, 2] = 0.9, 0.5
    spans = np.array([[0.4, 2.2], [3.0, 5.5]])
    found = token_confidence(probabilities.log(), np.array([1, 2]), spans)
    assert found == pytest.approx([0.9, 0.5])
    swapped = token_confidence(probabilities.log(), np.array([2, 1]), spans)
    assert swapped == pytest.approx([0.05, 0.05])
    beyond = np.array([[5.9, 9.0], [-1.0, 0.0]])
    found = token_confidence(probabilities.log(), np.array([1, 2]), beyond)
    assert found == pytest.approx([0.05, 0.05])
