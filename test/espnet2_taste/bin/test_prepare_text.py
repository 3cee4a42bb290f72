"""Stage 3 on small sets: bad input, consistency, resuming, nothing done twice."""

import json

import pytest

from espnet2_taste.bin import prepare_text
from espnet2_taste.data.ctm import read_ctm, read_rows
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.text.preparation import (
    TextRules,
    corpus_text,
    prepare_set,
    read_rules,
)

TEXT = {
    "b1": "The “red” dog — doesn’t run!\r",
    "a1": "a small bird sings twenty-one songs",
    "c1": "... ?!",
    "b2": "Ärger in Łódź",
}
CTM = {
    "b1": "The “red” dog — doesn’t run!".split(),
    "a1": TEXT["a1"].split(),
    "c1": ["..."],
    "b2": TEXT["b2"].split(),
}


def _write_set(directory):
    directory.mkdir(parents=True)
    (directory / "text").write_text(
        "".join(f"{utt} {line}\n" for utt, line in TEXT.items()), encoding="utf-8"
    )
    (directory / "wav.scp").write_text("".join(f"{utt} {utt}.wav\n" for utt in TEXT))
    (directory / "utt2spk").write_text("".join(f"{utt} {utt[0]}\n" for utt in TEXT))
    (directory / "spk2utt").write_text("a a1\nb b1 b2\nc c1\n")
    (directory / "utt2num_samples").write_text("".join(f"{u} 16000\n" for u in TEXT))
    (directory / "pairs.tsv").write_text("positive\tnegative\na1\tc1\nb1\tb2\n")
    rows = [
        (utt, i, word) for utt, words in CTM.items() for i, word in enumerate(words)
    ]
    (directory / "ctm").write_text(
        "".join(f"{utt} 1 {0.5 * i:.4f} 0.4000 {word}\n" for utt, i, word in rows)
    )
    header = "utt\tword_index\tword\tstart\tdur\tf0\trate\tpitch\n"
    lines = [f"{utt}\t{i}\t{word}\t{0.5 * i}\t0.4\t99\t1\t2\n" for utt, i, word in rows]
    (directory / "word_prosody").write_text(header + "".join(lines))
    return directory


@pytest.fixture
def train(tmp_path):
    return _write_set(tmp_path / "raw" / "train")


