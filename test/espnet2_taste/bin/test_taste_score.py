"""Stage 10 from its files: scores and swap study of tiny random experiments."""

import json

import kaldiio
import numpy as np
import pytest
import torch
import yaml

from espnet2_taste.bin import (
    recognize,
    taste_resynthesize,
    taste_score,
    taste_swap,
    taste_tokenize,
    write_results,
)
from espnet2_taste.data.audio import write_audio
from espnet2_taste.data.kaldi_dir import write_table

UNITS, SPEMBS = 7, 4
DECODER = {"num_units": UNITS, "spembs_size": SPEMBS, "embed_size": 6}
DECODER |= {"hidden_size": 8, "attention_heads": 2, "text_blocks": 1}
DECODER |= {"taste_blocks": 1, "lm_blocks": 1, "linear_units": 16}
DECODER |= {"taste_linear_units": 16, "taste_attention_heads": 2}
NETWORK = {"unit_size": 8, "unit_layers": 1, "frame_size": 8}
NETWORK |= {"pitch_layers": 1, "frame_layers": 1}
VOCODER = {
    "vocoder": "unit_to_mel_griffin_lim",
    "vocoder_conf": {
        "num_units": UNITS,
        "spembs_size": SPEMBS,
        "network_conf": NETWORK,
        "griffin_lim_conf": {"num_iters": 2},
    },
}
TEXTS = ["the red dog runs home", "a small bird"]


def write_exp(task, folder, config):
    folder.mkdir(parents=True)
    (folder / "source.yaml").write_text(yaml.safe_dump(config))
    options = ["--config", str(folder / "source.yaml"), "--output_dir", str(folder)]
    args = task.get_parser().parse_args(options)
    torch.manual_seed(0)
    torch.save(task.build_model(args).state_dict(), folder / "valid.loss.best.pth")
    (folder / "config.yaml").write_text(yaml.safe_dump(vars(args)))


def write_set(folder, suffix, seconds):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    wavs, texts, units, spembs = {}, {}, {}, {}
    for index, text in enumerate(TEXTS):
        name = f"u{index}{suffix}"
        wavs[name], texts[name] = str(folder / f"{name}.wav"), text
        times = np.arange(int(seconds * 16000)) / 16000
        wave = np.sin(2 * np.pi * 150 * times) + 0.1 * rng.standard_normal(len(times))
        write_audio(wavs[name], 0.2 * wave, 16000)
        units[name] = " ".join(map(str, rng.integers(0, UNITS, int(25 * seconds))))
        spembs[name] = rng.standard_normal(SPEMBS).astype("float32")
    for table, file in ((wavs, "wav.scp"), (texts, "text"), (units, "units")):
        write_table(folder / file, table)
    kaldiio.save_ark(str(folder / "spembs.ark"), spembs, scp=str(folder / "spembs.scp"))
    rows = "".join(f"u{i}-slow\tu{i}-fast\n" for i in range(len(TEXTS)))
    (folder / "pairs.tsv").write_text("slow\tfast\n" + rows)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, asr_exp_builder, bpe_dir):
    """Everything up to stage 9 for the two swap sets."""
    from espnet2_taste.tasks.taste import TasteTask
    from espnet2_taste.tasks.unit_vocoder import UnitVocoderTask

    root = tmp_path_factory.mktemp("recipe")
    asr = str(asr_exp_builder(bpemodel=str(bpe_dir / "bpe.model")))
    for suffix, seconds in (("slow", 2.0), ("fast", 1.6)):
        write_set(root / "dump" / f"swap_{suffix}", f"-{suffix}", seconds)
    config = {
        "token_type": "bpe",
        "token_list": str(bpe_dir / "tokens.txt"),
        "bpemodel": str(bpe_dir / "bpe.model"),
        "aggregator_conf": {"size": 16, "num_heads": 2, "linear_units": 24},
        "quantizer_conf": {"num_codebooks": 2, "codebook_size": 4, "latent_size": 5},
        "unit_decoder_conf": DECODER,
        "speech_encoder_conf": {"asr_exp": asr},
    }
    write_exp(TasteTask, root / "exp" / "taste_vq", config)
    text_only = config | {"model_conf": {"use_taste": False}}
    write_exp(TasteTask, root / "exp" / "taste_text_only", text_only)
    write_exp(UnitVocoderTask, root / "exp" / "unit_vocoder", VOCODER)
    sets = ["--dump_dir", str(root / "dump"), "--sets", "swap_slow swap_fast"]
    recognize.main(["align", "--recognizer", asr, *sets])
    codes = ["--output_dir", str(root / "exp" / "taste_vq" / "codes")]
    taste = ["--taste_exp", str(root / "exp" / "taste_vq")]
    taste_tokenize.main([*taste, *sets, *codes])
    for name in ("taste_vq", "taste_text_only"):
        exp = root / "exp" / name
        options = ["--taste_exp", str(exp), "--min_unit_ratio", "5", *sets]
        options += ["--unit_vocoder_exp", str(root / "exp" / "unit_vocoder")]
        options += ["--output_dir", str(exp / "resynthesis")]
        taste_resynthesize.main(options)
    return root, ["--recognizer", asr, *taste, *sets]


