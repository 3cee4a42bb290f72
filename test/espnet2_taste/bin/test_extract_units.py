"""units fit and units extract: files, rates, resuming, bad input."""

import os

import kaldiio
import numpy as np
import pytest
import soundfile
import torch
import yaml

from espnet2_taste.bin import units
from espnet2_taste.units.batches import SpeechBatch
from espnet2_taste.units.unit_exp import run_named


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, tiny_asr_exp):
    """A set of four short noises and fitted units."""
    root = tmp_path_factory.mktemp("recipe")
    folder = root / "dump" / "train"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0)
    lines = []
    for index, seconds in enumerate([1.0, 0.6, 1.3, 0.8]):
        path = folder / f"{index}.wav"
        soundfile.write(path, 0.1 * noise.standard_normal(int(16000 * seconds)), 16000)
        lines.append(f"utt{index} {path}\n")
    (folder / "wav.scp").write_text("".join(lines))
    config = root / "units.yaml"
    config.write_text("unit_extractor_conf: {layer: 1}\nbatch_size: 2\n")
    command = ["--config", str(config), "--recognizer", str(tiny_asr_exp)]
    command += ["--num_units", "6", "--data_dir", str(folder)]
    command += ["--output_dir", str(root / "units")]
    units.main(["fit", *command])
    return root, command


def extract(root, sets="train", **options):
    command = ["--units_dir", str(root / "units"), "--dump_dir", str(root / "dump")]
    command += ["--sets", sets]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    units.main(["extract", *command])


def read_units(folder):
    rows = (line.split() for line in (folder / "units").read_text().splitlines())
    return {name: list(map(int, units)) for name, *units in rows}


def test_config_records_sizes_and_rate(recipe):
    config = yaml.safe_load((recipe[0] / "units" / "config.yaml").read_text())
    assert config["num_units"] == 6 and config["spembs_size"] == 80
    assert config["unit_rate"] == 25.0 and config["unit_extractor_conf"]["layer"] == 1
    assert config["unit_perplexity"] > 1


def test_units_and_embeddings_of_every_utterance(recipe):
    root, _ = recipe
    extract(root, batch_size=3)
    folder = root / "dump" / "train"
    units = read_units(folder)
    assert list(units) == ["utt0", "utt1", "utt2", "utt3"]
    for name, seconds in zip(units, [1.0, 0.6, 1.3, 0.8]):
        assert abs(len(units[name]) - 25 * seconds) <= 2
        assert set(units[name]) <= set(range(6))
    spembs = kaldiio.load_scp(str(folder / "spembs.scp"))
    assert all(spembs[name].shape == (80,) for name in units)
    np.testing.assert_allclose(np.linalg.norm(spembs["utt0"]), 1.0, rtol=1e-5)


def test_batch_size_changes_nothing_and_finished_sets_are_kept(recipe, capsys):
    root, _ = recipe
    extract(root, batch_size=3)
    folder = root / "dump" / "train"
    together = read_units(folder)
    extract(root)
    assert "all sets are done" in capsys.readouterr().out
    os.utime(root / "units" / "config.yaml")
    later = (folder / "units").stat().st_mtime + 10
    os.utime(root / "units" / "config.yaml", (later, later))
    extract(root, batch_size=1)
    assert read_units(folder) == together


def test_fitting_again_keeps_the_same_units(recipe, capsys):
    root, command = recipe
    before = (root / "units" / "kmeans.pt").stat().st_mtime_ns
    units.main(["fit", *command])
    assert "is done" in capsys.readouterr().out
    assert (root / "units" / "kmeans.pt").stat().st_mtime_ns == before


def test_units_are_fitted_on_some_utterances():
    wavs = {name: f"{name}.wav" for name in "fbdaec"}
    some = units.drawn(wavs, 3, seed=1)
    assert len(some) == 3 and list(some) == [name for name in wavs if name in some]
    assert units.drawn(wavs, 3, seed=1) == some
    assert units.drawn(wavs, None, 0) == units.drawn(wavs, 9, 0) == wavs
    with pytest.raises(ValueError, match="--max_utterances 0"):
        units.drawn(wavs, 0, 0)


def test_errors_are_one_line(recipe, tmp_path):
    root, command = recipe
    with pytest.raises(SystemExit, match="units fit: .*--num_units"):
        units.main(
            ["fit", *command, "--num_units", "5000", "--output_dir", str(tmp_path)]
        )
    with pytest.raises(SystemExit, match="units extract: .*units fit"):
        units.main(["extract", "--units_dir", str(tmp_path / "none"), "--sets", "x"])
    with pytest.raises(SystemExit, match="units extract: .*wav.scp"):
        extract(root, sets="absent")


def test_an_error_names_the_utterance():
    lengths = torch.tensor([3, 9, 5])
    batch = SpeechBatch(["a", "b", "c"], torch.zeros(3, 9), lengths)

    def at_most_six(speech, lengths):
        if lengths.max() > 6:
            raise ValueError(f"{int(lengths.max())} samples of {speech.size(1)}")
        return lengths

    with pytest.raises(ValueError, match="utterance b: 9 samples of 9"):
        run_named(at_most_six, batch)
