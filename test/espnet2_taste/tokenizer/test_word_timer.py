"""Words that the tokenizer times itself: as stage 4 does, alone as in a batch."""

import numpy as np
import pytest
import torch

from espnet2_taste.align.cepstra import SAMPLE_RATE, Cepstra
from espnet2_taste.align.letter_models import LetterModels, TimedFrames
from espnet2_taste.data.audio import resample
from espnet2_taste.tokenizer.word_timer import LetterTimer

SPELLED = [b"", b"a", b"b", b"c", b"z", "\u00fc".encode()[:1], "\u00fc".encode()[1:]]
PITCHES = dict(a=300, b=900, c=2500)


class Spelled:
    """What a timer needs of a tokenizer."""

    def token_bytes(self):
        return SPELLED


def tones(rng, letters):
    """Letters as tones of random lengths (S,), and where each ends in seconds."""
    seconds = rng.uniform(0.1, 0.3, len(letters))
    waves = [
        np.sin(
            2 * np.pi * PITCHES[letter] * np.arange(int(SAMPLE_RATE * length)) / 16e3
        )
        for letter, length in zip(letters, seconds)
    ]
    speech = np.concatenate(waves) * 0.3
    speech = speech + rng.normal(0, 0.01, len(speech))
    return speech.astype(np.float32), seconds.cumsum()


@pytest.fixture(scope="module")
def timer():
    rng, cepstra, data = np.random.default_rng(0), Cepstra(), []
    for _ in range(12):
        speech, ends = tones(rng, "abc")
        times = np.array([[0, ends[1]], ends[1:]])
        data.append(TimedFrames(cepstra(speech), ("ab", "c"), times))
    models = LetterModels.fit(data)
    found = LetterTimer(Spelled(), SAMPLE_RATE, models.letters)
    found.load_models(models)
    return found


def batch(waves):
    lengths = torch.tensor([len(wave) for wave in waves])
    rows = [torch.from_numpy(wave) for wave in waves]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), lengths


def test_words_are_timed_in_a_batch_as_alone(timer):
    rng = np.random.default_rng(1)
    (first, ends), (second, more) = tones(rng, "abc"), tones(rng, "cabab")
    text = torch.tensor([[1, 2, 3, 0, 0], [3, 1, 2, 1, 2]])
    word_ids = torch.tensor([[0, 0, 1, -1, -1], [0, 1, 1, 2, 2]])
    times = timer(*batch([first, second]), text, word_ids)
    assert times.shape == (2, 3, 2)
    assert times[0, 0, 1].item() == pytest.approx(ends[1], abs=0.04)
    assert times[1, :2, 1].tolist() == pytest.approx(more[[0, 2]].tolist(), abs=0.04)
    assert not times[0, 2].any()  # padding
    alone = timer(*batch([first]), text[:1, :3], word_ids[:1, :3])
    assert torch.equal(times[0, :2], alone[0])


def test_models_are_saved_with_the_tokenizer(timer):
    other = LetterTimer(Spelled(), SAMPLE_RATE, timer.letters)
    other.load_state_dict(timer.state_dict())
    speech, _ = tones(np.random.default_rng(2), "abc")
    text, word_ids = torch.tensor([[1, 2, 3]]), torch.tensor([[0, 0, 1]])
    given = (*batch([speech]), text, word_ids)
    assert torch.equal(timer(*given), other(*given))


def test_speech_of_another_rate_is_timed_alike(timer):
    other = LetterTimer(Spelled(), 48000, timer.letters)
    other.load_state_dict(timer.state_dict())
    speech, ends = tones(np.random.default_rng(3), "abc")
    faster = resample(speech, SAMPLE_RATE, 48000)
    text, word_ids = torch.tensor([[1, 2, 3]]), torch.tensor([[0, 0, 1]])
    times = other(*batch([faster]), text, word_ids)
    assert times[0, 0, 1].item() == pytest.approx(ends[1], abs=0.04)


@pytest.mark.parametrize("token", [0, 4, 5])
def test_words_without_known_letters_have_times_too(timer, token):
    speech, _ = tones(np.random.default_rng(4), "abc")
    text, word_ids = torch.tensor([[1, 2, token]]), torch.tensor([[0, 0, 1]])
    begin, end = timer(*batch([speech]), text, word_ids)[0, 1].tolist()
    assert 0 < begin < end


def test_too_many_letters_leave_the_words_without_times(timer):
    speech, _ = tones(np.random.default_rng(5), "a")
    text, word_ids = torch.tensor([[1] * 90]), torch.tensor([[0] * 45 + [1] * 45])
    assert not timer(*batch([speech]), text, word_ids).any()
