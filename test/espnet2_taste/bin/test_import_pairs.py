"""From SALMON's folders to an accuracy."""

import numpy as np
import pytest

from espnet2_taste.bin import imports, tables
from espnet2_taste.data.audio import write_audio
from espnet2_taste.data.ctm import read_rows, write_rows
from espnet2_taste.data.kaldi_dir import read_kaldi_dir, write_table

PARTS = ("gender_consistency", "rir_consistency")


@pytest.fixture
def salmon(tmp_path, monkeypatch):
    """Two parts of three pairs each, without transcripts."""
    monkeypatch.chdir(tmp_path)
    for part in PARTS:
        (tmp_path / "salmon" / part).mkdir(parents=True)
        for i in range(3):
            for k in range(2):
                path = tmp_path / "salmon" / part / f"sample_{i}_{k}.wav"
                write_audio(path, np.full(8000 + 100 * i, 0.1), 16000)
    return tmp_path


def run(*more):
    imports.main(["pairs", "--layout", "salmon", "--source", "salmon", *more])


def test_sets_are_made_and_scored(salmon, capsys):
    texts = {
        f"{part}/sample_{i}_{k}": f"text {i}"
        for part in PARTS
        for i in range(3)
        for k in range(2)
    }
    write_table(salmon / "table", texts)
    run("--text", "table")
    run("--text", "table")
    assert capsys.readouterr().out.count("3 pairs, as it was") == 2
    folders = [salmon / "data" / f"salmon_{part}" for part in PARTS]
    assert (
        read_kaldi_dir(folders[0]).text["salmon_gender_consistency-2-neg"] == "text 2"
    )
    for folder, right in zip(folders, (3, 1)):
        exp = salmon / "exp" / "gslm" / "likelihood" / folder.name
        exp.mkdir(parents=True)
        rows = [
            (row[side], -1.0 if (side == "positive") == (i < right) else -2.0)
            for i, row in enumerate(read_rows(folder / "pairs.tsv"))
            for side in ("positive", "negative")
        ]
        write_rows(exp / "scores.tsv", ("utt", "speech_mean"), rows)
    sets = [folder.name for folder in folders]
    options = ["--names", "gslm", "--sets", " ".join(sets), "--dump_dir", "data"]
    options += ["--output", "exp/pairs.tsv"]
    tables.main(["pairs", *options, "--groups", f"salmon={','.join(sets)}"])
    lines = {row["set"]: row for row in read_rows("exp/pairs.tsv")}
    assert lines[sets[0]]["accuracy"] == "1.0000"
    assert lines["salmon"]["accuracy"] == "0.6667" and lines["salmon"]["pairs"] == "6"
    assert float(lines["salmon"]["low"]) < 0.6667 < float(lines["salmon"]["high"])
    with pytest.raises(SystemExit, match="--groups x=y: expected name=set"):
        tables.main(["pairs", *options, "--groups", "x=y"])


def test_a_recognizer_writes_missing_transcripts(salmon, asr_exp_builder, bpe_dir):
    asr_exp = asr_exp_builder(bpemodel=str(bpe_dir / "bpe.model"))
    run("--recognizer", str(asr_exp), "--parts", "rir_consistency")
    assert [path.name for path in (salmon / "data").glob("*")] == [
        "salmon_rir_consistency"
    ]


def test_errors_name_the_remedy(salmon):
    with pytest.raises(
        SystemExit, match="sample_0_0.wav: it has no transcript.*--recognizer"
    ):
        run()
    with pytest.raises(SystemExit, match="--parts x: salmon has gender_consistency"):
        run("--parts", "x")
