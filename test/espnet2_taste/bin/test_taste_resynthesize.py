"""taste_resynthesize: the three sources, batches, resuming, errors."""

import kaldiio
import numpy as np
import pytest
import soundfile
import torch
import yaml

from espnet2_taste.bin import taste_resynthesize, taste_tokenize
from espnet2_taste.data.audio import read_audio
from espnet2_taste.data.ctm import read_ctm
from espnet2_taste.data.kaldi_dir import read_table, write_table

UNITS, SPEMBS = 7, 4
TASTE = {
    "token_type": "bpe",
    "aggregator_conf": {
        "size": 16,
        "num_heads": 2,
        "linear_units": 24,
        "num_layers": 2,
    },
    "quantizer_conf": {"num_codebooks": 2, "codebook_size": 4, "latent_size": 5},
    "unit_decoder_conf": {
        "num_units": UNITS,
        "spembs_size": SPEMBS,
        "embed_size": 6,
        "hidden_size": 8,
        "attention_heads": 2,
        "text_blocks": 1,
        "taste_blocks": 1,
        "lm_blocks": 1,
        "linear_units": 16,
        "taste_linear_units": 16,
        "taste_attention_heads": 2,
    },
}
ALIGNED = {
    "unit_decoder": "aligned",
    "unit_decoder_conf": {
        "num_units": UNITS,
        "spembs_size": SPEMBS,
        "unit_rate": 25.0,
        "hidden_size": 8,
        "row_blocks": 1,
    },
    "unit_history_conf": {"num_blocks": 1},
}
VOCODER = {
    "vocoder": "unit_to_mel_griffin_lim",
    "vocoder_conf": {
        "num_units": UNITS,
        "spembs_size": SPEMBS,
        "network_conf": {
            "unit_size": 8,
            "unit_layers": 1,
            "frame_size": 8,
            "pitch_layers": 1,
            "frame_layers": 1,
        },
        "griffin_lim_conf": {"num_iters": 2},
    },
}


def write_exp(task, folder, config, *options):
    """An experiment directory of random weights."""
    folder.mkdir(parents=True)
    source = folder / "source.yaml"
    source.write_text(yaml.safe_dump(config))
    command = ["--config", str(source), "--output_dir", str(folder), *options]
    args = task.get_parser().parse_args(command)
    torch.manual_seed(0)
    model = task.build_model(args)
    torch.save(model.state_dict(), folder / "valid.loss.best.pth")
    (folder / "config.yaml").write_text(yaml.safe_dump(vars(args)))


def write_set(folder):
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0)
    texts = {"utt1": "the red dog", "utt2": "a small bird runs home", "utt3": "song"}
    lines = {"wav.scp": "", "text": "", "units": ""}
    for index, (name, text) in enumerate(texts.items()):
        path = folder / f"{name}.wav"
        soundfile.write(path, 0.1 * noise.standard_normal(9600 + 3200 * index), 16000)
        units = noise.integers(0, UNITS, 15 + 5 * index)
        lines["wav.scp"] += f"{name} {path}\n"
        lines["text"] += f"{name} {text}\n"
        lines["units"] += f"{name} {' '.join(map(str, units))}\n"
    for name, content in lines.items():
        (folder / name).write_text(content)
    spembs = {n: noise.standard_normal(SPEMBS).astype("float32") for n in texts}
    kaldiio.save_ark(str(folder / "spembs.ark"), spembs, scp=str(folder / "spembs.scp"))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, tiny_asr_exp, bpe_dir):
    from espnet2_taste.tasks.taste import TasteTask
    from espnet2_taste.tasks.unit_vocoder import UnitVocoderTask

    root = tmp_path_factory.mktemp("recipe")
    write_set(root / "dump" / "test")
    tokens = ["--token_list", str(bpe_dir / "tokens.txt")]
    tokens += ["--bpemodel", str(bpe_dir / "bpe.model")]
    config = TASTE | {"speech_encoder_conf": {"asr_exp": str(tiny_asr_exp)}}
    write_exp(TasteTask, root / "taste_vq", config, *tokens)
    write_exp(TasteTask, root / "taste_aligned", config | ALIGNED, *tokens)
    text_only = config | {"model_conf": {"use_taste": False}}
    write_exp(TasteTask, root / "taste_text_only", text_only, *tokens)
    write_exp(UnitVocoderTask, root / "unit_vocoder", VOCODER)
    conf = ALIGNED["unit_decoder_conf"] | {"prosody_weight": 1.0}
    config |= ALIGNED | {"unit_decoder_conf": conf}
    write_exp(TasteTask, root / "taste_prosody", config, *tokens)
    conf = VOCODER["vocoder_conf"] | {"prosody": True}
    write_exp(
        UnitVocoderTask, root / "vocoder_prosody", {**VOCODER, "vocoder_conf": conf}
    )
    return root


