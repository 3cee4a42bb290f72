"""Whisper as recognizer: prefix, vocabulary, transcripts, times, encoder, training."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from espnet2_taste.align.whisper_aligner import (
    is_loop,
    relative_probability,
    share_words,
    token_begins,
)
from espnet2_taste.recognizers.choices import load_recognizer
from espnet2_taste.text.tokenizers import load_token_dir
from espnet2_taste.text.training import write_directory

WORDS = ["the", "red", "dog"]


def noise(seconds, seed=0):
    generator = np.random.default_rng(seed)
    return 0.1 * generator.standard_normal(int(16000 * seconds)).astype(np.float32)


def ids(tokenizer, *names):
    return [tokenizer.tokenizer.convert_tokens_to_ids(name) for name in names]


@pytest.mark.parametrize(
    "multilingual, conf, middle",
    [
        (False, {}, []),
        (True, {}, ["<|en|>", "<|transcribe|>"]),
        (True, {"language": "de", "task": "translate"}, ["<|de|>", "<|translate|>"]),
    ],
)
def test_the_prefix_is_that_of_model_language_and_task(
    whisper_dirs, tmp_path, multilingual, conf, middle
):
    recognizer = load_recognizer(str(whisper_dirs[multilingual]), conf)
    tokenizer = recognizer.tokenizer()
    names = ["<|startoftranscript|>", *middle, "<|notimestamps|>"]
    assert tokenizer.decoder_prefix() == ids(tokenizer, *names)
    write_directory(tmp_path / "tokens", recognizer.write_vocabulary)
    saved = load_token_dir(tmp_path / "tokens")  # what stage 7 trains with
    assert saved.decoder_prefix() == tokenizer.decoder_prefix()
    assert saved.encode_word("dog") == tokenizer.encode_word("dog")
    assert saved.decode(saved.encode_word("Dogs!")) == "Dogs!"


def test_a_token_is_compared_with_the_likeliest_one():
    probabilities = torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.3, 0.5]])
    found = relative_probability(7 + probabilities.log(), np.array([1, 2]))
    assert found == pytest.approx([0.5, 1.0])


@pytest.mark.parametrize("multilingual", [False, True])
def test_recordings_of_any_length_are_transcribed_and_timed(whisper_dirs, multilingual):
    aligner = load_recognizer(str(whisper_dirs[multilingual])).aligner(window=2.0)
    speech = [noise(1.3), noise(5.0, seed=1), noise(0.0)]
    words = [WORDS, WORDS * 4, WORDS]
    found = aligner.align(speech, words)
    assert len(found) == 3 and found[2].problem == "the recording is empty"
    for item, said, seconds in zip(found[:2], words, (1.3, 5.0)):
        assert item.problem == ""
        assert [timing.word for timing in item.words] == said
        assert len(item.word_scores) == len(said)
        assert 0 <= min(item.word_scores) <= item.score <= 1
        starts = [timing.start for timing in item.words]
        assert starts == sorted(starts) and item.words[-1].end <= seconds + 1e-6
    (alone,) = aligner.time_words(speech[:1], words[:1])
    assert alone.words == found[0].words and alone.recognized == ()
    assert aligner.transcribe(speech[:1])[0] == found[0].recognized


def test_repeated_phrases_are_written_again_and_labels_left_out(
    whisper_dirs, monkeypatch
):
    aligner = load_recognizer(str(whisper_dirs[False])).aligner()
    loop, written = "as the tide " * 30, aligner._written
    assert is_loop(loop) and not is_loop("no, no, no") and not is_loop("")
    options_seen = []

    def written_of(states, **options):
        options_seen.append((len(states), options))
        assert len(written(states, **options)) == len(states)  # the model takes them
        return ["as the tide"] if options else ["[Music]", loop, "the (sighs) dog"]

    monkeypatch.setattr(aligner, "_written", written_of)
    found = aligner.transcribe([noise(1.0, seed) for seed in range(3)])
    assert found == [(), ("as", "the", "tide"), ("the", "dog")]
    assert options_seen == [(3, {}), (1, {"no_repeat_ngram_size": 3})]


def test_words_that_do_not_fit_are_a_problem(whisper_dirs):
    aligner = load_recognizer(str(whisper_dirs[False])).aligner()
    long, short, none = aligner.time_words(
        [noise(2.0), noise(0.04), noise(1.0)], [WORDS * 40, WORDS, []]
    )
    assert "64 positions" in long.problem and long.words == ()
    assert "there are 2 frames" in short.problem
    assert "no words" in none.problem


def slow_begins(scores):
    """First frames of the tokens on each of the best monotonic paths."""
    totals = []
    tokens, frames = scores.shape

    def extend(path, total):
        token, frame = path[-1]
        if (token, frame) == (tokens - 1, frames - 1):
            totals.append((total, path))
        for step in ((1, 1), (1, 0), (0, 1)):
            place = token + step[0], frame + step[1]
            if place[0] < tokens and place[1] < frames:
                extend([*path, place], total + scores[place])

    extend([(0, 0)], scores[0, 0])
    best = max(total for total, _ in totals)
    return [
        [min(f for t, f in path if t == token) for token in range(tokens)]
        for total, path in totals
        if total > best - 1e-9
    ]


@settings(max_examples=30, deadline=None)
@example(4, 5, 5)  # two best paths
@given(st.integers(2, 4), st.integers(2, 5), st.integers(0, 1000))
def test_begins_are_those_of_the_best_path(tokens, frames, seed):
    from scipy.ndimage import median_filter

    attention = np.random.default_rng(seed).random((2, tokens, frames))
    scaled = attention - attention.mean(axis=1, keepdims=True)
    scaled /= attention.std(axis=1, keepdims=True) + 1e-9
    scores = median_filter(scaled, size=(1, 1, 7)).mean(axis=0)
    assert token_begins(attention).tolist() in slow_begins(scores)


@given(
    st.lists(st.lists(st.sampled_from("abcd"), max_size=5), min_size=1, max_size=4),
    st.lists(st.sampled_from("abcd"), max_size=12),
)
def test_every_word_belongs_to_one_piece(transcripts, words):
    parts = share_words(words, transcripts)
    assert len(parts) == len(transcripts)
    assert [index for part in parts for index in part] == list(range(len(words)))
    said = [word for piece in transcripts for word in piece]
    if said == words:
        assert [len(part) for part in parts] == [len(piece) for piece in transcripts]


def test_frames_of_a_layer_end_with_the_utterance(whisper_dirs):
    encoder = load_recognizer(str(whisper_dirs[False])).frame_encoder(1)
    states, _, lengths = encoder.layer_states(
        torch.randn(1, 16000), torch.tensor([16000]), [1]
    )
    assert states[0].shape == (1, 50, 16) and lengths.tolist() == [50]
    with pytest.raises(ValueError, match="layer 3 asked of a speech encoder with 2"):
        load_recognizer(str(whisper_dirs[False])).frame_encoder(3)


def test_a_language_the_model_does_not_know_is_named(whisper_dirs):
    tokenizer = load_recognizer(str(whisper_dirs[True]), {"language": "xx"}).tokenizer()
    with pytest.raises(ValueError, match=r"has no token <\|xx\|>: give .*language=de"):
        tokenizer.decoder_prefix()
