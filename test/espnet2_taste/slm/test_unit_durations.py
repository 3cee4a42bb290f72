"""Durations of units: padding, expansion, learning, files."""

import pytest
import torch

from espnet2_taste.bin import units as command
from espnet2_taste.slm.layouts.utterance import deduplicate
from espnet2_taste.slm.unit_durations import (
    UnitDurationPredictor,
    duration_error,
    fit_durations,
)


def test_padding_changes_nothing():
    torch.manual_seed(0)
    model = UnitDurationPredictor(5, 8, 3).eval()
    units = torch.tensor([[1, 2, 0, -1, -1], [4, 3, 2, 1, 0]])
    torch.testing.assert_close(model(units)[:1, :3], model(units[:1, :3]))


def strings():
    """Unit k lasts k + 1 frames."""
    generator = torch.Generator().manual_seed(0)
    orders = [torch.randperm(5, generator=generator).tolist() for _ in range(20)]
    return [[u for u in order for _ in range(u + 1)] for order in orders]


def test_what_is_learned_is_used(tmp_path, capsys):
    rows = strings()
    model = fit_durations(rows, 5, steps=100, batch_size=8, lr=1e-2)
    error, constant = duration_error(model, rows)
    assert error < 0.2 < constant
    short = [rows[0], rows[1][:0]]
    expanded = model.expand([deduplicate(row) for row in short])
    assert len(expanded[0]) == pytest.approx(len(rows[0]), abs=2)
    assert deduplicate(expanded[0].tolist()) == deduplicate(rows[0])
    assert len(expanded[1]) == 0
    lines = [f"utt{i} {' '.join(map(str, row))}" for i, row in enumerate(strings())]
    (tmp_path / "units").write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = ["--data_dir", str(tmp_path), "--valid_dir", str(tmp_path), "--steps"]
    options += ["3", "--num_units", "5", "--output_dir", str(tmp_path / "exp")]
    command.main(["durations", *options])
    assert "of a constant" in capsys.readouterr().out
    loaded = UnitDurationPredictor.load(tmp_path / "exp")
    again = fit_durations(strings(), 5, steps=3)
    units = torch.tensor([[1, 2, 3]])
    torch.testing.assert_close(loaded(units), again(units))
    command.main(["durations", *options])
    assert "is done" in capsys.readouterr().out


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ValueError, match="run units durations"):
        UnitDurationPredictor.load(tmp_path)
    with pytest.raises(ValueError, match="no units"):
        fit_durations([[]], 5)
