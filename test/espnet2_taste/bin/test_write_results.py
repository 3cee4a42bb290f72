"""RESULTS.md from the scores on disk."""

import os

import pytest
import torch

from espnet2_taste.bin import write_results
from espnet2_taste.evaluation.pictures import with_links
from espnet2_taste.metrics.tables import write_json

DURATIONS = {"pearson": 0.9, "pearson_within": 0.8, "share_within": 0.7}
DURATIONS |= {"share_within_half": 0.4}
TOKENIZER = {
    "study": "tokenizer",
    "command": "python -m x",
    "versions": {"torch": "2.11"},
    "settings": {"tolerance_seconds": 0.05},
    "sets": {
        "test": {
            "original": {"wer": {"rate": 0.05}},
            "TASTE": {
                "wer": {"rate": 0.2},
                "durations": DURATIONS,
                "pitch": {"pearson": 0.9, "pearson_within_speaker": 0.6},
                "epochs": 12,
                "left_out": {"u1": "no rendition"},
            },
            "text only": {
                "durations": {"pearson": 0.5},
                "pitch": {"pearson": 0.88, "pearson_within_speaker": 0.55},
            },
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
    assert (tmp_path / "listen.html").is_file()
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
    assert "| ... gain over text only | 0.400 | reported |  |" in page
    assert "| WER of resynthesis | 0.200 | <= 0.15 | **missed** |" in page
    assert "| word mean F0 within a speaker, Pearson r | 0.600 | reported |  |" in page
    assert "| ... gain over text only | 0.050 | reported |  |" in page
    assert "| median change of unswapped words | - | <= 0.1 | not measured |" in page
    assert "consistent style | 0.700 | >= 0.65 | too few to say (9)" in page
    assert "| taslm_embed: text perplexity / base LM | 1.100 | <= 1.1 | met |" in page
    assert "| taslm_embed | pairs_style | 0.700 | 0.600-0.800 | 9 |" in page
    assert "Command: `python -m x`" in page and "tolerance_seconds = 0.05" in page
    assert "Not scored yet: swap (stage 10)." in page
    assert "| duration consistency ±50 ms | ±25 ms |" in page
    assert "| TASTE | 12 | 20.0 | 0.900 | 0.800 | 0.700 | 0.400 |" in page
    assert "| encoder + aggregator + quantizer (TASTE) | 0.500 | 0.750 |" in page
    assert page == run(tmp_path)


def test_nothing_or_two_of_a_kind_is_one_line(tmp_path):
    with pytest.raises(SystemExit, match="run stages 10 and 13"):
        run(tmp_path)
    write_json(tmp_path / "a" / "scores.json", TOKENIZER)
    write_json(tmp_path / "b" / "scores.json", TOKENIZER)
    with pytest.raises(SystemExit, match="same study 'tokenizer': name the tokenizer"):
        run(tmp_path)


def test_two_utterances_meet_no_target(tmp_path):
    scores = TOKENIZER["sets"]["test"] | {"original": {"wer": {"rate": 0, "words": 9}}}
    write_json(tmp_path / "a/scores.json", TOKENIZER | {"sets": {"test": scores}})
    targets = run(tmp_path).split("## Targets")[1]
    assert "too few to say (9)" in targets
    assert "met" not in targets and "missed" not in targets


def test_the_studies_of_the_tokenizer_that_is_named(tmp_path):
    other = TOKENIZER | {"command": "of the other"}
    write_json(tmp_path / "taste_a" / "scores" / "scores.json", other)
    write_json(tmp_path / "taste_b" / "scores" / "scores.json", TOKENIZER)
    write_json(tmp_path / "taste_c" / "scores" / "scores.json", other)
    page = run(tmp_path, "--taste_exp", str(tmp_path / "taste_b"))
    assert "of the other" not in page and "`python -m x`" in page


def test_the_page_shows_the_pictures(tmp_path):
    write_json(tmp_path / "taste_vq" / "scores" / "scores.json", TOKENIZER)
    names = ("scores/images/attention_test.png", "images/losses.png")
    for name in (*names, "swap.old/images/swap_a.png", "images/unknown.png"):
        (tmp_path / "taste_vq" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "taste_vq" / name).touch()
    page = run(tmp_path)
    for name in names:
        assert f"](taste_vq/{name})" in page
    assert "swap_a" not in page and "unknown" not in page
    moved = with_links(page, {f"taste_vq/{names[0]}": "images/a.png"})
    assert "](images/a.png)" in moved and names[0] not in moved


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
