"""Tables of how well texts are said (``bin/say_score``)."""

from collections.abc import Mapping

from espnet2_taste.metrics.tables import format_number, markdown_table

LABELS = {
    "text_only": "text only, no LM",
    "plain": "TASLM",
    "styled": "TASLM, in the manner of another recording",
}
HEADER = (
    *("speech", "WER %", "duration r", "rate r", "voice named %", "words timed"),
    *("median difference s", "within 50 ms"),
)


def saying_tables(study: Mapping) -> list[str]:
    """Markdown for each set of the study, a row for each way of saying its texts."""
    parts = []
    for name, scores in study["sets"].items():
        rows = [
            (
                LABELS[label],
                format_number(100 * row["wer"]["rate"], 1),
                row["durations"]["pearson"],
                row["rate"]["pearson"],
                format_number(100 * row["voice_named"], 1),
                row["timings"]["words"],
                row["timings"].get("median_difference"),
                row["timings"].get("share_within"),
            )
            for label, row in scores.items()
        ]
        parts += [f"### Texts of `{name}`", markdown_table(HEADER, rows)]
    speed = study["streaming"]
    parts.append(
        f"While a continuation of {speed['words']} words is written, its speech begins "
        f"after {speed['first']:.3f} s, {speed['share']:.1%} of the "
        f"{speed['at_once']:.2f} s of a call that gives it at its end (medians of "
        f"{speed['turns']} turns over {speed['prompts']} prompts; at most "
        f"{speed['largest_share']:.1%}); a second of streamed speech takes "
        f"{speed['real_time_factor']:.3f} s."
    )
    return parts
