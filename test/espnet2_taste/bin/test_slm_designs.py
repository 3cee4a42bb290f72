"""Designs from data to speech: preparation, continuation, scores, padding, others."""

import shutil
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile
import yaml
from helper_modules import load_tests
from tiny_models import write_lm

from espnet2_taste.bin import imports, slm_inference, slm_score, tables, units
from espnet2_taste.data.audio import read_audio
from espnet2_taste.data.ctm import read_ctm, read_rows, write_ctm
from espnet2_taste.data.grid_sets import read_fields
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.structures import WordTiming

SYSTEMS = Path(__file__).parents[3] / "egs2/mini_espeak/taslm1/conf/systems"
SMALL = ["--num_units", "7"]
DESIGNS = {
    "gslm": [],
    "s3_parallel": [],
    "spiritlm_expr": ["--num_pitch", "4", "--num_style", "2"],
    "moshi": ["--grid_head_conf=size=8", "--grid_head_conf=num_heads=2"],
    "llama_omni": ["--tail_head_conf=ratio=5", "--tail_head_conf=num_heads=2"],
}


def write_times(folder):
    """Words that divide the recording evenly."""
    timings = {}
    units = read_table(folder / "units")
    for name, text in read_table(folder / "text").items():
        words = text.split()
        step = len(units[name].split()) / 25 / len(words)
        timings[name] = [WordTiming(w, i * step, step) for i, w in enumerate(words)]
    write_ctm(folder / "ctm", timings)


def write_tones(folder):
    """Recordings with a pitch, which noise has not."""
    for index, path in enumerate(read_table(folder / "wav.scp").values()):
        time = np.arange(soundfile.info(path).frames) / 16000
        phase = 2 * np.pi * (120 + 40 * index + 60 * time) * time
        soundfile.write(path, 0.3 * np.sin(phase) + 0.1 * np.sin(2 * phase), 16000)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, tiny_asr_exp, bpe_dir, lm_tokenizer_dir):
    """A prepared set, a vocoder, durations, a text-only TASTE and a text LM."""
    from espnet2_taste.tasks.taste import TasteTask
    from espnet2_taste.tasks.unit_vocoder import UnitVocoderTask

    speech = load_tests("bin", "test_taste_resynthesize.py")
    root = tmp_path_factory.mktemp("designs")
    folder = root / "dump" / "test"
    speech.write_set(folder)
    write_times(folder)
    write_tones(folder)
    (folder / "pairs.tsv").write_text("positive\tnegative\nutt2\tutt1\n")
    tokens = ["--token_list", str(bpe_dir / "tokens.txt")]
    tokens += ["--bpemodel", str(bpe_dir / "bpe.model")]
    config = speech.TASTE | {"speech_encoder_conf": {"asr_exp": str(tiny_asr_exp)}}
    config["model_conf"] = {"use_taste": False}
    speech.write_exp(TasteTask, root / "taste_text_only", config, *tokens)
    speech.write_exp(UnitVocoderTask, root / "unit_vocoder", speech.VOCODER)
    write_lm(root / "llm", lm_tokenizer_dir)
    options = ["--data_dir", str(folder), "--steps", "3", *SMALL]
    units.main(["durations", *options, "--output_dir", str(root / "durations")])
    options = ["--dump_dir", str(root / "dump"), "--sets", "test", "--train_set"]
    options += ["test", "--num_pitch", "4", "--num_style", "2"]
    units.main(["expression", *options, "--output_dir", str(root / "expression")])
    options = ["--dump_dir", str(root / "dump"), "--sets", "test"]
    units.main(["tokens", *options, "--tables", str(root / "expression")])
    return root


def experiment(recipe, design):
    """An experiment of random weights."""
    from espnet2_taste.tasks.spoken_lm import SpokenLMTask

    folder = recipe / design
    if not folder.is_dir():
        config = yaml.safe_load((SYSTEMS / f"{design}.yaml").read_text())
        options = ["--tokenizer_path", str(recipe / "llm"), *SMALL, *DESIGNS[design]]
        if "lm_conf" not in config:
            options += ["--init_lm", str(recipe / "llm")]
        write = load_tests("bin", "test_taste_resynthesize.py").write_exp
        write(SpokenLMTask, folder, config, *options)
    return folder


def run(recipe, design, output, *options):
    command = ["--exp", str(experiment(recipe, design)), "--sets", "test"]
    command += ["--dump_dir", str(recipe / "dump"), "--prompt_words", "2"]
    command += ["--unit_vocoder_exp", str(recipe / "unit_vocoder")]
    command += ["--durations", str(recipe / "durations"), "--max_seconds", "0.5"]
    command += ["--output_dir", str(recipe / output), "--speech_top_p", "0.95"]
    slm_inference.main([*command, *options])
    return recipe / output / "test"


