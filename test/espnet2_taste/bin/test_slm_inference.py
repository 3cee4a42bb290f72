"""slm_inference and slm_score with TASLM: batches, seeds, resuming, errors."""

import kaldiio
import numpy as np
import pytest
import soundfile
from helper_modules import load_tests
from tiny_models import write_lm

from espnet2_taste.bin import slm_inference, slm_score, taste_tokenize
from espnet2_taste.data import parts
from espnet2_taste.data.audio import read_audio
from espnet2_taste.data.ctm import read_rows, write_rows
from espnet2_taste.data.kaldi_dir import read_table

SAMPLING = ["--text_top_p", "0.9", "--max_words", "4", "--max_unit_ratio", "4"]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, tiny_asr_exp, bpe_dir, lm_tokenizer_dir):
    """Sets, a TASTE experiment with codes, a vocoder and a spoken LM."""
    from espnet2_taste.tasks.spoken_lm import SpokenLMTask
    from espnet2_taste.tasks.taste import TasteTask
    from espnet2_taste.tasks.unit_vocoder import UnitVocoderTask

    speech = load_tests("bin", "test_taste_resynthesize.py")
    root = tmp_path_factory.mktemp("recipe")
    speech.write_set(root / "dump" / "test")
    tokens = ["--token_list", str(bpe_dir / "tokens.txt")]
    tokens += ["--bpemodel", str(bpe_dir / "bpe.model")]
    config = speech.TASTE | {"speech_encoder_conf": {"asr_exp": str(tiny_asr_exp)}}
    speech.write_exp(TasteTask, root / "taste_vq", config, *tokens)
    speech.write_exp(UnitVocoderTask, root / "unit_vocoder", speech.VOCODER)
    write_lm(root / "llm", lm_tokenizer_dir)
    options = ["--tokenizer_path", str(root / "llm"), "--init_lm", str(root / "llm")]
    options += ["--taste_exp", str(root / "taste_vq")]
    speech.write_exp(SpokenLMTask, root / "taslm_embed", {}, *options)
    command = ["--taste_exp", str(root / "taste_vq"), "--sets", "test"]
    command += ["--dump_dir", str(root / "dump")]
    taste_tokenize.main([*command, "--output_dir", str(root / "taste_vq" / "codes")])
    return root


def run(root, output, *options):
    command = ["--exp", str(root / "taslm_embed"), "--sets", "test"]
    command += ["--taste_exp", str(root / "taste_vq"), "--prompt_words", "2"]
    command += ["--unit_vocoder_exp", str(root / "unit_vocoder")]
    command += ["--dump_dir", str(root / "dump"), "--output_dir", str(root / output)]
    slm_inference.main([*command, *SAMPLING, *options])
    return root / output / "test"


def test_continuations_have_text_codes_units_and_audio(recipe):
    folder = run(recipe, "full_run")
    given = read_table(recipe / "dump" / "test" / "text")
    prompts, added = read_table(folder / "prompt" / "text"), read_table(folder / "text")
    together = read_table(folder / "full" / "text")
    codes = kaldiio.load_scp(str(folder / "codes.scp"))
    for name, text in given.items():
        assert prompts[name].split() == text.split()[:2]
        assert together[name] == f"{prompts[name]} {added[name]}"
        assert codes[name].shape == (len(added[name].split()), 2)
        for part in (".", "prompt", "full"):
            wav = read_table(folder / part / "wav.scp")[name]
            assert soundfile.info(wav).frames > 0
            assert read_table(folder / part / "units")[name]


def test_an_ark_holds_what_files_would(recipe):
    files = run(recipe, "in_files")
    arks = run(recipe, "in_arks", "--audio_format", "wav.ark")
    for part in (".", "prompt", "full"):
        assert (arks / part / "audio.ark").is_file()
        assert not (arks / part / "audio").exists()
        wavs = read_table(files / part / "wav.scp")
        for name, entry in read_table(arks / part / "wav.scp").items():
            given, rate = read_audio(entry)
            np.testing.assert_array_equal(given, soundfile.read(wavs[name])[0])


def test_batch_size_changes_nothing_and_the_seed_does(recipe):
    def results(*paths):
        folder = run(recipe, *paths)
        tables = (folder / "text", folder / "full" / "units")
        return [read_table(path) for path in tables]

    together = results("together")
    assert together == results("alone", "--batch_size", "1")
    assert together != results("other", "--seed", "3")


