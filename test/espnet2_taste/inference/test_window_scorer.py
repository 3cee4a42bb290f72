"""Likelihoods behind the common beginning of pairs against plain differences."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import tiny_spoken_lm, write_taslm_parts

from espnet2_taste.inference.scorer import Scorer, WindowScorer
from espnet2_taste.slm.layouts.utterance import Utterance

CODES = np.array([[1, 2], [3, 4], [5, 6], [7, 0]])
ITEMS = [
    {"text": "the red dog runs", "codes": CODES},
    {"text": "a dog", "codes": CODES[2:]},
]


@pytest.fixture(scope="module")
def scorer(tmp_path_factory, lm_tokenizer_dir):
    parts = write_taslm_parts(tmp_path_factory.mktemp("window"), lm_tokenizer_dir)
    return Scorer(*tiny_spoken_lm(*parts, head="linear_last"))


def alone(scorer, fields):
    """Entries of one utterance: text tokens with their words, one speech a word."""
    sizes = [len(word) for word in scorer.preprocessor.reader("utt", fields).words]
    scores = scorer.scores([scorer.preprocessor("utt", fields)])
    ids = np.repeat(np.arange(len(sizes)), sizes)
    return ids, scores.text[scores.text_mask], scores.speech[scores.speech_mask]


@pytest.mark.parametrize("window, shared", [(1, [2, 1]), (0, [1, 0]), (9, [3, 1])])
def test_windows_of_taslm_are_sums_of_their_words(scorer, window, shared):
    found = WindowScorer(scorer, window)(["x", "y"], ITEMS, shared)
    for row, fields, first in zip(found, ITEMS, shared):
        count = len(fields["codes"])
        last = min(first + window, count) if window else count
        ids, text, speech = alone(scorer, fields)
        inside = torch.from_numpy((ids >= first) & (ids < last))
        here = [float(text[:-1][inside].sum()), float(speech[first:last].sum())]
        rest = " ".join(fields["text"].split()[first:])
        ids, text, speech = alone(
            scorer, {"text": rest, "codes": fields["codes"][first:]}
        )
        inside = torch.from_numpy(ids < last - first)
        there = [float(text[:-1][inside].sum()), float(speech[: last - first].sum())]
        for key, a, b in zip(("text", "speech"), here, there):
            assert row[f"{key}_local"] == pytest.approx(a, rel=1e-4)
            assert row[f"{key}_normalised"] == pytest.approx(a - b, rel=1e-3, abs=1e-4)
        assert row["both_local"] == pytest.approx(sum(here), rel=1e-4)


def test_a_negative_window_is_refused(scorer):
    with pytest.raises(ValueError, match="window: expected words, 0 for all"):
        WindowScorer(scorer, -1)


@given(st.integers(1, 6), st.integers(0, 5), st.integers(0, 99))
def test_the_rest_of_an_utterance_begins_where_its_word_does(words, count, seed):
    count = min(count, words - 1)
    rng = np.random.default_rng(seed)
    cuts = np.sort(rng.uniform(0, words * 0.4, 2 * words)).reshape(-1, 2)
    frames = int(words * 0.4 * 25)
    units = tuple((n,) for n in range(frames))
    whole = Utterance(
        words=tuple((n,) for n in range(words)),
        units=units,
        word_times=tuple(map(tuple, cuts.tolist())),
    )
    rest = whole.rest(count)
    assert rest.words == whole.words[count:]
    assert rest.units == units[len(units) - len(rest.units) :]
    if count:
        start = (len(units) - len(rest.units)) / 25
        assert abs(start - cuts[count, 0]) <= 0.5 / 25 + 1e-9
        for (a, b), (c, d) in zip(rest.word_times, cuts[count:].tolist()):
            assert a == pytest.approx(max(c - start, 0)) and b == pytest.approx(
                d - start
            )
