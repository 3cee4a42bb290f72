"""Stages 1 to 3 on one set with everything that can be wrong with it.

Enters: a Kaldi-style folder as found in the wild. Leaves: what can be used, in one
form, and the reason of everything left out; or one line that names the utterance.
"""

import numpy as np
import pytest
import soundfile

from espnet2_taste.bin import data, prepare_text
from espnet2_taste.data.ctm import read_rows
from espnet2_taste.data.kaldi_dir import read_table

RATE = 16000
GOOD = {  # utterance -> transcript as it is, transcript as it should be
    "z-curly": ("“Don’t,” she said", "don't she said"),
    "m-accents": ("Über naïve café", "über naïve café"),
    "a-pieces": ("a -- red ... dog !", "a red dog"),
    "b-stereo": ("two channels", "two channels"),
    "c-44k": ("high rate", "high rate"),
    "d-8k": ("low rate", "low rate"),
}
LEFT_OUT = {  # utterance -> the beginning of the reason
    "missing": "the audio file is missing",
    "garbage": "the audio cannot be read",
    "nan": "the audio holds NaN",
    "empty": "the audio is empty",
    "silent": "the audio is silent",
    "long": "the audio lasts 31.00 s, expected 0.3 to 30 s",
    "short": "the audio lasts 0.10 s",
    "slow": "the sample rate is 4000 Hz",
    "no-audio": "it has a transcript but no audio",
    "no-text": "it has audio but no transcript",
    "blank-text": "its transcript is empty",
    "signs": "no word with a letter or digit in '... ?!'",
}


def write_audio(folder):
    """One file for each utterance that is to have one; gives ``wav.scp``."""
    noise = np.random.default_rng(0).normal(0, 0.1, 31 * 44100)
    shapes = {
        "b-stereo": (noise[: 2 * RATE].reshape(-1, 2), RATE),
        "c-44k": (noise[:44100], 44100),
        "d-8k": (noise[:8000], 8000),
        "nan": (np.full(RATE, np.nan), RATE),
        "empty": (noise[:0], RATE),
        "silent": (np.zeros(RATE), RATE),
        "long": (noise[: 31 * RATE], RATE),
        "short": (noise[: RATE // 10], RATE),
        "slow": (noise[:4000], 4000),
    }
    names = [name for name in (*GOOD, *LEFT_OUT) if name != "no-audio"]
    for name in names:
        audio, rate = shapes.get(name, (noise[:RATE], RATE))
        soundfile.write(folder / f"{name}.wav", audio, rate, subtype="FLOAT")
    (folder / "missing.wav").unlink()
    (folder / "garbage.wav").write_bytes(b"RIFF no audio at all")
    return "".join(f"{name} {name}.wav\r\n" for name in names)


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """A folder with the set ``train``; lines end as on Windows and are unsorted."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "corpus/train"
    folder.mkdir(parents=True)
    text = {name: given for name, (given, _) in GOOD.items()}
    text |= {name: "some words" for name in LEFT_OUT}
    text |= {"blank-text": "", "signs": "... ?!"}
    del text["no-text"]
    lines = "".join(f"{name} {line}\r\n" for name, line in text.items())
    (folder / "text").write_bytes(b"\xef\xbb\xbf" + lines.encode())
    (folder / "wav.scp").write_bytes(write_audio(folder).encode())
    return folder


def run_stages():
    """The commands of stages 1 to 3."""
    data.main(["copy", "--source", "corpus", "--sets", "train", "--output_dir", "data"])
    data.main(
        ["format", "--data_dir", "data", "--output_dir", "dump", "--sets", "train"]
    )
    options = ["--dump_dir", "dump", "--train_set", "train", "--sets", "train"]
    folders = ["--token_dir", "token", "--lm_tokenizer_dir", "lm"]
    prepare_text.main([*options, *folders, "--nbpe", "40", "--lm_vocab_size", "270"])


def test_what_can_be_used_is_kept_in_one_form(corpus):
    run_stages()
    wanted = {name: words for name, (_, words) in GOOD.items()}
    assert read_table("dump/train/text") == wanted
    assert list(read_table("dump/train/text")) == sorted(wanted)
    for name, path in read_table("dump/train/wav.scp").items():
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (RATE, 1, "PCM_16")
        assert info.frames == RATE, name
    rows = read_rows("dump/train/removed_words.tsv")
    assert {"utt": "a-pieces", "removed": "-- ... !"} in rows


def test_everything_left_out_has_its_reason(corpus):
    run_stages()
    rows = read_rows("dump/train/dropped.tsv")
    reasons = {row["utt"]: row["reason"] for row in rows}
    assert reasons.keys() == LEFT_OUT.keys()
    for name, reason in LEFT_OUT.items():
        assert reasons[name].startswith(reason), name


@pytest.mark.parametrize(
    "table, line, complaint",
    [
        ("wav.scp", "d-8k other.wav", "'d-8k' occurs twice.*Rename or remove"),
        ("text", "d-8k other", "'d-8k' occurs twice.*Rename or remove"),
        ("wav.scp", "a/b x.wav", "utterance 'a/b'.*Rename"),
    ],
)
def test_what_is_wrong_for_the_whole_set_is_one_line(corpus, table, line, complaint):
    with open(corpus / table, "a") as stream:
        stream.write(line + "\n")
    with pytest.raises(SystemExit, match=f"data copy: .*{complaint}") as info:
        run_stages()
    assert "\n" not in str(info.value)


def test_another_encoding_is_one_line(corpus):
    (corpus / "text").write_bytes("d-8k caf\xe9\n".encode("latin1"))
    with pytest.raises(SystemExit, match="expected UTF-8.*iconv -f latin1"):
        run_stages()
