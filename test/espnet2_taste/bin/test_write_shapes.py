"""Shape files without a model equal those of ESPnet's collect_stats."""

import pytest

from espnet2_taste.bin import data
from espnet2_taste.tasks.text_lm import TextLmTask

TEXT = "a1 the red dog runs home\nb1 a bird\n"


@pytest.fixture
def tables(tmp_path):
    (tmp_path / "text").write_text(TEXT)
    triple = f"{tmp_path / 'text'},text,text"
    return [
        option
        for part in ("train", "valid")
        for option in (f"--{part}_data_path_and_name_and_type", triple)
    ]


@pytest.mark.parametrize(
    "word_space, option",
    [("true", []), ("false", []), ("true", ["--word_space", "false"])],
)
def test_the_lengths_are_those_of_collect_stats(
    tables, tmp_path, lm_tokenizer_dir, word_space, option
):
    config = tmp_path / "train.yaml"
    config.write_text(
        f"word_space: {word_space}\n"
        "model_conf: {extract_feats_in_collect_stats: false}\n"
        "lm_conf: {model_type: llama, hidden_size: 8, intermediate_size: 8, "
        "num_hidden_layers: 1, num_attention_heads: 1, num_key_value_heads: 1}\n"
    )
    tokenizer = ["--tokenizer_path", str(lm_tokenizer_dir)]
    text = [*tokenizer, *tables, *option]
    data.main(
        ["shapes", "--output_dir", str(tmp_path / "ours"), "--shape", "text", *text]
        + ["--train_config", str(config)]
    )
    keys = [
        option
        for part in ("train", "valid")
        for option in (f"--{part}_shape_file", str(tmp_path / "text"))
    ]
    stats = ["--output_dir", str(tmp_path / "espnet"), "--batch_type", "unsorted"]
    options = [
        *text,
        "--config",
        str(config),
        *keys,
        *stats,
        "--collect_stats",
        "true",
        "--ngpu",
        "0",
    ]
    TextLmTask.main(cmd=options)
    for part in ("train", "valid"):
        ours, espnet = (
            (tmp_path / whose / part / "text_shape").read_text()
            for whose in ("ours", "espnet")
        )
        assert ours == espnet


def test_a_text_needs_its_tokenizer(tables, tmp_path):
    with pytest.raises(SystemExit, match="expected its --tokenizer_path, found none"):
        data.main(["shapes", "--output_dir", str(tmp_path), "--shape", "text", *tables])
