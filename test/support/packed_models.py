"""Packed models for tests: a recipe of random weights, its archives, its results.

Enters: an empty folder and tiny vocabularies. Leaves: ``packed/taste.zip`` and
``packed/taslm.zip``, and what the models gave before the recipe was moved away.
"""

import os
import shutil
from pathlib import Path

import numpy as np
import torch
import yaml
from helper_modules import load_tests
from tiny_models import write_lm

from espnet2_taste.text.preparation import TextRules, prepare_set

UNITS = {"unit_extractor": "kmeans", "speaker_embedder": "mel_statistics"}
TEXTS = ["the red dog", "a small bird runs home"]


def write_units(folder, asr_exp):
    from espnet2_taste.units import unit_exp

    extractor = {
        "recognizer": "espnet",
        "recognizer_conf": {"model": asr_exp},
        "layer": 1,
        "num_units": 7,
    }
    config = UNITS | {"unit_extractor_conf": extractor}
    config |= {"speaker_embedder_conf": {"n_mels": 4}, "data_dir": "dump/raw/train"}
    fitted = unit_exp.build_unit_extractor(config)
    fitted.centroids = torch.randn(7, 16, generator=torch.Generator().manual_seed(0))
    embedder = unit_exp.build_speaker_embedder(config)
    unit_exp.write_units_dir(folder, config, fitted, embedder)


def write_recipe(root, asr_exp_builder, bpe_dir, lm_tokenizer_dir):
    """Experiments that name each other relative to the recipe's directory."""
    from espnet2_taste.tasks.spoken_lm import SpokenLMTask
    from espnet2_taste.tasks.taste import TasteTask
    from espnet2_taste.tasks.unit_vocoder import UnitVocoderTask

    speech = load_tests("bin", "test_taste_resynthesize.py")
    np.savez("stats.npz", count=5, sum=np.ones(80), sum_square=2 * np.ones(80))
    stats = {"stats_file": "exp/asr_stats/feats_stats.npz"}
    Path("exp/asr_stats").mkdir(parents=True)
    Path("stats.npz").rename(stats["stats_file"])
    text = {"token_type": "bpe", "bpemodel": "data/bpe/bpe.model"}
    built = asr_exp_builder(normalize="global_mvn", normalize_conf=stats, **text)
    shutil.copytree(built, "exp/asr")
    shutil.copytree(bpe_dir, "data/bpe")
    tokens = ["--token_list", "data/bpe/tokens.txt", "--bpemodel", "data/bpe/bpe.model"]
    config = speech.TASTE | speech.ALIGNED
    config |= {"speech_encoder_conf": {"asr_exp": "exp/asr"}}
    speech.write_exp(TasteTask, Path("exp/taste_vq"), config, *tokens)
    speech.write_exp(UnitVocoderTask, Path("exp/unit_vocoder"), speech.VOCODER)
    write_units(Path("exp/units"), "exp/asr")
    write_lm(root / "exp/llm_base", lm_tokenizer_dir)
    options = ["--tokenizer_path", "exp/llm_base", "--init_lm", "exp/llm_base"]
    options += ["--taste_exp", "exp/taste_vq"]
    speech.write_exp(SpokenLMTask, Path("exp/taslm_embed"), {}, *options)
    write_settings()
    for picture in ("exp/taste_vq/images/loss.png", "exp/asr/images/losses.png"):
        Path(picture).parent.mkdir()
        Path(picture).write_bytes(b"picture")
    Path("exp/RESULTS.md").write_text("# Results\n![](asr/images/losses.png)\n")


def write_settings():
    """What a recipe's inference is configured by, and how its text was prepared."""
    Path("decode_taste.yaml").write_text(
        "unit_top_k: 3\nmin_unit_ratio: 0.3\nmax_unit_ratio: 4.0\nbatch_size: 2\n"
    )
    Path("decode_slm.yaml").write_text("text_top_p: 0.8\nmax_words: 3\n")
    train = Path("dump/raw/train")
    train.mkdir(parents=True)
    (train / "text").write_text("a The red dog\n")
    prepare_set(train, TextRules("nfkc", "whitespace", ("[noise]",)))
    config = Path("exp/taste_vq/config.yaml")
    options = yaml.safe_load(config.read_text())
    rows = [[str(train / "text"), "text", "text"]]
    options["train_data_path_and_name_and_type"] = rows
    config.write_text(yaml.safe_dump(options))


def results(lm):
    """Codes, units, waveforms, continuations and scores of some noise."""
    noise = np.random.default_rng(0)
    speech = [0.1 * noise.standard_normal(n).astype("float32") for n in (9600, 16000)]
    tokenizer = lm.tokenizer
    items = tokenizer.encode_batch(speech, TEXTS, timings=False)
    voices = np.stack([tokenizer.embed_speaker(wave) for wave in speech])
    spoken = tokenizer.decode_batch(items, voices)
    added = [lm.continue_(item) for item in items]
    arrays = [item.codes for item in items] + [item.wave for item in spoken]
    arrays += [item.units for item in spoken] + [item.codes for item in added]
    return arrays, [item.words for item in added], lm.score_batch(items)


def pack_models(root, *builders):
    """Both archives and what the models gave; the recipe is gone afterwards."""
    from espnet2_taste.bin import pack
    from espnet2_taste.inference import SpokenLM, UnitSampling
    from espnet2_taste.slm.sampling import GenerationOptions

    before = Path.cwd()
    os.chdir(root)
    try:
        write_recipe(root, *builders)
        taste = ["--expdir", "exp", "--taste_exp", "exp/taste_vq", "--seed", "5"]
        taste += ["--resynthesis_config", "decode_taste.yaml"]
        taste += ["--inference_config", "decode_slm.yaml"]
        pack.main(["taste", *taste, "--outpath", "packed/taste.zip"])
        taslm = ["--taslm_exp", "exp/taslm_embed", "--outpath", "packed/taslm.zip"]
        pack.main(["taslm", *taste, *taslm])
        expected = results(
            SpokenLM(
                "exp/taslm_embed",
                taste_train_config="exp/taste_vq",
                unit_vocoder_config="exp/unit_vocoder",
                units_config="exp/units",
                sampling=UnitSampling(3, 1.0, 0.3, 4.0, seed=5),
                options=GenerationOptions(text_top_p=0.8),
                max_words=3,
                seed=5,
            )
        )
        (root / "exp").rename(root / "exp_gone")
        (root / "data").rename(root / "data_gone")
    finally:
        os.chdir(before)
    return root / "packed", expected, results
