"""Damaged files of every kind are read, or refused with the name of the file."""

import io
import zipfile

import numpy as np
import pytest
import soundfile
import torch
import yaml
from damage import damaged
from safetensors.torch import save

from espnet2_taste.data import ctm, files, kaldi_dir, prompt_words
from espnet2_taste.data.audio import LOWEST_RATE, load_speech, read_audio
from espnet2_taste.data.grid_sets import read_fields
from espnet2_taste.evaluation.listening.results import read_ratings
from espnet2_taste.evaluation.slm import read_scores
from espnet2_taste.experiment_files import load_weights, read_config
from espnet2_taste.inference.packages import check_archive
from espnet2_taste.text.token_list_tokenizers import read_token_list

CONFIG = {"token_list": ["a", "<unk>"], "model_conf": {"x": 1.5, "y": None, "z": "ü"}}
TEXTS = {
    "text": ("b ein Wort\na noch ein Wört\n", kaldi_dir.read_table),
    "units": ("a 1 2 3\nb 4 5 6\n", kaldi_dir.read_integers),
    "ctm": ("a 1 0.5 0.25 Wört\na 1 0.75 0.5 da\n", ctm.read_ctm),
    "pairs.tsv": ("utt\treason\na\twé\nb\tno\n", ctm.read_rows),
    "scores.tsv": ("utt\ttext\tboth\na\t-1.5\t-2\nb\t-2\t-3e1\n", read_scores),
    "tokens.txt": ("<blank>\n<unk>\na\nö\n", read_token_list),
    "config.yaml": (yaml.safe_dump(CONFIG), read_config),
    "swap.json": ('{"a": [1, 2, {"b": "ü"}], "c": null}', files.read_json),
}


@pytest.mark.parametrize("name", TEXTS)
def test_damaged_texts(tmp_path, name):
    content, read = TEXTS[name]
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    read(path)
    for copy in damaged(content.encode(), 400):
        path.write_bytes(copy)
        try:
            read(path)
        except ValueError as error:
            assert name in str(error) or "token_list" in str(error), copy


@pytest.mark.parametrize("name", ["text", "units", "ctm", "prompt_words"])
def test_a_damaged_table_of_a_set(tmp_path, name):
    rows = {"text": "a ein Wort\n", "units": "a 1 2\n", "ctm": "a 1 0 1 ein\n"}
    rows["prompt_words"] = "utt\tn_words\na\t1\n"
    for file, content in rows.items():
        (tmp_path / file).write_text(content)
    for copy in damaged(rows[name].encode(), 200):
        (tmp_path / name).write_bytes(copy)
        try:
            read_fields(tmp_path)
            prompt_words.read_prompt_words(tmp_path)
        except ValueError as error:
            assert name in str(error), copy


def test_damaged_ratings(tmp_path):
    (tmp_path / "study.json").write_text('{"id": "s", "scale": {"low": 0, "high": 9}}')
    key = "trial\tstimulus\tsystem\tutt\n1\tx\tA\tu\n"
    (tmp_path / "key.tsv").write_text(key)
    sent = '{"study": "s", "listener": "l", "ratings": [{"stimulus": "x", "score": 5}]}'
    paths = {name: tmp_path / name for name in ("study.json", "key.tsv", "sent.json")}
    paths["sent.json"].write_text(sent)
    assert read_ratings(tmp_path, [paths["sent.json"]])[0].score == 5
    for path in paths.values():
        whole = path.read_bytes()
        for copy in damaged(whole, 150):
            path.write_bytes(copy)
            try:
                read_ratings(tmp_path, [paths["sent.json"]])
            except ValueError as error:
                assert ".json" in str(error) or "key.tsv" in str(error), copy
        path.write_bytes(whole)


def torch_bytes(state) -> bytes:
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


STATE = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.ones(3)}


@pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
def test_damaged_checkpoints(tmp_path, name):
    whole = torch_bytes(STATE) if name == "model.pth" else save(STATE)
    path = tmp_path / name
    path.write_bytes(whole)
    assert load_weights(path).keys() == STATE.keys()
    refused = 0
    for copy in damaged(whole, 200):
        path.write_bytes(copy)
        try:
            load_weights(path)
        except (ValueError, RuntimeError) as error:
            assert name in str(error)
            refused += 1
    assert refused > 50


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    path = tmp_path / "model.pth"
    mask = torch.tensor([0.0, -float("inf")])
    path.write_bytes(torch_bytes(STATE | {"mask": mask}))
    load_weights(path)
    path.write_bytes(torch_bytes(STATE | {"c": torch.tensor([1.0, value])}))
    with pytest.raises(
        RuntimeError, match="model.pth is refused: 'c' holds NaN or inf"
    ):
        load_weights(path)


def test_damaged_archives(tmp_path):
    path = tmp_path / "taste.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        meta = {"files": {"model_file": "exp/m.pth"}, "yaml_files": {"c": "exp/c.yaml"}}
        archive.writestr("meta.yaml", yaml.safe_dump(meta))
        archive.writestr("exp/m.pth", bytes(200))
    check_archive(path)
    refused = 0
    for copy in damaged(path.read_bytes(), 400):
        path.write_bytes(copy)
        try:
            check_archive(path)
        except ValueError as error:
            assert "taste.zip" in str(error)
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("format_", ["WAV", "FLAC", "OGG"])
def test_damaged_audio(tmp_path, format_):
    """Memory and time follow the file, whatever its header says."""
    speech = 0.1 * np.random.default_rng(0).standard_normal(8000)
    path = tmp_path / f"a.{format_}"
    soundfile.write(path, speech, 16000, format=format_)
    whole = path.read_bytes()
    head = whole[:100]
    for number, copy in enumerate(damaged(head, 300)):
        path.write_bytes(copy + whole[100:] if number % 3 else copy)
        try:
            found, rate = read_audio(path)
            load_speech(path, LOWEST_RATE)
        except ValueError as error:
            assert "audio" in str(error) or "sample" in str(error)
        else:
            assert np.isfinite(found).all() and len(found) < 1e6 and rate > 0