def run(root, output, *options):
    command = ["--unit_vocoder_exp", str(root / "unit_vocoder"), "--sets", "test"]
    command += ["--dump_dir", str(root / "dump"), "--output_dir", str(root / output)]
    taste_resynthesize.main([*command, *options])
    return root / output / "test"


def read_units(folder):
    rows = (line.split() for line in (folder / "units").read_text().splitlines())
    return {name: units for name, *units in rows}


def test_true_units_are_spoken_as_they_are(recipe):
    folder = run(recipe, "true", "--from_units", "true")
    assert read_units(folder) == read_units(recipe / "dump" / "test")
    for line in (folder / "wav.scp").read_text().splitlines():
        name, path = line.split()
        seconds = soundfile.info(path).duration
        assert abs(seconds - len(read_units(folder)[name]) / 25) < 0.1


def test_speech_in_an_ark_is_that_in_files(recipe):
    units = ["--from_units", "true", "--audio_format"]
    files, ark = (run(recipe, f"in_{f}", *units, f) for f in ("wav", "flac.ark"))
    assert read_units(ark) == read_units(files)
    assert sorted(path.name for path in ark.iterdir() if path.suffix != ".scp") == [
        *("audio.ark", "text", "units")
    ]
    wavs = read_table(files / "wav.scp")
    for name, entry in read_table(ark / "wav.scp").items():
        np.testing.assert_array_equal(read_audio(entry)[0], read_audio(wavs[name])[0])


def test_batch_size_changes_nothing_and_the_seed_does(recipe):
    taste = ["--taste_exp", str(recipe / "taste_vq"), "--max_unit_ratio", "4"]
    together = read_units(run(recipe, "together", *taste))
    alone = read_units(run(recipe, "alone", *taste, "--batch_size", "1"))
    other = read_units(run(recipe, "other", *taste, "--seed", "5"))
    assert together == alone != other


def test_stored_codes_give_what_the_speech_gives(recipe):
    taste = ["--taste_exp", str(recipe / "taste_vq")]
    source = ["--dump_dir", str(recipe / "dump"), "--sets", "test"]
    codes = str(recipe / "codes")
    taste_tokenize.main([*taste, *source, "--output_dir", codes])
    options = [*taste, "--max_unit_ratio", "4"]
    from_codes = run(recipe, "from_codes", *options, "--codes_dir", codes)
    assert read_units(from_codes) == read_units(run(recipe, "speech", *options))


def test_codes_of_a_batch_are_those_of_each_utterance(recipe):
    command = ["--taste_exp", str(recipe / "taste_vq"), "--sets", "test"]
    command += ["--dump_dir", str(recipe / "dump"), "--output_dir"]
    found = {}
    for size in ("1", "2", "16"):
        folder = recipe / f"codes_{size}"
        taste_tokenize.main([*command, str(folder), "--batch_size", size])
        scp = kaldiio.load_scp(str(folder / "test/codes.scp"))
        found[size] = {name: codes.tolist() for name, codes in scp.items()}
    assert found["1"] == found["2"] == found["16"]


def test_text_only_and_greedy(recipe):
    options = ["--taste_exp", str(recipe / "taste_text_only")]
    options += ["--unit_temperature", "0"]
    first = read_units(run(recipe, "greedy", *options, "--max_unit_ratio", "3"))
    options += ["--max_unit_ratio", "3", "--seed", "9"]
    assert first == read_units(run(recipe, "greedy_again", *options))


def test_an_aligned_decoder_writes_the_times_of_its_words(recipe):
    taste = ["--taste_exp", str(recipe / "taste_aligned"), "--unit_top_k", "3"]
    folder = run(recipe, "aligned", *taste)
    units, timings = read_units(folder), read_ctm(folder / "ctm")
    assert units == read_units(run(recipe, "one", *taste, "--batch_size", "1"))
    for name, text in read_table(recipe / "dump/test/text").items():
        assert [timing.word for timing in timings[name]] == text.split()
        assert timings[name][-1].end <= len(units[name]) / 25 + 1e-6
    slow = read_units(run(recipe, "slow", *taste, "--tempo", "0.25"))
    sampled = ["--duration_temperature", "0.5"]
    assert units != read_units(run(recipe, "sampled", *taste, *sampled))
    assert all(len(slow[name]) > 2 * len(units[name]) for name in units)


