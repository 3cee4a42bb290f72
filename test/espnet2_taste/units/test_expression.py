"""Tables of pitch and style: those of all frames, or of a bounded draw from them."""

import numpy as np
import pytest
import torch
from ark_sets import pack_audio

from espnet2_taste.bin import units
from espnet2_taste.data.audio import read_audio, write_audio
from espnet2_taste.data.files import read_yaml
from espnet2_taste.data.kaldi_dir import read_table, write_table
from espnet2_taste.metrics.pitch import track_pitch
from espnet2_taste.units import kmeans
from espnet2_taste.units.expression import (
    ExpressionTables,
    relative_pitch,
    style_features,
)

RATE, COUNT = 16000, 24  # more than a part that is worth a job


@pytest.fixture
def dump(tmp_path):
    """A set of gliding tones with pauses, each with a level of its own."""
    folder, wavs = tmp_path / "train", {}
    folder.mkdir()
    for number in range(COUNT):
        rng = np.random.default_rng(number)
        times = np.arange(int(RATE * rng.uniform(0.6, 1.6))) / RATE
        f0 = rng.uniform(90, 250) * (1 + 0.3 * np.sin(2 * np.pi * times))
        phase = 2 * np.pi * np.cumsum(f0) / RATE
        tone = sum(np.sin(k * phase) / k for k in (1, 2, 3))
        tone *= rng.uniform(0.05, 0.3) * (np.sin(9 * times) > -0.7)
        wavs[f"u{number:02d}"] = str(folder / f"u{number:02d}.wav")
        write_audio(wavs[f"u{number:02d}"], tone, RATE)
    write_table(folder / "wav.scp", wavs)
    write_table(folder / "ctm", {name: "1 0 0.3 word" for name in wavs})
    write_table(folder / "text", dict.fromkeys(wavs, "word"))
    return tmp_path


def fit_all(paths, num_pitch, num_style):
    """The tables of all frames, held at once: the obvious way."""
    pitch, style = [], []
    for path in paths:
        speech, rate = read_audio(path)
        f0 = track_pitch(speech, rate)
        pitch.append(relative_pitch(f0))
        style.append(style_features(speech, rate, f0))
    voiced = np.concatenate(pitch)
    voiced = torch.tensor(voiced[~np.isnan(voiced)], dtype=torch.float32)[:, None]
    features = torch.tensor(np.concatenate(style), dtype=torch.float32)
    mean, deviation = features.mean(0), features.std(0).clamp(min=1e-3)
    standard = (features - mean) / deviation
    centroids = kmeans.fit_kmeans(voiced, num_pitch - 1)
    return centroids, kmeans.fit_kmeans(standard, num_style), mean, deviation


def test_a_small_set_gives_the_tables_of_all_its_frames(dump):
    paths = list(read_table(dump / "train" / "wav.scp").values())
    tables = ExpressionTables.fit(paths, 5, 3)
    found = (tables.pitch, tables.style, tables.mean, tables.deviation)
    for tensor, expected in zip(found, fit_all(paths, 5, 3)):
        assert torch.equal(tensor, expected)


def test_a_draw_of_a_large_set_gives_similar_tables(dump):
    paths = list(read_table(dump / "train" / "wav.scp").values())
    whole = ExpressionTables.fit(paths, 4, 2).pitch.sort(dim=0).values
    part = ExpressionTables.fit(paths, 4, 2, max_frames=100).pitch.sort(dim=0).values
    assert not torch.equal(part, whole)
    assert (part - whole).abs().max() < 0.1  # log F0, between -0.4 and 0.3


def test_no_more_frames_are_held_than_asked_for(dump, monkeypatch):
    learned = []

    def fit_kmeans(frames, *options):
        learned.append(len(frames))
        return frames[: options[0]]

    monkeypatch.setattr("espnet2_taste.units.expression.fit_kmeans", fit_kmeans)
    paths = list(read_table(dump / "train" / "wav.scp").values())
    ExpressionTables.fit(paths, 4, 2, max_frames=20)
    assert learned == [20, 20]


def test_silence_has_no_pitch_to_learn(dump):
    write_audio(dump / "noise.wav", 1e-3 * np.random.default_rng(0).random(RATE), RATE)
    with pytest.raises(ValueError, match="none of its speech is voiced"):
        ExpressionTables.fit([dump / "noise.wav"], 4, 2)


def run(dump, name, *options):
    options += ("--dump_dir", str(dump), "--sets", "train")
    units.main([name, *options])


def fit(dump, *options):
    options += ("--num_pitch", "5", "--num_style", "3")
    run(dump, "expression", "--output_dir", str(dump / "tables"), *options)


def test_tokens_in_jobs_are_those_of_one_process(dump):
    from espnet2_taste.bin import data

    fit(dump)
    pack_audio(dump / "train")
    tables = ("--tables", str(dump / "tables"))
    parts = dump / "parts"
    split = ["--dump_dir", str(dump), "--sets", "train", "--tables", "wav.scp"]
    data.main(["split", *split, "--parts_dir", str(parts), "--nj", "2"])
    lists = [f"@{path}" for path in sorted(parts.glob("*.sets"))]
    assert len(list(parts.glob("0*/train"))) == 2
    for names in lists:
        units.main(["tokens", "--dump_dir", str(parts), "--sets", names, *tables])
    run(dump, "tokens", *tables, "--parts_dir", str(parts))
    names = ("pitch_tokens", "style_tokens")
    joined = [read_table(dump / "train" / name) for name in names]
    for path in (dump / "train").glob("*_tokens*"):
        path.unlink()
    run(dump, "tokens", *tables)
    assert [read_table(dump / "train" / name) for name in names] == joined
    assert list(joined[0]) == [f"u{number:02d}" for number in range(COUNT)]


def test_what_is_done_is_kept_until_the_tables_are_newer(dump, capsys):
    tables = ("--tables", str(dump / "tables"))
    with pytest.raises(SystemExit, match="run units expression"):
        run(dump, "tokens", *tables)
    fit(dump)
    run(dump, "tokens", *tables)
    capsys.readouterr()
    fit(dump)
    run(dump, "tokens", *tables)
    shown = capsys.readouterr().out
    assert "tables of pitch" not in shown and "all sets are done" in shown
    fit(dump, "--max_utterances", "9", "--seed", "1")
    assert read_yaml(dump / "tables" / "config.yaml")["max_utterances"] == 9
    run(dump, "tokens", *tables)
    shown = capsys.readouterr().out
    assert "tables of pitch" in shown and f"style of {COUNT} utterances" in shown
