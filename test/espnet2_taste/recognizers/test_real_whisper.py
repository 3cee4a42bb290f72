"""A trained Whisper on real speech, where both are given: WER and word times."""

import os
from pathlib import Path

import numpy as np
import pytest

from espnet2_taste.align.sets import align_set
from espnet2_taste.data.audio import load_speech
from espnet2_taste.data.ctm import read_ctm
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.inference.inputs import DOUBTFUL
from espnet2_taste.recognizers.choices import load_recognizer

MODELS, SPEECH = (os.environ.get(name) for name in ("TASTE_MODELS", "TASTE_REALSPEECH"))
COUNT = int(os.environ.get("TASTE_REAL_UTTERANCES", "6"))


needs_real_speech = pytest.mark.skipif(
    not (MODELS and SPEECH),
    reason="TASTE_MODELS and TASTE_REALSPEECH name no trained models and real speech",
)


@needs_real_speech
def test_real_speech_is_recognized_and_timed():
    folder = Path(SPEECH) / "data/mini_real_test"
    truth = {n: w for n, w in sorted(read_ctm(folder / "ctm").items())[:COUNT]}
    texts = {name: " ".join(w.word for w in words) for name, words in truth.items()}
    rows = (line.split() for line in (folder / "wav.scp").read_text().splitlines())
    wavs = {name: f"{SPEECH}/{path}" for name, path in rows if name in truth}
    aligner = load_recognizer(f"{MODELS}/whisper-tiny.en").aligner()
    found = align_set(aligner, wavs, texts, batch_size=4)
    assert not found.problems
    errors = found.errors(texts)
    pairs = [pair for n in truth for pair in zip(found.timings[n], truth[n])]
    late = np.array([got.start - want.start for got, want in pairs])
    shares = [float((abs(late) <= limit).mean()) for limit in (0.05, 0.1, 0.2)]
    print(
        f"{len(truth)} utterances, {len(late)} words: WER {100 * errors.rate:.1f} %, "
        f"begins late by {np.median(late):.3f} s, |difference| "
        f"{np.median(abs(late)):.3f} s in the median, within 50, 100, 200 ms: {shares}"
    )
    assert errors.rate < 0.15
    assert abs(np.median(late)) < 0.05 and np.median(abs(late)) < 0.1
    assert shares[1] > 0.6 and shares[2] > 0.85


@needs_real_speech
def test_texts_and_words_that_were_not_said_are_found():
    folder = Path(SPEECH) / "data/mini_real_test"
    names = sorted(read_table(folder / "wav.scp"))[:COUNT]
    texts = read_table(folder / "text_norm")
    wavs = read_table(folder / "wav.scp")
    aligner = load_recognizer(f"{MODELS}/whisper-tiny.en").aligner()
    waves = [load_speech(f"{SPEECH}/{wavs[name]}", 16000) for name in names]
    own = [texts[name].split() for name in names]
    wrong = [["elephant" if n == 3 else w for n, w in enumerate(row)] for row in own]
    noise = [0.1 * np.random.default_rng(0).standard_normal(48000).astype("float32")]
    right = aligner.time_words(waves, own)
    changed = aligner.time_words(waves, wrong)
    others = aligner.time_words(waves, own[1:] + own[:1])
    others += aligner.time_words(noise, own[:1])
    scores = [[item.score for item in items] for items in (right, changed, others)]
    print("scores of right texts, of one wrong word, of other texts and noise:", scores)
    assert max(scores[2]) < DOUBTFUL < min(scores[0])
    assert sum(len(item.doubtful) for item in right) <= 1
    found = sum(3 in item.doubtful for item in changed)
    assert found >= len(names) - 1