def _snapshot(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_text_becomes_words(train):
    report = prepare_set(train, TextRules())
    assert list(read_table(train / "text").items()) == [
        ("a1", "a small bird sings twenty one songs"),
        ("b1", "the red dog doesn't run"),
        ("b2", "ärger in łódź"),
    ]
    assert read_table(train / "text_raw")["b2"] == TEXT["b2"]
    assert report.kept == 3 and report.removed["b1"] == "—"


def test_empty_utterance_is_dropped_everywhere_and_listed(train):
    prepare_set(train, TextRules())
    for name in ("wav.scp", "utt2spk", "utt2num_samples", "text_raw"):
        assert sorted(read_table(train / name)) == ["a1", "b1", "b2"]
    assert read_table(train / "spk2utt") == {"a": "a1", "b": "b1 b2"}
    assert [row["positive"] for row in read_rows(train / "pairs.tsv")] == ["b1"]
    (row,) = read_rows(train / "dropped.tsv")
    assert row["utt"] == "c1" and "no word with a letter" in row["reason"]


def test_earlier_reasons_stay(train):
    (train / "dropped.tsv").write_text("utt\treason\nz9\ttoo short\n")
    prepare_set(train, TextRules())
    assert [row["utt"] for row in read_rows(train / "dropped.tsv")] == ["c1", "z9"]


def test_word_times_follow_the_words(train):
    prepare_set(train, TextRules())
    timings = read_ctm(train / "ctm")
    text = read_table(train / "text")
    assert sorted(timings) == ["b1", "b2"]  # "twenty-one" is two words, one time
    for utt, words in timings.items():
        assert " ".join(word.word for word in words) == text[utt]
    assert timings["b1"][3].start == 2.0  # behind the removed dash
    prosody = [row for row in read_rows(train / "word_prosody") if row["utt"] == "b1"]
    assert [row["word_index"] for row in prosody] == list("01234")
    assert prosody[3]["word"] == "doesn't" and prosody[3]["start"] == "2.0"
    (row,) = read_rows(train / "untimed.tsv")
    assert row["utt"] == "a1" and "6 timed words" in row["reason"]


def test_second_time_changes_nothing(train):
    prepare_set(train, TextRules())
    before = _snapshot(train)
    assert prepare_set(train, TextRules()) is None
    assert _snapshot(train) == before


def test_another_normalizer_starts_from_the_raw_text(train):
    prepare_set(train, TextRules())
    prepare_set(train, TextRules(normalizer="keep"))
    assert read_table(train / "text")["b2"] == TEXT["b2"]


def test_killed_before_the_last_file(train):
    """All is written but ``text``: the run is repeated with the same result."""
    original = (train / "text").read_bytes()
    prepare_set(train, TextRules())
    wanted = {name: content for name, (content, _) in _snapshot(train).items()}
    (train / "text").write_bytes(original)
    prepare_set(train, TextRules())
    assert {name: content for name, (content, _) in _snapshot(train).items()} == wanted


def test_new_raw_text_is_taken(train):
    prepare_set(train, TextRules())
    (train / "text").write_text("a1 Another Text\n")
    prepare_set(train, TextRules())
    assert read_table(train / "text") == {"a1": "another text"}
    assert read_table(train / "text_raw") == {"a1": "Another Text"}


def _options(folder, **more):
    options = {
        "dump_dir": folder / "raw",
        "train_set": "train",
        "sets": "train dev",
        "token_dir": folder / "token_list" / "bpe",
        "lm_tokenizer_dir": folder / "lm_tokenizer",
        "nbpe": 30,
        "lm_vocab_size": 270,
        **more,
    }
    return [item for key, value in options.items() for item in (f"--{key}", str(value))]


def test_command_makes_everything_once(train, tmp_path, sentences):
    from espnet2_taste.text.tokenizers import build_text_tokenizer

    _write_set(tmp_path / "raw" / "dev")
    extra = tmp_path / "extra.txt"
    extra.write_text("\n".join([*sentences, "", "--"]), encoding="utf-8")
    options = _options(tmp_path, extra_text=extra)
    prepare_text.main(options)
    asr = build_text_tokenizer(
        "bpe",
        tmp_path / "token_list/bpe/tokens.txt",
        str(tmp_path / "token_list/bpe/bpe.model"),
    )
    llm = build_text_tokenizer("hf", tokenizer_path=str(tmp_path / "lm_tokenizer"))
    for tokenizer in (asr, llm):
        assert tokenizer.decode(tokenizer.encode_word("doesn't")) == "doesn't"
    lines = read_table(tmp_path / "raw/lm_train/text")
    assert len(lines) == 3 + len(sentences)
    assert json.loads((train / "text_prepared.json").read_text())["sha256"]
    before = _snapshot(tmp_path)
    prepare_text.main(options)
    assert _snapshot(tmp_path) == before


@pytest.mark.parametrize(
    "more, message",
    [
        ({"sets": "train absent"}, "absent"),
        ({"nbpe": 5}, "--nbpe 5 is below"),
        ({"lm_vocab_size": 100}, "--lm_vocab_size of 259 or more"),
        ({"extra_text": "absent.txt"}, "--extra_text: no such file"),
    ],
)
def test_errors_are_one_line(train, tmp_path, more, message):
    with pytest.raises(SystemExit, match=message):
        prepare_text.main(_options(tmp_path, **{"sets": "train", **more}))


def test_nothing_but_punctuation(tmp_path):
    directory = _write_set(tmp_path / "raw" / "train")
    (directory / "text").write_text("a1 ...\nb1 -\n")
    with pytest.raises(SystemExit, match="none of 2 utterances has a word"):
        prepare_text.main(_options(tmp_path, sets="train"))


def test_tags_and_named_symbols_are_listed_and_take_their_times_along(train, tmp_path):
    (train / "text").write_text("a1 yes <COMMA> %uh no\n")
    (train / "ctm").write_text(
        "".join(
            f"a1 1 {i:.4f} 0.5000 {word}\n"
            for i, word in enumerate(["yes", "<COMMA>", "%uh", "no"])
        )
    )
    (train / "word_prosody").unlink()
    (tmp_path / "symbols").write_text("%uh\n")
    more = {"sets": "train", "non_linguistic_symbols": tmp_path / "symbols"}
    prepare_text.main(_options(tmp_path, **{**more, "nbpe": 9}))
    assert read_table(train / "text") == {"a1": "yes no"}
    assert [word.start for word in read_ctm(train / "ctm")["a1"]] == [0.0, 3.0]
    (row,) = read_rows(train / "removed_words.tsv")
    assert row["removed"] == "<COMMA> %uh"


def test_phrases_of_a_script_without_spaces_are_refused_with_the_option(train):
    (train / "text").write_text("a1 我今天很高兴地去北京。\n", encoding="utf-8")
    with pytest.raises(ValueError, match="--segmenter character --word_space false"):
        prepare_set(train, TextRules())
    prepare_set(train, TextRules(segmenter="character"))
    assert read_table(train / "text")["a1"].split()[:3] == ["我", "今", "天"]


def test_a_set_that_the_vocabulary_cannot_write_is_refused(train, tmp_path):
    dev = _write_set(tmp_path / "raw" / "dev")
    (dev / "text").write_text("a1 щука ёж\nb1 the dog\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="raw/dev: .*<unk>.*'щука'.*at most 5 %"):
        prepare_text.main(_options(tmp_path))


def test_a_recognizers_transcripts_become_the_text_and_the_corpus_judges(train):
    found = {"a1": "A small bird sings; twenty-one songs!", "b1": "", "c1": "Oh."}
    (train / "text_recognized").write_text(
        "".join(f"{u} {t}\n" for u, t in found.items())
    )
    rules = TextRules(normalizer="keep", transcripts="text_recognized")
    prepare_set(train, rules)
    words = read_table(train / "text")
    assert words == {"a1": found["a1"], "c1": "Oh."}
    assert read_rules(train) == rules
    assert corpus_text(train, words) == {"a1": TEXT["a1"], "c1": ""}
    assert prepare_set(train, rules) is None
    prepare_set(train, TextRules())
    assert read_table(train / "text")["a1"].endswith("twenty one songs")
    assert corpus_text(train, words) is words
