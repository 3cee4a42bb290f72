"""Tables of how well texts are said (``bin/say_score``)."""

from collections.abc import Mapping

from espnet2_taste.metrics.tables import results_table

LABELS = {
    "text_only": "text only, no LM",
    "plain": "TASLM",
    "styled": "TASLM, in the manner of another recording",
}
COLUMNS = {
    "WER %": "wer.rate",
    "duration r": "durations.pearson",
    "rate r": "rate.pearson",
    "voice named %": "voice_named",
    "words timed": "timings.words",
    "median difference s": "timings.median_difference",
    "within 50 ms": "timings.share_within",
}


def saying_tables(study: Mapping) -> list[str]:
    """Markdown for each set of the study, a row for each way of saying its texts."""
    parts = []
    for name, scores in study["sets"].items():
        named = {LABELS[label]: row for label, row in scores.items()}
        parts += [f"### Texts of `{name}`", results_table("speech", named, COLUMNS)]
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
