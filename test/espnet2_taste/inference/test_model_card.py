"""The model card: what it says, and that it guesses nothing."""

import numpy as np
import soundfile
import torch
import yaml

from espnet2_taste.inference.model_card import (
    PackedExperiment,
    count_set,
    model_card,
)


def write_set(folder):
    folder.mkdir(parents=True)
    soundfile.write(folder / "a.wav", np.zeros(8000), 8000)
    (folder / "wav.scp").write_text(f"a {folder}/a.wav\nb {folder}/a.wav\n")
    (folder / "utt2spk").write_text("a x\nb y\n")
    (folder / "utt2num_samples").write_text("a 8000\nb 56000\n")


def write_exp(folder, data):
    folder.mkdir(parents=True)
    torch.save({"w": torch.zeros(1000), "b": torch.zeros(500)}, folder / "model.pth")
    rows = [[str(data / name), "x", "y"] for name in ("wav.scp", "text")]
    config = {
        "quantizer": "rvq",
        "quantizer_conf": {"num_codebooks": 4},
        "speech_encoder_conf": {"asr_exp": str(folder)},
        "init_lm": "meta-llama/Llama-3.2-1B",
        "train_data_path_and_name_and_type": rows,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return PackedExperiment(
        "taste",
        "quantizer",
        folder / "config.yaml",
        folder / "model.pth",
    )


def test_the_card_is_written_from_the_run(tmp_path):
    write_set(tmp_path / "dump" / "train")
    item = write_exp(tmp_path / "exp" / "taste_vq", tmp_path / "dump" / "train")
    results = "# Results\n\n## Targets\n\nCommand: `run`\n"
    card = model_card([item], "TasteTokenizer", ["en", "de"], "mit", results)
    _, head, body = card.split("---\n", 2)
    meta = yaml.safe_load(head)
    assert meta["license"] == "mit" and meta["language"] == ["en", "de"]
    assert "espnet" in meta["tags"]
    hours = 64000 / 8000 / 3600
    assert f"| train | 2 | 2 | {hours:.2f} |" in body
    assert "| taste | rvq | 0.00 M | 0.0 MB |" in body
    assert "### Targets" in body and "Command: `run`" in body
    assert "taste, init_lm: `meta-llama/Llama-3.2-1B`" in body
    assert "taste, quantizer_conf: `{'num_codebooks': 4}`" in body
    assert "TasteTokenizer.from_pretrained" in body and "2504.07053" in body
    for heading in ("Intended use", "Limits", "Licence", "Citation"):
        assert f"## {heading}" in body
    assert str(tmp_path) not in card


def test_what_is_gone_is_unknown(tmp_path):
    found = count_set(tmp_path / "train")
    assert found == ("train", "unknown", "unknown", "unknown")
    item = write_exp(tmp_path / "exp" / "taste_vq", tmp_path / "dump" / "train")
    card = model_card([item], "TasteTokenizer", ["en"], "mit", "")
    assert "RESULTS.md was not there" in card
