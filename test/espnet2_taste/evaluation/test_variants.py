"""Variants are found by where they lie."""

import pytest
import yaml

from espnet2_taste.evaluation.variants import ORDER, find_variants, trained_epochs


def make(tmp_path, *names):
    for name in names:
        (tmp_path / name / "resynthesis").mkdir(parents=True)
    return tmp_path


def test_order_is_that_of_the_table(tmp_path):
    make(tmp_path, "taste_vq", "taste_text_only", "unit_vocoder", "taste_no_vq", "asr")
    found = find_variants(tmp_path, tmp_path / "taste_vq")
    assert tuple(variant.label for variant in found) == ORDER
    assert found[2].rendition("test") == tmp_path / "taste_vq" / "resynthesis" / "test"


def test_other_tokenizers_stand_behind(tmp_path):
    make(tmp_path, "taste_vq", "taste_big", "taste_big.old", "taste_text_only.old")
    labels = [v.label for v in find_variants(tmp_path, tmp_path / "taste_vq")]
    assert labels == ["TASTE", "taste_big"]


def test_what_is_missing_or_twice_is_named(tmp_path):
    with pytest.raises(ValueError, match="run stage 9"):
        find_variants(tmp_path, tmp_path / "taste_vq")
    make(tmp_path, "taste_vq", "taste_no_vq", "taste_no_vq_2")
    with pytest.raises(ValueError, match="both 'no VQ'"):
        find_variants(tmp_path, tmp_path / "taste_vq")


def write_steps(root, *steps):
    """Configurations of a tokenizer that was trained in steps of two epochs."""
    for name, before in zip(steps, (None, *steps)):
        init = [f"exp/{before}/valid.loss.best.pth"] if before else []
        config = {"max_epoch": 2, "init_param": init}
        (root / name / "config.yaml").write_text(yaml.safe_dump(config))


def test_steps_of_another_tokenizer_are_rows_of_their_own(tmp_path):
    kinds = ("taste_text_only", "taste_no_vq", "taste_vq")
    for ending in ("", "_quantizer_fsq"):
        names = [f"{kind}{ending}" for kind in kinds]
        make(tmp_path, *names)
        write_steps(tmp_path, *names)
    scored = tmp_path / "taste_vq_quantizer_fsq"
    found = {v.label: v.exp.name for v in find_variants(tmp_path, scored)}
    assert found == {
        "no VQ": "taste_no_vq_quantizer_fsq",
        "TASTE": "taste_vq_quantizer_fsq",
        "text only": "taste_text_only_quantizer_fsq",
        **{name: name for name in kinds},
    }
    assert trained_epochs(scored) == 6
    assert trained_epochs(tmp_path / "taste_no_vq") == 4
    assert trained_epochs(tmp_path / "unit_vocoder") is None


def test_vocoders_that_speak_true_units_are_rows_of_their_own(tmp_path):
    make(tmp_path, "taste_vq", "vocoder_flow", "unit_vocoder")
    found = {v.label: v for v in find_variants(tmp_path, tmp_path / "taste_vq")}
    assert list(found) == ["units from audio", "TASTE", "vocoder_flow"]
    assert found["vocoder_flow"].speaks_units
    assert found["units from audio"].speaks_units and not found["TASTE"].speaks_units


def test_controls_are_rows_beside_the_steps(tmp_path):
    steps = ("taste_text_only", "taste_no_vq", "taste_vq")
    controls = ["taste_text_only_as_long_as_taste", "taste_vq_other_words"]
    make(tmp_path, *steps, *controls)
    write_steps(tmp_path, *steps)
    write_steps(tmp_path, controls[0])
    found = find_variants(tmp_path, tmp_path / "taste_vq")
    assert [v.label for v in found] == ["no VQ", "TASTE", "text only", *controls]
    assert [v.trained for v in found] == [True] * 4 + [False]
