from functools import partial
from pathlib import Path

import kaldiio
import numpy
import pytest
import soundfile
import torch
import yaml
from half_precision import DTYPES, check_half_precision
from tiny_models import tiny_hifigan
from two_processes import train_in_two

from espnet2_taste.bin import data, unit_vocoder_train
from espnet2_taste.inference.loading import load_unit_vocoder
from espnet2_taste.tasks.unit_vocoder import (
    UnitVocoderPreprocessor,
    task_of,
    vocoder_choices,
)

RATE = 16000
CONFIG = dict(
    vocoder="unit_to_mel_griffin_lim",
    vocoder_conf=dict(
        num_units=12,
        spembs_size=4,
        network_conf=dict(
            unit_size=8, unit_layers=1, frame_size=8, pitch_layers=1, frame_layers=1
        ),
        griffin_lim_conf=dict(num_iters=2),
    ),
    model_conf=dict(fs=RATE, extract_feats_in_collect_stats=False),
    batch_type="sorted",
    batch_size=2,
    num_workers=0,
    optim="adam",
    optim_conf=dict(lr=1.0e-3),
    best_model_criterion=[["valid", "loss", "min"]],
    keep_nbest_models=1,
    use_tensorboard=False,
    use_matplotlib=False,
)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Four short tones with units and speaker embeddings, Kaldi style."""
    root = tmp_path_factory.mktemp("data")
    rng = numpy.random.default_rng(0)
    wavs, units, spembs = [], [], {}
    for index in range(4):
        seconds = 0.4 + 0.1 * index
        time = numpy.arange(int(seconds * RATE)) / RATE
        path = root / f"utt{index}.wav"
        tone = numpy.sin(2 * numpy.pi * (120 + 30 * index) * time)
        soundfile.write(path, 0.3 * tone, RATE, subtype="PCM_16")
        wavs.append(f"utt{index} {path}")
        drawn = rng.integers(0, 12, int(seconds * 25))
        units.append(f"utt{index} {' '.join(map(str, drawn))}")
        spembs[f"utt{index}"] = rng.standard_normal(4).astype("float32")
    (root / "wav.scp").write_text("\n".join(wavs) + "\n")
    (root / "units").write_text("\n".join(units) + "\n")
    kaldiio.save_ark(str(root / "spembs.ark"), spembs, scp=str(root / "spembs.scp"))
    return root


def run_task(
    data_dir, work_dir, output, pitch=False, main=unit_vocoder_train.main, **options
):
    """Run the task with YAML options and the data directory for both sets."""
    config = work_dir / f"{output}.yaml"
    config.write_text(yaml.safe_dump({**CONFIG, **options}))
    files = ["wav.scp,speech,sound", "units,units,text_int"]
    files.append("spembs.scp,spembs,kaldi_ark")
    files += ["pitch.scp,pitch,kaldi_ark"] if pitch else []
    cmd = ["--config", str(config), "--output_dir", str(work_dir / output)]
    for name in ("train", "valid"):
        for file in files:
            cmd += [f"--{name}_data_path_and_name_and_type", f"{data_dir}/{file}"]
        shapes = work_dir / "stats" / name / "speech_shape"
        source = str(shapes) if shapes.is_file() else f"{data_dir}/wav.scp"
        cmd += [f"--{name}_shape_file", source]
    main(cmd)


@pytest.fixture(scope="module")
def experiment(data_dir, tmp_path_factory):
    """Statistics, one epoch, then resumed for a second one."""
    work_dir = tmp_path_factory.mktemp("work")
    data.main(["pitch", "--dump_dir", str(data_dir.parent), "--sets", data_dir.name])
    run_task(data_dir, work_dir, "stats", collect_stats=True)
    run_task(data_dir, work_dir, "exp", pitch=True, max_epoch=1)
    run_task(data_dir, work_dir, "exp", pitch=True, max_epoch=2, resume=True)
    return work_dir


def test_trains_resumes_and_synthesizes(experiment):
    names = {path.name for path in (experiment / "exp").iterdir()}
    assert {"2epoch.pth", "valid.loss.best.pth", "config.yaml"} <= names
    state = torch.load(experiment / "exp" / "checkpoint.pth", weights_only=True)
    assert len(state["reporter"]["stats"]) == 2
    vocoder = load_unit_vocoder(experiment / "exp")
    assert not vocoder.training
    wave, lengths = vocoder.synthesize(
        torch.tensor([[1, 2, 3, 4]]), torch.tensor([4]), torch.ones(1, 4)
    )
    assert wave.shape == (1, 16 * 160) and lengths.tolist() == [2560]


def test_statistics_hold_the_shapes_of_the_data(experiment):
    shapes = (experiment / "stats" / "train" / "units_shape").read_text().splitlines()
    assert shapes == ["utt0 10", "utt1 12", "utt2 15", "utt3 17"]


def test_pitch_files_are_complete_and_kept(experiment, data_dir, capsys):
    tracks = kaldiio.load_scp(str(data_dir / "pitch.scp"))
    assert abs(numpy.median(tracks["utt2"]) - 180) < 2
    before = (data_dir / "pitch.ark").stat().st_mtime_ns
    data.main(["pitch", "--dump_dir", str(data_dir.parent), "--sets", data_dir.name])
    assert (data_dir / "pitch.ark").stat().st_mtime_ns == before
    assert "all sets are done" in capsys.readouterr().out


def test_preprocessor_measures_missing_pitch():
    tone = numpy.sin(2 * numpy.pi * 200 * numpy.arange(8000) / RATE)
    preprocessor = UnitVocoderPreprocessor(train=True, fs=RATE)
    data = preprocessor("utt", dict(speech=tone, units=numpy.array([1])))
    assert data["pitch"].dtype == numpy.float32 and len(data["pitch"]) == 51
    given = preprocessor(
        "utt", dict(speech=tone, units=numpy.array([1]), pitch=numpy.zeros(3))
    )
    assert len(given["pitch"]) == 3


def test_an_utterance_without_units_is_named():
    with pytest.raises(ValueError, match="utterance utt7: no speech units"):
        UnitVocoderPreprocessor(True, RATE)("utt7", dict(units=numpy.array([])))


def test_data_pitch_names_the_missing_file(tmp_path):
    with pytest.raises(SystemExit, match="wav.scp is missing; run stage 2"):
        data.main(["pitch", "--dump_dir", str(tmp_path), "--sets", "."])
    (tmp_path / "wav.scp").write_text(f"utt1 {tmp_path}/none.wav\n")
    with pytest.raises(SystemExit, match="utterance utt1: the audio file is missing"):
        data.main(["pitch", "--dump_dir", str(tmp_path), "--sets", "."])


def test_loading_names_what_is_missing(tmp_path, experiment):
    with pytest.raises(ValueError, match="config.yaml not found: train the unit voc"):
        load_unit_vocoder(tmp_path)
    config = (experiment / "exp" / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(config)
    with pytest.raises(ValueError, match="valid.loss.ave.pth not found"):
        load_unit_vocoder(tmp_path)
    torch.save({"a": torch.zeros(1)}, tmp_path / "latest.pth")
    with pytest.raises(RuntimeError, match="does not fit"):
        load_unit_vocoder(tmp_path)


FLOW = dict(
    num_units=12,
    spembs_size=4,
    unit_rate=25.0,
    flow_conf=dict(
        encoder_size=8,
        encoder_blocks=1,
        attention_heads=2,
        linear_units=8,
        estimator_conf=dict(
            channels=[8, 8], num_blocks=1, num_mid_blocks=1, heads=1, head_size=4
        ),
        decoder_conf=dict(num_steps=1),
    ),
)
GAN = tiny_hifigan(num_units=12, spembs_size=4)
FLOW_CHOICES = dict(
    flow=dict(renderer_conf=dict(num_iters=1)),
    flow_hift=dict(hift_conf=dict(base_channels=8, f0_channels=4)),
)


def test_every_choice_is_tested_here():
    tested = {"unit_to_mel_griffin_lim", "unit_to_mel", "unit_hifigan", *FLOW_CHOICES}
    assert tested == set(vocoder_choices.classes)


@pytest.mark.parametrize("name", FLOW_CHOICES)
def test_flow_trains_from_given_weights_and_speaks(data_dir, tmp_path, name):
    conf = {**FLOW, **FLOW_CHOICES[name]}
    torch.manual_seed(5)
    given = vocoder_choices.get_class(name)(**conf).state_dict()
    torch.save(given, tmp_path / "voice_generator.pth")
    run_task(
        data_dir,
        tmp_path,
        "exp",
        vocoder=name,
        batch_type="unsorted",
        vocoder_conf=conf,
        max_epoch=1,
        init_param=[f"{tmp_path}/voice_generator.pth::vocoder"],
    )
    vocoder = load_unit_vocoder(tmp_path / "exp")
    changed = {
        key.split(".")[0]
        for key, value in vocoder.state_dict().items()
        if not torch.equal(value, given[key])
    }
    assert changed == {"flow"}
    wave, lengths = vocoder.synthesize(
        torch.tensor([[1, 2, 3, 4]]), torch.tensor([4]), torch.ones(1, 4)
    )
    assert lengths.tolist() == [int(4 / 25 * 22050 / 256) * 256]
    assert torch.isfinite(wave).all()


def test_a_vocoder_with_a_discriminator_trains_resumes_and_speaks(data_dir, tmp_path):
    options = dict(vocoder="unit_hifigan", vocoder_conf=GAN, batch_type="unsorted")
    options |= dict(optim2="adam", optim2_conf=dict(lr=1.0e-3))
    run_task(data_dir, tmp_path, "exp", max_epoch=1, **options)
    first = torch.load(tmp_path / "exp" / "1epoch.pth", weights_only=True)
    run_task(data_dir, tmp_path, "exp", max_epoch=2, resume=True, **options)
    second = torch.load(tmp_path / "exp" / "2epoch.pth", weights_only=True)
    changed = {k.split(".")[1] for k in first if not torch.equal(first[k], second[k])}
    assert changed == {"generator", "discriminator"}
    vocoder = load_unit_vocoder(tmp_path / "exp")
    wave, lengths = vocoder.synthesize(
        torch.tensor([[1, 2, 3, 4]]), torch.tensor([4]), torch.ones(1, 4)
    )
    assert lengths.tolist() == [4 * 640] and torch.isfinite(wave).all()


def test_two_processes_learn_what_one_learns(data_dir, tmp_path):
    """No matter how long the utterances of each process are."""
    network = CONFIG["vocoder_conf"]["network_conf"] | {"dropout": 0.0}
    options = dict(batch_type="unsorted", max_epoch=1, optim="sgd")
    options |= dict(vocoder_conf=CONFIG["vocoder_conf"] | {"network_conf": network})
    in_two = partial(train_in_two, tmp_path, unit_vocoder_train.__name__)
    run_task(data_dir, tmp_path, "one", optim_conf=dict(lr=0.1), **options)
    run_task(data_dir, tmp_path, "two", main=in_two, optim_conf=dict(lr=0.1), **options)
    one, two = (
        torch.load(tmp_path / name / "1epoch.pth", weights_only=True)
        for name in ("one", "two")
    )
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name, conf",
    [("unit_hifigan", GAN), ("flow", FLOW | FLOW_CHOICES["flow"])],
)
def test_two_processes_train(data_dir, tmp_path, name, conf):
    run_task(
        data_dir,
        tmp_path,
        "exp",
        main=partial(train_in_two, tmp_path, unit_vocoder_train.__name__),
        vocoder=name,
        vocoder_conf=conf,
        batch_type="unsorted",
        max_epoch=1,
        optim2="adam",
    )
    assert (tmp_path / "exp" / "1epoch.pth").is_file()


@DTYPES
@pytest.mark.parametrize(
    "name, conf",
    [
        (CONFIG["vocoder"], CONFIG["vocoder_conf"]),
        ("unit_hifigan", GAN),
        *((name, FLOW | conf) for name, conf in FLOW_CHOICES.items()),
    ],
)
def test_half_precision_changes_little(name, conf, dtype):
    torch.manual_seed(0)
    vocoder = vocoder_choices.get_class(name)(**conf)
    model = task_of(name).model_class(vocoder, fs=RATE)
    batch = {
        "speech": 0.1 * torch.randn(2, RATE),
        "speech_lengths": torch.tensor([RATE, RATE // 2]),
        "units": torch.randint(0, 12, (2, 25)),
        "units_lengths": torch.tensor([25, 12]),
        "spembs": torch.randn(2, 4),
        "pitch": torch.full((2, 101), 150.0),
        "pitch_lengths": torch.tensor([101, 51]),
    }
    turns = [{}]
    if name == "unit_hifigan":  # spectral norms of the judge settle in training steps
        for _ in range(10):
            model(**batch)
        turns = [{"forward_generator": turn} for turn in (True, False)]
    for turn in turns:
        check_half_precision(model, batch | turn, dtype)


TUNING = Path(__file__).parents[3] / "egs2/mini_espeak/taslm1/conf/tuning"


@pytest.mark.parametrize(
    "path", sorted(TUNING.glob("train_unit_vocoder_*.yaml")), ids=lambda path: path.stem
)
def test_the_variants_of_the_recipe_can_be_built(path, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    parser = unit_vocoder_train.get_parser()
    args = parser.parse_args(["--config", str(path), "--output_dir", "exp"])
    task = task_of(args.vocoder)
    renderer = args.vocoder_conf.get("renderer_conf", {})
    if "model_file" in renderer:  # of another project: it must be fetched first
        with pytest.raises((ValueError, RuntimeError), match="not found|vocos"):
            task.build_model(args)
        return
    vocoder = task.build_model(args).vocoder
    assert (vocoder.sample_rate, vocoder.num_units) == (16000, 200)
