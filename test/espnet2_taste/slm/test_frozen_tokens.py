"""TASLM writes the same tokens as ever: small models, their output written down.

Weights depend on their names alone, so that neither the order in which parts are built
nor what is drawn meanwhile matters.
"""

import argparse
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from espnet2.train.collate_fn import CommonCollateFn
from tiny_models import write_lm, write_quantizer_exp

from espnet2_taste.slm.beginnings import (
    NoBeginning,
    SpokenBeginning,
    WrittenBeginning,
)
from espnet2_taste.slm.inference import TaslmContinuer
from espnet2_taste.slm.sampling import GenerationOptions
from espnet2_taste.slm.scorer import Scorer
from espnet2_taste.slm.stepper import StopRules
from espnet2_taste.structures import WordCodes
from espnet2_taste.tasks.build_spoken_lm import build_preprocessor, build_spoken_lm
from espnet2_taste.tasks.spoken_lm import SpokenLMTask

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
CODES = np.array([[1, 2], [3, 4], [5, 6], [7, 0]])
BEGUN = [
    SpokenBeginning(WordCodes(("the", "red", "dog", "runs"), CODES)),
    WrittenBeginning(("the", "red")),
    NoBeginning(),
    SpokenBeginning(WordCodes(("a",), CODES[:1])),
]
NAMES = ["a", "b", "c", "d"]
FROZEN = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))


def seeded(name, shape):
    """Normal numbers that depend on a name."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    return torch.randn(shape, generator=generator)


@pytest.fixture(scope="module")
def places(tmp_path_factory, lm_tokenizer_dir):
    root = tmp_path_factory.mktemp("frozen")
    write_lm(root / "llm", lm_tokenizer_dir)
    write_quantizer_exp(root / "taste")
    return root


@pytest.fixture
def loaded(places):
    def load(variant):
        cmd = ["--output_dir", "x", "--tokenizer_path", f"{places}/llm"]
        cmd += ["--init_lm", f"{places}/llm", "--taste_exp", f"{places}/taste"]
        cmd += ["--model_conf", "kl_weight=0.9"]
        args = vars(SpokenLMTask.get_parser().parse_args(cmd))
        args = argparse.Namespace(**args | VARIANTS[variant])
        model = build_spoken_lm(args).eval()
        with torch.no_grad():
            for name, value in model.named_parameters():
                own = name.split(".", 1)[1]
                scale = 0.6 if value.dim() > 1 else 0.3
                value.copy_(scale * seeded(own, value.shape))
            for name, value in model.core.quantizer.named_buffers():
                if value.is_floating_point() and value.dim() > 1:
                    value.copy_(seeded(name, value.shape))
        return model, build_preprocessor(args, False)

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
    rules = StopRules(model.core.eos_id, max_words=3, min_words=2)
    continuer = TaslmContinuer(model, preprocessor, rules, OPTIONS[how], seed=3)
    found = lines(continuer.continuations(NAMES, BEGUN))
    assert found == FROZEN[variant][how]


@pytest.mark.parametrize("variant", VARIANTS)
def test_scores_stay(loaded, variant):
    found = Scorer(*loaded(variant))(NAMES[:1], [BEGUN[0].spoken.fields])[0]
    assert found == pytest.approx(FROZEN[variant]["scores"], rel=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_losses_stay(loaded, variant):
    model, preprocessor = loaded(variant)
    rows = [(n, {"text": "the red dog runs", "codes": CODES}) for n in NAMES[:2]]
    rows[1] = ("b", {"text": "a dog", "codes": CODES[2:]})
    rows = [(name, preprocessor(name, row)) for name, row in rows]
    loss = model(**CommonCollateFn(int_pad_value=-1)(rows)[1])[0]
    assert loss.item() == pytest.approx(FROZEN[variant]["loss"], rel=1e-5)
