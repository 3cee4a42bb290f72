"""The aligner on a stub model whose CTC head says what the waveform says."""

import numpy as np
import pytest
import torch

from espnet2_taste.align.ctc_aligner import CtcAligner
from espnet2_taste.text.token_list_tokenizers import CharacterTokenizer

TOKENS = ["<blank>", "<unk>", "<space>", "a", "b", "c", "<sos/eos>"]
HOP = 640


class StubScorer(torch.nn.Module):
    """Frame f holds the token written as the level of its 640 samples."""

    sample_rate, frame_rate = 16000, 25.0

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(20.0))

    def forward(self, speech, lengths):
        frames = speech[:, : speech.size(1) // HOP * HOP].reshape(len(speech), -1, HOP)
        ids = (frames.mean(2) * 10).round().long()
        encoded = torch.nn.functional.one_hot(ids, len(TOKENS)).float() * self.scale
        return torch.log_softmax(encoded, dim=2), lengths // HOP


def wave(ids):
    return np.repeat(np.asarray(ids, np.float32) / 10, HOP)


@pytest.fixture
def aligner():
    return CtcAligner(StubScorer(), CharacterTokenizer(TOKENS))


def test_words_are_placed_and_heard(aligner):
    # "ab" then "c": space a b . . space c
    speech = wave([0, 0, 2, 3, 4, 0, 0, 2, 5, 0])
    (result,) = aligner.align([speech], [["ab", "c"]])
    assert result.problem == ""
    assert result.recognized == ("ab", "c")
    assert [t.word for t in result.words] == ["ab", "c"]
    first, second = result.words
    assert first.end <= second.start + 1e-6
    assert first.start == pytest.approx(0.08, abs=0.03)
    assert second.start == pytest.approx(0.28, abs=0.05)


def test_a_batch_equals_its_parts(aligner):
    waves = [wave([0, 2, 3, 0, 2, 4, 0]), wave([0, 2, 5, 4, 0, 0, 0, 2, 3, 0, 0])]
    words = [["a", "b"], ["cb", "a"]]
    together = aligner.align(waves, words)
    alone = [aligner.align([w], [t])[0] for w, t in zip(waves, words)]
    for left, right in zip(together, alone):
        assert left.recognized == right.recognized
        for one, other in zip(left.words, right.words):
            assert one.start == pytest.approx(other.start)
            assert one.duration == pytest.approx(other.duration)


def test_what_cannot_be_aligned_is_named(aligner):
    short, empty = aligner.align([wave([0, 3] * 2), wave([0, 3] * 2)], [["abcabc"], []])
    assert "too few" in short.problem and short.words == ()
    assert "no words" in empty.problem


def test_what_is_too_short_for_the_encoder_does_not_disturb_the_others(aligner):
    good = wave([0, 2, 3, 0, 2, 4, 0])
    alone = aligner.align([good], [["a", "b"]])[0]
    short, same = aligner.align([good[:HOP], good], [["a"], ["a", "b"]])
    assert "0 frames are too few" in short.problem and short.recognized == ()
    assert same == alone
    assert "0 frames" in aligner.align([good[:0]], [["a"]])[0].problem
