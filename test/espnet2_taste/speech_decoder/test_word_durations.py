"""Distributions of durations: loss, choice, what they depend on."""

import math

import pytest
import torch

from espnet2_taste.speech_decoder.spelling import lay_out, spelling_table
from espnet2_taste.speech_decoder.word_durations import (
    WordDurationPredictor,
    WordDurations,
)


def distributions():
    torch.manual_seed(0)
    return WordDurations(
        word_mean=torch.randn(2, 3),
        word_log_variance=torch.randn(2, 3),
        silence_logit=torch.randn(2, 4),
        silence_mean=torch.randn(2, 4),
        silence_log_variance=torch.randn(2, 4),
    )


def normal_loss(value, mean, log_variance):
    return -torch.distributions.Normal(mean, (log_variance / 2).exp()).log_prob(value)


def test_loss_equals_a_slow_loop():
    found = distributions()
    times = torch.tensor(
        [[[0.1, 0.3], [0.3, 0.31], [0.5, 0.9]], [[0.0, 0.4], [0.6, 0.6], [0.6, 0.6]]]
    )
    words, seconds = torch.tensor([3, 1]), torch.tensor([0.9, 0.6])
    total = torch.tensor(0.0)
    for row, count in enumerate([3, 1]):
        edge = 0.0
        for index in range(count + 1):
            begin = float(times[row, index, 0]) if index < count else seconds[row]
            gap = begin - edge
            probability = found.silence_logit[row, index].sigmoid()
            total -= (probability if gap > 1e-4 else 1 - probability).log()
            if gap > 1e-4:
                total += normal_loss(
                    torch.tensor(math.log(max(gap, 0.02))),
                    found.silence_mean[row, index],
                    found.silence_log_variance[row, index],
                )
            if index < count:
                edge = float(times[row, index, 1])
                total += normal_loss(
                    torch.tensor(math.log(max(edge - begin, 0.02))),
                    found.word_mean[row, index],
                    found.word_log_variance[row, index],
                )
    assert found.loss(times, words, seconds) == pytest.approx(
        float(total) / 4, abs=1e-4
    )


def test_the_centre_and_a_sample():
    found = distributions()
    word, silence = found.choose()
    assert torch.allclose(word, found.word_mean.exp())
    assert torch.equal(silence > 0, found.silence_logit > 0)
    normal, uniform = torch.zeros(2, 7), torch.zeros(2, 4)
    normal[0, 3] = 2.0  # second word
    word, silence = found.choose(normal, uniform)
    want = found.word_mean.clone()
    want[0, 1] += 2 * (found.word_log_variance[0, 1] / 2).exp()
    assert torch.allclose(word, want.exp())
    assert torch.allclose(silence, found.silence_mean.exp())


def test_a_condition_moves_its_word_and_the_silences_beside_it():
    torch.manual_seed(0)
    text = torch.tensor([[0, 1, 2, 3]])
    symbols = lay_out(spelling_table([b"a", b"bc", b"d", b"e"])[text], text)
    predictor, encoded = WordDurationPredictor(6).eval(), torch.randn(1, 10, 6)
    conditions = torch.randn(1, 4, 6)
    one = predictor(encoded, symbols, conditions)
    conditions[0, 1] += 1.0
    two = predictor(encoded, symbols, conditions)
    moved = (one.word_mean != two.word_mean)[0]
    assert moved.tolist() == [False, True, False, False]
    silences = (one.silence_logit != two.silence_logit)[0]
    assert silences.tolist() == [False, True, True, False, False]


def test_durations_are_learned():
    torch.manual_seed(0)
    text = torch.tensor([[0, 1]])
    symbols = lay_out(spelling_table([b"a", b"bc"])[text], text)
    predictor, encoded = WordDurationPredictor(6), torch.randn(1, 6, 6)
    conditions = torch.zeros(1, 2, 6)
    times = torch.tensor([[[0.2, 0.5], [0.5, 1.1]]])
    words, seconds = torch.tensor([2]), torch.tensor([1.1])
    optimizer = torch.optim.Adam(predictor.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        predictor(encoded, symbols, conditions).loss(times, words, seconds).backward()
        optimizer.step()
    word, silence = predictor(encoded, symbols, conditions).choose()
    assert torch.allclose(word, torch.tensor([[0.3, 0.6]]), atol=0.03)
    assert silence[0].tolist() == pytest.approx([0.2, 0.0, 0.0], abs=0.03)
