"""The TASTE task end to end: statistics, three steps, resuming, reload, tokenizing."""

from functools import partial

import kaldiio
import numpy as np
import pytest
import soundfile
import torch
import yaml
from half_precision import DTYPES, check_half_precision
from two_processes import train_in_two

from espnet2_taste.align.cepstra import Cepstra
from espnet2_taste.align.letter_models import LetterModels
from espnet2_taste.bin import taste_tokenize, taste_train
from espnet2_taste.data.kaldi_dir import read_table, write_table
from espnet2_taste.inference.loading import load_taste_exp
from espnet2_taste.inference.taste_encoder import TasteEncoder
from espnet2_taste.units.batches import SpeechBatch

NUM_UTTERANCES = 6
FS = 16000
STEPS = {
    "text_only": {"use_taste": False, "quantize": False},
    "no_vq": {"use_taste": True, "quantize": False},
    "vq": {"use_taste": True, "quantize": True},
}


def config(tiny_asr_exp, bpe_dir, step):
    return {
        "speech_encoder_conf": {"asr_exp": str(tiny_asr_exp), "value_layer": 1},
        "aggregator_conf": {
            "size": 16,
            "num_heads": 2,
            "linear_units": 24,
            "identity_values": True,
            "trainable_layers": [1],
        },
        "quantizer_conf": {"num_codebooks": 2, "codebook_size": 4, "latent_size": 8},
        "project_without_codes": True,
        "unit_decoder_conf": {
            "num_units": 7,
            "spembs_size": 3,
            "embed_size": 8,
            "hidden_size": 8,
            "text_blocks": 1,
            "taste_blocks": 1,
            "lm_blocks": 1,
            "attention_heads": 2,
            "linear_units": 12,
            "taste_attention_heads": 2,
            "taste_linear_units": 12,
            "unit_dropout": 0.5,
        },
        "model_conf": STEPS[step]
        | {"encoder_cache_mb": 10, "extract_feats_in_collect_stats": False},
        "token_list": str(bpe_dir / "tokens.txt"),
        "bpemodel": str(bpe_dir / "bpe.model"),
        "optim": "adam",
        "optim_conf": {"lr": 1.0e-2},
        "batch_type": "sorted",
        "batch_size": 3,
        "max_epoch": 1,
        "keep_nbest_models": 1,
        "num_workers": 0,
        "num_att_plot": 0,
        "use_matplotlib": False,
        "use_tensorboard": False,
        "best_model_criterion": [["valid", "loss", "min"]],
    }


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, sentences, tiny_asr_exp, bpe_dir):
    """A recipe directory with one set and the configurations of three steps."""
    path = tmp_path_factory.mktemp("recipe")
    folder = path / "dump" / "raw" / "train"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [f"utt{index}" for index in range(NUM_UTTERANCES)]
    samples = {name: 8000 + 900 * index for index, name in enumerate(names)}
    for name, count in samples.items():
        wave = (rng.normal(size=count) * 0.1).astype(np.float32)
        soundfile.write(folder / f"{name}.wav", wave, FS)
    write_table(folder / "wav.scp", {n: str(folder / f"{n}.wav") for n in names})
    write_table(folder / "text", dict(zip(names, sentences)))
    units = {n: rng.integers(0, 7, samples[n] // 640) for n in names}
    write_table(folder / "units", {n: " ".join(map(str, u)) for n, u in units.items()})
    vectors = {name: rng.normal(size=3).astype(np.float32) for name in names}
    scp = str(folder / "spembs.scp")
    kaldiio.save_ark(str(folder / "spembs.ark"), vectors, scp=scp)
    for step in STEPS:
        text = yaml.safe_dump(config(tiny_asr_exp, bpe_dir, step))
        (path / f"{step}.yaml").write_text(text, encoding="utf-8")
    return path


def run(recipe, step, output, *options, main=taste_train.main):
    folder = recipe / "dump" / "raw" / "train"
    command = ["--config", f"{recipe}/{step}.yaml", "--output_dir", str(output)]
    for part in ("train", "valid"):
        for entry in (
            "wav.scp,speech,sound",
            "text,text,text",
            "units,units,text_int",
            "spembs.scp,spembs,kaldi_ark",
        ):
            command += [f"--{part}_data_path_and_name_and_type", f"{folder}/{entry}"]
    main(command + list(options))


@pytest.fixture(scope="module")
def trained(recipe):
    """Statistics, then the three steps, the last one resumed for a second epoch."""
    stats, lists = recipe / "stats", f"{recipe}/dump/raw/train/wav.scp"
    keys = ["--train_shape_file", lists, "--valid_shape_file", lists]
    run(recipe, "text_only", stats, "--collect_stats", "true", *keys)
    shapes = ["--train_shape_file", f"{stats}/train/speech_shape"]
    shapes += ["--valid_shape_file", f"{stats}/valid/speech_shape"]
    before = []
    for step in STEPS:
        run(recipe, step, recipe / step, *shapes, *before)
        before = ["--init_param", f"{recipe}/{step}/valid.loss.best.pth"]
    run(recipe, "vq", recipe / "vq", *shapes, "--max_epoch", "2", "--resume", "true")
    return recipe


def test_checkpoints_of_all_steps_hold_the_same_names_and_no_encoder(trained):
    states = [
        (
            torch.load(trained / step / "1epoch.pth", weights_only=True)
            if (trained / step / "1epoch.pth").is_file()
            else torch.load(trained / step / "valid.loss.best.pth", weights_only=True)
        )
        for step in STEPS
    ]
    assert (trained / "vq" / "checkpoint.pth").is_file()
    for state in states:
        assert list(state) == list(states[0])
        assert not any(name.startswith("tokenizer.encoder.") for name in state)


def test_a_step_starts_where_the_former_ended(trained):
    text_only, _ = load_taste_exp(trained / "text_only")
    no_vq, _ = load_taste_exp(trained / "no_vq")
    name = "tokenizer.aggregator.blocks.0.encoder_attn.q_proj.weight"
    assert torch.equal(text_only.state_dict()[name], no_vq.state_dict()[name])
    name = "tokenizer.aggregator.blocks.1.encoder_attn.q_proj.weight"
    assert not torch.equal(text_only.state_dict()[name], no_vq.state_dict()[name])


def test_the_last_step_resumed(trained):
    log = yaml.safe_load((trained / "vq" / "config.yaml").read_text())
    assert log["resume"] is True and isinstance(log["token_list"], list)
    reporter = torch.load(trained / "vq" / "checkpoint.pth", weights_only=True)
    assert reporter["reporter"]["epoch"] == 2


def batch_of(trained, sizes):
    rng = np.random.default_rng(1)
    waves = {f"x{n}": (rng.normal(size=n) * 0.1).astype(np.float32) for n in sizes}
    return SpeechBatch.from_arrays(waves)


def test_codes_do_not_depend_on_the_batch(trained, sentences):
    encoder = TasteEncoder.from_exp(trained / "vq")
    batch, texts = batch_of(trained, [16000, 9000]), sentences[:2]
    together = encoder(batch, texts)
    for row, text in enumerate(texts):
        wave = batch.speech[row, : batch.lengths[row]].numpy()
        alone = encoder(SpeechBatch.from_arrays({"x": wave}), [text])[0]
        assert alone.words == tuple(text.split()) == together[row].words
        assert alone.codes.shape == (len(alone.words), 2)
        assert (alone.codes == together[row].codes).all()


def test_a_model_without_codes_refuses_to_tokenize(trained, sentences):
    encoder = TasteEncoder.from_exp(trained / "no_vq")
    batch = batch_of(trained, [9000])
    with pytest.raises(RuntimeError, match="trained without codes"):
        encoder(batch, sentences[:1])
    assert encoder.vectors(batch, sentences[:1])[1].shape[-1] == 16
    text_only = TasteEncoder.from_exp(trained / "text_only")
    assert text_only.vectors(batch, sentences[:1])[1] is None


def test_tokenize_command_writes_codes_and_keeps_them(trained, capsys):
    out = trained / "vq" / "codes"
    options = ["--taste_exp", f"{trained}/vq", "--output_dir", str(out)]
    options += ["--dump_dir", f"{trained}/dump/raw", "--sets", "train"]
    taste_tokenize.main(options)
    codes = kaldiio.load_scp(str(out / "train" / "codes.scp"))
    words = (out / "train" / "words").read_text().splitlines()
    assert len(codes) == len(words) == NUM_UTTERANCES
    for line in words:
        name, *found = line.split()
        assert codes[name].shape == (len(found), 2)
        assert codes[name].dtype == np.float32
        assert (codes[name] >= 0).all() and (codes[name] < 4).all()
    capsys.readouterr()
    taste_tokenize.main(options)
    assert "all sets are done" in capsys.readouterr().out


def test_tokenize_command_names_what_is_missing(tmp_path):
    options = ["--taste_exp", str(tmp_path), "--output_dir", str(tmp_path)]
    with pytest.raises(SystemExit, match="config.yaml not found"):
        taste_tokenize.main([*options, "--sets", "train"])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"fs": 8000}, "takes 16000 Hz, the data have 8000 Hz"),
        ({"unit_decoder_conf": {"num_units": 7}}, "lacks spembs_size"),
        ({"quantizer_conf": {"dim": 12}}, "set quantizer_conf.dim to 16"),
        ({"aggregator_conf": {"size": 8}}, "make aggregator_conf match"),
    ],
)
def test_parts_that_do_not_fit_are_refused(recipe, tmp_path, change, message):
    from espnet2_taste.tasks.taste import TasteTask

    parser = TasteTask.get_parser()
    options = yaml.safe_load((recipe / "vq.yaml").read_text())
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(options | change), encoding="utf-8")
    args = parser.parse_args(["--config", str(path)])
    with pytest.raises(ValueError, match=message):
        TasteTask.build_model(args)


