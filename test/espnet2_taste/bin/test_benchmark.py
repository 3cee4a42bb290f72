"""The benchmark's two ways do the same work; its table is complete."""

import json

import pytest
import torch

from espnet2_taste.align.ctc import align_tokens
from espnet2_taste.bin import benchmark
from espnet2_taste.data.audio import write_audio
from espnet2_taste.evaluation import (
    alignment_benchmark,
)
from espnet2_taste.evaluation import benchmark as parts
from espnet2_taste.evaluation import memory, opponents, start_benchmark, unit_benchmark

TINY = parts.LmSize(50, 16, 24, 2, 2, 2)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(parts.LM_SIZES, "medium", TINY)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_published_and_cached_units_are_the_same():
    torch.manual_seed(0)
    decoder = unit_benchmark.make_unit_decoder("cpu")
    inputs = unit_benchmark.unit_inputs(1, 4, "cpu")
    cached = unit_benchmark.generate_units(decoder, inputs, 7)[0]
    published = opponents.reference_units(decoder, inputs, len(cached))[0]
    assert cached.tolist() == published.tolist()
    guided = unit_benchmark.generate_units(decoder, inputs, 7, guided=True)[0]
    assert len(guided) == len(cached) == 7


def test_all_tasks_are_measured(tiny, tmp_path, capsys):
    output = tmp_path / "benchmark.json"
    command = ["--words", "2", "5", "--units", "3", "--vocabulary", "20"]
    command += ["--batch_size", "2", "--num_threads", "1", "--output", str(output)]
    command += ["--training_vocabularies", "20", "--training_batch", "2", "3"]
    benchmark.main([*command, "--repeat", "1"])
    study = json.loads(output.read_text())
    results = {result["task"]: result for result in study["results"]}
    ways = ["decoding", "aligned decoding", "guided decoding", "int8 decoding"]
    for words in (2, 5):
        for way in ways:
            assert any(task.startswith(f"{way}, {words} words") for task in results)
        assert results[f"continuation, {words} words"]["same_text"]
    assert sum(task.startswith("tokenization") for task in results) == 2
    # a further one is a difference of two times, of any sign where little is measured
    times = {name: row for name, row in results.items() if "a further" not in name}
    assert len(results) - len(times) == 4
    assert all(row["one x opponent"] > 0 and row["opponent"] for row in times.values())
    limits = [row["limit /s"] for row in results.values()]
    assert sum(limit is None for limit in limits) == 2 * 2  # guided, int8
    assert all(row["MB one"] > 0 for row in results.values())
    assert study["sampler_tables_seconds"] > 0
    printed = capsys.readouterr().out
    assert "| continuation, 5 words |" in printed
    steps = {row["step"]: row for row in study["training"]}
    assert len(steps) == 6 and steps["LoRA of peft, text alone"]["x LoRA"] == 1
    assert all(row["ms"] > 0 and row["vocabulary"] == 20 for row in steps.values())
    assert "| 20 | KL, base known |" in printed


def test_aligned_decoders_write_so_many_units():
    torch.manual_seed(0)
    decoder = unit_benchmark.make_aligned_decoder("cpu")
    found = unit_benchmark.aligned_units(
        decoder, unit_benchmark.unit_inputs(2, 3, "cpu"), 17
    )
    assert [len(units) for units in found] == [17, 17]


def test_memory_is_computed_beside_what_is_measured(tiny, tmp_path):
    output = tmp_path / "memory.json"
    command = ["--tasks", "memory", "--training_batch", "2", "4", "--num_threads", "1"]
    benchmark.main([*command, "--output", str(output)])
    rows = json.loads(output.read_text())["memory"]
    assert [row["use"] for row in rows] == [use.name for use in memory.USES]
    needed = {(row["use"], row["weights"]): row["computed GiB"] for row in rows}
    taslm = parts.make_taslm(TINY, "cpu", torch.float32)
    trained = sum(p.numel() for p in taslm.parameters() if p.requires_grad)
    kept = parts.model_megabytes(taslm) / 1024
    assert needed["generation", "float32"] == pytest.approx(kept)
    assert needed["LoRA 64", "float32"] == pytest.approx(kept + 12 * trained / 2**30)
    assert needed["LoRA 64", "bfloat16"] < needed["LoRA 64", "float32"]
    for row in rows:
        beyond = row["measured GiB"] - row["computed GiB"]
        assert row["beyond GiB"] == pytest.approx(beyond)


def test_one_task_is_measured_alone(tiny, capsys):
    command = ["--tasks", "training", "--training_vocabularies", "20", "30"]
    command += ["--training_batch", "1", "2", "--num_threads", "1", "--repeat", "1"]
    benchmark.main(command)
    printed = capsys.readouterr().out
    assert "| 30 | KL, nothing kept |" in printed and "decoding" not in printed


