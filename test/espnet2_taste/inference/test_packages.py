"""pack: what is inside, the same results elsewhere, unsafe packages refused."""

import contextlib
import stat
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from espnet2_taste.bin import pack
from espnet2_taste.evaluation.pictures import pictures_of
from espnet2_taste.experiment_files import load_weights, read_config
from espnet2_taste.inference.packages import check_archive, pretrained_files
from espnet2_taste.inference.settings import InferenceSettings
from espnet2_taste.inference.spoken_lm import SpokenLM
from espnet2_taste.inference.taste_tokenizer import TasteTokenizer, UnitSampling
from espnet2_taste.slm.sampling import GenerationOptions
from espnet2_taste.structures import WordCodes
from espnet2_taste.text.preparation import TextRules

TEXTS = ["the red dog", "a small bird runs home"]


def assert_same(found, expected):
    for first, second in zip(found[0], expected[0], strict=True):
        np.testing.assert_array_equal(first, second)
    assert found[1:] == expected[1:]


def test_the_zoo_unpacks_it_and_everything_is_identical(packed_models, tmp_path):
    from espnet_model_zoo.downloader import ModelDownloader

    folder, expected, results = packed_models
    archive = str(folder / "taslm.zip")
    files = ModelDownloader(tmp_path).download_and_unpack(archive)
    lm = SpokenLM(**files)
    assert_same(results(lm), expected)


def test_an_unpacked_directory_works_wherever_it_is(packed_models, tmp_path):
    folder, expected, results = packed_models
    with zipfile.ZipFile(folder / "taslm.zip") as archive:
        archive.extractall(tmp_path / "first")
    (tmp_path / "first").rename(tmp_path / "second")
    lm = SpokenLM.from_pretrained(tmp_path / "second")
    assert_same(results(lm), expected)
    meta = tmp_path / "second" / "meta.yaml"  # its names in former packages
    meta.write_text(meta.read_text().replace("slm_", "taslm_"))
    lm = SpokenLM.from_pretrained(tmp_path / "second")
    assert lm.continuer.digest == lm.tokenizer.digest


def test_each_class_takes_its_part_of_a_package(packed_models, tmp_path):
    folder, expected, _ = packed_models
    wave = 0.1 * np.random.default_rng(0).standard_normal(9600).astype("float32")
    for name in ("taste.zip", "taslm.zip"):
        tokenizer = TasteTokenizer.from_pretrained(folder / name, cache_dir=tmp_path)
        codes = tokenizer.encode_batch([wave], TEXTS[:1], timings=False)[0].codes
        np.testing.assert_array_equal(codes, expected[0][0])
    with pytest.raises(ValueError, match="no package for SpokenLM.*slm_train_config"):
        SpokenLM.from_pretrained(folder / "taste.zip", cache_dir=tmp_path)


def test_the_archive_is_complete_and_names_no_machine(packed_models):
    folder, *_ = packed_models
    with zipfile.ZipFile(folder / "taslm.zip") as archive:
        names = set(archive.namelist())
        meta = yaml.safe_load(archive.read("meta.yaml"))
        configs = {n: archive.read(n).decode() for n in names if n.endswith(".yaml")}
        page = archive.read("RESULTS.md").decode()
    assert set(meta["yaml_files"]) | set(meta["files"]) == {
        *("taste_train_config", "taste_model_file", "slm_train_config"),
        *("slm_model_file", "unit_vocoder_config", "unit_vocoder_file"),
        *("units_config", "inference_config"),
    }
    assert {"images/taste_vq/loss.png", "images/asr/losses.png"} <= names
    assert pictures_of(page) == ["images/asr/losses.png"]
    assert {"units/kmeans.pt", "units/spembs.pt", "meta.yaml"} <= names
    for ending in ("bpe.model", "model.safetensors", "feats_stats.npz", "ave.pth"):
        assert len([name for name in names if name.endswith(ending)]) == 1
    for config in configs.values():
        assert str(folder.parent) not in config
        assert "exp/" not in config.replace("asr_exp/", "")


def test_the_unit_extractor_travels_with_its_encoder(packed_models, tmp_path):
    from espnet2_taste.units.unit_exp import load_unit_extractor

    files = pretrained_files(packed_models[0] / "taste.zip", tmp_path)
    extractor = load_unit_extractor(files["units_config"])
    units, lengths = extractor(torch.randn(1, 16000), torch.tensor([16000]))
    assert units.shape == (1, int(lengths[0]))


