"""The benchmark's two ways do the same work; its table is complete."""

import json

import pytest
import torch

from espnet2_taste.bin import benchmark
from espnet2_taste.evaluation import benchmark as parts

TINY = parts.LmSize(50, 16, 24, 2, 2, 2)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(parts.LM_SIZES, "medium", TINY)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_plain_and_cached_units_are_the_same():
    torch.manual_seed(0)
    decoder = parts.make_unit_decoder("cpu")
    inputs = parts.unit_inputs(1, 4, "cpu")
    cached = parts.generate_units(decoder, inputs, 7)[0]
    plain = parts.plain_units(decoder, inputs, len(cached))[0]
    assert cached.tolist() == plain.tolist()


def test_all_tasks_are_measured(tiny, tmp_path, capsys):
    output = tmp_path / "benchmark.json"
    command = ["--words", "2", "5", "--units", "3", "--seconds", "1"]
    command += ["--batch_size", "2", "--num_threads", "1", "--output", str(output)]
    benchmark.main(command)
    results = json.loads(output.read_text())["results"]
    tasks = [result["task"].split(",")[0] for result in results]
    assert tasks == ["tokenization", "decoding", "continuation", "continuation"]
    assert all(result["speedup"] > 0 for result in results)
    assert all(result["same_text"] for result in results[2:])
    assert "| continuation, 5 words |" in capsys.readouterr().out


def test_unknown_sizes_are_refused():
    with pytest.raises(SystemExit, match="benchmark: --lm_size huge: expected one of"):
        benchmark.main(["--lm_size", "huge"])
