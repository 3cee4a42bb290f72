"""Recognition of folders with a real, tiny recognizer."""

import numpy as np
import pytest

from espnet2_taste.bin import recognize
from espnet2_taste.data.arks import ArkTable
from espnet2_taste.data.audio import write_audio
from espnet2_taste.data.ctm import read_ctm
from espnet2_taste.data.kaldi_dir import read_table, write_table
from espnet2_taste.data.parts import split_sets


def test_a_folder_without_texts_is_recognized(
    asr_exp_builder, bpe_dir, tmp_path, capsys
):
    asr_exp = asr_exp_builder(bpemodel=str(bpe_dir / "bpe.model"))
    noise = np.random.default_rng(0).normal(0, 0.1, 16000)
    write_audio(tmp_path / "a.wav", noise, 16000)
    write_audio(tmp_path / "b.wav", noise[:160], 16000)
    wavs = {name: str(tmp_path / f"{name}.wav") for name in "ab"}
    write_table(tmp_path / "wav.scp", wavs)
    options = ["--recognizer", str(asr_exp), "--folders", str(tmp_path)]
    recognize.main(["transcribe", *options])
    assert set(read_table(tmp_path / "text_recognized")) == {"a", "b"}
    recognize.main(["transcribe", *options])
    assert "all sets are done" in capsys.readouterr().out


def test_errors_name_what_is_missing(tmp_path):
    with pytest.raises(SystemExit, match="recognize transcribe: .*wav.scp"):
        recognize.main(
            ["transcribe", "--recognizer", "none", "--folders", str(tmp_path / "none")]
        )


def write_tones(folder, count):
    """Words "ab" and "c" of two tones and one; returns the true border of the words."""
    rng = np.random.default_rng(0)
    wavs, first, borders = {}, {}, {}
    folder.mkdir()
    for index in range(count):
        name = f"u{index}"
        wavs[name] = str(folder / f"{name}.wav")
        seconds = rng.uniform(0.1, 0.3, 3)
        waves = [
            np.sin(2 * np.pi * pitch * np.arange(int(16000 * length)) / 16000)
            for pitch, length in zip((300, 900, 2500), seconds)
        ]
        speech = np.concatenate(waves) * 0.3
        write_audio(wavs[name], speech + rng.normal(0, 0.01, len(speech)), 16000)
        borders[name] = float(seconds[:2].sum())
        wrong = borders[name] + rng.choice([-0.05, 0.05])
        first[name] = f"0 {wrong} {wrong} {seconds.sum()}"
    write_table(folder / "wav.scp", wavs)
    write_table(folder / "text", dict.fromkeys(wavs, "ab c"))
    write_table(folder / "word_times", first)
    return borders


def test_word_times_are_refined_and_what_is_not_is_listed(tmp_path, capsys):
    borders = write_tones(tmp_path / "train", 12)
    times = read_table(tmp_path / "train" / "word_times")
    times["u3"] = "0 0 0 " + times["u3"].split()[-1]  # one word without a length
    write_table(tmp_path / "train" / "word_times", times | {"u5": "0 0 0 0"})
    letters, refine = commands(tmp_path)
    letters()
    assert "3 letters of 11 utterances" in capsys.readouterr().out
    refine()
    assert "12 utterances, 1 as before" in capsys.readouterr().out
    refined = read_table(tmp_path / "train" / "word_times_refined")
    assert set(map(float, refined.pop("u5").split())) == {0.0}
    found = [float(row.split()[1]) - borders[name] for name, row in refined.items()]
    assert np.abs(found).max() < 0.03  # the first times were wrong by .05
    words = read_ctm(tmp_path / "train" / "ctm_refined")["u0"]
    assert [word.word for word in words] == ["ab", "c"]
    assert words[0].end == pytest.approx(float(refined["u0"].split()[1]), abs=1e-3)
    dropped = (tmp_path / "train" / "not_refined.tsv").read_text()
    assert dropped.splitlines()[1:] == ["u5\tits words have no times yet"]


def commands(tmp_path):
    """Training of the models of letters, and refining with them."""
    options = ["--dump_dir", str(tmp_path), "--sets", "train"]
    options += ["--models", str(tmp_path / "models.npz")]
    return (
        lambda *more: recognize.main(["letters", *options, *more]),
        lambda *more: recognize.main(["refine", *options, *more]),
    )


def test_refined_times_follow_the_models_and_these_their_sets(tmp_path, capsys):
    write_tones(tmp_path / "train", 4)
    letters, refine = commands(tmp_path)
    letters()
    refine()
    capsys.readouterr()
    letters()
    assert "models.npz: done before" in capsys.readouterr().out
    refine()
    assert "all sets are done" in capsys.readouterr().out
    letters("--rounds", "1")  # other models
    refine()
    assert "4 utterances" in capsys.readouterr().out
    (tmp_path / "train" / "word_times_refined.scp").unlink()
    refine()
    assert "4 utterances" in capsys.readouterr().out
    (tmp_path / "models.npz").unlink()
    with pytest.raises(SystemExit, match="models of letters .* not found: run stage 4"):
        refine()


def test_times_are_refined_in_parts_as_at_once(tmp_path):
    write_tones(tmp_path / "train", 30)
    letters, refine = commands(tmp_path)
    letters()
    refine()
    whole = read_table(tmp_path / "train" / "word_times_refined")
    tables, parts = ["wav.scp", "text", "word_times"], tmp_path / "parts"
    split_sets(tmp_path, ["train"], tables, parts, 2)
    models = ["--models", str(tmp_path / "models.npz")]
    for job in sorted(parts.glob("*.sets")):
        recognize.main(
            ["refine", "--dump_dir", str(parts), "--sets", f"@{job}", *models]
        )
    (tmp_path / "train" / "refined.json").unlink()
    refine("--parts_dir", str(parts))
    assert read_table(tmp_path / "train" / "word_times_refined") == whole
    arrays = ArkTable(tmp_path / "train" / "word_times_refined.scp")
    assert arrays["u7"].shape == (4,) and len(arrays) == 30


def test_sets_without_times_cannot_be_refined(tmp_path):
    write_tones(tmp_path / "train", 1)
    (tmp_path / "train" / "word_times").unlink()
    letters, _ = commands(tmp_path)
    with pytest.raises(SystemExit, match="run recognize align first"):
        letters()