def test_missing_parts_are_one_line(packed_models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["taste", "--taste_exp", "exp/taste_vq", "--outpath", "a.zip"]
    with pytest.raises(SystemExit, match="exp/taste_vq/config.yaml not found"):
        pack.main(command)
    (tmp_path / "exp").symlink_to(packed_models[0].parent / "exp_gone")
    with pytest.raises(SystemExit, match="bpemodel names 'data/bpe/bpe.model'"):
        pack.main(command)
    assert not list(tmp_path.glob("*.zip")) and not list(tmp_path.glob(".*"))


def test_calls_that_cannot_work_say_why(packed_models, tmp_path):
    files = pretrained_files(packed_models[0] / "taste.zip", tmp_path)
    tokenizer = TasteTokenizer(files["taste_train_config"], files["taste_model_file"])
    with pytest.raises(RuntimeError, match="give unit_vocoder_config"):
        tokenizer.decode(WordCodes(("dog",), np.zeros((1, 2))), np.zeros(4))
    with pytest.raises(RuntimeError, match="give units_config"):
        tokenizer.embed_speaker(np.zeros(9600))


def test_a_package_holds_what_made_its_numbers(packed_models, tmp_path):
    lm = SpokenLM.from_pretrained(packed_models[0] / "taslm.zip", tmp_path)
    units = UnitSampling(top_k=3, min_unit_ratio=0.3, max_unit_ratio=4.0, seed=5)
    assert lm.tokenizer.sampling == units
    assert lm.settings.generation == GenerationOptions(text_top_p=0.8)
    assert lm.settings.words.max_words == 3
    assert lm.settings.text == TextRules("nfkc", "whitespace", ("[noise]",))
    generator = lm.tokenizer.generator
    assert (generator.settings.sampler.top_k, generator.seed) == (3, 5)
    files = pretrained_files(packed_models[0] / "taste.zip", tmp_path)
    told = TasteTokenizer(**files, sampling={"top_k": 7})
    assert told.sampling == replace(units, top_k=7)
    alone = TasteTokenizer(files["taste_train_config"], files["taste_model_file"])
    assert alone.sampling == UnitSampling()
    with pytest.raises(ValueError, match="unexpected keyword.*there are: top_k"):
        TasteTokenizer(**files, sampling={"topk": 7})


@pytest.mark.parametrize("content", ["units: {topk: 3}", "unit: {}", "3"])
def test_settings_that_mean_nothing_are_refused(content, tmp_path):
    (tmp_path / "inference.yaml").write_text(content)
    with pytest.raises(ValueError, match="inference.yaml"):
        InferenceSettings.read(tmp_path / "inference.yaml")


@pytest.mark.parametrize(
    "options, message",
    [
        (
            ["--taslm_exp", "exp/taste_vq"],
            "--taslm_exp exp/taste_vq is an experiment of another kind",
        ),
        (
            ["--taste_exp", "exp/taslm_embed", "--taslm_exp", "exp/taslm_embed"],
            "--taste_exp exp/taslm_embed is an experiment of another kind",
        ),
        (
            ["--taslm_exp", "exp/taslm_embed", "--taslm_model_file"]
            + ["exp/taste_vq/valid.loss.best.pth"],
            "does not fit",
        ),
    ],
)
def test_a_package_that_cannot_be_loaded_is_not_made(
    packed_models, tmp_path, options, message
):
    (tmp_path / "exp").symlink_to(packed_models[0].parent / "exp_gone")
    (tmp_path / "data").symlink_to(packed_models[0].parent / "data_gone")
    command = ["taslm", "--taste_exp", "exp/taste_vq", "--outpath", "packed/a.zip"]
    with contextlib.chdir(tmp_path):
        with pytest.raises(SystemExit, match=f"pack taslm: .*{message}"):
            pack.main([*command, *options])
    assert not list(tmp_path.glob("packed/*")) and not list(tmp_path.glob("packed/.*"))


@pytest.mark.parametrize(
    "model, message",
    [
        ("gone/taste.zip", "gone/taste.zip: no such file or folder"),
        ("gone", "gone: no such file or folder"),
        (
            "nobody/no-model",
            "no-model is no file or folder here, and it cannot be down",
        ),
        (
            "nobody/model-v1.5",
            "model-v1.5 is no file or folder here, and it cannot be down",
        ),
    ],
)
def test_what_is_not_there_is_named(model, message, tmp_path, monkeypatch):
    from espnet_model_zoo.downloader import ModelDownloader

    def refuse(self, name):
        raise ConnectionError("name resolution failed\nmore")

    monkeypatch.setattr(ModelDownloader, "download", refuse)
    with pytest.raises(ValueError, match=message):
        TasteTokenizer.from_pretrained(model, tmp_path)


def test_an_archive_is_unpacked_once_and_anew_when_it_changes(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "espnet_model_zoo.downloader", None)  # is slow
    archive, found = tmp_path / "a.zip", []
    for member in ("part/model.pth", "part/model.pth", "other/longer.pth"):
        if not found or member not in found[-1]:
            write_zip(archive, member, meta={**META, "files": {"model": member}})
        files = pretrained_files(archive, tmp_path / "cache")
        assert set(files) == {"model"} and files["model"].endswith(member)
        assert Path(files["model"]).read_text() == "content"
        found.append(files["model"])
    assert found[0] == found[1] != found[2]


META = {"files": {"model": "part/model.pth"}, "yaml_files": {}}


def write_zip(path, *members, meta=META):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("meta.yaml", yaml.safe_dump(meta))
        for member in members:
            archive.writestr(member, "content")
    return path


@pytest.mark.parametrize(
    "name", ["../out", "a/../../out", "/out", "C:\\out", "..\\out"]
)
def test_members_outside_of_the_archive_are_refused(name, tmp_path):
    path = write_zip(tmp_path / "bad.zip", zipfile.ZipInfo(name))
    with pytest.raises(ValueError, match="refused.*lies outside of the package"):
        TasteTokenizer.from_pretrained(path, cache_dir=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_links_are_refused(tmp_path):
    link = zipfile.ZipInfo("part/model.pth")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(ValueError, match="refused.*it is a link"):
        check_archive(write_zip(tmp_path / "bad.zip", link))
    with tarfile.open(tmp_path / "bad.tgz", "w:gz") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            info = tarfile.TarInfo(f"link{kind}")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    with pytest.raises(ValueError, match="refused.*it is a link"):
        check_archive(tmp_path / "bad.tgz")


@pytest.mark.parametrize("name", ["/etc/hostname", "../model.pth"])
def test_meta_must_name_files_of_the_package(name, tmp_path):
    meta = {"files": {"taste_model_file": name}, "yaml_files": {}}
    path = write_zip(tmp_path / "bad.zip", meta=meta)
    with pytest.raises(ValueError, match="lies outside of the package"):
        check_archive(path)
    (tmp_path / "meta.yaml").write_text(yaml.safe_dump(meta))
    with pytest.raises(ValueError, match="lies outside of the package"):
        pretrained_files(tmp_path)


def test_what_is_no_package_is_named(tmp_path):
    (tmp_path / "text.zip").write_text("no archive")
    with pytest.raises(ValueError, match="neither a zip nor a tar"):
        pretrained_files(tmp_path / "text.zip")
    with pytest.raises(ValueError, match="has no meta.yaml"):
        pretrained_files(tmp_path)
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("part/config.yaml", "{}")
    with pytest.raises(ValueError, match="no packed model: it has no meta.yaml"):
        pretrained_files(tmp_path / "empty.zip")
    with pytest.raises(ValueError, match="does not list files"):
        check_archive(write_zip(tmp_path / "meta.zip", meta={"name": "x"}))


def test_options_must_stay_in_the_package(tmp_path):
    (tmp_path / "meta.yaml").write_text("{}")
    config = tmp_path / "taste" / "config.yaml"
    config.parent.mkdir()
    for value in ("../secret/key", "/etc/hostname"):
        config.write_text(yaml.safe_dump({"conf": {"stats_file": value}}))
        with pytest.raises(ValueError, match="stats_file names .* not in the package"):
            read_config(config)


class Harmful:
    """Would make a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_code_in_weights_is_refused(packed_models, tmp_path):
    files = pretrained_files(packed_models[0] / "taste.zip", tmp_path / "cache")
    torch.save({"weight": Harmful(tmp_path / "made")}, tmp_path / "bad.pth")
    with pytest.raises(RuntimeError, match="refused: it holds more than weights"):
        load_weights(tmp_path / "bad.pth")
    with pytest.raises(RuntimeError, match="refused: it holds more than weights"):
        TasteTokenizer(files["taste_train_config"], tmp_path / "bad.pth")
    assert not (tmp_path / "made").exists()


def test_a_class_outside_of_the_registries_is_refused(packed_models, tmp_path):
    files = pretrained_files(packed_models[0] / "taste.zip", tmp_path)
    config = Path(files["taste_train_config"])
    options = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump(options | {"quantizer": "os.system"}))
    with pytest.raises(ValueError, match="--quantizer must be one of"):
        TasteTokenizer(config, files["taste_model_file"])


def test_public_models_are_named_or_included(tmp_path, monkeypatch):
    from espnet2_taste.inference import packing

    public = tmp_path / "snapshot"
    public.mkdir()
    for name in ("config.json", "model.safetensors", "pytorch_model.bin"):
        (public / name).write_text("{}")
    monkeypatch.setattr(packing, "fetch_public", lambda name: public)
    source = tmp_path / "config.yaml"
    source.write_text(yaml.safe_dump({"init_lm": "user/llama"}))
    for include in (False, True):
        root = tmp_path / str(include)
        package = packing.Package(root, include)
        options = yaml.safe_load((root / package.add_config(source, "lm")).read_text())
        if not include:
            assert options["init_lm"] == "user/llama"
            continue
        assert options["init_lm"] == "lm/init_lm/config.json"
        found = {path.name for path in (root / "lm" / "init_lm").iterdir()}
        assert found == {"config.json", "model.safetensors"}


def test_the_card_the_licence_and_the_results_are_inside(packed_models):
    with zipfile.ZipFile(packed_models[0] / "taslm.zip") as archive:
        names = set(archive.namelist())
        card = archive.read("README.md").decode()
    assert {"README.md", "LICENSE", "RESULTS.md"} <= names
    assert "SpokenLM.from_pretrained" in card and "| unit_vocoder |" in card
    assert str(packed_models[0].parent) not in card