def test_scores_of_every_variant_and_set(recipe):
    root, options = recipe
    output = root / "exp" / "taste_vq" / "scores"
    options = [*options, "--expdir", str(root / "exp"), "--output_dir", str(output)]
    taste_score.main(options)
    scores = json.loads((output / "scores.json").read_text())
    for name in ("swap_slow", "swap_fast"):
        assert list(scores["sets"][name]) == ["original", "TASTE", "text only"]
        assert scores["sets"][name]["TASTE"]["durations"]["words"] == 8
        assert 0 <= scores["units"][name]["TASTE"]["acc_top5"] <= 1
        assert scores["bitrate"][name]["bits_per_token"] == 4
        assert (output / "images" / f"attention_{name}.png").is_file()
        assert (output / "images" / f"durations_{name}.png").is_file()
    again = output / "scores.json"
    before = json.loads(again.read_text())
    taste_score.main(options)
    assert json.loads(again.read_text()) == before


def test_swap_study_is_repeatable_and_collected(recipe, tmp_path):
    root, options = recipe
    vocoder = ["--unit_vocoder_exp", str(root / "exp" / "unit_vocoder")]
    output = root / "exp" / "taste_vq" / "swap"
    taste_swap.main([*options, *vocoder, "--output_dir", str(output)])
    scores = json.loads((output / "scores.json").read_text())
    assert scores["scores"]["readings"] == 4 and scores["left_out"] == {}
    recordings = sorted(output.glob("*/*.wav"))
    before = [path.read_bytes() for path in recordings]
    for stale in (output / "scores.json", *recordings):  # of models that are gone
        stale.write_text("{}")
    taste_swap.main([*options, *vocoder, "--output_dir", str(output)])
    assert json.loads((output / "scores.json").read_text()) == scores
    assert [path.read_bytes() for path in recordings] == before and before
    again = tmp_path / "swap"
    taste_swap.main([*options, *vocoder, "--output_dir", str(again)])
    assert (again / "words.tsv").read_text() == (output / "words.tsv").read_text()
    page = tmp_path / "RESULTS.md"
    expdir = str(root / "exp" / "taste_vq" / "swap")
    write_results.main(["--expdir", expdir, "--output", str(page)])
    assert "## Token swap" in page.read_text()


def test_missing_stages_are_one_line(recipe, tmp_path):
    root, options = recipe
    with pytest.raises(SystemExit, match="run stage 9"):
        taste_score.main(
            [*options, "--expdir", str(tmp_path), "--taste_exp", str(tmp_path)]
            + ["--output_dir", str(tmp_path)]
        )
    with pytest.raises(SystemExit, match="taste_swap: .*stage 9"):
        taste_swap.main(
            [*options, "--unit_vocoder_exp", "x", "--codes_dir", str(tmp_path)]
            + ["--output_dir", str(tmp_path)]
        )
