"""Alignment of sets on disk with a tiny random ASR experiment."""

import json
import os
import shutil

import numpy as np
import pytest
import torch

from espnet2_taste.align.ctc_aligner import CtcAligner, CtcScorer
from espnet2_taste.bin import recognize
from espnet2_taste.data.audio import write_audio
from espnet2_taste.data.ctm import read_ctm, write_ctm
from espnet2_taste.data.kaldi_dir import read_table, write_table
from espnet2_taste.structures import WordTiming
from espnet2_taste.tokenizer.encoders.espnet_asr import load_asr_model, sample_rate_of
from espnet2_taste.tokenizer.encoders.espnet_stack import EspnetStack


@pytest.fixture(scope="module")
def asr_exp(asr_exp_builder, bpe_dir):
    return asr_exp_builder(bpemodel=str(bpe_dir / "bpe.model"))


@pytest.fixture
def dump(tmp_path):
    folder = tmp_path / "raw" / "test"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    wavs, texts, truth = {}, {}, {}
    for name, seconds in (("u1", 1.6), ("u2", 2.0), ("short", 0.2)):
        path = folder / f"{name}.wav"
        write_audio(path, 0.1 * rng.standard_normal(int(seconds * 16000)), 16000)
        wavs[name], texts[name] = str(path), "the red dog"
        truth[name] = [
            WordTiming(word, i * seconds / 3, seconds / 3)
            for i, word in enumerate(texts[name].split())
        ]
    texts["silent"] = "a bird"
    write_table(folder / "wav.scp", wavs)
    write_table(folder / "text", texts)
    write_ctm(folder / "ctm", truth)
    return tmp_path / "raw"


def run(asr_exp, dump, *more):
    recognize.main(
        [
            "align",
            "--recognizer",
            str(asr_exp),
            "--dump_dir",
            str(dump),
            "--sets",
            "test",
            *more,
        ]
    )


def test_words_are_timed_and_losses_listed(asr_exp, dump, capsys):
    run(asr_exp, dump)
    timings = read_ctm(dump / "test" / "ctm_aligned")
    assert set(timings) == {"u1", "u2"}
    for words in timings.values():
        assert [timing.word for timing in words] == ["the", "red", "dog"]
        assert all(a.end <= b.start + 2e-4 for a, b in zip(words, words[1:]))
    times = read_table(dump / "test" / "word_times")
    assert [float(x) for x in times["u1"].split()] == pytest.approx(
        [x for word in timings["u1"] for x in (word.start, word.end)], abs=2e-4
    )
    assert times["short"] == "0 0 0 0 0 0" and times["silent"] == "0 0 0 0"
    summary = json.loads((dump / "test" / "asr_align.json").read_text())
    assert summary["words"] == 11 and summary["not_aligned"] == 2
    assert summary["durations_against_truth"]["words"] == 6
    problems = (dump / "test" / "not_aligned.tsv").read_text()
    assert "short\t" in problems and "silent\tno audio" in problems
    run(asr_exp, dump)
    assert "all sets are done" in capsys.readouterr().out


def test_sets_that_are_not_scored_are_not_transcribed(
    asr_exp, dump, tmp_path, monkeypatch, capsys
):
    shutil.copytree(dump, tmp_path / "again")
    run(asr_exp, dump)
    capsys.readouterr()

    def refuse(*_):
        raise AssertionError("a training set was transcribed")

    for name in ("align", "transcribe"):
        monkeypatch.setattr(CtcAligner, name, refuse)
    run(asr_exp, tmp_path / "again", "--times_only", "train test")
    assert "word times" in capsys.readouterr().out
    for name in ("ctm_aligned", "word_times", "not_aligned.tsv"):
        first = (dump / "test" / name).read_text()
        assert first == (tmp_path / "again" / "test" / name).read_text()
    assert not (tmp_path / "again" / "test" / "text_asr").exists()
    summary = json.loads((tmp_path / "again/test/asr_align.json").read_text())
    assert "wer" not in summary and summary["durations_against_truth"]["words"] == 6
    monkeypatch.undo()
    run(asr_exp, tmp_path / "again")  # it is scored after all
    transcripts = [root / "test" / "text_asr" for root in (dump, tmp_path / "again")]
    assert transcripts[0].read_text() == transcripts[1].read_text()


def test_batches_do_not_matter(asr_exp, dump, tmp_path):
    shutil.copytree(dump, tmp_path / "again")
    run(asr_exp, dump)
    run(asr_exp, tmp_path / "again", "--batch_size", "1")
    first = (dump / "test" / "ctm_aligned").read_text()
    assert first == (tmp_path / "again" / "test" / "ctm_aligned").read_text()


def test_speech_that_a_model_made_may_be_without_words(asr_exp, dump, capsys):
    folder = dump / "test"
    texts = dict.fromkeys(read_table(folder / "text"), "") | {"short": "a red dog"}
    write_table(folder / "text", texts)
    with pytest.raises(SystemExit, match="no utterance can be aligned"):
        run(asr_exp, dump)
    (folder / "asr_align.json").unlink()
    run(asr_exp, dump, "--made_speech", "true")
    assert list(read_table(folder / "text_asr")) == ["short"]
    assert not read_ctm(folder / "ctm_aligned")


def test_word_times_of_older_audio_are_made_again(asr_exp, dump, capsys):
    run(asr_exp, dump)
    made = (dump / "test/asr_align.json").stat().st_mtime
    os.utime(dump / "test/wav.scp", (made + 5, made + 5))
    capsys.readouterr()
    run(asr_exp, dump)
    assert "all sets are done" not in capsys.readouterr().out


@pytest.mark.parametrize("encoder", ["e_branchformer", "conformer"])
def test_a_batch_scores_as_espnet_scores_each_utterance(asr_exp_builder, encoder):
    """Behind the shield against padding, frames are those of ``model.encode``."""
    conf = {"output_size": 16, "attention_heads": 2, "linear_units": 24}
    if encoder == "e_branchformer":
        conf["cgmlp_linear_units"] = 32
    exp = asr_exp_builder(
        encoder=encoder,
        encoder_conf={**conf, "num_blocks": 2, "rel_pos_type": "latest"},
    )
    model, args = load_asr_model(exp)
    stack = EspnetStack(
        model.frontend, model.normalize, model.encoder, sample_rate_of(args)
    )
    generator = torch.Generator().manual_seed(0)
    waves = [torch.randn(n, generator=generator) for n in (24000, 16123, 9000)]
    lengths = torch.tensor([len(wave) for wave in waves])
    padded = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True)
    with torch.no_grad():
        scores, frames = CtcScorer(stack, model.ctc.ctc_lo)(padded, lengths)
        fresh, _ = load_asr_model(exp, whole=True)  # without the shield's hooks
        for row, wave in enumerate(waves):
            alone = fresh.encode(wave[None], lengths[row : row + 1])[0]
            want = fresh.ctc.log_softmax(alone)[0]
            assert len(want) == frames[row]
            torch.testing.assert_close(
                scores[row, : len(want)], want, rtol=1e-4, atol=1e-4
            )


def test_a_missing_set_is_one_line(asr_exp, tmp_path):
    with pytest.raises(SystemExit, match="wav.scp"):
        run(asr_exp, tmp_path)
