"""Tables of the swap studies for RESULTS.md.

Enters: a study of ``bin/taste_swap``. Leaves: Markdown.
"""

from collections.abc import Mapping

from espnet2_taste.metrics.tables import markdown_table


def swap_tables(study: Mapping) -> list[str]:
    """Durations and F0 after a swap.

    Args:
        study: A swap study.

    Returns:
        Parts of a page.
    """
    measures = {f"durations: {k}": v for k, v in study["scores"].items()}
    said = study.get("predicted", {})
    measures |= {f"durations as predicted: {k}": v for k, v in said.items()}
    measures |= {f"F0: {k}": v for k, v in study.get("pitch", {}).items()}
    rows = [(name.replace("_", " "), value) for name, value in measures.items()]
    parts = [markdown_table(("measure", "value"), rows)]
    if "by_distance" in study:
        curve = [tuple(point.values()) for point in study["by_distance"]]
        header = ("words from a swapped one", "words", "change", "way to the other")
        parts.append(markdown_table(header, curve))
    return parts
