"""Table and picture of the comparison of designs for RESULTS.md.

Enters: the study ``systems`` of ``slm_evaluate designs``. Leaves: Markdown, and the
points of the picture.
"""

from collections.abc import Mapping

from espnet2_taste.metrics.tables import dig, format_number, markdown_table

COLUMNS = {
    "coherent ending": ("pairs", "pairs_coherent", "both_mean", "accuracy"),
    "... by the sum": ("pairs", "pairs_coherent", "both_sum", "accuracy"),
    "... by speech": ("pairs", "pairs_coherent", "speech_sum", "accuracy"),
    "... localised": ("pairs", "pairs_coherent", "both_local", "accuracy"),
    "... normalised": ("pairs", "pairs_coherent", "both_normalised", "accuracy"),
    "consistent style": ("pairs", "pairs_style", "both_mean", "accuracy"),
    "style localised": ("pairs", "pairs_style", "both_local", "accuracy"),
    "style normalised": ("pairs", "pairs_style", "both_normalised", "accuracy"),
    "consistent voice": ("pairs", "pairs_voice", "both_mean", "accuracy"),
    "voice localised": ("pairs", "pairs_voice", "both_local", "accuracy"),
    "voice normalised": ("pairs", "pairs_voice", "both_normalised", "accuracy"),
    "perplexity of words and end": ("perplexity",),
    "questions answered": ("answers", "accuracy"),
    "... by chance": ("answers", "by_chance"),
    "rate follows, r": ("rate", "pearson"),
    "nothing recognized": ("silent",),
}
DRAWN = (
    "coherent ending",
    "consistent style",
    "consistent voice",
    "questions answered",
    "rate follows, r",
)
BUDGET_COLUMNS = {
    "trained parameters": "trained_parameters",
    "training s": "training_seconds",
    "rows": "rows",
    "padding %": "padding_percent",
    "TFLOP of training": "training_teraflops",
    "rows written/s": "rows_written_per_second",
}


def systems_tables(study: Mapping) -> list[str]:
    """A row a design: quality, then what it cost.

    Args:
        study: The study ``systems``.

    Returns:
        Parts of a page.
    """
    columns = COLUMNS | _other_lm_columns(study["designs"])
    rows = [
        (name, *(_cell(scores, path) for path in columns.values()))
        for name, scores in study["designs"].items()
    ]
    note = (
        "Mean over the seeds, in brackets least and most. Pairs: both_mean, the "
        "length-normalised likelihood of text and speech; designs without text have "
        "that of their units. Localised: words behind the common beginning of a pair; "
        "normalised: the same minus their likelihood with nothing before them "
        "(arXiv 2601.06329). Perplexity: of the words recognized in the continuations "
        "and of their ends, silent continuations included. Columns with the name of an "
        "LM: by that one, which took no part; unknown: share of the words outside its "
        "vocabulary, left out by n-gram LMs. A dash: the design gives no such number."
    )
    parts = [markdown_table(("design", *columns), rows), note]
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


def systems_points(designs: Mapping) -> dict[str, dict[str, tuple[float, ...]]]:
    """What a picture of the comparison shows.

    Args:
        designs: Scores by design, from ``merge_seeds``.

    Returns:
        For each column of shares and correlations mean, least and most by design.
    """
    points: dict[str, dict[str, tuple[float, ...]]] = {}
    for title in DRAWN:
        for name, scores in designs.items():
            value = dig(scores, *COLUMNS[title])
            if value:
                row = (value["mean"], value["low"], value["high"])
                points.setdefault(title, {})[name] = row
    return points


def _other_lm_columns(designs: Mapping) -> dict[str, tuple[str, ...]]:
    """Two columns for each LM that took no part."""
    names = dict.fromkeys(n for s in designs.values() for n in s.get("other_lms", ()))
    columns: dict[str, tuple[str, ...]] = {}
    for name in names:
        columns[f"perplexity, {name}"] = ("other_lms", name, "perplexity")
        columns[f"... unknown to {name}"] = ("other_lms", name, "unknown")
    return columns


def _cell(scores: Mapping, path: tuple[str, ...]) -> str:
    """Mean with least and most, as text."""
    value = dig(scores, *path)
    if not value:
        return "-"
    text = format_number(value["mean"])
    if value["seeds"] < 2:
        return text
    return f"{text} [{format_number(value['low'])}, {format_number(value['high'])}]"
