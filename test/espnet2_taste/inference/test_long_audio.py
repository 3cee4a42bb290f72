"""Cutting and joining: no word lost or doubled, pieces fit, cuts where it is quiet."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from espnet2_taste.align.windows import cut_at_silences, fit_frames
from espnet2_taste.inference.long_audio import (
    cut_at_words,
    embed_long,
    join_pieces,
    timed_anew,
)
from espnet2_taste.recognizers.choices import load_recognizer
from espnet2_taste.structures import WordCodes, WordTiming
from espnet2_taste.units.speaker import MelStatistics

PATIENT = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@st.composite
def timed_words(draw):
    """Words in order with gaps from nothing to long silences, and the duration."""
    pair = st.tuples(st.floats(0.0, 4.0), st.floats(0.05, 1.5))
    now, words = 0.0, []
    for index, (gap, length) in enumerate(
        draw(st.lists(pair, min_size=1, max_size=20))
    ):
        words.append(WordTiming(f"w{index}", now + gap, length))
        now += gap + length
    return words, now + draw(st.floats(0.0, 4.0))


@PATIENT
@given(timed_words(), st.floats(2.6, 12.0))
def test_every_word_is_in_one_piece_that_fits(case, window):
    words, duration = case
    pieces = cut_at_words(words, duration, window)
    covered = [index for piece in pieces for index in range(piece.first, piece.last)]
    assert covered == list(range(len(words)))
    for piece in pieces:
        assert piece.last > piece.first
        assert 0 <= piece.begin <= words[piece.first].start + 1e-9
        assert words[piece.last - 1].end - 1e-9 <= piece.end <= duration + 1e-9
        assert piece.end - piece.begin <= window + 1e-9
    for left, right in zip(pieces, pieces[1:]):
        assert left.end <= right.begin + 1e-9


@PATIENT
@given(timed_words(), st.floats(2.6, 12.0))
def test_joined_pieces_are_the_utterance(case, window):
    words, duration = case
    codes = np.arange(3 * len(words)).reshape(-1, 3)
    names = tuple(word.word for word in words)
    parts = [
        WordCodes(names[p.first : p.last], codes[p.first : p.last])
        for p in cut_at_words(words, duration, window)
    ]
    joined, joined_codes = join_pieces(parts)
    assert joined == names
    np.testing.assert_array_equal(joined_codes, codes)


@PATIENT
@given(timed_words(), st.floats(2.6, 12.0), st.data())
def test_known_times_of_pieces_take_the_place_of_those_before(case, window, data):
    words, duration = case
    pieces = cut_at_words(words, duration, window)
    known = data.draw(st.lists(st.booleans(), min_size=len(words), max_size=len(words)))
    times = [
        np.array(
            [[0.25, 0.5] if known[i] else [0.0, 0.0] for i in range(p.first, p.last)]
        )
        for p in pieces
    ]
    found = timed_anew(words, pieces, times)
    for piece in pieces:
        for index in range(piece.first, piece.last):
            wanted = words[index]
            if known[index]:
                wanted = WordTiming(wanted.word, piece.begin + 0.25, 0.25)
            assert found[index] == wanted
    assert timed_anew((), pieces, times) == ()


def test_the_widest_gap_of_the_second_half_is_cut():
    starts = [0.0, 1.0, 2.0, 3.4, 4.2, 5.2]
    words = [WordTiming(f"w{i}", start, 0.8) for i, start in enumerate(starts)]
    first, second = cut_at_words(words, 6.0, 5.1)
    assert (first.first, first.last, second.last) == (0, 3, 6)
    assert 2.8 <= first.end <= second.begin <= 3.4


def test_a_word_longer_than_the_window_is_named():
    with pytest.raises(
        ValueError, match="word 1 'b' lasts 7.0 s, more than the window"
    ):
        cut_at_words([WordTiming("a", 0, 1), WordTiming("b", 1, 7)], 8.0, 5.0)


@PATIENT
@given(st.integers(1, 60_000), st.floats(0.3, 3.0), st.integers(0, 5))
def test_quiet_cuts_cover_the_audio(samples, window, seed):
    speech = np.random.default_rng(seed).standard_normal(samples)
    pieces = cut_at_silences(speech, 8000, window)
    assert pieces[0][0] == 0 and pieces[-1][1] == samples
    assert all(a[1] == b[0] for a, b in zip(pieces, pieces[1:]))
    assert all(0 < end - begin <= window * 8000 for begin, end in pieces)


def test_cuts_are_in_the_pauses():
    rng = np.random.default_rng(0)
    speech = rng.standard_normal(16000 * 12)
    for second in (3, 8):
        speech[second * 16000 : second * 16000 + 4800] *= 1e-3
    cuts = [end for _, end in cut_at_silences(speech, 16000, 5.0)[:-1]]
    assert [round(cut / 16000, 1) for cut in cuts] == [
        pytest.approx(3.15, abs=0.11),
        pytest.approx(8.15, abs=0.11),
    ]


def test_frames_fill_the_time_of_their_piece():
    scores = torch.arange(6.0).reshape(3, 2)
    assert fit_frames(scores, 2).tolist() == [[0, 1], [2, 3]]
    assert fit_frames(scores, 4).tolist()[2:] == [[4, 5], [4, 5]]


def test_long_audio_is_scored_in_pieces_of_the_same_frames(asr_exp_builder, bpe_dir):
    exp = asr_exp_builder(bpemodel=str(bpe_dir / "bpe.model"))
    plain = load_recognizer(str(exp)).aligner()
    long = load_recognizer(str(exp)).aligner(window=2.0)
    noise = np.random.default_rng(0).standard_normal(16000 * 5).astype("float32")
    short = noise[:24000]
    torch.testing.assert_close(long.log_probs([short])[0], plain.log_probs([short])[0])
    pieces, whole = long.log_probs([noise, short]), plain.log_probs([noise, short])
    torch.testing.assert_close(pieces[1], whole[1], atol=1e-4, rtol=1e-4)
    frames = round(len(noise) / 16000 * long.scorer.frame_rate)
    assert abs(len(pieces[0]) - frames) <= 1
    words = ["the", "red", "dog"] * 4
    (found,) = long.align([noise], [words])
    assert [timing.word for timing in found.words] == words
    assert found.words[-1].end <= 5.0


class Counted(MelStatistics):
    """Knows how long the pieces were that it was given."""

    def forward(self, speech, speech_lengths):
        self.given = [*getattr(self, "given", []), speech.size(1)]
        return super().forward(speech, speech_lengths)


@pytest.mark.parametrize("seconds", [2.0, 9.0, 9.5])
def test_a_long_recording_is_embedded_in_pieces(seconds):
    noise = np.random.default_rng(0).normal(0, 0.1, int(16000 * seconds))
    wave = np.convolve(noise, np.hanning(32), "same").astype("float32")
    embedder = Counted(n_mels=20)
    found = embed_long(embedder, wave, window=3.0)
    assert found.norm().item() == pytest.approx(1.0, abs=1e-5)
    assert 16000 <= min(embedder.given) and max(embedder.given) <= 3 * 16000
    whole = embedder(torch.from_numpy(wave)[None], torch.tensor([len(wave)]))[0]
    assert torch.dot(found, whole) > (0.98 if seconds > 3 else 0.99999)
