"""Pictures of what TASTE does, drawn without a display.

Enters: plain arrays and word times. Leaves: PNG files. No function here runs a
network or reads an experiment, except ``read_losses``, which reads a checkpoint's
reports.

Legend: F frames, N tokens, M mel bins, P pitch frames, W words.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from espnet2_taste.data.files import whole_file
from espnet2_taste.experiment_files import load_weights
from espnet2_taste.structures import WordTiming

MOVED = 0.25
"""Change of a duration that is marked, as a share of it."""
BLUE, ORANGE, GREY = "#3b6ea5", "#d98032", "#888888"


def _figure(rows: int, size: tuple[float, float], columns: int = 1, **options):
    """New figure on the Agg canvas, independent of pyplot's state, and its axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **options).ravel()


def _save(figure, path: str | os.PathLike) -> None:
    """Write a PNG through a rename, without a date, so that it can be compared."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=120, metadata={"Software": None})


def _write_words(axis, timings: Iterable[WordTiming], middle: bool) -> None:
    """Write words above an axis, from their begin on or around their middle."""
    place = {"ha": "center"} if middle else {}
    for timing in timings:
        x = timing.start + middle * timing.duration / 2
        transform = axis.get_xaxis_transform()
        axis.text(x, 1.01, timing.word, transform=transform, fontsize=8, **place)


def plot_attention(
    path: str | os.PathLike,
    mel: np.ndarray,
    attention: np.ndarray,
    tokens: Sequence[str],
    timings: Sequence[WordTiming],
    seconds: float,
) -> None:
    """Show where each token looks: the mel above, the attention below, one time axis.

    Args:
        path: PNG to write.
        mel: Log-mel spectrogram, (F_mel, M).
        attention: Weights of each token over encoder frames, (N, F).
        tokens: Token labels, (N,).
        timings: Word boundaries to draw.
        seconds: Length of the recording; both frame axes span it.

    Raises:
        ValueError: The number of labels differs from that of the rows.
    """
    if len(tokens) != len(attention):
        raise ValueError(
            f"expected a label for each of {len(attention)} rows, found {len(tokens)}"
        )
    height = 3.0 + 0.18 * len(tokens)
    figure, (above, below) = _figure(
        2, (9, height), sharex=True, height_ratios=(1, max(0.8, len(tokens) / 12))
    )
    extent = (0, seconds, 0, mel.shape[1])
    above.imshow(mel.T, aspect="auto", origin="lower", extent=extent, cmap="magma")
    above.set_ylabel("mel bin")
    lines = max((timing.word.count("\n") for timing in timings), default=0)
    title = "attention of subwords over frames"
    above.set_title(title, fontsize=10, pad=18 + 11 * lines)
    extent = (0, seconds, len(tokens) - 0.5, -0.5)
    options = {"aspect": "auto", "cmap": "magma", "interpolation": "nearest"}
    weights = below.imshow(attention, extent=extent, **options)
    below.set_yticks(range(len(tokens)), tokens, fontsize=8)
    below.set_xlabel("time (s)")
    below.set_ylabel("subword")
    figure.colorbar(weights, ax=below, label="weight", pad=0.01)
    _write_words(above, timings, middle=True)
    for timing in timings:
        for time in (timing.start, timing.end):
            above.axvline(time, color="white", linewidth=0.7)
        below.axvline(timing.start, color="white", linewidth=0.5, alpha=0.6)
    _save(figure, path)


def plot_swap(
    path: str | os.PathLike,
    rows: Sequence[tuple[str, Sequence[WordTiming], Sequence[int]]],
) -> None:
    """Show word durations as bars laid end to end, swapped words in colour.

    Args:
        path: PNG to write.
        rows: Title of each reading, its words and the indices of swapped words.
    """
    figure, (axis,) = _figure(1, (10, 0.9 + 0.55 * len(rows)))
    before = [timing.duration for timing in rows[0][1]] if rows else []
    for line, (_, timings, chosen) in enumerate(rows):
        origin = timings[0].start if timings else 0.0
        moved = moved_words(before, timings, chosen)
        for index, timing in enumerate(timings):
            color = ORANGE if index in chosen else BLUE
            hatch = "///" if index in moved else None
            left, style = timing.start - origin, {"color": color, "hatch": hatch}
            bar = axis.barh(
                line, timing.duration, left=left, edgecolor="white", **style
            )
            label = f"{timing.word}\n{1000 * timing.duration:.0f}"
            box = {"facecolor": color, "edgecolor": "none", "pad": 0.5}
            text = {"label_type": "center", "fontsize": 7, "color": "white"}
            axis.bar_label(bar, [label], **text, bbox=box)
    axis.set_yticks(range(len(rows)), [title for title, _, _ in rows])
    axis.invert_yaxis()
    axis.set_title(
        "word durations (ms); orange: codes exchanged; hatched: codes kept, changed "
        f"by more than {100 * MOVED:.0f} %",
        fontsize=9,
    )
    axis.set_xlabel("time (s)")
    _save(figure, path)


def moved_words(
    before: Sequence[float], timings: Sequence[WordTiming], chosen: Sequence[int]
) -> list[int]:
    """Words that kept their codes and yet changed their duration.

    Args:
        before: Seconds of each word before codes were exchanged.
        timings: Words after that.
        chosen: Indices of words whose codes were exchanged; none, no word has moved.

    Returns:
        Indices.
    """
    if not chosen:
        return []
    return [
        index
        for index, (old, new) in enumerate(zip(before, timings))
        if index not in chosen and abs(new.duration - old) > MOVED * old
    ]


def plot_pitch(
    path: str | os.PathLike,
    tracks: Mapping[str, np.ndarray],
    timings: Mapping[str, Sequence[WordTiming]],
    hop_seconds: float = 0.01,
) -> None:
    """Show F0 tracks one below the other with the words of each.

    Args:
        path: PNG to write.
        tracks: F0 in Hz by title, 0 where unvoiced, (P,) each.
        timings: Words of the same titles.
        hop_seconds: Distance of the frames.
    """
    figure, axes = _figure(
        len(tracks), (9, 0.6 + 1.6 * len(tracks)), sharex=True, sharey=True
    )
    values = np.concatenate(list(tracks.values()))
    axes[0].set_ylim(range_without_outliers(values[values > 0]))
    for axis, (title, track) in zip(axes, tracks.items()):
        times = np.arange(len(track)) * hop_seconds
        voiced = np.where(track > 0, track, np.nan)
        axis.plot(times, voiced, ".", markersize=3, color=BLUE)
        words = timings.get(title, ())
        _write_words(axis, words, middle=False)
        for timing in words:
            axis.axvline(timing.start, color=GREY, linewidth=0.5)
        axis.set_ylabel(f"{title}\nHz", fontsize=8)
    axes[0].set_title("F0 (Hz)", fontsize=10, pad=18)
    axes[-1].set_xlabel("time (s)")
    _save(figure, path)


def plot_scatter(
    path: str | os.PathLike,
    panels: Mapping[str, tuple[Sequence[float], Sequence[float], str]],
    label: str,
) -> None:
    """Show paired values side by side, the diagonal drawn.

    Args:
        path: PNG to write.
        panels: By title: values of the original, of the rendition, and a note.
        label: What is measured, with its unit.
    """
    size = (3.1 * len(panels) + 0.6, 3.4)
    figure, axes = _figure(1, size, columns=len(panels), sharex=True, sharey=True)
    values = [np.concatenate([first, second]) for first, second, _ in panels.values()]
    ends = range_without_outliers(np.concatenate(values) if values else np.zeros(0))
    for axis, (title, (first, second, note)) in zip(axes, panels.items()):
        axis.plot(ends, ends, color=GREY, linewidth=0.8)
        axis.plot(first, second, ".", markersize=3, alpha=0.5, color=BLUE)
        both = np.stack([first, second])
        beyond = int(((both < ends[0]) | (both > ends[1])).any(axis=0).sum())
        left_out = f", {beyond} beyond the axes" if beyond else ""
        axis.set_title(f"{title}\n{note}{left_out}", fontsize=9)
        axis.set_xlim(ends)
        axis.set_ylim(ends)
        axis.set_xlabel(f"original {label}", fontsize=8)
    axes[0].set_ylabel(f"rendition {label}", fontsize=8)
    _save(figure, path)


def range_without_outliers(values: np.ndarray) -> tuple[float, float]:
    """Range of nearly all values, with a margin; single outliers do not widen it.

    Args:
        values: Any number of them; those that are not finite do not count.

    Returns:
        Lowest and highest value to show.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 1.0
    low, high = np.percentile(known, [0.5, 99.5])
    margin = 0.1 * (high - low) or 1.0
    return max(float(known.min()), low - margin), min(float(known.max()), high + margin)


