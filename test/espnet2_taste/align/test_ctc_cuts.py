"""Cuts of long recordings against the enumeration of paths and the whole lattice."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.align import ctc
from espnet2_taste.align.ctc_cuts import best_prefix, cut_pieces, tokens_before

SIZE = 4


def draw_speech(seed, num_words, sure=6.0):
    """Tokens with blanks and silences between them as a CTC head sees them.

    Returns:
        Log-probabilities (F, V) and the tokens (N,).
    """
    rng = np.random.default_rng(seed)
    path, tokens = [0], []
    for _ in range(num_words):
        for _ in range(rng.integers(1, 4)):
            token = int(rng.integers(1, SIZE))
            path += [0] * rng.integers(1, 4) + [token] * rng.integers(1, 3)
            tokens.append(token)
        path += [0] * rng.integers(2, 9)
    logits = rng.standard_normal((len(path), SIZE))
    logits[np.arange(len(path)), path] += sure
    scores = torch.from_numpy(logits).float().log_softmax(1)
    return scores, torch.tensor(tokens)


def follows(states, target):
    """Whether a row of states is a path of CTC that reads a prefix."""
    ids = [0] * (2 * len(target) + 1)
    ids[1::2] = target
    if states[0] > 1:
        return False
    for before, after in itertools.pairwise(states):
        skipped = after == before + 2 and after % 2 and ids[after] != ids[before]
        if not (after in (before, before + 1) or skipped):
            return False
    return True


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 9999), st.integers(1, 5), st.integers(0, 3))
def test_the_best_prefix_is_the_best_of_all_paths(seed, num_frames, num_tokens):
    rng = np.random.default_rng(seed)
    log_probs = rng.standard_normal((num_frames, SIZE)).astype(np.float32)
    target = rng.integers(1, SIZE, num_tokens)
    ids = np.zeros(2 * num_tokens + 1, dtype=int)
    ids[1::2] = target
    totals = {
        path: log_probs[np.arange(num_frames), ids[list(path)]].sum()
        for path in itertools.product(range(len(ids)), repeat=num_frames)
        if follows(path, target)
    }
    found = tuple(best_prefix(log_probs, target, 0).tolist())
    assert totals[found] == pytest.approx(max(totals.values()), abs=1e-5)


def test_equal_tokens_are_not_read_without_a_blank_between():
    """Though the token after them would suit the frames better."""
    log_probs, target = np.full((3, SIZE), -9, dtype=np.float32), np.array([1, 1, 2])
    log_probs[range(3), target] = 0
    assert follows(best_prefix(log_probs, target, 0).tolist(), target)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 9999), st.integers(1, 30), st.integers(12, 60))
def test_pieces_hold_everything_once_and_fit(seed, num_words, window):
    log_probs, target = draw_speech(seed, num_words, sure=3.0)
    pieces = cut_pieces(log_probs.numpy(), target.numpy(), 0, window)
    frames = [piece.frames for piece in pieces]
    tokens = [piece.tokens for piece in pieces]
    for spans, total in ((frames, len(log_probs)), (tokens, len(target))):
        assert spans[0][0] == 0 and spans[-1][1] == total
        assert all(a[1] == b[0] for a, b in itertools.pairwise(spans))
    for (begin, end), (first, last) in zip(frames, tokens):
        count = torch.tensor([last - first])
        assert end - begin >= ctc.required_frames(target[None, first:last], count)


@pytest.mark.parametrize("seed", range(4))
def test_pieces_are_timed_as_the_whole(seed, monkeypatch):
    log_probs, target = draw_speech(seed, 60, sure=9.0)
    rows = log_probs[None], torch.tensor([len(log_probs)])
    tokens = target[None], torch.tensor([len(target)])
    whole = ctc.align_tokens(*rows, *tokens)
    monkeypatch.setattr(ctc, "WINDOW", 80)
    pieces = ctc.align_tokens(*rows, *tokens)
    torch.testing.assert_close(pieces, whole, atol=0.02, rtol=0)
    cuts = [p.frames for p in cut_pieces(log_probs.numpy(), target.numpy(), 0, 80)]
    assert len(cuts) > 5 and all(end - begin <= 80 for begin, end in cuts)
    twice = [torch.cat([x, x]) for x in (*rows, *tokens)]
    both = ctc.align_tokens(*twice)
    torch.testing.assert_close(both, torch.cat([pieces, pieces]))


def test_a_transcript_without_room_is_not_cut_short():
    """Every frame is a token: no cut may give a token to the frames before it."""
    target = np.arange(40) % 3 + 1
    log_probs = np.zeros((40, SIZE), dtype=np.float32)  # the head knows nothing
    log_probs[:, 0] = 1.0  # and would rather wait
    pieces = cut_pieces(log_probs, target, 0, 16)
    assert [piece.tokens for piece in pieces] == [piece.frames for piece in pieces]


def test_a_head_that_finds_nothing_is_cut_evenly():
    target = np.arange(400) % 3 + 1
    log_probs = np.full((900, SIZE), -3.0, dtype=np.float32)
    log_probs[:, 0] = 0.0  # blanks alone: the path waits until the rest is short
    pieces = cut_pieces(log_probs, target, 0, 60)
    assert max(end - begin for begin, end in (p.frames for p in pieces)) <= 60
    assert pieces[-1].tokens[1] == 400


def test_a_stretch_without_words_is_a_piece_of_its_own(monkeypatch):
    spoken, target = draw_speech(0, 5, sure=9.0)
    silence = torch.full((200, SIZE), -9.0)
    silence[:, 0] = -0.001
    log_probs = torch.cat([spoken, silence, spoken])[None]
    tokens = torch.cat([target, target])[None]
    lengths = [torch.tensor([x.size(1)]) for x in (log_probs, tokens)]
    whole = ctc.align_tokens(log_probs, lengths[0], tokens, lengths[1])
    monkeypatch.setattr(ctc, "WINDOW", 40)
    pieces = ctc.align_tokens(log_probs, lengths[0], tokens, lengths[1])
    torch.testing.assert_close(pieces, whole, atol=0.02, rtol=0)


def test_more_tokens_than_frames_are_refused_whatever_the_length(monkeypatch):
    monkeypatch.setattr(ctc, "WINDOW", 4)
    target = torch.ones(1, 5, dtype=torch.int64)
    with pytest.raises(ValueError, match="8 frames, its 5 tokens need at least 9"):
        lengths = torch.tensor([8]), torch.tensor([5])
        ctc.align_tokens(torch.zeros(1, 8, 2), lengths[0], target, lengths[1])


def test_a_token_belongs_before_a_cut_once_it_began():
    states = np.array([0, 1, 2, 2, 3])
    assert [tokens_before(states, cut) for cut in (1, 2, 3, 4)] == [0, 1, 1, 1]
