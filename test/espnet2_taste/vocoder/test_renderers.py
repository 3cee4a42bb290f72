"""Renderers from files of other collections: the same waves, safe loading, checks."""

import numpy as np
import pytest
import torch
import yaml

from espnet2_taste.data.log_mel import LogMel
from espnet2_taste.vocoder.excitation import white_noise
from espnet2_taste.vocoder.renderers import build_renderer, renderer_choices
from espnet2_taste.vocoder.unit_to_mel_vocoder import UnitToMelVocoder

MEL = dict(sample_rate=16000, n_fft=256, win_length=256, hop_length=160, n_mels=8)
GENERATORS = {
    "HiFiGANGenerator": dict(
        in_channels=8,
        channels=8,
        upsample_scales=[10, 16],
        upsample_kernel_sizes=[20, 32],
        resblock_kernel_sizes=[3],
        resblock_dilations=[[1]],
    ),
    "ParallelWaveGANGenerator": dict(
        layers=2,
        stacks=1,
        residual_channels=4,
        gate_channels=8,
        skip_channels=4,
        aux_channels=8,
        upsample_params={"upsample_scales": [10, 16]},
    ),
    "MelGANGenerator": dict(
        in_channels=8, channels=160, upsample_scales=[10, 16], stacks=1
    ),
}


def write_generator(folder, name, **changes):
    """A checkpoint and a configuration as the collection writes them."""
    from espnet2_taste.vocoder.parallel_wavegan import generator_classes

    torch.manual_seed(0)
    generator = generator_classes()[name](**GENERATORS[name])
    state = {"model": {"generator": generator.state_dict()}, "steps": 3}
    torch.save(state, folder / "checkpoint-3steps.pkl")
    config = {
        "sampling_rate": 16000,
        "fft_size": 256,
        "hop_size": 160,
        "win_length": None,
        "num_mels": 8,
        "fmin": 0,
        "fmax": 8000,
        "generator_type": name,
        "generator_params": GENERATORS[name],
    } | changes
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    return folder / "checkpoint-3steps.pkl", generator


def render(renderer, lengths=(20, 3)):
    mel = torch.randn(2, 20, 8, generator=torch.Generator().manual_seed(1))
    return renderer(mel, torch.tensor(lengths))


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_of_the_collection_is_rendered(name, tmp_path):
    path, generator = write_generator(tmp_path, name)
    np.save(tmp_path / "stats.npy", np.stack([np.full(8, -1.0), np.full(8, 2.0)]))
    renderer = build_renderer(
        "parallel_wavegan", LogMel(**MEL), {"model_file": str(path)}
    )
    waves, samples = render(renderer)
    assert samples.tolist() == [3200, 480] and not waves[1, 480:].any()
    mel = torch.randn(2, 20, 8, generator=torch.Generator().manual_seed(1))
    noise = () if renderer.source() is None else [white_noise(3200, mel)[:, None]]
    with torch.no_grad():
        features = (mel[0] / np.log(10) + 1.0) / 2.0
        expected = generator.eval().inference(features, *noise).flatten()
    torch.testing.assert_close(waves[0], expected.clamp(-1, 1), atol=1e-5, rtol=1e-4)
    again, _ = render(renderer)
    torch.testing.assert_close(waves, again)


def test_damaged_statistics_name_their_file(tmp_path):
    from espnet2_taste.vocoder.parallel_wavegan import read_statistics

    np.save(tmp_path / "stats.npy", np.ones((2, 8)))
    whole = (tmp_path / "stats.npy").read_bytes()
    for copy in (b"", b"text", whole[:60], whole[:-8]):
        (tmp_path / "stats.npy").write_bytes(copy)
        with pytest.raises(ValueError, match="stats.npy: expected mean and scale"):
            read_statistics(tmp_path / "stats.npy", 8)


def test_statistics_are_read_from_hdf5(tmp_path):
    h5py = pytest.importorskip("h5py")
    from espnet2_taste.vocoder.parallel_wavegan import read_statistics

    with h5py.File(tmp_path / "stats.h5", "w") as file:
        file["mean"], file["scale"] = np.arange(8.0), np.ones(8)
    mean, scale = read_statistics(tmp_path / "stats.h5", 8)
    assert mean.tolist() == list(range(8)) and scale.tolist() == [1.0] * 8
    with pytest.raises(ValueError, match="expected mean and scale of 9 bands"):
        read_statistics(tmp_path / "stats.h5", 9)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"sampling_rate": 24000}, "sample_rate: 16000, expected 24000"),
        ({"hop_size": 200, "num_mels": 9}, "hop_length: 160.*200; n_mels: 8.*9"),
        ({"generator_type": "os.system"}, "generator_type is 'os.system', expected"),
        (
            {"generator_params": {"out_channels": 4}},
            "out_channels is 4, expected 1",
        ),
    ],
)
def test_another_front_end_or_class_is_refused(change, message, tmp_path):
    path, _ = write_generator(tmp_path, "MelGANGenerator", **change)
    with pytest.raises(ValueError, match=message):
        build_renderer("parallel_wavegan", LogMel(**MEL), {"model_file": str(path)})


