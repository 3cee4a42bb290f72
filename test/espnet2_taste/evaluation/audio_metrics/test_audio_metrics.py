"""Every measure of audio: its row, its numbers where it is installed, its refusals."""

import builtins
import importlib
import sys
import types

import numpy as np
import pytest

from espnet2_taste.data.audio import write_audio
from espnet2_taste.evaluation.audio_metrics.abs_metric import (
    RecordingMetric,
    common_length,
)
from espnet2_taste.evaluation.audio_metrics.choices import (
    audio_metric_choices,
    build_metrics,
)
from espnet2_taste.evaluation.audio_metrics.versa import read_scores

RATE = 16000
ROWS = {
    # name: (package, options, column, lowest score of a recording against itself)
    "pesq": ("pesq", {}, "pesq_wb", 4.5),
    "stoi": ("pystoi", {}, "stoi", 0.99),
    "visqol": ("visqol", {"mapper": "polynomial"}, "visqol_polynomial", 4.5),
}
OTHERS = {"dnsmos", "utmos", "speaker", "campplus", "resemblyzer", "versa"}  # below


def babble(seconds=2.5, seed=0):
    """A voice of changing pitch and loudness, with pauses, (S,)."""
    rng = np.random.default_rng(seed)
    times = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(130 + 30 * np.sin(2 * np.pi * 0.7 * times)) / RATE
    voice = sum(np.sin(k * phase + k) / k for k in range(1, 20))
    loud = np.clip(np.sin(2 * np.pi * 3 * times), 0, None) ** 0.5
    return (0.1 * voice * loud + 1e-4 * rng.standard_normal(len(times))).astype("f4")


def noisy(speech, snr_db, seed=1):
    noise = np.random.default_rng(seed).standard_normal(len(speech))
    scale = speech.std() / 10 ** (snr_db / 20)
    return np.clip(speech + scale * noise, -1, 1).astype("f4")


def test_every_measure_has_a_row():
    assert set(audio_metric_choices.classes) == set(ROWS) | OTHERS


@pytest.mark.parametrize("name", ROWS)
def test_a_recording_is_better_than_its_noisy_copy(name):
    package, options, column, best = ROWS[name]
    pytest.importorskip(package, reason=f"{package} is not installed")
    built, left_out = build_metrics([name], {name: options})
    assert left_out == {}
    metric, speech = built[name], babble()
    place = metric.columns.index(column)
    clean = metric.score(speech, speech)[place]
    loud, louder = (metric.score(noisy(speech, d), speech)[place] for d in (20, 0))
    assert clean > loud > louder
    assert clean >= best
    assert {"model", "sample rate", "reference"} <= set(metric.settings)


def test_dnsmos_is_four_opinions_of_the_recording_alone():
    pytest.importorskip("speechmos", reason="speechmos is not installed")
    metric = build_metrics(["dnsmos"], {})[0]["dnsmos"]
    opinions = metric.score(babble(), None)
    assert len(opinions) == len(metric.columns) == 4
    assert all(0.9 < opinion < 5.1 for opinion in opinions)
    assert not metric.needs_reference and "P.835" in metric.settings["model"]


@pytest.mark.parametrize(
    "name, package",
    [("dnsmos", "speechmos"), *((name, row[0]) for name, row in ROWS.items())],
)
def test_what_is_not_installed_is_left_out_with_the_remedy(name, package, monkeypatch):
    real = builtins.__import__

    def refuse(module, *rest):
        if module.split(".")[0] == package:
            raise ImportError(f"No module named '{module}'")
        return real(module, *rest)

    def refuse_import(module, *rest):
        if module.split(".")[0] == package:
            raise ImportError(f"No module named '{module}'")
        return real_import(module, *rest)

    real_import = importlib.import_module
    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.setattr(importlib, "import_module", refuse_import)
    built, left_out = build_metrics([name], {})
    assert built == {} and "pip install 'espnet2_taste[metrics" in left_out[name]