def check_parts(recipe, folder):
    given = read_table(recipe / "dump" / "test" / "text")
    empty = {row["utt"] for row in read_rows(folder / "empty.tsv")}
    for name, text in given.items():
        prompt, own, whole = (
            read_table(folder / part / "units")[name].split()
            for part in ("prompt", ".", "full")
        )
        assert prompt and whole == prompt + own and (name in empty) == (not own)
        assert read_table(folder / "prompt" / "text")[name].split() == text.split()[:2]
        for part in ("prompt", ".", "full"):
            wav = read_table(folder / part / "wav.scp")[name]
            assert soundfile.info(wav).frames > 0
    assert int(read_rows(folder / "speed.tsv")[0]["utterances"]) == len(given)


@pytest.mark.parametrize("design", DESIGNS)
def test_designs_continue_and_score(recipe, design):
    folder = run(recipe, design, f"{design}_run")
    check_parts(recipe, folder)
    command = ["--exp", str(recipe / design), "--dump_dir", str(recipe / "dump")]
    command += ["--sets", "test", "--output_dir", str(recipe / f"{design}_scores")]
    slm_score.main(command)
    rows = read_rows(recipe / f"{design}_scores" / "test" / "scores.tsv")
    assert len(rows) == 3
    for row in rows:
        assert float(row["both_sum"]) < 0 and float(row["speech_sum"]) < 0
        total = float(row["text_sum"]) + float(row["speech_sum"])
        assert float(row["both_sum"]) == pytest.approx(total)
        for kind in ("local", "normalised"):
            total = float(row[f"text_{kind}"]) + float(row[f"speech_{kind}"])
            assert float(row[f"both_{kind}"]) == pytest.approx(total, abs=1e-6)
        assert float(row["both_normalised"]) == pytest.approx(0, abs=1e-3)  # no prefix


def test_batch_size_changes_nothing_and_the_seed_does(recipe):
    def units(output, *options):
        return read_table(run(recipe, "moshi", output, *options) / "units")

    together = units("together")
    assert together == units("alone", "--batch_size", "1")
    assert together != units("other", "--seed", "5")


@pytest.mark.parametrize(
    "name, value",
    [
        ("prompt_kind", "text"),
        ("stop_token", "."),
        ("reference_compat", "true"),
    ],
)
def test_options_of_taslm_alone_are_refused_with_other_designs(recipe, name, value):
    with pytest.raises(SystemExit, match=f"(?i)--{name} {value}: only TASLM"):
        run(recipe, "moshi", "nothing", f"--{name}", value)


def test_every_decoding_suits_every_design(recipe):
    configs = sorted(SYSTEMS.parent.glob("decode_slm*.yaml"))
    given = [
        slm_inference.main.get_parser().parse_args(
            ["--config", str(path), "--exp", "e", "--unit_vocoder_exp", "v"]
            + ["--sets", "s", "--output_dir", "o"]
        )
        for path in configs
    ]
    assert len(given) == 4 and all(args.max_words > 1 for args in given)
    options = ["--config", str(SYSTEMS.parent / "decode_slm.yaml")]
    options += ["--max_seconds", "2"]
    for design in ("moshi", "llama_omni", "spiritlm_expr"):
        check_parts(recipe, run(recipe, design, f"{design}_sampled", *options))


def test_the_cascade_needs_no_training(recipe, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["a.py", "--lm", "a directory"])  # not for the task
    command = ["--exp", str(SYSTEMS / "cascade.yaml"), "--lm", str(recipe / "llm")]
    command += ["--dump_dir", str(recipe / "dump"), "--sets", "test"]
    command += ["--unit_vocoder_exp", str(recipe / "unit_vocoder")]
    command += ["--prompt_words", "2", "--max_seconds", "0.5"]
    command += ["--output_dir", str(recipe / "cascade_run")]
    with pytest.raises(SystemExit, match="give --taste_exp"):
        slm_inference.main(command)
    slm_inference.main([*command, "--taste_exp", str(recipe / "taste_text_only")])
    folder = recipe / "cascade_run" / "test"
    check_parts(recipe, folder)
    assert any(read_table(folder / "text").values())
    slm_inference.main(command)
    assert "all sets are done" in capsys.readouterr().out