def plot_designs(
    path: str | os.PathLike, points: Mapping[str, Mapping[str, Sequence[float]]]
) -> None:
    """Show designs side by side, a panel a measure, a line from least to most.

    Args:
        path: PNG to write.
        points: Mean, least and most over seeds, by measure, then by design.
    """
    names = list(dict.fromkeys(name for rows in points.values() for name in rows))
    if not names:
        return
    size = (2.4 * len(points) + 1.2, 0.3 * len(names) + 1.0)
    figure, axes = _figure(1, size, columns=len(points), sharey=True)
    for axis, (title, rows) in zip(axes, points.items()):
        for name, (mean, low, high) in rows.items():
            place = names.index(name)
            axis.plot([low, high], [place, place], color=BLUE, linewidth=2)
            axis.plot([mean], [place], "o", color=BLUE, markersize=5)
        axis.set_title(title, fontsize=9)
        axis.set_xlim(min(0.0, axis.get_xlim()[0]), 1.02)
        axis.grid(axis="x", linewidth=0.4)
    axes[0].set_yticks(range(len(names)), names, fontsize=8)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    _save(figure, path)


def plot_curves(
    path: str | os.PathLike,
    curves: Mapping[str, Sequence[tuple[float, float]]],
    xlabel: str,
) -> None:
    """Show measures against one quantity, a panel a measure.

    Args:
        path: PNG to write.
        curves: Points by measure.
        xlabel: Name of the quantity.
    """
    figure, axes = _figure(1, (2.8 * len(curves) + 0.4, 2.6), columns=len(curves))
    for axis, (title, points) in zip(axes, curves.items()):
        axis.plot(*zip(*points), "o-", color=BLUE, markersize=4)
        axis.set_xticks([x for x, _ in points])
        axis.set_xlabel(xlabel, fontsize=8)
        axis.set_title(title, fontsize=9)
        axis.grid(linewidth=0.4)
    _save(figure, path)


