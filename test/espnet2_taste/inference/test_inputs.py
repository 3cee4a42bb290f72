"""What users give: accepted forms, and what is refused by name."""

import numpy as np
import pytest
import soundfile
import torch

from espnet2_taste.align.abs_aligner import AlignedUtterance
from espnet2_taste.data.audio import load_speech
from espnet2_taste.inference import inputs
from espnet2_taste.inference.results import SpeechTokens
from espnet2_taste.structures import WordCodes, WordTiming
from espnet2_taste.text.preparation import TextRules
from espnet2_taste.text.token_list_tokenizers import CharacterTokenizer
from espnet2_taste.tokenizer.quantizers.rvq import ResidualQuantizer

WAVE = 0.1 * np.random.default_rng(0).standard_normal(8000)
LETTERS = ["<blank>", "<unk>", "<space>", *"abcdefghijklmnopqrstuvwxyz'", "<sos/eos>"]


@pytest.fixture(scope="module")
def quantizer():
    torch.manual_seed(0)
    return ResidualQuantizer(dim=8, num_codebooks=2, codebook_size=4, latent_size=4)


def test_files_arrays_and_arrays_with_a_rate(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, WAVE, 8000)
    expected = load_speech(path, 16000)
    for given in (path, str(path)):
        np.testing.assert_array_equal(inputs.waveform("a", given, 16000), expected)
    found = inputs.waveform("a", (soundfile.read(path)[0], 8000), 16000)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    same = inputs.waveform("a", WAVE, 16000)
    assert same.dtype == np.float32 and len(same) == len(WAVE)


@pytest.mark.parametrize(
    "speech, message",
    [
        ((WAVE * 32768).astype(np.int16), "int16 of shape .* divide int16 by 32768"),
        (WAVE * 32768, "peak .*; divide"),
        (np.stack([WAVE, WAVE]), "mono .* mix channels down"),
        (np.zeros(0), "drop empty"),
        (np.zeros(100), "peak 0"),
        (np.full(100, 1e-6), "silent"),
        (np.full(100, np.nan), "finite floats"),
        ((WAVE, 0), "rate 0"),
        ((WAVE, 22050.5), "rate 22050.5"),
        ("gone.wav", "gone.wav: the audio file is missing"),
    ],
)
def test_what_is_no_recording_is_refused_by_name(speech, message):
    with pytest.raises(ValueError, match=f"utterance 'u7': .*{message}"):
        inputs.waveform("u7", speech, 16000)


def test_raw_text_is_normalised_as_in_training():
    tokenizer = CharacterTokenizer(LETTERS)
    text = inputs.normal_text("a", "The RED dog -- it's here.", TextRules(), tokenizer)
    assert text == "the red dog it's here"
    with pytest.raises(ValueError, match="'a': .* cannot write '25' .* in words"):
        inputs.normal_text("a", "The red dog, 25 cats.", TextRules(), tokenizer)
    with pytest.raises(ValueError, match="'a': no word in '--'"):
        inputs.normal_text("a", "--", TextRules(), tokenizer)


def test_generated_words_that_cannot_be_written_are_logged(caplog):
    inputs.warn_of_unknown("a", ["dog", "25"], CharacterTokenizer(LETTERS))
    (record,) = caplog.records
    assert "utterance 'a'" in record.getMessage() and "'25'" in record.getMessage()


@pytest.mark.parametrize(
    "codes",
    [[[0, 4]], [[-1, 0]], [[0]], [[0, 1, 2]], [[0.5, 1]], [[float("nan"), 1]], [0, 1]],
)
def test_codes_that_a_model_cannot_have_made_are_refused(codes, quantizer):
    with pytest.raises(ValueError, match="'a': .*codes"):
        inputs.check_codes("a", WordCodes(("dog",), np.array(codes)), quantizer)


def test_codes_of_another_model_are_refused(quantizer):
    codes = np.array([[0, 3]])
    own = SpeechTokens(("dog",), codes, model=inputs.model_digest(quantizer))
    inputs.check_codes("a", own, quantizer)
    inputs.check_codes("a", WordCodes(("dog",), codes), quantizer)
    other = ResidualQuantizer(dim=8, num_codebooks=2, codebook_size=4, latent_size=4)
    with pytest.raises(ValueError, match="'a': these codes were made by another model"):
        inputs.check_codes("a", own, other)
    other.load_state_dict(quantizer.state_dict())
    inputs.check_codes("a", own, other)


def test_texts_of_other_speech_are_logged_or_refused(caplog):
    inputs.check_alignment("a", AlignedUtterance((), (), score=0.9), 0.8)
    inputs.check_alignment("a", AlignedUtterance((), ()), 0.8)
    assert not caplog.records
    inputs.check_alignment("a", AlignedUtterance((), (), score=0.2), 0.0)
    assert "'a': its text and speech may not belong" in caplog.records[0].getMessage()
    inputs.check_alignment("a", AlignedUtterance((), (), score=0.7), 0.0, 0.83)
    assert "it may hold no speech (alignment 0.70)" in caplog.records[1].getMessage()
    with pytest.raises(ValueError, match="'a': its alignment of 0.20 is below 0.5"):
        inputs.check_alignment("a", AlignedUtterance((), (), score=0.2), 0.5)
    with pytest.raises(ValueError, match="'a': too short; check"):
        inputs.check_alignment("a", AlignedUtterance((), (), "too short"), 0.0)


def test_words_that_were_not_said_are_named(caplog):
    words = [WordTiming(word, 0.0, 1.0) for word in ("the", "red", "dog")]
    scores, word_ids = np.array([0.9, 0.8, 0.01, 0.7]), np.array([0, 1, 1, 2])
    item = AlignedUtterance.scored(words, scores, word_ids, 0.02)
    assert item.score == pytest.approx(0.6025)
    assert item.word_scores == (0.9, 0.01, 0.7) and item.doubtful == (1,)
    inputs.check_alignment("a", item, 0.0)
    (record,) = caplog.records
    assert "'a': these words of its text were prob" in record.getMessage()
    assert record.getMessage().endswith(": red (2)")


def test_voices_are_checked():
    good = np.ones((2, 3))
    assert inputs.check_speakers(["a", "b"], good, 3).dtype == np.float32
    with pytest.raises(ValueError, match="'a': expected speaker embeddings of shape"):
        inputs.check_speakers(["a"], good, 3)
    good[1, 0] = np.nan
    with pytest.raises(ValueError, match="'b': its speaker embedding holds NaN"):
        inputs.check_speakers(["a", "b"], good, 3)