def test_the_prompt_is_as_long_as_its_table_says(recipe, tmp_path):
    table = recipe / "dump" / "test" / "prompt_words"
    write_rows(table, ("utt", "n_words"), [("utt1", 1), ("utt2", 3)])
    try:
        folder = run(recipe, "counted")
        texts = read_table(folder / "prompt" / "text")
        assert texts == {"utt1": "the", "utt2": "a small bird"}
        write_rows(table, ("utt", "n_words"), [("utt1", 9)])
        with pytest.raises(
            SystemExit, match="'utt1' asks for 9 words, expected 1 to 3"
        ):
            run(recipe, "too_long")
    finally:
        table.unlink()


def test_published_rules_are_an_option(recipe):
    rules = ("--reference_compat", "true")
    with pytest.raises(SystemExit, match="say how many .--sentence_end_after 8"):
        run(recipe, "published", *rules)
    folder = run(recipe, "published", *rules, "--sentence_end_after", "1")
    for words in read_table(folder / "text").values():
        assert 1 <= len(words.split()) <= 4  # three, and the cut one after them


def test_written_prompts_are_continued_in_every_voice(recipe, tmp_path):
    folder = run(recipe, "written", "--prompt_kind", "text")
    shown = read_table(folder / "text")
    assert set(shown) == {"utt1", "utt2", "utt3"}
    assert not (folder / "full").exists()  # nobody spoke the prompt
    new = tmp_path / "mine"
    new.mkdir()
    (new / "text").write_text("a the red dog\nb a small bird\nc dog\nd dog\n")
    source = recipe / "dump" / "test" / "spembs.scp"
    (new / "spembs.scp").write_text(source.read_text())
    options = ["--prompt_kind", "text", "--dump_dir", str(tmp_path), "--sets", "mine"]
    run(recipe, "mine_alone", *options, "--batch_size", "1")
    run(recipe, "mine_together", *options)
    alone, together = (
        read_table(recipe / f"mine_{how}" / "mine" / "text")
        for how in ("alone", "together")
    )
    assert set(alone) == {"a", "b", "c", "d"} and alone == together


def test_unconditional_samples_differ_and_repeat(recipe):
    options = ["--prompt_kind", "unconditional", "--num_samples", "5"]
    options += ["--text_temperature", "2"]
    first = run(recipe, "samples", *options)
    again = run(recipe, "samples_again", *options, "--batch_size", "2")
    texts = read_table(first / "text")
    assert list(texts) == [f"sample{index:04d}" for index in range(5)]
    assert len(set(texts.values())) > 1 and texts == read_table(again / "text")
    assert set(read_table(first / "wav.scp")) == set(texts)


def test_spoken_turns_are_answered(recipe):
    options = ("--prompt_kind", "instruct")
    with pytest.raises(SystemExit, match="no chat template.*--turn_frame"):
        run(recipe, "answers", *options)
    folder = run(recipe, "answers", *options, "--turn_frame", "the dog", "runs")
    codes = kaldiio.load_scp(str(folder / "codes.scp"))
    answers = read_table(folder / "text")
    for name, answer in answers.items():
        assert codes[name].shape == (len(answer.split()), 2)
    assert set(read_table(folder / "prompt" / "text")) == set(answers)  # for scores


def test_a_stop_token_must_exist(recipe):
    with pytest.raises(SystemExit, match="--stop_token <end>: expected a token"):
        run(recipe, "stopped", "--stop_token", "<end>")


def test_finished_sets_are_kept(recipe, capsys):
    folder = run(recipe, "kept")
    before = (folder / "wav.scp").stat().st_mtime_ns
    run(recipe, "kept")
    assert "all sets are done" in capsys.readouterr().out
    assert (folder / "wav.scp").stat().st_mtime_ns == before


def test_missing_parts_are_named(recipe, tmp_path):
    with pytest.raises(SystemExit, match="slm_inference: .*config.yaml not found"):
        run(recipe, "error", "--exp", str(tmp_path))
    with pytest.raises(SystemExit, match="codes.scp not found: run stage 9"):
        run(recipe, "error", "--codes_dir", str(tmp_path))
    with pytest.raises(SystemExit, match="text_top_p must be"):
        run(recipe, "error", "--text_top_p", "1.5")