def test_missing_weights_are_a_reason_and_no_number(tmp_path):
    options = {"versa": {"score_config": str(tmp_path / "none.yaml")}}
    options["speaker"] = {"units_dir": str(tmp_path)}
    names = ["utmos", "campplus", "versa", "speaker"]
    built, left_out = build_metrics(names, options)
    assert built == {} and list(left_out) == names
    assert "utmos.weights=FILE" in left_out["utmos"]
    assert "campplus.onnx_file=FILE" in left_out["campplus"]
    assert "none.yaml" in left_out["versa"] and "stage 5" in left_out["speaker"]


def test_wrong_names_and_options_are_errors():
    with pytest.raises(ValueError, match="no measure 'mos', expected some of: speaker"):
        build_metrics(["mos"], {})
    with pytest.raises(ValueError, match="metric_conf utmos: .*'weight'"):
        build_metrics(["utmos"], {"utmos": {"weight": "x"}})
    _, left_out = build_metrics(["pesq"], {"pesq": {"band": "swb"}})
    assert "expected band wb or nb, found 'swb'" in left_out["pesq"]


def test_utmos_takes_every_weight_from_the_file(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")

    class Network(torch.nn.Linear):
        def __init__(self, ckpt_path=None):
            super().__init__(1, 1)

        def forward(self, waves):
            return waves.abs().mean(dim=1)

    package = types.ModuleType("utmos_pytorch")
    package.utmos_torch = types.SimpleNamespace(UTMOSModel=Network)
    package.UTMOSScoreTorch = Network
    monkeypatch.setitem(sys.modules, "utmos_pytorch", package)
    file = tmp_path / "weights.pt"
    torch.save({"weight": torch.ones(1, 1)}, file)
    _, left_out = build_metrics(["utmos"], {"utmos": {"weights": str(file)}})
    assert "lacks 1 of 2 weights, for example 'bias'" in left_out["utmos"]
    torch.save(Network().state_dict(), file)
    built, _ = build_metrics(["utmos"], {"utmos": {"weights": str(file)}})
    assert built["utmos"].score(np.full(8, 0.5, "f4"), None) == (0.5,)
    assert "weights.pt" in built["utmos"].settings["model"]


def test_speaker_similarity_of_the_recipes_embedder(tmp_path):
    torch = pytest.importorskip("torch")
    from espnet2_taste.units import speaker, unit_exp

    embedder = speaker.MelStatistics(20, RATE)
    speech = {
        name: torch.from_numpy(babble(1.0, seed)) for name, seed in (("a", 0), ("b", 1))
    }
    torch.save(embedder.fitted_state(), tmp_path / unit_exp.SPEMBS)
    (tmp_path / unit_exp.CONFIG).write_text(
        "speaker_embedder: mel_statistics\nspeaker_embedder_conf: {n_mels: 20}\n"
    )
    options = {"speaker": {"units_dir": str(tmp_path)}}
    metric = build_metrics(["speaker"], options)[0]["speaker"]
    assert metric.columns == ("speaker_mel_statistics",)
    same = metric.score(speech["a"].numpy(), speech["a"].numpy())[0]
    other = metric.score(noisy(speech["b"].numpy(), 0), speech["a"].numpy())[0]
    assert same == pytest.approx(1, abs=1e-5) and other < 0.999


@pytest.mark.parametrize(
    "name, embedder, option",
    [
        ("campplus", "CampplusEmbedder", "onnx_file"),
        ("resemblyzer", "ResemblyzerEmbedder", "model"),
    ],
)
def test_an_embedder_is_named_in_its_column(monkeypatch, name, embedder, option):
    class Embedder:
        sample_rate = RATE

        def __init__(self, weights):
            assert weights == "weights"

        def eval(self):
            return self

        def __call__(self, speech, lengths):
            return speech[:, :2] / speech[:, :2].norm()

    module = importlib.import_module(f"espnet2_taste.units.{name}")
    monkeypatch.setattr(module, embedder, Embedder)
    metric = build_metrics([name], {name: {option: "weights"}})[0][name]
    assert metric.columns == (f"speaker_{name}",)
    first, second = np.array([1, 0], "f4"), np.array([3, 4], "f4")
    assert metric.score(first, second)[0] == pytest.approx(0.6)
    assert f"{name}.{option}=" in build_metrics([name], {})[1][name]


class Ratio(RecordingMetric):
    """Loudness against the reference; refuses what is loud."""

    columns = ("ratio",)
    settings = {}

    def score(self, speech, reference):
        speech, reference = common_length(speech, reference)
        if speech.max() > 0.6:
            raise ValueError("too loud")
        return (float(speech.sum() / reference.sum()) if speech[0] else float("nan"),)


def test_every_utterance_has_a_number_or_a_reason(tmp_path):
    waves = {"ok": 0.25, "loud": 0.7, "alone": 0.25, "silent": 0.0, "odd": 0.25}
    wavs = {name: str(tmp_path / f"{name}.wav") for name in waves}
    for name, value in waves.items():
        wave = np.full(400, value)
        wave[0] = 0 if name == "odd" else wave[0]
        write_audio(wavs[name], wave, RATE)
    references = {name: wavs["ok"] for name in waves if name != "alone"}
    scores = Ratio().score_set(wavs, references)
    assert scores.values == {"ratio": {"ok": 1.0}}
    assert set(scores.left_out) == {"loud", "alone", "silent", "odd"}
    assert scores.left_out["alone"] == "there is no reference recording of it"
    assert "silent" in scores.left_out["silent"]
    assert "finite" in scores.left_out["odd"]


def fake_python(path, status=0):
    """An interpreter that knows VERSA: it scores the length of each path."""
    path.write_text(f"""#!{sys.executable}
import json, sys
if sys.argv[1] == "-c":
    sys.exit({status})
options = dict(zip(sys.argv[3::2], sys.argv[4::2]))
assert sys.argv[1:3] == ["-m", "versa.bin.scorer"] and options["--io"] == "soundfile"
with open(options["--gt"]) as gt:
    known = [line.split()[0] for line in gt]
with open(options["--pred"]) as pred, open(options["--output_file"], "w") as output:
    for line in pred:
        name, path = line.split()
        if name == "bad":
            continue
        scores = {{"key": name, "utmos": len(path), "gt": name in known, "text": "a"}}
        scores["pesq"] = float("nan")
        output.write(json.dumps(scores) + "\\n")
if "fail" in open(options["--score_config"]).read():
    sys.exit("no such measure")
""")
    path.chmod(0o755)
    return str(path)


def test_versa_is_a_process(tmp_path):
    config = tmp_path / "versa.yaml"
    config.write_text("- name: stoi\n")
    options = {"score_config": str(config)}
    options["interpreter"] = fake_python(tmp_path / "python")
    metric = build_metrics(["versa"], {"versa": options})[0]["versa"]
    wavs = {"u1": "/a.wav", "bad": "/b.wav", "alone": "/c.wav"}
    scores = metric.score_set(wavs, {"u1": "/r.wav", "bad": "/r.wav"})
    assert scores.values["versa_utmos"] == {"u1": 6.0}
    assert "versa_pesq" not in scores.values
    assert set(scores.left_out) == {"bad", "alone"}
    config.write_text("fail")
    with pytest.raises(RuntimeError, match="VERSA failed .*no such measure"):
        metric.score_set(wavs, {"u1": "/r.wav"})
    options["interpreter"] = fake_python(tmp_path / "other", status=1)
    _, left_out = build_metrics(["versa"], {"versa": options})
    assert "not on PyPI" in left_out["versa"]
    assert read_scores(['{"key": "u", "a": true, "b": 2}']) == {
        "u": {"versa_a": 1.0, "versa_b": 2.0}
    }