def test_what_is_missing_is_named(recipe):
    with pytest.raises(SystemExit, match="run units durations first"):
        run(recipe, "gslm", "nothing", "--durations", str(recipe / "nowhere"))
    with pytest.raises(SystemExit, match="trains its layout 'unit'"):
        options = ["--exp", str(SYSTEMS / "gslm.yaml"), "--lm", str(recipe / "llm")]
        run(recipe, "gslm", "nothing", *options)
    with pytest.raises(SystemExit, match="slm_inference: .* has no word_ctm"):
        other = recipe / "bare" / "test"
        other.mkdir(parents=True)
        (other / "text").write_text("utt1 the dog\n")
        (other / "units").write_text("utt1 1 2\n")
        options = ["--dump_dir", str(recipe / "bare"), "--ctm", "word_ctm"]
        run(recipe, "gslm", "nothing", *options)


def test_the_padding_table_has_every_design(recipe, capsys, tmp_path):
    systems = sorted(str(path) for path in SYSTEMS.glob("*.yaml"))
    command = ["--data_dir", str(recipe / "dump" / "test"), "--num_units", "7"]
    command += ["--tokenizer_path", str(recipe / "llm"), "--systems", *systems]
    tables.main(["padding", *command, "--output", str(tmp_path / "padding.tsv")])
    rows = {row["design"]: row for row in read_rows(tmp_path / "padding.tsv")}
    laid_out = [path for path in systems if "layout:" in Path(path).read_text()]
    assert len(rows) == len(laid_out) + 1  # TASLM; recordings have no rows
    assert "mini_omni" in capsys.readouterr().out
    taslm, moshi = (float(rows[n]["rows"]) for n in (tables.TASLM, "moshi"))
    mean = np.mean([len(r.split()) for r in read_units(recipe).values()])
    assert moshi >= mean + 2 and taslm < moshi
    assert float(rows["moshi"]["epochs_for_one_of_taslm"]) < 1
    assert float(rows["gslm"]["padding_percent"]) == 0


def read_units(recipe):
    return read_table(recipe / "dump" / "test" / "units")


def test_sets_without_units_count_by_their_durations(recipe, tmp_path, capsys):
    for name in ("text", "ctm"):
        content = (recipe / "dump" / "test" / name).read_text()
        (tmp_path / name).write_text(content)
    command = ["--data_dir", str(tmp_path), "--tokenizer_path", str(recipe / "llm")]
    command += ["--systems", str(SYSTEMS / "moshi.yaml"), str(SYSTEMS / "gslm.yaml")]
    with pytest.raises(SystemExit, match="has neither units nor utt2dur"):
        tables.main(["padding", *command])
    durations = {n: len(r.split()) / 25 for n, r in read_units(recipe).items()}
    lines = [f"{name} {seconds}\n" for name, seconds in durations.items()]
    (tmp_path / "utt2dur").write_text("".join(lines))
    tables.main(["padding", *command])
    shown = capsys.readouterr().out
    assert "needs true units" in shown and "FrameAligned  3" in shown


def test_tokens_of_expression_fit_the_recordings(recipe):
    folder = recipe / "dump" / "test"
    pitch, style = (read_table(folder / f"{k}_tokens") for k in ("pitch", "style"))
    for name, path in read_table(folder / "wav.scp").items():
        seconds = soundfile.info(path).duration
        tokens = [int(token) for token in pitch[name].split()]
        assert abs(len(tokens) - 12.5 * seconds) <= 1.5 and max(tokens) < 4
        assert len(style[name].split()) == int(np.ceil(seconds + 0.01))
    times = read_table(folder / "word_times_ctm")
    texts = read_table(folder / "text")
    assert all(len(times[n].split()) == 2 * len(texts[n].split()) for n in texts)


@pytest.mark.parametrize("file", ["pitch_tokens", "style_tokens", "word_times_ctm"])
def test_trainings_read_expression_by_utterance(recipe, file):
    folder = recipe / "dump" / "test"
    arrays, rows = kaldiio.load_scp(f"{folder / file}.scp"), read_table(folder / file)
    assert list(arrays) == list(rows)
    for name, row in rows.items():
        expected = [float(value) for value in row.split()]
        np.testing.assert_allclose(arrays[name], expected, rtol=1e-6)


def test_designs_read_the_times_they_are_told_to(recipe, tmp_path):
    folder = tmp_path / "test"
    shutil.copytree(recipe / "dump" / "test", folder)
    aligned = "".join(f"{name} 0 9\n" for name in read_table(folder / "text"))
    (folder / "word_times").write_text(aligned)  # of stage 4
    (folder / "word_times_ctm.scp").unlink()
    command = ["--dump_dir", str(tmp_path), "--train_set", "test", "--sets", "test"]
    units.main(["expression", *command, "--output_dir", str(tmp_path / "tables")])
    assert (folder / "word_times").read_text() == aligned
    ends = {n: words[-1].end for n, words in read_ctm(folder / "ctm").items()}
    written = read_table(folder / "word_times_ctm")
    fields = read_fields(folder)
    for name, end in ends.items():
        assert float(written[name].split()[-1]) == pytest.approx(end, abs=1e-3)
        assert fields[name]["word_times"][-1] == pytest.approx(end)


