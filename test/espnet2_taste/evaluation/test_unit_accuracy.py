"""Word times with which units are scored."""

import numpy as np
import pytest
import yaml

from espnet2_taste.evaluation.unit_accuracy import read_training_times


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "word_times").write_text("u 0.1 0.5\n")
    (tmp_path / "word_times_refined").write_text("u 0.2 0.4\n")
    return tmp_path


def trained(folder, *data):
    rows = [[f"dump/raw/train/{file}", name, "kaldi_ark"] for file, name in data]
    config = {"train_data_path_and_name_and_type": rows}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.mark.parametrize(
    "data, begin",
    [
        ([("units.scp", "units"), ("word_times_refined.scp", "word_times")], 0.2),
        ([("word_times.scp", "word_times")], 0.1),
        ([("units.scp", "units")], 0.1),
    ],
)
def test_times_are_those_of_the_training(folder, data, begin):
    times = read_training_times(trained(folder, *data), folder)
    np.testing.assert_allclose(times["u"][0, 0], begin)


def test_a_set_without_such_times_is_named(folder):
    exp = trained(folder, ("word_times_refined.scp", "word_times"))
    (folder / "word_times_refined").unlink()
    with pytest.raises(ValueError, match="word_times_refined not found.*run stage 4"):
        read_training_times(exp, folder)


def test_a_decoder_that_needs_none_gets_none(folder):
    (folder / "word_times").unlink()
    assert read_training_times(trained(folder), folder) is None
