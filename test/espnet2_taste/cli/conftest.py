"""Recordings, their tokens, and the command with a packed model."""

import numpy as np
import pytest
import soundfile

from espnet2_taste.cli.main import main


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    root = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(0)
    for name, seconds in (("slow", 2.0), ("fast", 1.2), ("other", 1.5)):
        wave = 0.1 * rng.standard_normal(int(16000 * seconds))
        soundfile.write(root / f"{name}.wav", wave, 16000)
    soundfile.write(root / "empty.wav", np.zeros(0), 16000)
    names = ("slow", "fast", "other", "empty")
    lines = [f"{name} {root / name}.wav\n" for name in names]
    (root / "wav.scp").write_text("".join(lines))
    texts = ["the red dog", "the red dog", "a small bird", "dog"]
    lines = [f"{name} {text}\n" for name, text in zip(names, texts)]
    (root / "text").write_text("".join(lines))
    return root


@pytest.fixture(scope="module")
def tokens(run, recordings, tmp_path_factory):
    """A list, tokenized in parts of two utterances."""
    root = tmp_path_factory.mktemp("tokens")
    source = ["--wav_scp", recordings / "wav.scp", "--text_file", recordings / "text"]
    run("tokenize", root / "out", *source, "--part_size", 2)
    return root / "out"


@pytest.fixture(scope="module")
def run(packed_models):
    """``run("tokenize", output, "--wav", ...)`` with a packed model."""

    def command(name, output, *options, model="taste.zip"):
        given = ["--model", packed_models[0] / model, "--output", output, *options]
        given += ["--cache_dir", output.parent / "cache"]
        main([name, *map(str, given)])

    return command