def test_recordings_of_other_systems_become_a_row(recipe, tmp_path, capsys):
    wavs = tmp_path / "wavs"
    wavs.mkdir()
    soundfile.write(wavs / "utt2.wav", 0.1 * np.ones(24000), 24000)
    command = ["--wavs", str(wavs), "--dump_dir", str(recipe / "dump"), "--sets"]
    command += ["test", "--output_dir", str(tmp_path / "out")]
    imports.main(["continuations", *command])
    assert "1 recordings, 2 missing" in capsys.readouterr().out
    folder = tmp_path / "out" / "test"
    info = soundfile.info(read_table(folder / "wav.scp")["utt2"])
    assert info.samplerate == 16000 and info.frames == 16000
    missing = [row["utt"] for row in read_rows(folder / "missing.tsv")]
    assert missing == ["utt1", "utt3"]
    said = read_table(recipe / "dump" / "test" / "text")
    prompt = " ".join(said["utt2"].split()[:4])  # --prompt_words by default
    assert read_table(folder / "prompt" / "text") == {"utt2": prompt}
    with_table = tmp_path / "dump" / "test"
    shutil.copytree(recipe / "dump" / "test", with_table)
    (with_table / "prompt_words").write_text("utt\tn_words\nutt2\t1\n")
    command[3] = str(with_table.parent)
    imports.main(["continuations", *command])
    assert "1 recordings, 0 missing" in capsys.readouterr().out  # one is a prompt
    first = {"utt2": said["utt2"].split()[0]}
    assert read_table(folder / "prompt" / "text") == first
    command[3] = str(recipe / "dump")
    (tmp_path / "manifest").write_text("utt1 wavs/utt2.wav\n")
    command[1] = str(tmp_path / "manifest")
    imports.main(["continuations", *command])
    assert "1 recordings" in capsys.readouterr().out
    (tmp_path / "none").mkdir()
    command[1] = str(tmp_path / "none")
    with pytest.raises(SystemExit, match="expected <utt>.wav"):
        imports.main(["continuations", *command])
    with pytest.raises(SystemExit, match="expected either --wavs"):
        imports.main(["continuations", *command[2:]])


def test_recordings_end_a_set_where_its_prompts_do(recipe, tmp_path, capsys):
    folder = tmp_path / "dump" / "test"
    shutil.copytree(recipe / "dump" / "test", folder)
    words = {
        name: len(text.split()) for name, text in read_table(folder / "text").items()
    }
    cut = {"utt1": 2, "utt2": words["utt2"]}  # nothing follows all of its words
    lines = [f"{name}\t{count}\n" for name, count in cut.items()]
    (folder / "prompt_words").write_text("utt\tn_words\n" + "".join(lines))
    config = tmp_path / "recordings.yaml"
    config.write_text((SYSTEMS / "recordings.yaml").read_text())
    command = ["--config", str(config), "--dump_dir", str(folder.parent)]
    command += ["--sets", "test", "--output_dir", str(tmp_path / "out")]
    imports.main(["continuations", *command])
    assert "1 recordings, 1 missing" in capsys.readouterr().out
    table = read_table(tmp_path / "out" / "test" / "wav.scp")
    ending, _ = soundfile.read(table["utt1"])
    whole, _ = soundfile.read(read_table(folder / "wav.scp")["utt1"])
    start = int(read_ctm(folder / "ctm")["utt1"][2].start * 16000)
    assert 0 < start < len(whole)
    np.testing.assert_allclose(ending, whole[start:], atol=1e-4)
    imports.main(["continuations", *command, "--audio_format", "wav.ark"])
    assert "1 recordings, 1 missing" in capsys.readouterr().out
    entry = read_table(tmp_path / "out" / "test" / "wav.scp")["utt1"]
    assert ".ark:" in entry and np.array_equal(read_audio(entry)[0], ending)
    (folder / "prompt_words").unlink()
    imports.main(["continuations", *command, "--prompt_words", "1"])
    longer = sum(count > 1 for count in words.values())
    found = f"{longer} recordings, {len(words) - longer} missing"
    assert found in capsys.readouterr().out
    with pytest.raises(SystemExit, match="found none to cut"):
        imports.main(["continuations", *command, "--prompt_words", "99"])
    with pytest.raises(SystemExit, match="has no ctm_aligned: run recognize align"):
        imports.main(["continuations", *command, "--ctm", "ctm_aligned"])