def read_losses(
    checkpoint: str | os.PathLike,
) -> dict[str, dict[str, dict[int, float]]]:
    """Read what ESPnet's trainer reported after every epoch.

    Args:
        checkpoint: ``checkpoint.pth`` of an experiment, which carries the reports.

    Returns:
        ``result["train"]["loss"][3]`` is the training loss of epoch 3.

    Raises:
        ValueError: The file is missing.
    """
    if not Path(checkpoint).is_file():
        raise ValueError(f"{checkpoint}: expected a checkpoint; train the model first")
    state = load_weights(checkpoint, mmap=True)
    curves: dict[str, dict[str, dict[int, float]]] = {"train": {}, "valid": {}}
    for epoch, phases in sorted(state["reporter"]["stats"].items()):
        for phase, found in curves.items():
            for name, value in phases.get(phase, {}).items():
                if isinstance(value, (int, float)):
                    found.setdefault(name, {})[int(epoch)] = float(value)
    return curves


def plot_losses(
    path: str | os.PathLike,
    curves: Mapping[str, Mapping[str, Mapping[int, float]]],
    names: Sequence[str] = ("acc", "acc_change"),
) -> None:
    """Show curves of training and validation over epochs.

    Args:
        path: PNG to write.
        curves: From ``read_losses``.
        names: Values to show beside the loss and its parts, those that exist.
    """
    from matplotlib.ticker import MaxNLocator

    found = {name for phase in curves.values() for name in phase}
    parts = sorted(name for name in found if name.startswith("loss_"))
    parts = [name for name in parts if name != "loss_scale"]  # of half precision
    shown = [name for name in ("loss", *parts, *names) if name in found]
    rows = max(1, len(shown))
    figure, axes = _figure(rows, (7, 2.2 * rows), sharex=True)
    for axis, name in zip(axes, shown):
        for phase, color in (("train", BLUE), ("valid", ORANGE)):
            points = curves.get(phase, {}).get(name, {})
            values = list(points.values())
            axis.plot(list(points), values, color=color, marker=".", label=phase)
        axis.set_ylabel(name)
        axis.legend(fontsize=8)
    axes[0].set_title("mean of each epoch", fontsize=10)
    axes[-1].set_xlabel("epoch")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    _save(figure, path)
