"""Designs that write units, for users: from experiments, from a package, by command."""

import os
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
import soundfile
from helper_modules import load_tests
from packed_models import write_units

from espnet2_taste.bin import pack
from espnet2_taste.cli import main as cli
from espnet2_taste.data.ctm import read_rows
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.inference import SpokenLM
from espnet2_taste.slm.prompt_specs import EmptyPrompt
from espnet2_taste.structures import WordCodes

designs = load_tests("bin", "test_slm_designs.py")
recipe = designs.recipe
TEXTS = ["the red dog", "a small bird runs home"]


@pytest.fixture(scope="module")
def exp(recipe, asr_exp_builder, bpe_dir):
    """The recipe's folder with units of a recognizer that can align."""
    text = {"token_type": "bpe", "bpemodel": str(bpe_dir / "bpe.model")}
    write_units(recipe / "units", str(asr_exp_builder(**text)))
    return recipe


def load(exp, design, **options):
    return SpokenLM(
        designs.experiment(exp, design),
        unit_vocoder_config=exp / "unit_vocoder",
        units_config=exp / "units",
        durations_config=exp / "durations",
        options={"speech_top_p": 0.95, "text_top_p": 0.9},
        max_words=3,
        seed=5,
        **options,
    )


def speech():
    noise = np.random.default_rng(0)
    return [0.1 * noise.standard_normal(n).astype("float32") for n in (9600, 16000)]


@pytest.mark.parametrize("design", ["gslm", "moshi", "llama_omni"])
def test_a_batch_gives_what_its_utterances_give_alone(exp, design):
    lm = load(exp, design)
    prompts = lm.tokenizer.encode_batch(speech(), TEXTS)
    assert [item.text for item in prompts] == TEXTS
    for item in prompts:
        assert len(item.timings) == len(item.words) and item.units.max() < 7
    together = lm.continue_batch(prompts, ["a", "b"])
    for name, prompt, found in zip("ab", prompts, together):
        alone = lm.continue_(prompt, name)
        assert alone.words == found.words
        assert np.array_equal(alone.units, found.units)
    spoken = [item for item in together if len(item.units)]
    voices = np.stack([lm.tokenizer.embed_speaker(speech()[0])] * len(spoken))
    for result in lm.tokenizer.decode_batch(spoken, voices):
        assert len(result.wave) and np.isfinite(result.wave).all()
    scores = lm.score_batch(prompts)
    for prompt, score in zip(prompts, scores):
        alone = lm.score(prompt)
        assert alone.both == pytest.approx(score.both, rel=1e-4) and alone.both < 0
        assert alone.speech == alone.speech_nats < 0 and alone.speech_unit == "nats"
        writes = design != "gslm"
        assert (alone.text < 0) == (alone.base_text < 0) == writes


def test_what_does_not_fit_is_refused(exp):
    lm = load(exp, "gslm")
    with pytest.raises(ValueError, match="'x': a EmptyPrompt is no beginning"):
        lm.continue_(EmptyPrompt(), "x")
    for only_taslm in (lm.stream_words, lm.stream_codes, lm.say):
        with pytest.raises(ValueError, match="writes units, not words with codes"):
            only_taslm("the dog", np.zeros(4))
    with pytest.raises(ValueError, match="'0': expected words with units"):
        lm.score(WordCodes(("dog",), np.zeros((1, 2), dtype=np.int64)))
    with pytest.raises(ValueError, match="unit_top_k: this model writes its units"):
        load(exp, "gslm", sampling={"unit_top_k": 1})
    with pytest.raises(ValueError, match="give durations_config"):
        SpokenLM(designs.experiment(exp, "gslm"), units_config=exp / "units")
    with pytest.raises(ValueError, match="the design reads pitch, style"):
        load(exp, "spiritlm_expr")


def test_a_package_continues_by_command(exp, tmp_path, monkeypatch):
    monkeypatch.chdir(exp)
    lm = designs.experiment(exp, "gslm")
    options = ["--expdir", str(exp), "--unit_lm_exp", str(lm), "--seed", "5"]
    options += ["--durations", str(exp / "durations")]
    pack.main(["units", *options, "--outpath", str(tmp_path / "gslm.zip")])
    wav = tmp_path / "a.wav"
    soundfile.write(wav, speech()[1], 16000)
    command = ["continue", "--model", str(tmp_path / "gslm.zip"), "--wav", str(wav)]
    command += ["--cache_dir", str(tmp_path / "cache"), "--text", TEXTS[1]]
    command += ["--output", str(tmp_path / "more"), "--max_words", "3"]
    assert not cli.main([*command, "--speech_top_p", "0.9"])
    (name,) = read_table(tmp_path / "more" / "wav.scp")
    assert read_table(tmp_path / "more" / "units")[name].split()
    assert not (tmp_path / "more" / "codes.scp").exists()
    model = SpokenLM.from_pretrained(
        tmp_path / "gslm.zip",
        tmp_path / "cache",
        options={"speech_top_p": 0.9},
        max_words=3,
    )
    prompt = model.tokenizer(wav, TEXTS[1], name)
    units = " ".join(map(str, model.continue_(prompt, name).units.tolist()))
    assert units == read_table(tmp_path / "more" / "units")[name]
    command = ["score", "--model", str(tmp_path / "gslm.zip"), "--wav", str(wav)]
    command += ["--cache_dir", str(tmp_path / "cache"), "--text", TEXTS[1]]
    assert not cli.main([*command, "--output", str(tmp_path / "scores")])
    (row,) = read_rows(tmp_path / "scores" / "scores.tsv")
    assert float(row["speech"]) == pytest.approx(model.score(prompt).speech, rel=1e-4)
    assert float(row["speech"]) < 0 == float(row["text"]) and row["base_text"] == "nan"
    model = ["--model", str(tmp_path / "gslm.zip"), "--cache_dir", str(tmp_path)]
    with pytest.raises(SystemExit, match="words with codes: it continues and scores"):
        words = ["--text", TEXTS[0], "--voice", str(wav)]
        cli.main(["say", *model, *words, "--output", str(tmp_path / "said")])
    if find_spec("fastapi") and find_spec("uvicorn") and find_spec("python_multipart"):
        with pytest.raises(SystemExit, match="the page needs a TASLM"):
            cli.main(["demo", *model, "--port", "0", "--voices", str(wav)])
    card = tmp_path / "card"
    shutil.unpack_archive(tmp_path / "gslm.zip", card)
    assert "SpokenLM.from_pretrained" in (card / "README.md").read_text()
    assert not os.path.isabs(read_meta(card)["yaml_files"]["durations_config"])


def read_meta(folder):
    import yaml

    return yaml.safe_load((folder / "meta.yaml").read_text())
