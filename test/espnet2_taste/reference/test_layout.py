"""Folders in the published layout: shards, index, voice generator, damaged files."""

import json

import pytest
import torch

from espnet2_taste.reference import layout
from espnet2_taste.reference.layout import PublishedFolder


def content(places, voice_file=None):
    state = {
        "a.weight": torch.arange(6.0).reshape(2, 3).half(),
        "b.weight": torch.tensor([1, 2]),
    }
    voice = {"flow.x": torch.ones(2)} if voice_file else {}
    return PublishedFolder(
        dict.fromkeys(layout.SECTIONS, {}), state, places, voice, voice_file
    )


SHARDS = {
    "a.weight": "model-00001-of-00002.safetensors",
    "b.weight": "model-00002-of-00002.safetensors",
}


@pytest.mark.parametrize("places", [dict.fromkeys(SHARDS, layout.WEIGHTS), SHARDS])
@pytest.mark.parametrize("voice", [None, *layout.VOICES])
def test_write_and_read(places, voice, tmp_path):
    layout.write_folder(tmp_path, content(places, voice))
    back, want = layout.read_folder(tmp_path), content(places, voice)
    assert back.config == want.config and back.places == want.places
    assert back.voice_file == voice
    for mine, theirs in ((back.state, want.state), (back.voice, want.voice)):
        assert mine.keys() == theirs.keys()
        for name, tensor in theirs.items():
            assert torch.equal(mine[name], tensor)
            assert mine[name].dtype == tensor.dtype
    assert (tmp_path / layout.INDEX).is_file() == (places == SHARDS)


def test_missing_sections_are_named(tmp_path):
    layout.write_folder(tmp_path, content(SHARDS))
    layout.write_json(tmp_path / layout.CONFIG, {"text_config": {}})
    with pytest.raises(ValueError, match="speech_decoder_config"):
        layout.read_folder(tmp_path)


def test_index_and_shards_must_agree(tmp_path):
    layout.write_folder(tmp_path, content(SHARDS))
    index = json.loads((tmp_path / layout.INDEX).read_text())
    index["weight_map"]["c.weight"] = SHARDS["a.weight"]
    layout.write_json(tmp_path / layout.INDEX, index)
    with pytest.raises(ValueError, match="c.weight"):
        layout.read_folder(tmp_path)


@pytest.mark.parametrize("missing", [layout.CONFIG, SHARDS["b.weight"]])
def test_missing_files_are_named(missing, tmp_path):
    layout.write_folder(tmp_path, content(SHARDS))
    (tmp_path / missing).unlink()
    with pytest.raises(ValueError, match=missing):
        layout.read_folder(tmp_path)


@pytest.mark.parametrize("name", layout.VOICES)
def test_damaged_weights_are_named(name, tmp_path):
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=name):
        layout.read_tensors(tmp_path / name)


class Code:
    """Something a pickle could run."""


def test_code_in_a_weight_file_is_refused(tmp_path):
    path = tmp_path / "voice_generator.pth"
    torch.save({"flow": Code()}, path)
    with pytest.raises(ValueError, match="is refused: .*could run code"):
        layout.read_tensors(path)


def test_weights_alone_are_accepted(tmp_path):
    path = tmp_path / "voice_generator.pth"
    torch.save({"epoch": 3}, path)
    with pytest.raises(ValueError, match="named tensors only"):
        layout.read_tensors(path)


def test_comparison_names_all_differences():
    wanted = {"a": torch.ones(2), "b": torch.ones(3), "c": torch.ones(1)}
    given = {"a": torch.ones(2), "b": torch.ones(4), "d": torch.ones(1)}
    with pytest.raises(ValueError) as error:
        layout.compare(given, wanted, "'x'")
    message = str(error.value)
    assert "Missing: c." in message and "Unknown: d." in message
    assert "b (4,) instead of (3,)" in message
