"""Recognition of folders with a real, tiny recognizer."""

import numpy as np
import pytest

from espnet2_taste.bin import recognize
from espnet2_taste.data.audio import write_audio
from espnet2_taste.data.kaldi_dir import read_table, write_table


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
