"""Models of letters: the best path against all paths, borders that are known."""

import numpy as np
import pytest

from espnet2_taste.align.letter_models import (
    LetterModels,
    Spelling,
    TimedFrames,
)

LETTERS = "abcd"


def utterance(rng, centres, words, pause=0):
    """Frames whose letters last 8 to 14 frames each, and the true times."""
    frames, times, place = [], [], 0
    for word in words:
        frames += [np.zeros(4)] * pause
        place += pause
        length = 0
        for letter in word:
            count = int(rng.integers(8, 15))
            frames += [centres[letter]] * count
            length += count
        times.append((place, place + length))
        place += length
    frames = np.array(frames) + rng.normal(0, 0.3, (len(frames), 4))
    return frames, np.array(times) / 100


@pytest.fixture(scope="module")
def corpus():
    rng = np.random.default_rng(0)
    centres = dict(zip(LETTERS, 3 * np.eye(4)))
    texts = [tuple(rng.choice(["ab", "cad", "dc", "b"], 4)) for _ in range(40)]
    return [
        (words, *utterance(rng, centres, words, pause=5 * (index % 2)))
        for index, words in enumerate(texts)
    ]


def test_wrong_first_times_become_right(corpus):
    rng = np.random.default_rng(1)
    data = [
        TimedFrames(frames, words, times + rng.normal(0, 0.05, (len(times), 1)))
        for words, frames, times in corpus
    ]
    models = LetterModels.fit(data)
    errors = [models.place(f, words) - times for words, f, times in corpus]
    first = [item.times - times for item, (_, _, times) in zip(data, corpus)]
    assert np.abs(np.concatenate(first)).mean() > 0.03
    assert np.abs(np.concatenate(errors)).mean() < 0.01


def test_too_few_frames_have_no_times(corpus):
    words, frames, times = corpus[0]
    models = LetterModels.fit([TimedFrames(frames, words, times)])
    assert models.place(frames[:4], words) is None
    with pytest.raises(ValueError, match="align the sets first"):
        LetterModels.fit([])


def test_models_come_back_from_their_file(corpus, tmp_path):
    words, frames, times = corpus[0]
    models = LetterModels.fit([TimedFrames(frames, words, times)])
    models.save(tmp_path / "models.npz")
    again = LetterModels.load(tmp_path / "models.npz")
    assert again.letters == models.letters
    assert np.array_equal(again.place(frames, words), models.place(frames, words))
    with pytest.raises(ValueError, match="none.npz not found: run stage 4"):
        LetterModels.load(tmp_path / "none.npz")


def test_letters_without_a_model_share_one():
    spelling = Spelling.of(["ax", "y"], "ab")
    assert spelling.models.tolist() == [0, 1, 2, 3, 7, 8, 9, 0, 7, 8, 9, 0]
    assert spelling.word.tolist() == [-1, *[0] * 6, -1, 1, 1, 1, -1]
