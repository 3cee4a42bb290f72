"""Imported experiments through the classes that inference uses, from a waveform."""

import json

import numpy
import pytest
import torch

from espnet2_taste.inference.loading import load_spoken_lm, load_unit_vocoder
from espnet2_taste.inference.scorer import Scorer
from espnet2_taste.inference.taste_encoder import TasteEncoder
from espnet2_taste.reference import importing
from espnet2_taste.units.batches import SpeechBatch


@pytest.fixture(scope="module")
def texts(published):
    config = json.loads((published / "config.json").read_text(encoding="utf-8"))
    return config.get("golden", {}).get("texts", ["one two", "three four"])[:2]


def test_speech_to_codes_and_scores(imported, texts):
    encoder = TasteEncoder.from_exp(imported / importing.TASTE_EXP)
    rng = numpy.random.default_rng(0)
    waves = {
        f"utt{index}": 0.1 * rng.standard_normal(8000 + 1600 * index).astype("float32")
        for index in range(len(texts))
    }
    items = encoder(SpeechBatch.from_arrays(waves), texts)
    quantizer = encoder.model.tokenizer.quantizer
    for item, text in zip(items, texts):
        assert item.codes.shape == (len(text.split()), quantizer.num_codebooks)
        assert 0 <= item.codes.min() and item.codes.max() < quantizer.codebook_size
    exp = next(p for n in importing.TASLM_EXPS if (p := imported / n).is_dir())
    score = Scorer(*load_spoken_lm(exp))
    scores = score(list(waves), [item.fields for item in items])
    assert len(scores) == len(texts)
    assert all(numpy.isfinite(list(row.values())).all() for row in scores)


def test_units_to_wave(imported):
    vocoder = load_unit_vocoder(imported / importing.VOCODER_EXP)
    units = torch.arange(6)[None] % vocoder.num_units
    spembs = torch.nn.functional.normalize(torch.ones(1, vocoder.spembs_size))
    wave, lengths = vocoder.synthesize(units, torch.tensor([6]), spembs)
    again, _ = vocoder.synthesize(units, torch.tensor([6]), spembs)
    assert wave.shape == (1, int(lengths)) and wave.isfinite().all()
    assert torch.equal(wave, again)