class Harmful:
    """Would make a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        import pathlib

        return (pathlib.Path.touch, (self.path,))


def test_code_in_a_pickle_is_refused(tmp_path):
    path, _ = write_generator(tmp_path, "MelGANGenerator")
    torch.save({"model": {"generator": Harmful(tmp_path / "made")}}, path)
    with pytest.raises(RuntimeError, match="refused: it holds more than weights"):
        build_renderer("parallel_wavegan", LogMel(**MEL), {"model_file": str(path)})
    assert not (tmp_path / "made").exists()


def test_weights_must_fit_and_files_exist(tmp_path):
    path, _ = write_generator(tmp_path, "MelGANGenerator")
    torch.save({"model": {"generator": {"a": torch.zeros(1)}}}, path)
    with pytest.raises(RuntimeError, match="does not fit .*config.yml"):
        build_renderer("parallel_wavegan", LogMel(**MEL), {"model_file": str(path)})
    (tmp_path / "config.yml").unlink()
    with pytest.raises(ValueError, match="config.yml not found"):
        build_renderer("parallel_wavegan", LogMel(**MEL), {"model_file": str(path)})


def test_an_unknown_renderer_is_named():
    with pytest.raises(ValueError, match="renderer is 'wavenet', expected one of"):
        build_renderer("wavenet", LogMel(**MEL))
    assert set(renderer_choices.classes) == {"griffin_lim", "parallel_wavegan", "vocos"}


VOCOS_MEL = MEL | dict(mel_scale="htk", mel_norm=None, floor=1.0e-7)
VOCOS = {
    "feature_extractor": {
        "class_path": "vocos.feature_extractors.MelSpectrogramFeatures",
        "init_args": dict(sample_rate=16000, n_fft=256, hop_length=160, n_mels=8),
    },
    "backbone": {
        "class_path": "vocos.models.VocosBackbone",
        "init_args": dict(input_channels=8, dim=6, intermediate_dim=8, num_layers=1),
    },
    "head": {
        "class_path": "vocos.heads.ISTFTHead",
        "init_args": dict(dim=6, n_fft=256, hop_length=160, padding="center"),
    },
}


def write_vocos(folder):
    pytest.importorskip("vocos")
    from vocos import Vocos

    (folder / "config.yaml").write_text(yaml.safe_dump(VOCOS))
    torch.manual_seed(0)
    model = Vocos.from_hparams(str(folder / "config.yaml")).eval()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder / "pytorch_model.bin", model


def test_vocos_is_rendered(tmp_path):
    path, model = write_vocos(tmp_path)
    renderer = build_renderer("vocos", LogMel(**VOCOS_MEL), {"model_file": str(path)})
    waves, samples = render(renderer)
    assert samples.tolist() == [3200, 480]
    mel = torch.randn(2, 20, 8, generator=torch.Generator().manual_seed(1))
    expected = model.decode(mel[:1].transpose(1, 2))[0].clamp(-1, 1)
    torch.testing.assert_close(waves[0, : len(expected)], expected)


def test_vocos_front_end_is_ours(tmp_path):
    _, model = write_vocos(tmp_path)
    speech = 0.1 * torch.randn(1, 3200, generator=torch.Generator().manual_seed(4))
    mel, _ = LogMel(**VOCOS_MEL)(speech, torch.tensor([3200]))
    wanted = model.feature_extractor(speech).transpose(1, 2)
    inner = slice(2, -2)  # it mirrors the edges, we pad with silence
    torch.testing.assert_close(mel[:, inner], wanted[:, inner], atol=1e-3, rtol=1e-3)


def test_vocos_builds_no_other_class(tmp_path):
    path, _ = write_vocos(tmp_path)
    config = VOCOS | {"head": {"class_path": "os.system", "init_args": {}}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ValueError, match="head names the class 'os.system', expected"):
        build_renderer("vocos", LogMel(**VOCOS_MEL), {"model_file": str(path)})
    with pytest.raises(ValueError, match="mel_scale: slaney, expected htk"):
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(VOCOS))
        build_renderer("vocos", LogMel(**MEL), {"model_file": str(path)})


def test_weights_of_a_renderer_stay_in_their_file(tmp_path):
    from espnet2_taste.espnet_unit_vocoder_model import ESPnetUnitVocoderModel

    path, _ = write_generator(tmp_path, "HiFiGANGenerator")
    network = dict(
        unit_size=8, unit_layers=1, frame_size=8, pitch_layers=1, frame_layers=1
    )
    vocoder = UnitToMelVocoder(
        num_units=5,
        spembs_size=3,
        mel_conf=MEL,
        network_conf=network,
        renderer="parallel_wavegan",
        renderer_conf={"model_file": str(path)},
    )
    names = ESPnetUnitVocoderModel(vocoder).state_dict()
    assert names and all(name.startswith("vocoder.network.") for name in names)
    units = torch.tensor([[1, 2, 3]])
    waves, lengths = vocoder.synthesize(units, torch.tensor([3]), torch.ones(1, 3))
    assert lengths.tolist() == [3 * 640] and torch.isfinite(waves).all()
