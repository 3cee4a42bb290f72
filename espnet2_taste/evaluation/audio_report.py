"""Tables of audio measures and of noise for RESULTS.md and for the screen.

Enters: the studies ``audio`` and ``noise``. Leaves: Markdown. A measure that could not
be had is named below its table with the reason, never shown as a number.
"""

from collections.abc import Mapping

from espnet2_taste.metrics.tables import format_number, markdown_table


def audio_tables(study: Mapping) -> list[str]:
    """Means with intervals of every set, then what the numbers depend on.

    Args:
        study: The study ``audio``.

    Returns:
        Parts of a page.
    """
    parts = []
    for name, scores in study["sets"].items():
        parts += [f"### Audio measures on `{name}`", _set_table(scores)]
        missing = _left_out_utterances(study["not_scored"].get(name, {}))
        parts += [missing] if missing else []
    return parts + [_settings(study)]


def _set_table(scores: Mapping[str, Mapping]) -> str:
    """A row a rendition; cells are mean and 95 % interval."""
    columns = list(dict.fromkeys(c for found in scores.values() for c in found))
    rows = []
    for label, found in scores.items():
        rows.append((label, *(_cell(found.get(column)) for column in columns)))
    return markdown_table(("rendition", *columns), rows)


def _cell(value: Mapping | None) -> str:
    if value is None or value["mean"] is None:
        return "-"
    low, high = format_number(value["low"], 2), format_number(value["high"], 2)
    return f"{format_number(value['mean'])} [{low}, {high}]"


def _left_out_utterances(reasons: Mapping[str, Mapping[str, Mapping]]) -> str:
    """How many utterances have no number, with one reason each."""
    lines = []
    for label, by_metric in reasons.items():
        for metric, utterances in by_metric.items():
            name, reason = next(iter(utterances.items()))
            lines.append(
                f"- {label}, {metric}: {len(utterances)} utterances without a number, "
                f"for example {name}: {reason}"
            )
    return "\n".join(lines)


def _settings(study: Mapping) -> str:
    """Model, sample rate and reference of each measure; reasons of the absent ones."""
    lines = []
    for name, settings in study["metrics"].items():
        said = "; ".join(f"{key}: {value}" for key, value in settings.items())
        lines.append(f"- {name}: {said}")
    for name, reason in study["left_out"].items():
        lines.append(f"- {name}: **left out**: {reason}")
    return "\n".join(lines)


def noise_tables(study: Mapping) -> list[str]:
    """A table a set and kind of noise, a row a ratio and rendition.

    Args:
        study: The study ``noise``.

    Returns:
        Parts of a page.
    """
    parts = []
    for group in study["groups"]:
        title = f"### `{group['source']}` in {group['noise']} noise"
        rows = [
            (row["snr"], row["rendition"], *(row.get(c) for c in group["columns"]))
            for row in group["rows"]
        ]
        header = ("SNR dB", "rendition", *group["columns"])
        parts += [title, markdown_table(header, rows)]
    return parts