def run_score(root, output, *options):
    command = ["--exp", str(root / "taslm_embed"), "--sets", "test"]
    command += ["--codes_dir", str(root / "taste_vq" / "codes")]
    command += ["--dump_dir", str(root / "dump")]
    slm_score.main([*command, "--output_dir", str(root / output), *options])


def score(root, output, *options):
    run_score(root, output, *options)
    return read_rows(root / output / "test" / "scores.tsv")


def test_scores_do_not_depend_on_the_batch(recipe):
    together = score(recipe, "scores")
    alone = score(recipe, "scores_alone", "--batch_size", "1")
    assert [row["utt"] for row in together] == ["utt1", "utt2", "utt3"]
    for first, second in zip(together, alone):
        names = [name for name in first if name != "utt"]
        np.testing.assert_allclose(
            [float(first[name]) for name in names],
            [float(second[name]) for name in names],
            rtol=1e-4,
        )


def test_sums_and_means_count_the_same_tokens_for_model_and_base(recipe):
    row = score(recipe, "scores")[0]
    for stream in ("text", "speech", "both"):
        for reduction in ("sum", "mean"):
            assert float(row[f"{stream}_{reduction}"]) < 0
    tokens = float(row["tokens_sum"]) / float(row["tokens_mean"])
    ended = float(row["text_sum"]) / float(row["text_mean"])
    assert ended == pytest.approx(tokens + 1, rel=1e-4)  # EOS
    assert float(row["base_tokens_sum"]) / float(row["base_tokens_mean"]) == (
        pytest.approx(tokens, rel=1e-4)
    )


@pytest.fixture
def jobs(recipe, tmp_path, monkeypatch):
    """Runs a command on the set in two jobs and joins them; gives what is left."""
    monkeypatch.setattr(parts, "LARGEST", 2)
    monkeypatch.setattr(parts, "SMALLEST", 1)
    ids = tmp_path / "parts"
    assert parts.split_sets(recipe / "dump", ["test"], ["text"], ids, 2) == 2

    def run_jobs(command, name, *options):
        for job in (1, 2):
            lists = ("--sets", f"@{ids}/{job}.sets", "--ids_dir", str(ids))
            command(recipe, f"{name}_parts", *options, *lists)
        command(recipe, name, "--parts_dir", str(recipe / f"{name}_parts"))
        return recipe / name / "test"

    return run_jobs


def test_jobs_continue_as_one_does(recipe, jobs):
    together, joined = run(recipe, "by_one"), jobs(run, "by_two")
    for part in (".", "prompt", "full"):
        for table in ("text", "units", "empty.tsv"):
            one, two = (folder / part / table for folder in (together, joined))
            assert one.read_bytes() == two.read_bytes()
        codes = (kaldiio.load_scp(f"{f / part}/codes.scp") for f in (together, joined))
        for one, two in zip(*(dict(table).items() for table in codes), strict=True):
            assert one[0] == two[0] and (one[1] == two[1]).all()
    speeds = [read_rows(folder / "speed.tsv")[0] for folder in (together, joined)]
    for column in ("utterances", "rows", "ended_percent"):
        assert speeds[0][column] == speeds[1][column]


def test_jobs_speak_as_one_does(recipe, jobs):
    """One at once: batches of two sizes round otherwise, which Griffin-Lim enlarges."""
    alone = ("--batch_size", "1")
    together, joined = run(recipe, "alone", *alone), jobs(run, "alone_by_two", *alone)
    for part in (".", "prompt", "full"):
        wanted = read_table(together / part / "wav.scp")
        found = read_table(joined / part / "wav.scp")
        assert set(found) == set(wanted)
        for name, wav in found.items():
            own, other = (soundfile.read(path)[0] for path in (wanted[name], wav))
            np.testing.assert_allclose(other, own, atol=2e-4)


def test_jobs_score_as_one_does(recipe, jobs):
    alone = ("--batch_size", "1")
    joined = jobs(run_score, "scores_by_two", *alone) / "scores.tsv"
    assert read_rows(joined) == score(recipe, "scores_by_one", *alone)


def test_a_part_without_a_prompt_is_no_error(recipe, jobs):
    table = recipe / "dump/test/prompt_words"
    write_rows(table, ("utt", "n_words"), [("utt3", 1)])
    try:
        folder = jobs(run, "one_prompt")
    finally:
        table.unlink()
    assert list(read_table(folder / "text")) == ["utt3"]
    assert read_rows(folder / "speed.tsv")[0]["utterances"] == "1"
