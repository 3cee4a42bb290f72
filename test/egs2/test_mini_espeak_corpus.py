"""The synthetic corpus: true times, pairs that differ only where they should."""

import importlib
import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet2_taste.data.ctm import read_ctm, read_rows
from espnet2_taste.data.kaldi_dir import read_kaldi_dir

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / "egs2" / "mini_espeak" / "taslm1" / "local"
MODULES = ("make_corpus", "render", "plan", "grammar", "espeak", "fresh_process")
SETS = (
    "train train_slm dev test test_newvoice swap_slow swap_fast swap_woman swap_man "
    "pairs_style pairs_voice pairs_coherent prompts"
).split()

KINDS = ("woman", "man")

try:
    importlib.import_module("espeakng_loader")
except ImportError:
    pytest.skip("needs espeakng-loader (the extra espeak)", allow_module_level=True)


def make(folder, *options):
    """Run the command that makes the corpus."""
    return subprocess.run(
        [sys.executable, LOCAL / "make_corpus.py", "--output_dir", "data", *options],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A recipe folder with a tiny corpus in ``data``."""
    folder = tmp_path_factory.mktemp("recipe")
    done = make(folder, "--scale", "0.03", "--nj", "2")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def local(monkeypatch):
    """Import modules of the recipe by name."""
    monkeypatch.syspath_prepend(str(LOCAL))
    yield importlib.import_module
    for name in MODULES:
        sys.modules.pop(name, None)


def read_set(recipe, name):
    """Audio by utterance, word times and prosody rows of a set."""
    folder = recipe / "data" / name
    wavs = read_kaldi_dir(folder).wav
    audio = {utt: soundfile.read(recipe / path)[0] for utt, path in wavs.items()}
    prosody = defaultdict(list)
    for row in read_rows(folder / "word_prosody"):
        prosody[row["utt"]].append(row)
    return audio, read_ctm(folder / "ctm"), prosody


@pytest.mark.parametrize("name", SETS)
def test_every_set_says_the_same_in_all_its_files(recipe, name):
    folder = recipe / "data" / name
    tables = read_kaldi_dir(folder)
    audio, ctm, prosody = read_set(recipe, name)
    for utterance, text in tables.text.items():
        assert utterance.startswith(tables.utt2spk[utterance] + "-")
        assert [word.word for word in ctm[utterance]] == text.split()
        assert [row["word"] for row in prosody[utterance]] == text.split()
        seconds = len(audio[utterance]) / 16000
        assert ctm[utterance][0].start <= 0.1
        assert seconds - 0.1 <= ctm[utterance][-1].end <= seconds + 1e-4  # rounded
        assert all(60 < float(row["f0"]) < 500 for row in prosody[utterance])


@pytest.mark.parametrize("name", ["train", "pairs_voice"])
def test_words_follow_each_other_and_hold_all_the_sound(recipe, name):
    audio, ctm, _ = read_set(recipe, name)
    for utterance, words in ctm.items():
        for word, following in zip(words, words[1:]):
            assert word.duration > 0.02
            assert following.start == pytest.approx(word.end, abs=2e-4)
        begin, end = (int(16000 * t) for t in (words[0].start, words[-1].end))
        outside = np.concatenate([audio[utterance][:begin], audio[utterance][end:]])
        assert np.sum(outside**2) < 1e-3 * np.sum(audio[utterance] ** 2)


SPEAK = """
import numpy, sys
from espeak import Phrase, Synthesizer
spoken = Synthesizer()
samples, starts = spoken.speak([Phrase(tuple(sys.argv[2:]), 160, 50)], "en-us+m3")
numpy.savez(sys.argv[1], samples=samples, starts=starts, rate=spoken.sample_rate)
"""


def test_boundaries_are_where_the_sound_changes(tmp_path):
    """The hiss of "slices" begins where the vowel of "potato" ends.

    In a process of its own, since speech depends on what eSpeak was asked before.
    """
    words = ("slices", "potato", "slices")
    subprocess.run(
        [sys.executable, "-c", SPEAK, tmp_path / "spoken.npz", *words],
        cwd=LOCAL,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        check=True,
    )
    spoken = np.load(tmp_path / "spoken.npz")
    samples, starts, rate = spoken["samples"], spoken["starts"], int(spoken["rate"])

    def hiss(begin, seconds):
        piece = samples[begin : begin + int(seconds * rate)]
        return np.sum(np.diff(piece) ** 2) / np.sum(piece**2)

    assert hiss(starts[2], 0.06) > 10 * hiss(starts[2] - int(0.06 * rate), 0.06)


def test_every_word_is_longer_when_slow(recipe):
    _, slow, slow_prosody = read_set(recipe, "swap_slow")
    _, fast, fast_prosody = read_set(recipe, "swap_fast")
    rows = read_rows(recipe / "data" / "swap_slow" / "pairs.tsv")
    assert len(rows) == len(slow) == len(fast) >= 2
    for row in rows:
        for one, other in zip(slow[row["slow"]], fast[row["fast"]], strict=True):
            assert one.word == other.word
            assert one.duration > 1.2 * other.duration
        pitches = {w["pitch"] for w in slow_prosody[row["slow"]]}
        assert pitches == {w["pitch"] for w in fast_prosody[row["fast"]]}


def test_the_same_text_by_two_voices_differs_in_pitch_not_in_words(recipe):
    tables = {kind: read_kaldi_dir(recipe / f"data/swap_{kind}") for kind in KINDS}
    prosody = {kind: read_set(recipe, f"swap_{kind}")[2] for kind in KINDS}
    rows = read_rows(recipe / "data/swap_woman/pairs.tsv")
    assert rows == read_rows(recipe / "data/swap_man/pairs.tsv") and len(rows) >= 2
    f0 = {kind: [] for kind in KINDS}
    for row in rows:
        assert tables["woman"].text[row["woman"]] == tables["man"].text[row["man"]]
        for kind in KINDS:
            f0[kind] += [float(word["f0"]) for word in prosody[kind][row[kind]]]
    assert np.median(f0["woman"]) > 1.3 * np.median(f0["man"])


@pytest.mark.parametrize("kind", ["style", "voice"])
def test_consistency_pairs_differ_only_after_the_cut(recipe, kind):
    audio, ctm, prosody = read_set(recipe, f"pairs_{kind}")
    rows = read_rows(recipe / "data" / f"pairs_{kind}" / "pairs.tsv")
    for row in rows:
        good, bad = row["positive"], row["negative"]
        words = [word.word for word in ctm[good]]
        assert words == [word.word for word in ctm[bad]]
        cut = (len(words) + 1) // 2
        assert ctm[good][:cut] == ctm[bad][:cut]
        same = int((ctm[good][cut].start - 0.01) * 16000)
        np.testing.assert_array_equal(audio[good][:same], audio[bad][:same])
        after = min(len(audio[good]), len(audio[bad]))
        assert np.abs(audio[good][same:after] - audio[bad][same:after]).max() > 0.05
        styles = [{(w["rate"], w["pitch"]) for w in prosody[u]} for u in (good, bad)]
        assert [len(s) for s in styles] == [1, 2 if kind == "style" else 1]


def test_coherence_pairs_differ_in_the_object_only(recipe):
    tables = read_kaldi_dir(recipe / "data" / "pairs_coherent")
    for row in read_rows(recipe / "data" / "pairs_coherent" / "pairs.tsv"):
        good, bad = (tables.text[row[k]].split() for k in ("positive", "negative"))
        different = [(a, b) for a, b in zip(good, bad, strict=True) if a != b]
        assert 1 <= len(different) <= 2
        assert all({a, b} == {"a", "an"} for a, b in different[:-1])


def test_prompts_end_with_their_first_clause(recipe):
    tables = read_kaldi_dir(recipe / "data" / "prompts")
    rows = read_rows(recipe / "data" / "prompts" / "prompt_words")
    assert {row["utt"] for row in rows} == set(tables.text)
    for row in rows:
        following = tables.text[row["utt"]].split()[int(row["n_words"])]
        assert following in ("and", "but", "while")


def test_some_utterances_change_style_and_some_do_not(recipe):
    _, _, prosody = read_set(recipe, "train")
    styles = [len({(r["rate"], r["pitch"]) for r in rows}) for rows in prosody.values()]
    assert 0.2 < np.mean(np.array(styles) > 1) < 0.9


def test_the_language_models_learn_from_speech_that_keeps_its_style(recipe):
    _, _, prosody = read_set(recipe, "train_slm")
    for rows in prosody.values():
        assert len({(row["rate"], row["pitch"]) for row in rows}) == 1


def test_some_utterances_begin_in_mid_sentence(recipe):
    texts = {n: read_kaldi_dir(recipe / "data" / n).text for n in SETS[:2]}
    beginnings = {n: {t.split()[0] for t in texts[n].values()} for n in texts}
    assert beginnings["train"] & {"and", "but", "while"}
    assert not beginnings["train_slm"] & {"and", "but", "while"}


def test_no_test_sentence_is_trained_on(recipe):
    texts = {n: set(read_kaldi_dir(recipe / "data" / n).text.values()) for n in SETS}
    extra = set((recipe / "data" / "text_extra").read_text().splitlines())
    learned = texts.pop("train") | texts.pop("train_slm") | extra
    for name, held_out in texts.items():
        assert not held_out & learned, name


def test_the_same_bytes_on_any_number_of_processes(recipe, tmp_path):
    assert make(tmp_path, "--scale", "0.03", "--nj", "1").returncode == 0
    files = [p for p in (recipe / "data").rglob("*") if p.is_file()]
    assert len(files) > 100
    for file in files:
        again = tmp_path / file.relative_to(recipe)
        assert again.read_bytes() == file.read_bytes(), file


def test_what_is_there_is_kept(recipe, local, monkeypatch, capsys):
    before = {p: p.stat().st_mtime_ns for p in (recipe / "data").rglob("*")}
    monkeypatch.chdir(recipe)
    local("make_corpus").main(["--scale", "0.03"])
    assert "0 sets made, 13 kept" in capsys.readouterr().out
    assert before == {p: p.stat().st_mtime_ns for p in (recipe / "data").rglob("*")}


def test_a_set_of_someone_else_is_not_overwritten(local, tmp_path):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "text").write_text("mine\n")
    with pytest.raises(SystemExit, match="not made by this command"):
        local("make_corpus").main(["--output_dir", str(tmp_path), "--scale", "0.01"])
    assert (tmp_path / "test" / "text").read_text() == "mine\n"


@pytest.mark.parametrize("option", [("--scale", "0"), ("--nj", "0")])
def test_impossible_options_are_one_line(local, option):
    with pytest.raises(SystemExit, match="make_corpus: error: expected --scale > 0"):
        local("make_corpus").main(list(option))


def test_without_espeak_the_extra_is_named(local, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(SystemExit, match=r"pip install 'espnet2_taste\[espeak\]'"):
        local("make_corpus").main(["--output_dir", str(tmp_path), "--scale", "0.01"])


def test_the_grammar_is_large_and_topics_share_no_words(local):
    grammar = local("grammar")
    assert len(grammar.vocabulary()) >= 120
    for kind in ("subjects", "verbs", "objects"):
        words = [w for topic in grammar.TOPICS for w in getattr(topic, kind)]
        assert len(words) == len(set(words))


def test_an_incoherent_ending_comes_from_another_topic(local):
    grammar, rng = local("grammar"), random.Random(0)
    for _ in range(200):
        sentence = grammar.two_clauses(rng)
        other = grammar.incoherent(sentence, rng)
        objects = grammar.TOPICS[sentence.topic].objects
        assert sentence.words[sentence.object_index] in objects
        assert other.words[sentence.object_index] not in objects


def test_an_unknown_voice_is_named(local):
    espeak = local("espeak")
    with pytest.raises(ValueError, match="no voice 'xx-nothing'"):
        espeak.Synthesizer().speak([espeak.Phrase(("hello",), 160, 50)], "xx-nothing")


def test_every_rate_has_one_that_is_clearly_different(local):
    """Otherwise no changed style is ever found for the rates in the middle."""
    plan = local("plan")
    assert plan.SLOWEST * plan.LEAST_CHANGE**2 < plan.FASTEST
    assert plan.SLOWEST <= plan.SLOW < plan.FAST <= plan.FASTEST
