"""Pictures are drawn, complete and the same every time."""

import numpy as np
import pytest
import torch

from espnet2_taste.metrics import plots
from espnet2_taste.metrics.plots import (
    moved_words,
    plot_attention,
    plot_losses,
    plot_pitch,
    plot_scatter,
    plot_swap,
    range_without_outliers,
    read_losses,
)
from espnet2_taste.structures import WordTiming

WORDS = [WordTiming("red", 0.1, 0.3), WordTiming("dog", 0.4, 0.5)]


def is_png(path):
    return path.read_bytes()[:4] == b"\x89PNG"


def test_attention(tmp_path):
    mel, attention = np.random.rand(100, 80), np.random.rand(3, 25)
    plot_attention(tmp_path / "a.png", mel, attention, ["re", "d", "dog"], WORDS, 1.0)
    assert is_png(tmp_path / "a.png")
    with pytest.raises(ValueError, match="label for each of 3 rows"):
        plot_attention(tmp_path / "b.png", mel, attention, ["red"], WORDS, 1.0)


def test_swap_is_repeatable(tmp_path):
    rows = [("slow", WORDS, ()), ("slow, swapped", WORDS, (1,)), ("empty", [], ())]
    plot_swap(tmp_path / "images" / "a.png", rows)
    plot_swap(tmp_path / "images" / "b.png", rows)
    first, second = sorted((tmp_path / "images").iterdir())
    assert first.read_bytes() == second.read_bytes()


def test_words_that_moved_without_new_codes_are_marked():
    before = [0.3, 0.5, 0.2]
    words = [WordTiming("a", 0.0, 0.3), WordTiming("b", 0.3, 0.9)]
    words.append(WordTiming("c", 1.2, 0.4))
    assert moved_words(before, words, [1]) == [2]
    assert moved_words(before, words, []) == []


def test_outliers_do_not_widen_the_axes():
    values = np.r_[np.linspace(0, 1, 1000), 50.0, np.nan]
    low, high = range_without_outliers(values)
    assert low == 0.0 and 1.0 < high < 1.2
    assert range_without_outliers(np.array([np.nan])) == (0.0, 1.0)
    low, high = range_without_outliers(np.array([2.0, 2.0]))
    assert low <= 2.0 <= high


def test_pitch_and_scatter(tmp_path):
    track = np.r_[np.zeros(10), np.full(50, 120.0)]
    plot_pitch(tmp_path / "p.png", {"original": track, "x": track}, {"x": WORDS})
    values = np.array([1.0, 2.0, np.nan])
    plot_scatter(tmp_path / "s.png", {"a": (values, values, "r = 1")}, "duration (s)")
    assert is_png(tmp_path / "p.png") and is_png(tmp_path / "s.png")


def test_octave_errors_do_not_squeeze_the_tracks(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: figures.append(figure))
    track = np.r_[np.zeros(10), np.linspace(100, 150, 997), np.full(3, 450.0)]
    plot_pitch(tmp_path / "p.png", {"original": track, "x": track / 2}, {})
    for axis in figures[0].axes:
        low, high = axis.get_ylim()
        assert 40 <= low <= 50 and 150 <= high < 180


def test_losses_are_shown_by_part(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: figures.append(figure))
    names = ("loss_text", "loss", "loss_scale", "acc", "time")
    curves = {"train": {name: {1: 1.0, 2: 0.5} for name in names}}
    plot_losses(tmp_path / "l.png", curves)
    axes = figures[0].axes
    assert [axis.get_ylabel() for axis in axes] == ["loss", "loss_text", "acc"]
    assert all(float(tick).is_integer() for tick in axes[-1].get_xticks())


def test_losses_come_from_the_checkpoint(tmp_path):
    stats = {
        epoch: {"train": {"loss": 1.0 / epoch, "time": 3.0}, "valid": {"loss": 2.0}}
        for epoch in (2, 1)
    }
    torch.save({"reporter": {"stats": stats}}, tmp_path / "checkpoint.pth")
    curves = read_losses(tmp_path / "checkpoint.pth")
    assert curves["train"]["loss"] == {1: 1.0, 2: 0.5}
    plot_losses(tmp_path / "l.png", curves)
    assert is_png(tmp_path / "l.png")
    with pytest.raises(ValueError, match="train the model first"):
        read_losses(tmp_path / "none.pth")
