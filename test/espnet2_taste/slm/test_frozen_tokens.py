"""TASLM writes the same tokens as ever: small models, their output written down.

Their weights depend on their names alone, so that neither the order in which parts are
built nor what is drawn meanwhile matters.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from espnet2.train.collate_fn import CommonCollateFn
from tiny_models import tiny_spoken_lm, write_taslm_parts

from espnet2_taste.inference.continuer import TaslmContinuer
from espnet2_taste.inference.scorer import Scorer
from espnet2_taste.slm.limits import Limits
from espnet2_taste.slm.prompt_specs import (
    EmptyPrompt,
    SpokenPrompt,
    WrittenPrompt,
)
from espnet2_taste.slm.sampling import GenerationOptions
from espnet2_taste.structures import WordCodes

VARIANTS = {
    "embed": {"head": "continue_latent_linear_last"},
    "token": {"head": "linear_last", "layout_conf": {"delay": 2}},
    "token_delay": {"head": "linear_last", "layout": "text_aligned_token_delay"},
}
OPTIONS = {
    "greedy": GenerationOptions(),
    "sampled": GenerationOptions(
        text_top_p=0.95,
        text_temperature=1.5,
        repetition_penalty=1.2,
        speech_top_p=0.9,
        speech_temperature=1.3,
    ),
}
LIMITS = Limits(2, 3)
CODES = np.array([[1, 2], [3, 4], [5, 6], [7, 0]])
BEGUN = [
    SpokenPrompt(WordCodes(("the", "red", "dog", "runs"), CODES)),
    WrittenPrompt(("the", "red")),
    EmptyPrompt(),
    SpokenPrompt(WordCodes(("a",), CODES[:1])),
]
NAMES = ["a", "b", "c", "d"]
FROZEN = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def places(tmp_path_factory, lm_tokenizer_dir):
    root = tmp_path_factory.mktemp("frozen")
    write_taslm_parts(root, lm_tokenizer_dir)
    return root


@pytest.fixture
def loaded(places):
    def load(variant):
        return tiny_spoken_lm(places / "llm", places / "taste", **VARIANTS[variant])

    return load


def lines(items):
    return [
        [
            " ".join(map(str, item.text.tolist())),
            " ".join("".join(map(str, row)) for row in item.codes.tolist()),
        ]
        for item in items
    ]


@pytest.mark.parametrize("how", OPTIONS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_tokens_stay(loaded, variant, how):
    model, preprocessor = loaded(variant)
    continuer = TaslmContinuer(model, preprocessor, LIMITS, OPTIONS[how], seed=3)
    found = lines(continuer.continuations(NAMES, BEGUN))
    assert found == FROZEN[variant][how]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_other_weight_types_write_as_much(loaded, dtype):
    model, preprocessor = loaded("embed")
    options = GenerationOptions(dtype=dtype)
    continuer = TaslmContinuer(model, preprocessor, LIMITS, options, seed=3)
    kinds = {type(m).__module__ for m in continuer.generator.core.backbone.modules()}
    quantized = any(kind.startswith("torch.ao.nn.quantized") for kind in kinds)
    assert quantized == (dtype == "int8")
    table = continuer.generator.core.backbone.causal_lm.get_input_embeddings().weight
    assert table.dtype == (torch.bfloat16 if dtype == "bfloat16" else torch.float32)
    found = continuer.continuations(NAMES, BEGUN)
    assert all(1 <= len(item.codes) <= 3 for item in found)
    if dtype == "float32":
        assert lines(found) == FROZEN["embed"]["greedy"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_scores_stay(loaded, variant):
    found = Scorer(*loaded(variant))(NAMES[:1], [BEGUN[0].spoken.fields])[0]
    assert found == pytest.approx(FROZEN[variant]["scores"], rel=1e-4)


def test_guided_scores_lie_between_both_lms(loaded, monkeypatch):
    model, preprocessor = loaded("embed")
    backbone, read = type(model.core.backbone), []
    states = backbone.base_states

    def count(self, ids):
        read.append(len(ids))
        return states(self, ids)

    monkeypatch.setattr(backbone, "base_states", count)
    tables = [
        Scorer(model, preprocessor, guidance=share)(NAMES[:1], [BEGUN[0].spoken.fields])
        for share in (0.0, 0.5)
    ]
    assert read == [1, 1]  # the base LM runs once for each table
    (plain,), (half,) = tables
    assert half["speech_sum"] == pytest.approx(plain["speech_sum"])
    assert half["base_text_sum"] == pytest.approx(plain["base_text_sum"])
    assert half["text_sum"] != pytest.approx(plain["text_sum"], rel=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_losses_stay(loaded, variant):
    model, preprocessor = loaded(variant)
    rows = [(n, {"text": "the red dog runs", "codes": CODES}) for n in NAMES[:2]]
    rows[1] = ("b", {"text": "a dog", "codes": CODES[2:]})
    rows = [(name, preprocessor(name, row)) for name, row in rows]
    loss = model(**CommonCollateFn(int_pad_value=-1)(rows)[1])[0]
    assert loss.item() == pytest.approx(FROZEN[variant]["loss"], rel=1e-5)
