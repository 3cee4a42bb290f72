"""S3 units: what the graph is given, batches, and every error."""

import os

import kaldiio
import pytest
import soundfile
import torch
import yaml

from espnet2_taste.bin import units as command_of_units
from espnet2_taste.tokenizer.logmel import WhisperLogMel
from espnet2_taste.units.s3 import S3Units
from espnet2_taste.units.unit_exp import build_unit_extractor

RATE = 16000


def noise(seconds, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(int(seconds * RATE), generator=generator)


def units_of(extractor, wave):
    units, lengths = extractor(wave.unsqueeze(0), torch.tensor([len(wave)]))
    assert lengths.tolist() == [units.size(1)]
    return units[0]


def test_graph_gets_the_log_mel_of_the_audio_alone(s3_file):
    wave = noise(0.83)
    mel = WhisperLogMel(128)(wave.unsqueeze(0))[0]  # (T, M)
    assert len(mel) == 83
    units = units_of(S3Units(s3_file), wave)
    assert units.dtype == torch.int64
    assert torch.equal(units, mel[::2].argmax(-1))


def test_sizes_come_from_the_options(s3_file):
    extractor = build_unit_extractor(
        {"unit_extractor": "s3", "unit_extractor_conf": {"onnx_file": s3_file}}
    )
    assert (extractor.num_units, extractor.unit_rate) == (4096, 50.0)
    assert extractor.sample_rate == RATE
    assert S3Units(s3_file, num_units=128).num_units == 128


def test_padding_changes_nothing(s3_file):
    extractor = S3Units(s3_file)
    short, long = noise(0.4), noise(0.9, seed=1)
    batch = torch.full((2, len(long)), 0.7)
    batch[0, : len(short)] = short
    batch[1] = long
    units, lengths = extractor(batch, torch.tensor([len(short), len(long)]))
    assert lengths.tolist() == [20, 45]
    assert torch.equal(units[0, :20], units_of(extractor, short))
    assert torch.equal(units[1], units_of(extractor, long))
    assert (units[0, 20:] == -1).all()


def test_nothing_to_fit(s3_file):
    extractor = S3Units(s3_file)
    assert extractor.fit([], seed=0) == {}
    assert extractor.fitted_state() == {}
    extractor.load_fitted_state({})
    with pytest.raises(ValueError, match="learns nothing"):
        extractor.load_fitted_state({"centroids": torch.zeros(2, 2)})


def test_thirty_seconds_is_the_limit(s3_file):
    extractor = S3Units(s3_file)
    assert len(units_of(extractor, noise(30))) == 1500
    waves = torch.zeros(2, 30 * RATE + 1)
    lengths = torch.tensor([RATE, 30 * RATE + 1])
    with pytest.raises(
        ValueError, match=r"utterance 2 .* 480001 samples .*--max_duration 30"
    ):
        extractor(waves, lengths)


def test_too_short(s3_file):
    with pytest.raises(ValueError, match=r"utterance 1 .* 399 samples .*min_duration"):
        units_of(S3Units(s3_file), torch.zeros(399))
    assert len(units_of(S3Units(s3_file), noise(0.025))) == 1


def test_options_that_do_not_fit_the_graph(s3_file, campplus_file):
    with pytest.raises(ValueError, match="at unit_rate 25, found 50"):
        units_of(S3Units(s3_file, unit_rate=25.0), noise(1))
    with pytest.raises(ValueError, match=r"0 .. 1, found .* set num_units"):
        units_of(S3Units(s3_file, num_units=2), noise(1))
    with pytest.raises(ValueError, match=r"\[1, 80, 'any'\].*feats.*onnx_file"):
        S3Units(s3_file, num_mels=80)
    with pytest.raises(ValueError, match=r"inputs of shapes.*unit_extractor_conf"):
        S3Units(campplus_file)


def test_stage_five_with_published_extractors(s3_file, campplus_file, tmp_path):
    folder = tmp_path / "dump" / "dev"
    folder.mkdir(parents=True)
    lines = []
    for name, seconds in {"a": 0.5, "b": 0.8}.items():
        path = folder / f"{name}.wav"
        soundfile.write(path, noise(seconds).numpy(), RATE)
        lines.append(f"{name} {path}\n")
    (folder / "wav.scp").write_text("".join(lines))
    conf = {
        "unit_extractor": "s3",
        "unit_extractor_conf": {"onnx_file": s3_file},
        "speaker_embedder": "campplus",
        "speaker_embedder_conf": {"onnx_file": campplus_file},
    }
    (tmp_path / "units.yaml").write_text(yaml.safe_dump(conf))
    units = str(tmp_path / "units")
    command = ["--config", str(tmp_path / "units.yaml"), "--data_dir", str(folder)]
    command_of_units.main(["fit", *command, "--output_dir", units])
    written = yaml.safe_load((tmp_path / "units" / "config.yaml").read_text())
    assert conf.items() <= written.items()
    assert (written["num_units"], written["unit_rate"]) == (4096, 50.0)
    assert written["spembs_size"] == 192
    command = ["--units_dir", units, "--dump_dir", str(tmp_path / "dump")]
    command_of_units.main(["extract", *command, "--sets", "dev"])
    rows = (folder / "units").read_text().splitlines()
    assert [len(row.split()) for row in rows] == [1 + 25, 1 + 40]
    spembs = kaldiio.load_scp(str(folder / "spembs.scp"))
    assert spembs["a"].shape == (192,)


@pytest.mark.skipif(
    "TASTE_S3_ONNX" not in os.environ,
    reason="TASTE_S3_ONNX does not name speech_tokenizer_v1.onnx",
)
def test_published_file():
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    units = units_of(S3Units(os.environ["TASTE_S3_ONNX"]), noise(2))
    assert abs(len(units) - 100) <= 1
    assert 0 <= units.min() and units.max() < 4096