def test_starts_are_those_of_new_processes(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(start_benchmark, "MODULES", ("json", "decimal"))
    output = tmp_path / "benchmark.json"
    command = ["--tasks", "start", "--repeat", "1", "--num_threads", "1"]
    benchmark.main([*command, "--output", str(output)])
    rows = json.loads(output.read_text())["start"]
    names = ["import json", "import decimal", "espnet2_taste --help"]
    assert [row["start"] for row in rows] == names
    assert all(row["CPU s"] > 0 for row in rows) and rows[0]["beyond import json"] == 0
    assert "| espnet2_taste --help |" in capsys.readouterr().out
    assert start_benchmark.start_commands("a.zip", None)["load a.zip"][-2] == "a.zip"


def test_long_recordings_are_aligned(capsys):
    command = ["--tasks", "alignment", "--minutes", "0.1", "1.2", "--num_threads", "1"]
    benchmark.main(command)
    assert "| 1.200 | 300 |" in capsys.readouterr().out
    scores, tokens = alignment_benchmark.random_speech(1.2)  # is cut once
    sizes = torch.tensor([len(scores)]), tokens[None], torch.tensor([len(tokens)])
    middles = align_tokens(scores[None], *sizes)[0].mean(1)
    places = 6 * torch.arange(300) + 3
    assert (middles - places).abs().max() < 6


def test_all_ways_write_the_same_words():
    taslm = parts.make_taslm(TINY, "cpu", torch.float32)
    prompts = parts.make_prompts(taslm, 1)
    plain = parts.plain_continuation(parts.make_generator(taslm, 4), prompts[0])
    taslm.backbone = taslm.backbone.merged()
    generator = parts.make_generator(taslm, 4)
    ours = parts.continue_prompts(generator, prompts)[0].text.tolist()
    assert plain == ours == opponents.static_cache_words(generator, prompts[0])
    assert len(ours) == 4


def test_medians_of_turns_count():
    args = benchmark.main.get_parser().parse_args(["--repeat", "3"])
    bench, order = benchmark.Bench(args), []
    seconds = {"a": iter([1.0, 9.0, 2.0]), "b": iter([5.0, 4.0, 3.0])}

    def meter(work):
        order.append(work())
        return parts.Measure(next(seconds[order[-1]]), len(order))

    bench.meter = meter
    model = torch.nn.Linear(1, 1)
    found = bench.measure(a=(lambda: "a", model), b=(lambda: "b", model))
    assert order == ["a", "b"] * 3
    assert found["a"].seconds == 2.0 and found["b"].seconds == 4.0
    assert int(found["a"].megabytes) == 5


def test_weights_of_a_step_are_those_of_its_products():
    taslm = parts.make_taslm(TINY, "cpu", torch.float32)
    taslm.backbone = taslm.backbone.merged()
    layer = 4 * 16 * 16 + 3 * 16 * 24
    head = taslm.code_head.mu.weight.numel()
    weights = opponents.word_weights(taslm)
    assert sum(w.numel() for w in weights) == 2 * layer + 50 * 16 + head
    assert opponents.seconds_to_read(weights) > 0


def test_half_precision_runs(tiny):
    taslm = parts.make_taslm(TINY, "cpu", torch.bfloat16)
    prompts = parts.make_prompts(taslm, 2)
    text = parts.plain_continuation(parts.make_generator(taslm, 3), prompts[0])
    before = parts.model_megabytes(taslm)
    taslm.backbone = taslm.backbone.merged()
    generator = parts.make_generator(taslm, 3)
    found = parts.continue_prompts(generator, prompts)
    assert len(text) == len(found[0].text) == len(found[1].text) == 3
    assert parts.model_megabytes(taslm) < before


def test_unknown_sizes_are_refused():
    with pytest.raises(SystemExit, match="benchmark: --lm_size huge: expected one of"):
        benchmark.main(["--lm_size", "huge"])


def test_speech_of_a_random_language_model_begins_before_it_ends(
    tiny, packed_models, tmp_path
):
    wav, output = tmp_path / "a.wav", tmp_path / "benchmark.json"
    noise = 0.1 * torch.randn(24000, generator=torch.Generator().manual_seed(0))
    write_audio(wav, noise.numpy(), 16000)
    command = ["--tasks", "streaming", "--num_threads", "1", "--repeat", "1"]
    with pytest.raises(SystemExit, match="streaming needs --model and --wav"):
        benchmark.main(command)
    command += ["--model", str(packed_models[0] / "taslm.zip"), "--wav", str(wav)]
    command += ["--cache_dir", str(tmp_path), "--output", str(output)]
    benchmark.main(command)
    speed = json.loads(output.read_text())["streaming"][0]
    assert speed["prompts"] == 1 and 0 < speed["first"] <= speed["seconds"]
