"""RESULTS.md from the scores on disk."""

import os

import pytest
import torch

from espnet2_taste.bin import write_results
from espnet2_taste.metrics.tables import write_json

DURATIONS = {"pearson": 0.9, "pearson_within": 0.8, "share_within": 0.7}
DURATIONS |= {"share_within_half": 0.4}
TOKENIZER = {
    "study": "tokenizer",
    "command": "python -m x",
    "versions": {"torch": "2.11"},
    "switches": {"tolerance_seconds": 0.05},
    "sets": {
        "test": {
            "original": {"wer": {"rate": 0.05}},
            "TASTE": {
                "wer": {"rate": 0.2},
                "durations": DURATIONS,
                "pitch": {"pearson": None},
                "left_out": {"u1": "no rendition"},
            },
            "text only": {"durations": {"pearson": 0.5}},
        }
    },
    "units": {"test": {"TASTE": {"acc": 0.5, "acc_top5": 0.75}}},
    "bitrate": {"test": {"bits_per_second": 100.0}},
}
SLM = {
    "study": "slm",
    "models": {
        "taslm_embed": {
            "perplexity": {"model": 5.5, "base": 5.0, "ratio": 1.1},
            "pairs": {
                "pairs_style": {"accuracy": 0.7, "low": 0.6, "high": 0.8, "pairs": 9}
            },
        }
    },
}


def run(tmp_path, *more):
    output = tmp_path / "RESULTS.md"
    write_results.main(["--expdir", str(tmp_path), "--output", str(output), *more])
    return output.read_text()


def test_what_belongs_to_no_single_set_is_listed_once(tmp_path):
    sets = {name: TOKENIZER["sets"]["test"] for name in ("test", "test_new")}
    write_json(tmp_path / "a" / "scores.json", TOKENIZER | {"sets": sets})
    write_json(tmp_path / "slm" / "scores.json", SLM)
    page = run(tmp_path, "--test_sets", "test test_new")
    assert page.count("| encoder WER |") == 2
    assert page.count("| median change of unswapped words |") == 1
    assert page.count("| taslm_embed: consistent style |") == 1


def test_what_was_set_aside_is_passed_by(tmp_path):
    write_json(tmp_path / "taste_vq" / "scores" / "scores.json", TOKENIZER)
    write_json(tmp_path / "taste_vq.old" / "scores" / "scores.json", TOKENIZER)
    assert "## Targets on `test`" in run(tmp_path)


def test_targets_are_met_missed_or_unmeasured(tmp_path):
    write_json(tmp_path / "taste_vq" / "scores" / "scores.json", TOKENIZER)
    write_json(tmp_path / "slm" / "scores.json", SLM)
    page = run(tmp_path)
    assert "| encoder WER | 0.050 | <= 0.1 | met |" in page
    assert "| ... gain over text only | 0.400 | >= 0.25 | met |" in page
    assert "| WER of resynthesis | 0.200 | <= 0.15 | **missed** |" in page
    assert "| word mean F0, Pearson r | - | >= 0.7 | not measured |" in page
    assert "| taslm_embed: text perplexity / base LM | 1.100 | <= 1.1 | met |" in page
    assert "| taslm_embed | pairs_style | 0.700 | 0.600-0.800 | 9 |" in page
    assert "Command: `python -m x`" in page and "tolerance_seconds = 0.05" in page
    assert "Not scored yet: swap (stage 10)." in page
    assert "| duration consistency ±50 ms | ±25 ms |" in page
    assert "| TASTE | 20.0 | 0.900 | 0.800 | 0.700 | 0.400 |" in page
    assert "| encoder + aggregator + quantizer (TASTE) | 0.500 | 0.750 |" in page
    assert page == run(tmp_path)


def test_nothing_or_two_of_a_kind_is_one_line(tmp_path):
    with pytest.raises(SystemExit, match="run stages 10 and 13"):
        run(tmp_path)
    write_json(tmp_path / "a" / "scores.json", TOKENIZER)
    write_json(tmp_path / "b" / "scores.json", TOKENIZER)
    with pytest.raises(SystemExit, match="same study 'tokenizer'"):
        run(tmp_path)


def test_losses_are_drawn_again_only_after_more_training(tmp_path):
    checkpoint = tmp_path / "taslm_embed" / "checkpoint.pth"
    checkpoint.parent.mkdir()
    stats = {1: {"train": {"loss": 2.0}, "valid": {"loss": 3.0}}}
    torch.save({"reporter": {"stats": stats}}, checkpoint)
    write_results.draw_losses(tmp_path)
    picture = checkpoint.parent / "images" / "losses.png"
    picture.write_bytes(b"kept")
    write_results.draw_losses(tmp_path)
    assert picture.read_bytes() == b"kept"
    later = picture.stat().st_mtime + 10
    os.utime(checkpoint, (later, later))
    write_results.draw_losses(tmp_path)
    assert picture.read_bytes().startswith(b"\x89PNG")