def training_batch(recipe, step, *more):
    """A model as the trainer builds it, and all utterances as one batch."""
    from espnet2.train.dataset import ESPnetDataset

    from espnet2_taste.tasks.taste import TasteTask

    model, preprocess = load_taste_exp(recipe / step)
    folder = recipe / "dump" / "raw" / "train"
    files = [
        (f"{folder}/wav.scp", "speech", "sound"),
        (f"{folder}/text", "text", "text"),
        (f"{folder}/units", "units", "text_int"),
        (f"{folder}/spembs.scp", "spembs", "kaldi_ark"),
        *((f"{folder}/{file}", name, kind) for file, name, kind in more),
    ]
    dataset = ESPnetDataset(files, preprocess)
    rows = [dataset[f"utt{index}"] for index in range(NUM_UTTERANCES)]
    return model, TasteTask.build_collate_fn(None, False)(rows)[1]


@DTYPES
@pytest.mark.parametrize("step", STEPS)
def test_half_precision_changes_little(trained, step, dtype):
    check_half_precision(*training_batch(trained, step), dtype)


@DTYPES
def test_codes_are_those_of_float32(trained, dtype):
    model, batch = training_batch(trained, "vq")
    names = ("speech", "speech_lengths", "text", "text_lengths", "word_ids")
    inputs = [batch[name] for name in names]
    inputs[2] = inputs[2].clamp(min=0)
    model.cache = None
    exact = model.taste(*inputs).codes
    with torch.autocast("cpu", dtype):
        found = model.taste(*inputs).codes
    assert (found == exact)[exact >= 0].float().mean() >= 0.99


