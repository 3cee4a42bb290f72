"""Every design of the comparison: it trains, its loss falls, its checkpoints load."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from half_precision import DTYPES, check_half_precision
from tiny_models import write_lm
from two_processes import train_in_two

from espnet2_taste.bin import slm_train
from espnet2_taste.data.arks import write_numbers
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.evaluation.training_cost import step_cost, training_cost
from espnet2_taste.tasks.spoken_lm import SpokenLMTask

SYSTEMS = Path(__file__).parents[3] / "egs2/mini_espeak/taslm1/conf/systems"
DESIGNS = [
    "gslm",
    "twist",
    "s3_parallel",
    "spiritlm",
    "spiritlm_expr",
    "mini_omni",
    "moshi",
    "llama_omni",
]
TINY = {
    "gslm": {
        "model_type": "llama",
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
    }
}
NUM_UNITS = 12


def table(path, rows):
    lines = [f"{name} {' '.join(map(str, row))}\n" for name, row in rows.items()]
    path.write_text("".join(lines), encoding="utf-8")


@pytest.fixture(scope="module")
def data(tmp_path_factory, sentences, lm_tokenizer_dir):
    """A set with everything that a layout may need, and a text LM."""
    path = tmp_path_factory.mktemp("grid")
    rng = np.random.default_rng(0)
    names = [f"utt{index:02d}" for index in range(len(sentences))]
    texts = {n: s.split() for n, s in zip(names, sentences)}
    units = {
        n: np.repeat(rng.integers(0, NUM_UNITS, 4 * len(w)), 2).tolist()
        for n, w in texts.items()
    }
    times = {
        n: [t for i in range(len(w)) for t in (0.32 * i, 0.32 * i + 0.3)]
        for n, w in texts.items()
    }
    table(path / "text", texts)
    table(path / "units", units)
    table(path / "word_times", times)
    table(path / "pitch", {n: u[::2] for n, u in units.items()})
    table(path / "style", {n: [u[0] % 8, 1, 2] for n, u in units.items()})
    for name, dtype in (("units", np.int32), ("word_times", np.float32)):
        write_numbers(path, name, read_table(path / name), dtype)
    write_lm(path / "llm", lm_tokenizer_dir)
    return path


def options(data, design, *more):
    cmd = ["--config", str(SYSTEMS / f"{design}.yaml"), "--output_dir", f"{data}/x"]
    cmd += ["--tokenizer_path", f"{data}/llm", "--num_units", str(NUM_UNITS)]
    if design in TINY:
        cmd += [f"--lm_conf={name}={value}" for name, value in TINY[design].items()]
    else:
        cmd += ["--init_lm", f"{data}/llm"]
    return [*cmd, *more]


def built(data, design, *more):
    args = SpokenLMTask.get_parser().parse_args(options(data, design, *more))
    torch.manual_seed(0)
    return SpokenLMTask.build_model(args), args


def read_rows(data):
    """Utterances as ESPnet hands them to the preprocessor."""
    fields = {n: read_table(data / n) for n in ("text", "units", "pitch", "style")}
    times = read_table(data / "word_times")
    for name, text in fields["text"].items():
        numbers = {
            key: np.array(fields[key][name].split(), dtype=np.int64)
            for key in ("units", "pitch", "style")
        }
        seconds = np.array(times[name].split(), dtype=np.float32)
        yield name, {"text": text, "word_times": seconds, **numbers}


def batch_of(data, args, count=8, train=False):
    preprocess = SpokenLMTask.build_preprocess_fn(args, train)
    rows = [(name, preprocess(name, item)) for name, item in read_rows(data)]
    return SpokenLMTask.build_collate_fn(args, train)(rows[:count])[1]


@pytest.mark.parametrize("design", DESIGNS)
def test_the_loss_of_every_design_falls(data, design):
    model, args = built(data, design)
    batch = batch_of(data, args, 4)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=1e-2
    )
    losses, names = [], set()
    for _ in range(8):
        loss, stats, weight = model(**batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        names.add(tuple(sorted(stats)))
    assert weight == 4 and len(names) == 1
    assert losses[-1] < 0.98 * losses[0]
    unused = [
        n for n, p in model.named_parameters() if p.requires_grad and p.grad is None
    ]
    assert not unused


@DTYPES
@pytest.mark.parametrize("design", DESIGNS)
def test_half_precision_changes_little(data, design, dtype):
    model, args = built(data, design)
    check_half_precision(model, batch_of(data, args, 4), dtype)


@pytest.mark.parametrize("design", DESIGNS)
def test_padding_of_a_batch_changes_no_cell(data, design):
    model, args = built(data, design)
    model.eval()
    batch = batch_of(data, args, 4)
    together = model.core(batch["grid"])
    for row, size in enumerate(batch["grid_lengths"].tolist()):
        alone = model.core(batch["grid"][row : row + 1, :size])
        for stream, logits in enumerate(alone):
            expected = together[stream][row : row + 1, :size]
            torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("design", DESIGNS)
def test_states_save_and_load(data, design):
    model, args = built(data, design)
    other, _ = built(data, design)
    torch.nn.init.normal_(other.core.embedding.start)
    other.load_state_dict(model.state_dict())
    batch = batch_of(data, args, 2)
    assert model.eval()(**batch)[0] == other.eval()(**batch)[0]


def test_trainer_writes_an_experiment(data, tmp_path):
    conf = ["--batch_size", "8", "--max_epoch", "1", "--num_workers", "0"]
    conf += ["--keep_nbest_models", "1", "--use_matplotlib", "false"]
    for part in ("train", "valid"):
        option = f"--{part}_data_path_and_name_and_type"
        conf += [option, f"{data}/text,text,text"]
        for name in ("units", "word_times"):  # as stage 16 gives them
            conf += [option, f"{data}/{name}.scp,{name},kaldi_ark"]
    conf += ["--train_shape_file", f"{data}/text", "--valid_shape_file", f"{data}/text"]
    stats = ["--collect_stats", "true", "--output_dir", f"{tmp_path}/stats"]
    slm_train.main(options(data, "spiritlm", *conf, *stats))
    conf[-3], conf[-1] = (
        f"{tmp_path}/stats/{p}/grid_shape" for p in ("train", "valid")
    )
    slm_train.main(options(data, "spiritlm", *conf, "--output_dir", f"{tmp_path}/e"))
    config = yaml.safe_load((tmp_path / "e/config.yaml").read_text())
    assert config["layout"] == "interleave"
    model, _ = SpokenLMTask.build_model_from_file(
        tmp_path / "e/config.yaml", tmp_path / "e/valid.loss.best.pth", "cpu"
    )
    assert model.core.layout.deduplicates
    cost = training_cost(tmp_path / "e", SpokenLMTask)
    trained = [p.numel() for p in model.parameters() if p.requires_grad]
    assert (cost["epochs"], cost["trained"]) == (1, sum(trained))
    assert cost["steps"] >= 1 and cost["seconds"] > 0
    step = step_cost(tmp_path / "e", SpokenLMTask)["flops"]
    assert cost["flops"] == cost["steps"] * step > 6 * sum(trained)


@pytest.mark.parametrize("design", ["gslm", "moshi", "llama_omni"])
def test_two_processes_learn_what_one_learns(data, tmp_path, design):
    """A design for each head: linear, depth, CTC."""
    conf = ["--batch_type", "unsorted", "--batch_size", "8", "--max_epoch", "1"]
    conf += ["--num_workers", "0", "--use_matplotlib", "false"]
    changed = yaml.safe_load((SYSTEMS / f"{design}.yaml").read_text(encoding="utf-8"))
    changed |= {"optim": "sgd", "optim_conf": {"lr": 0.5}, "scheduler": None}
    (tmp_path / "sgd.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
    conf += ["--config", f"{tmp_path}/sgd.yaml"]
    kinds = {"text": "text", "word_times": "text_float"}
    for part in ("train", "valid"):
        conf += [f"--{part}_shape_file", f"{data}/text"]
        for name in ("text", "units", "word_times", "pitch", "style"):
            entry = f"{data}/{name},{name},{kinds.get(name, 'text_int')}"
            conf += [f"--{part}_data_path_and_name_and_type", entry]
    cmd = options(data, design, *conf, "--output_dir")
    slm_train.main([*cmd, f"{tmp_path}/one"])
    train_in_two(tmp_path, slm_train.__name__, [*cmd, f"{tmp_path}/two"])
    one, two = (
        torch.load(tmp_path / name / "1epoch.pth", weights_only=True)
        for name in ("one", "two")
    )
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=1e-4, atol=1e-5)


def test_spans_are_drawn_anew_in_training_only(data):
    _, args = built(data, "spiritlm")
    scored = [batch_of(data, args, 4)["grid"] for _ in range(2)]
    assert torch.equal(*scored)
    drawn = [batch_of(data, args, 8, train=True)["grid"] for _ in range(2)]
    assert drawn[0].shape != drawn[1].shape or not torch.equal(*drawn)


def test_too_many_units_for_ctc_are_counted_and_not_stretched(data):
    model, args = built(data, "llama_omni", "--tail_head_conf=ratio=1")
    batch = batch_of(data, args)
    loss, stats, _ = model(**batch)
    short = batch["grid_lengths"] - 1 < batch["tail_lengths"]
    assert stats["infeasible"] == short.float().mean() > 0
    assert torch.isfinite(loss)


def test_data_that_do_not_fit_are_named(data):
    _, args = built(data, "moshi")
    preprocess = SpokenLMTask.build_preprocess_fn(args, False)
    name, item = next(read_rows(data))
    with pytest.raises(ValueError, match="utterance 'utt00': .* word_times has 3"):
        preprocess(name, {**item, "word_times": np.zeros(3)})
    with pytest.raises(
        ValueError, match="utterance 'utt00': units must lie in 0 .. 11"
    ):
        preprocess(name, {**item, "units": np.array([99])})
    with pytest.raises(ValueError, match="utterance 'utt00': expected words and units"):
        preprocess(name, {**item, "units": np.array([], dtype=np.int64)})
    item.pop("word_times")
    with pytest.raises(ValueError, match="utterance 'utt00': expected the times of"):
        preprocess(name, item)
