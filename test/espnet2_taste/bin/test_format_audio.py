"""The command of stage 2: one line of error, several sets in one run."""

import numpy as np
import pytest
import soundfile

from espnet2_taste.bin import data


def make_set(folder, wav="a a.wav\n", text="a one\n"):
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).normal(0, 0.1, 16000)
    soundfile.write(folder / "a.wav", noise, 16000)
    (folder / "wav.scp").write_text(wav)
    (folder / "text").write_text(text)


def test_several_sets_in_one_run(tmp_path):
    for name in ("train", "dev"):
        make_set(tmp_path / "data" / name)
    options = ["--data_dir", str(tmp_path / "data"), "--output_dir"]
    data.main(["format", *options, str(tmp_path / "dump"), "--sets", "train dev"])
    for name in ("train", "dev"):
        assert (tmp_path / "dump" / name / "audio" / "a.wav").is_file()


@pytest.mark.parametrize(
    "wav, text, options, complaint",
    [
        ("a a.wav\na a.wav\n", "a one\n", [], "'a' occurs twice"),
        ("a a.wav\n", "a one\na two\n", [], "'a' occurs twice"),
        ("x/a a.wav\n", "x/a one\n", [], "utterance 'x/a'.*Rename"),
        ("a none.wav\n", "a one\n", [], "none of its 1 utterances.*none.wav"),
        ("", "", [], "none of its 0 utterances.*empty"),
        ("a a.wav\n", "a one\n", ["--fs", "0"], "positive --fs"),
    ],
)
def test_errors_are_one_line(tmp_path, wav, text, options, complaint):
    make_set(tmp_path / "set", wav, text)
    paths = ["--data_dir", str(tmp_path / "set"), "--output_dir", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match=f"data format: .*{complaint}") as info:
        data.main(["format", *paths, *options])
    assert "\n" not in str(info.value)
    assert not (tmp_path / "out").exists()