def test_an_aligned_decoder_keeps_to_given_times(recipe):
    lines = {
        "utt1": "0 0.2 0.2 0.44 0.6 1",
        "utt2": "0 1 1 2 2 3 3 4 4 5",
        "utt3": "1 2",
    }
    write_table(recipe / "dump/test/word_times", lines)
    taste = ["--taste_exp", str(recipe / "taste_aligned")]
    folder = run(recipe, "given", *taste, "--given_times", "word_times")
    timings = read_ctm(folder / "ctm")
    assert [timing.start for timing in timings["utt1"]] == [0, 0.2, 0.6]
    assert [len(row) for row in read_units(folder).values()] == [25, 125, 50]
    published = ["--taste_exp", str(recipe / "taste_vq")]
    with pytest.raises(SystemExit, match="predicts no durations"):
        run(recipe, "none", *published, "--given_times", "word_times")
    with pytest.raises(SystemExit, match="predicts no durations"):
        run(recipe, "none", *published, "--tempo", "2")


def test_finished_sets_are_kept(recipe, capsys):
    folder = run(recipe, "kept", "--from_units", "true")
    before = (folder / "wav.scp").stat().st_mtime_ns
    run(recipe, "kept", "--from_units", "true")
    assert "all sets are done" in capsys.readouterr().out
    assert (folder / "wav.scp").stat().st_mtime_ns == before


def test_errors_are_one_line(recipe, tmp_path):
    for options, words in (
        (["--taste_exp", str(tmp_path / "none")], "config.yaml not found"),
        (["--from_units", "false"], "give --taste_exp"),
        (
            ["--taste_exp", str(recipe / "taste_vq"), "--codes_dir", str(tmp_path)],
            "taste_tokenize",
        ),
    ):
        with pytest.raises(SystemExit, match=f"taste_resynthesize: .*{words}"):
            run(recipe, "error", *options)


def test_prosody_is_spoken_by_a_vocoder_that_takes_it_and_refused_by_others(recipe):
    options = ["--taste_exp", str(recipe / "taste_prosody")]
    with pytest.raises(SystemExit, match="takes no prosody.*--use_prosody false"):
        run(recipe, "refused", *options)
    options += ["--unit_vocoder_exp", str(recipe / "vocoder_prosody")]
    told = run(recipe, "prosody_told", *options)
    free = run(recipe, "prosody_free", *options, "--use_prosody", "false")
    assert read_units(told) == read_units(free)
    waves = [
        soundfile.read(folder / "audio" / "utt2.wav")[0] for folder in (told, free)
    ]
    assert len(waves[0]) == len(waves[1]) and (waves[0] != waves[1]).any()
    run(recipe, "prosody_unused", *options[:2], "--use_prosody", "false")
    run(recipe, "no_prosody", "--from_units", "true", *options[2:])


def test_vectors_of_other_words_speak_otherwise(recipe):
    options = ["--taste_exp", str(recipe / "taste_aligned"), "--unit_top_k", "1"]
    own = read_units(run(recipe, "own_vectors", *options))
    options += ["--exchange_words", "true"]
    other = read_units(run(recipe, "other_vectors", *options))
    assert other != own and other["utt3"] == own["utt3"]  # which has but one word
    options[1] = str(recipe / "taste_text_only")
    with pytest.raises(SystemExit, match="text alone and has no vectors"):
        run(recipe, "no_vectors", *options)


def test_mixed_units_are_spoken_otherwise_and_written_as_chosen(recipe):
    options = ["--taste_exp", str(recipe / "taste_aligned"), "--unit_top_k", "1"]
    mixed = ["--unit_mixing", "0.5"]
    chosen, spoken = run(recipe, "chosen", *options), run(recipe, "m", *options, *mixed)
    assert read_units(spoken) == read_units(chosen)
    paths = [folder / "audio" / "utt2.wav" for folder in (chosen, spoken)]
    waves = [soundfile.read(path)[0] for path in paths]
    assert len(waves[0]) == len(waves[1]) and (waves[0] != waves[1]).any()
    options[1] = str(recipe / "taste_vq")
    with pytest.raises(SystemExit, match="unit_mixing is 0.5.*mixes no units"):
        run(recipe, "refused", *options, *mixed)
