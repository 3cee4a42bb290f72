"""Table of the comparison of designs for RESULTS.md.

Enters: the study ``systems`` of ``bin/systems_evaluate``. Leaves: Markdown.
"""

from collections.abc import Mapping

from espnet2_taste.metrics.tables import format_number, markdown_table

COLUMNS = {
    "coherent ending": ("pairs", "pairs_coherent", "both_mean", "accuracy"),
    "... by speech": ("pairs", "pairs_coherent", "speech_sum", "accuracy"),
    "consistent style": ("pairs", "pairs_style", "both_mean", "accuracy"),
    "consistent voice": ("pairs", "pairs_voice", "both_mean", "accuracy"),
    "perplexity of what is heard": ("perplexity",),
    "rate follows, r": ("rate", "pearson"),
    "nothing heard": ("silent",),
}
BUDGET_COLUMNS = {
    "trained parameters": "trained_parameters",
    "training s": "training_seconds",
    "rows": "rows",
    "padding %": "padding_percent",
    "rows written/s": "rows_written_per_second",
}


def systems_tables(study: Mapping) -> list[str]:
    """A row a design: quality, then what it cost.

    Args:
        study: The study ``systems``.

    Returns:
        Parts of a page.
    """
    rows = [
        (name, *(_cell(scores, path) for path in COLUMNS.values()))
        for name, scores in study["designs"].items()
    ]
    note = (
        "Mean over the seeds, in brackets least and most. Pairs: both_mean, the "
        "length-normalised likelihood of text and speech; designs without text have "
        "that of their units. A dash: the design gives no such number."
    )
    parts = [markdown_table(("design", *COLUMNS), rows), note]
    budgets = study.get("budgets", {})
    costs = [
        (name, *(budgets[name].get(key, "-") for key in BUDGET_COLUMNS.values()))
        for name in study["designs"]
        if name in budgets
    ]
    if costs:
        parts += [
            "### What each design cost",
            markdown_table(("design", *BUDGET_COLUMNS), costs),
        ]
    return parts


def _cell(scores: Mapping, path: tuple[str, ...]) -> str:
    """Mean with least and most, as text."""
    value: Mapping | None = scores
    for key in path:
        value = value.get(key) if value else None
    if not value:
        return "-"
    text = format_number(value["mean"])
    if value["seeds"] < 2:
        return text
    return f"{text} [{format_number(value['low'])}, {format_number(value['high'])}]"