PLAIN = ["--unit_decoder_conf", "dropout_rate=0.0", "--unit_decoder_conf"]
PLAIN += ["unit_dropout=0.0"]
PLAIN += ["--quantizer_conf", "quantize_dropout=false", "--model_conf"]
PLAIN += ["speaker_weight=0.5", "--model_conf", "unit_change_weight=3.0"]
PLAIN += ["--optim", "sgd", "--optim_conf", "lr=0.5", "--batch_type", "unsorted"]


@pytest.mark.parametrize("step", STEPS)
def test_two_processes_learn_what_one_learns(recipe, tmp_path, step):
    """No matter how long the utterances of each process are."""
    lists = f"{recipe}/dump/raw/train/wav.scp"
    shapes = ["--train_shape_file", lists, "--valid_shape_file", lists]
    options = [*shapes, *PLAIN, "--batch_size", "2"]
    in_two = partial(train_in_two, tmp_path, taste_train.__name__)
    run(recipe, step, tmp_path / "one", *options)
    run(recipe, step, tmp_path / "two", *options, main=in_two)
    one, two = (
        torch.load(tmp_path / name / "1epoch.pth", weights_only=True)
        for name in ("one", "two")
    )
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=1e-4, atol=1e-5)


def test_pitch_and_times_stand_in_the_vectors(recipe, tmp_path, tiny_asr_exp, bpe_dir):
    """A decoder that predicts prosody, values with measured pitch, words with times.

    Trained by two processes, as the mini recipes' parts would be on a large machine.
    """
    shape = (LetterModels.count("abc"), Cepstra.SIZE)
    mean = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    LetterModels("abc", mean, np.ones_like(mean)).save(recipe / "letters.npz")
    parts = config(tiny_asr_exp, bpe_dir, "no_vq") | {
        "states_source": "prosody",
        "word_timer": "letters",
        "unit_decoder": "aligned",
        "unit_decoder_conf": {
            **dict(num_units=7, spembs_size=3, unit_rate=25.0, hidden_size=8),
            **dict(row_blocks=1, prosody_weight=1.0),
        },
        "unit_history_conf": {"num_blocks": 1},
    }
    (recipe / "prosody.yaml").write_text(yaml.safe_dump(parts), encoding="utf-8")
    folder, scp = recipe / "dump" / "raw" / "train", "pitch.scp"
    texts = read_table(folder / "text")
    words = {name: len(text.split()) for name, text in texts.items()}
    write_table(
        folder / "word_times",
        {n: " ".join(f"{i / 2 / w:.3f}" for i in (np.arange(2 * w) + 1) // 2)
         for n, w in words.items()},
    )  # fmt: skip
    pitch = {name: np.full(50, 200.0, np.float32) for name in words}
    kaldiio.save_ark(str(folder / "pitch.ark"), pitch, scp=str(folder / scp))
    more = ["--train_shape_file", str(folder / "wav.scp")]
    more += ["--valid_shape_file", str(folder / "wav.scp"), "--batch_type", "unsorted"]
    tables = [("word_times", "word_times", "text_float"), (scp, "pitch", "kaldi_ark")]
    for part in ("train", "valid"):
        for table in tables:
            entry = f"{folder}/{','.join(table)}"
            more += [f"--{part}_data_path_and_name_and_type", entry]
    more += ["--letter_models", str(recipe / "letters.npz")]
    in_two = partial(train_in_two, tmp_path, taste_train.__name__)
    run(recipe, "prosody", recipe / "prosody", *more, main=in_two)
    (recipe / "letters.npz").unlink()  # the experiment has them from now on
    encoder = TasteEncoder.from_exp(recipe / "prosody", None, "cpu")
    assert encoder.model.unit_decoder.prosody is not None
    speech, lengths = torch.randn(1, 8000), torch.tensor([8000])
    values = encoder.model.tokenizer.encoder(speech, lengths).values
    assert values.size(-1) == 16 + 3
    weights = encoder.model.tokenizer.aggregator.blocks[1].encoder_attn.v_proj.weight
    assert (weights[:, 16:] != 0).any()
    timer = encoder.model.tokenizer.word_timer
    assert timer.letters == "abc" and np.array_equal(timer.mean.numpy(), mean)
    assert (encoder.model.tokenizer.aggregator.word_lengths.proj.weight != 0).any()
    batch = SpeechBatch.from_arrays({"u": speech[0].numpy()})
    ids, vectors = encoder.vectors(batch, ["a cab"])
    assert vectors.shape[:2] == ids.text.shape and torch.isfinite(vectors).all()
    for dtype in (torch.bfloat16, torch.float16):
        check_half_precision(*training_batch(recipe, "prosody", *tables), dtype)
