"""TasteTokenizer and SpokenLM: text or none, times, long audio, streams, edits."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from espnet2_taste.inference.results import StreamedWord, joined_pieces
from espnet2_taste.slm.prompt_specs import SpokenPrompt
from espnet2_taste.structures import WordCodes, WordTiming

TEXTS = ["the red dog", "a small bird runs home"]


def noise(samples, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(samples).astype("float32")


@pytest.fixture(scope="module")
def lm(packed_models, tmp_path_factory):
    from espnet2_taste.inference import SpokenLM, UnitSampling

    return SpokenLM.from_pretrained(
        packed_models[0] / "taslm.zip",
        tmp_path_factory.mktemp("cache"),
        sampling=UnitSampling(max_unit_ratio=3.0),
        max_words=4,
    )


@pytest.fixture(scope="module")
def tokenizer(lm):
    return lm.tokenizer


def test_names_are_imported_lazily():
    code = (
        "import sys, espnet2_taste, espnet2_taste.inference as i; "
        "assert 'TasteTokenizer' in i.__all__; "
        "assert not {'torch', 'transformers', 'espnet2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_speech_and_text_give_words_codes_and_times(tokenizer):
    speech = [noise(16000), noise(24000, 1)]
    items = tokenizer.encode_batch(speech, TEXTS)
    for item, text, wave in zip(items, TEXTS, speech):
        assert item.text == text and item.codes.dtype == np.int64
        assert item.codes.shape == (len(item.words), 2)
        assert [timing.word for timing in item.timings] == list(item.words)
        ends = [timing.end for timing in item.timings]
        assert ends == sorted(ends) and ends[-1] <= len(wave) / 16000 + 1e-6
        assert 0 <= item.alignment <= 1
    alone = tokenizer(speech[1], TEXTS[1])
    assert alone.alignment == pytest.approx(items[1].alignment, rel=1e-4)
    np.testing.assert_array_equal(alone.codes, items[1].codes)
    assert tokenizer.encode_batch(speech, TEXTS, timings=False)[0].timings == ()


def test_speech_alone_is_recognised(tokenizer):
    speech = noise(24000, 1)
    (text,) = tokenizer.transcribe([speech])
    assert text
    found, given = tokenizer(speech), tokenizer(speech, text)
    assert found.text == text
    np.testing.assert_array_equal(found.codes, given.codes)


@pytest.mark.parametrize("limit, logged", [(0.0, False), (1.01, True)])
def test_noise_that_was_read_as_words_is_logged(
    tokenizer, monkeypatch, caplog, limit, logged
):
    monkeypatch.setattr(tokenizer.aligner, "doubtful_recognized", limit)
    tokenizer(noise(24000, 1))
    assert ("it may hold no speech" in caplog.text) == logged


def test_a_tokenizer_that_times_words_gives_its_own_times(tokenizer, monkeypatch):
    speech, text = noise(24000, 1), "a small bird"
    model = tokenizer.encoder.model.tokenizer
    spans = torch.tensor([[[0.1, 0.3], [0.0, 0.0], [0.5, 0.6]]])
    monkeypatch.setattr(model, "word_timer", lambda *batch: spans)
    before = [t.start for t in tokenizer.time_words([speech], [text])[0]]
    found = tokenizer(speech, text)
    starts = [timing.start for timing in found.timings]
    assert starts == pytest.approx([0.1, before[1], 0.5])
    assert found.timings[2].duration == pytest.approx(0.1)
    assert tokenizer.encode_batch([speech], [text], timings=False)[0].timings == ()


def test_long_audio_loses_no_word(tokenizer):
    words = " ".join(TEXTS * 4)
    speech = noise(16000 * 8, 2)
    whole = tokenizer(speech, words)
    tokenizer.window = tokenizer.aligner.window = 3.0
    try:
        found = tokenizer(speech, words)
    finally:
        tokenizer.window = tokenizer.aligner.window = 30.0
    assert found.words == whole.words and found.codes.shape == whole.codes.shape
    assert [timing.word for timing in found.timings] == list(found.words)


def test_without_an_asr_model_the_remedy_is_named(packed_models, tmp_path):
    import yaml

    from espnet2_taste.inference import TasteTokenizer
    from espnet2_taste.inference.packages import pretrained_files

    files = pretrained_files(packed_models[0] / "taste.zip", tmp_path)
    tokenizer = TasteTokenizer(files["taste_train_config"], files["taste_model_file"])
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"speech_encoder": "frontend"}))
    tokenizer._place = (config, None, "cpu")
    with pytest.raises(
        RuntimeError, match="pack one, or, in Python, give texts and timings"
    ):
        tokenizer(noise(16000))
    assert tokenizer.encode_batch([noise(16000)], ["dog"], timings=False)[0].codes.size


def test_speech_comes_with_the_times_of_its_words(tokenizer):
    items = tokenizer.encode_batch([noise(16000), noise(24000, 1)], TEXTS)
    voices = np.stack([tokenizer.embed_speaker(noise(16000))] * 2)
    both = tokenizer.decode_batch(items, voices)
    for item, spoken, name in zip(items, both, "01"):
        assert tuple(timing.word for timing in spoken.timings) == item.words
        starts = [timing.start for timing in spoken.timings]
        assert starts == sorted(starts)
        seconds = len(spoken.wave) / spoken.sample_rate
        assert abs(len(spoken.units) / 25 - seconds) < 0.1
        assert spoken.timings[-1].end <= len(spoken.units) / 25 + 1e-6
        alone = tokenizer.decode(item, voices[0], name)
        assert alone.timings == spoken.timings


def test_words_are_said_when_it_is_asked_for(tokenizer):
    items = tokenizer.encode_batch([noise(16000), noise(24000, 1)], TEXTS)
    voices = np.stack([tokenizer.embed_speaker(noise(16000))] * 2)
    wanted = [
        [WordTiming(word, 0.4 * place, 0.2) for place, word in enumerate(item.words)]
        for item in items
    ]
    for given, spoken in zip(
        wanted, tokenizer.decode_batch(items, voices, None, wanted)
    ):
        assert [t.word for t in given] == [t.word for t in spoken.timings]
        starts = [[t.start for t in row] for row in (given, spoken.timings)]
        np.testing.assert_allclose(*starts, atol=0.5 / 25 + 1e-6)
    one = tokenizer.decode(items[1], voices[1], "1", wanted[1])
    assert one.timings == spoken.timings
    with pytest.raises(ValueError, match="'0': 3 words with 5 times"):
        tokenizer.decode(items[0], voices[0], timings=wanted[1])
    fast = tokenizer.with_sampling(tempo=8.0).decode(items[1], voices[1], "1")
    usual = tokenizer.decode(items[1], voices[1], "1")
    assert len(fast.units) < len(usual.units) / 2 and tokenizer.sampling.tempo == 1


def test_edited_words_are_spoken(tokenizer):
    items = tokenizer.encode_batch([noise(16000), noise(16000, 3)], [TEXTS[0]] * 2)
    mixed, _ = tokenizer.swap(*items, [1])
    np.testing.assert_array_equal(mixed.codes[1], items[1].codes[1])
    copied = tokenizer.copy(items[0], items[1], {0: 2})
    np.testing.assert_array_equal(copied.codes[0], items[0].codes[2])
    scaled = tokenizer.scale(mixed, 0.0, [0])
    assert scaled.codes.shape == mixed.codes.shape
    voice = tokenizer.embed_speaker(noise(16000))
    assert tokenizer.decode(scaled, voice).wave.ndim == 1


def test_a_stream_says_what_the_continuation_says(lm):
    prompt = lm.tokenizer(noise(16000), TEXTS[0])
    together = lm.continue_(prompt, "utt1")
    *words, speech = lm.stream(prompt, lm.tokenizer.embed_speaker(noise(16000)), "utt1")
    assert tuple(word.word for word in words) == together.words
    np.testing.assert_array_equal([word.codes for word in words], together.codes)
    voice = lm.tokenizer.embed_speaker(noise(16000))
    again = lm.tokenizer.decode(together, voice, "utt1")
    np.testing.assert_array_equal(speech.wave, again.wave)


@pytest.mark.parametrize("exact, mixing", [(False, 0.0), (True, 0.0), (True, 0.5)])
def test_speech_that_grows_is_the_speech_of_the_whole(lm, exact, mixing):
    style = lm.tokenizer(noise(16000), TEXTS[0])
    voice = lm.tokenizer.embed_speaker(noise(16000))
    tokenizer = lm.tokenizer.with_sampling(exact_times=exact, unit_mixing=mixing)
    items = [lm.continue_(style, "utt1"), tokenizer(noise(32000, 1), TEXTS[1] * 2)]
    for item in items:
        whole = tokenizer.decode(item, voice, "utt1")
        words = map(StreamedWord, item.words, item.codes)
        pieces = list(tokenizer.stream(words, voice, "utt1"))
        check_pieces(pieces, whole)
        assert joined_pieces(pieces)[0].words == item.words
    assert len(pieces) > 2
    places = [timing.end * 25 for timing in whole.timings]  # in units
    assert np.allclose(places, np.round(places), atol=1e-3) != exact


def test_mixed_units_are_spoken_and_the_chosen_ones_reported(tokenizer):
    items = tokenizer.encode_batch([noise(16000), noise(24000, 1)], TEXTS)
    voices = np.stack([tokenizer.embed_speaker(noise(16000))] * 2)
    tokenizer = tokenizer.with_sampling(temperature=0.0, tempo=8.0)  # likeliest units
    usual = tokenizer.decode_batch(items, voices)
    cold, mixed = (
        tokenizer.with_sampling(unit_mixing=mixing).decode_batch(items, voices)
        for mixing in (1e-6, 1.0)
    )
    for row, name in enumerate("01"):
        for other in (cold, mixed):
            np.testing.assert_array_equal(other[row].units, usual[row].units)
            assert other[row].wave.shape == usual[row].wave.shape
        np.testing.assert_allclose(cold[row].wave, usual[row].wave, atol=1e-4)
        change = np.square(mixed[row].wave - usual[row].wave).sum()
        assert change > 1e-2 * np.square(usual[row].wave).sum()
        alone = tokenizer.with_sampling(unit_mixing=1.0)
        alone = alone.decode(items[row], voices[row], name)
        error = np.square(alone.wave - mixed[row].wave).sum()
        assert error < 1e-3 * np.square(alone.wave).sum()
    with pytest.raises(ValueError, match="unit_mixing >= 0"):
        tokenizer.with_sampling(unit_mixing=-1.0)


def test_speech_of_a_continuation_that_grows_is_that_of_the_whole(lm):
    style = lm.tokenizer(noise(16000), TEXTS[0])
    voice = lm.tokenizer.embed_speaker(noise(16000))
    whole = lm.tokenizer.decode(lm.continue_(style, "utt1"), voice, "utt1")
    check_pieces(list(lm.stream_speech(style, voice, "utt1")), whole)


def check_pieces(pieces, whole):
    units = np.concatenate([piece.units for piece in pieces])
    np.testing.assert_array_equal(units, whole.units)
    timings = sum((piece.timings for piece in pieces), ())
    assert [t.word for t in timings] == [t.word for t in whole.timings]
    np.testing.assert_allclose(
        [(t.start, t.duration) for t in timings],
        [(t.start, t.duration) for t in whole.timings],
        atol=1e-5,
    )
    wave = np.concatenate([piece.wave for piece in pieces])
    assert wave.shape == whole.wave.shape and wave.dtype == whole.wave.dtype
    error = np.square(wave - whole.wave).sum()
    assert error < 1e-4 * np.square(whole.wave).sum()
    assert all(piece.sample_rate == whole.sample_rate for piece in pieces)


def test_words_are_taken_one_by_one_and_checked(lm):
    voice, rng = np.ones(4, dtype=np.float32), np.random.default_rng(0)
    taken = []

    def words(last):
        for word in [*TEXTS[1].split() * 4]:
            taken.append(word)
            yield StreamedWord(word, rng.integers(0, 2, 2))
        yield last

    stream = lm.tokenizer.stream(words(StreamedWord("dog", np.array([-1, 0]))), voice)
    first = next(stream)
    assert len(first.units) or first.timings
    assert len(taken) < 20
    with pytest.raises(ValueError, match="'0': expected codes of shape"):
        list(stream)
    assert list(lm.tokenizer.stream([], voice)) == []
    with pytest.raises(ValueError, match="'u': expected speaker embeddings"):
        next(lm.tokenizer.stream([], voice[:3], "u"))


def test_said_words_have_codes_and_times(lm):
    style = lm.tokenizer(noise(16000), TEXTS[0])
    voices = np.stack([lm.tokenizer.embed_speaker(noise(16000))] * 3)
    texts = ["The red dog!", "a small bird runs home", "the red dog runs"]
    said = lm.say_batch(texts, voices, [None, style, style], ["a", "b", "c"])
    for words, (tokens, speech) in zip([3, 5, 4], said):
        assert tokens.codes.shape == (words, 2) and tokens.model == lm.digest
        assert tuple(timing.word for timing in speech.timings) == tokens.words
        assert len(speech.units) >= words
    assert said[0][0].text == "the red dog"
    alone, speech = lm.say(texts[1], voices[0], style, "b")
    np.testing.assert_array_equal(alone.codes, said[1][0].codes)
    np.testing.assert_array_equal(speech.units, said[1][1].units)
    plain, _ = lm.say(texts[1], voices[0], name="b")
    assert not np.array_equal(plain.codes, alone.codes)


def test_a_continuation_that_is_given_again_has_the_same_codes(lm):
    style = lm.tokenizer(noise(16000), TEXTS[0])
    names, voice = [f"utt{n}" for n in range(40)], np.ones(4, dtype=np.float32)
    begun = [SpokenPrompt(style)] * len(names)
    free = lm.continuer.continuations(names, begun)
    texts = [lm.continuer.words(item).text for item in free]
    encode = lm.continuer.tokenizer.encode_word
    tokens = [sum(map(encode, text.split()), []) for text in texts]
    said = lm.continuer.say(names, begun, texts)
    same = [n for n in range(40) if tokens[n] == free[n].text.tolist()]
    assert same  # the others write a word with other tokens than training has
    for n in same:
        np.testing.assert_array_equal(said[n].codes, free[n].codes.numpy())
    with pytest.raises(ValueError, match="'u': expected speaker embeddings"):
        lm.say(TEXTS[0], voice[:3], style, "u")


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "'u': no word in ''"),
        (" -- ?", "'u': no word in '-- \\?'"),
        ("dog \u8a9e", "'u': the model's vocabulary cannot write '\u8a9e'"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(lm, text, message):
    with pytest.raises(ValueError, match=message):
        lm.say(text, np.ones(4, dtype=np.float32), name="u")


def test_nothing_is_said_without_taste(lm):
    from espnet2_taste.inference import SpokenLM

    bare, voice = SpokenLM(lm._place[0]), np.ones(4, dtype=np.float32)
    with pytest.raises(RuntimeError, match="give taste_train_config"):
        bare.say("dog", voice)
    with pytest.raises(RuntimeError, match="give taste_train_config"):
        next(bare.stream_speech(WordCodes(("dog",), np.zeros((1, 2))), voice))


def test_scores_are_those_of_the_batch(lm):
    items = lm.tokenizer.encode_batch([noise(16000), noise(24000, 1)], TEXTS)
    both = lm.score_batch(items)
    assert both[1].both == pytest.approx(lm.score(items[1]).both, rel=1e-5)
    assert both[0].both == pytest.approx(both[0].text + both[0].speech, rel=1e-5)
    assert both[0].speech_unit == "minus training loss"
    nats = both[0].text + both[0].speech_nats
    assert both[0].both_nats == pytest.approx(nats) and nats != both[0].both


def test_words_and_codes_must_agree(lm):
    wrong = WordCodes(("a", "b"), np.zeros((3, 2), dtype=np.int64))
    for call in (lm.continue_, lm.score, lambda x: lm.tokenizer.decode(x, np.ones(4))):
        with pytest.raises(ValueError, match="'0': 2 words with 3 rows"):
            call(wrong)
