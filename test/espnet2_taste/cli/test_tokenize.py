"""Another recognizer than the encoder's own times and recognizes words."""

import numpy as np

from espnet2_taste.cli.main import main
from espnet2_taste.data.audio import write_audio
from espnet2_taste.data.ctm import read_ctm


def test_a_recognizer_of_the_users_choice_times_the_words(
    packed_models, ctc_dir, tmp_path
):
    noise = np.random.default_rng(0).standard_normal(24000)
    write_audio(tmp_path / "a.wav", 0.1 * noise, 16000)
    command = ["tokenize", "--model", str(packed_models[0] / "taste.zip")]
    command += [
        "--cache_dir",
        str(tmp_path / "cache"),
        "--wav",
        str(tmp_path / "a.wav"),
    ]
    command += ["--text", "the red dog", "--recognizer"]
    main([*command, str(ctc_dir), "--output", str(tmp_path / "out")])
    words = read_ctm(tmp_path / "out/ctm")["a"]
    assert [word.word for word in words] == ["the", "red", "dog"]
    record = tmp_path / "config.yaml"
    record.write_text(f"recognizer: {ctc_dir}\nrecognizer_conf:\n  offset: 0.1\n")
    main([*command, str(record), "--output", str(tmp_path / "later")])
    later = read_ctm(tmp_path / "later/ctm")["a"]
    assert later[1].start > words[1].start


def test_words_and_codes_are_drawn(run, recordings, tmp_path, capsys):
    wavs = ["--wav", recordings / "slow.wav", "--text", "the red dog", "--plot"]
    run("tokenize", tmp_path / "out", *wavs)
    (picture,) = (tmp_path / "out").rglob("plots/*.png")
    assert picture.read_bytes()[:4] == b"\x89PNG" and picture.stem == "slow"
    assert capsys.readouterr().out.splitlines()[-1] == str(picture)
