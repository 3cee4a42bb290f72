"""RESULTS.md from the studies' ``scores.json``.

Enters: the contents of the studies (``tokenizer``, ``swap``, ``slm``, and those of
``EXTRA_STUDIES`` that there are). Leaves: Markdown: the recipe's targets and whether
they are met, then one table a question, each with the command and the settings that
made it, and the versions at the end. A study that is missing is named as missing.
"""

from collections.abc import Iterable, Mapping

from espnet2_taste.evaluation.audio_report import audio_tables, noise_tables
from espnet2_taste.evaluation.saying_report import saying_tables
from espnet2_taste.evaluation.systems_report import systems_tables
from espnet2_taste.evaluation.variants import NO_VQ, TASTE, TEXT_ONLY, TOPLINE
from espnet2_taste.metrics.tables import (
    dig,
    format_number,
    markdown_table,
    results_table,
)


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


STUDIES = {"tokenizer": "10", "swap": "10", "slm": "13"}
EXTRA_STUDIES = {
    "swap_voices": ("## Token swap between two voices", swap_tables),
    "systems": ("## Designs compared", systems_tables),
    "systems_equal_flops": ("## Designs compared at equal FLOPs", systems_tables),
    "audio": ("## Audio measures of the tokenizer", audio_tables),
    "noise": ("## Noise", noise_tables),
    "saying": ("## Texts that are said", saying_tables),
}
"""Title and tables of studies that no stage asks for."""
FEWEST_WORDS, FEWEST_PAIRS = 100, 20
"""Words, and pairs or utterances, below which no target is met or missed."""
ABLATION = {
    TOPLINE: "ceiling: speech made from the true units",
    NO_VQ: "encoder + aggregator (no VQ)",
    TASTE: "encoder + aggregator + quantizer (TASTE)",
    TEXT_ONLY: "text only",
}
"""Rows of the unit accuracies, as the paper's ablation names its parts."""
RENDITION_NOTE = """\
Epochs are those of all steps of a training: a row with fewer has had less of it. F0 r \
is mostly the difference between voices, which the speaker embedding brings; see the \
column within speaker for what the codes add. Predicted durations are those the unit \
decoder chose, without an aligner's errors in the rendition, against the recordings' \
times, refined where stage 4 does that; beyond letters: given the words' numbers of \
letters."""
UNIT_NOTE = """\
Next unit, teacher-forced. The encoder alone has no row: a unit decoder that reads its \
frames is not trained here. Ceiling: units found again in speech made from the true \
units, one guess a unit."""
UNIT_COLUMNS = {
    "top-1": "acc",
    "top-5": "acc_top5",
    "top-1 at changes": "acc_change",
    "top-5 at changes": "acc_change_top5",
}
BITRATE_COLUMNS = {
    "words/s": "tokens_per_second",
    "bit/word": "bits_per_token",
    "bit/s": "bits_per_second",
    "bit/s (entropy)": "entropy_bits_per_second",
    "text bit/s": "text_bits_per_second",
}
RATES = {
    "rate follows, r": "pearson",
    "words a second, prompt": "prompt_mean",
    "words a second, continuation": "continuation_mean",
}
REPORTED = "reported"
"""In the place of a target."""


def target_row(
    name: str, value: float | None, target: str, count: int | None, least: int
) -> tuple:
    """One line of the table of targets.

    Args:
        name: What is measured.
        value: Its value, None if it does not exist.
        target: What it should be: ``<=`` or ``>=`` and a limit, or ``REPORTED``.
        count: Words, pairs or utterances it was measured on; None if unknown.
        least: How many a target needs.

    Returns:
        Name, value, target, and whether it is met.
    """
    sign, _, limit = target.partition(" ")
    if value is None:
        verdict = "not measured"
    elif count is not None and count < least:
        verdict = f"too few to say ({count})"
    elif target == REPORTED:
        verdict = ""
    else:
        good = value <= float(limit) if sign == "<=" else value >= float(limit)
        verdict = "met" if good else "**missed**"
    return name, value, target, verdict


def set_targets(study: Mapping, set_name: str) -> list[tuple]:
    """The recipe's targets for the tokenizer on one test set.

    Args:
        study: The tokenizer study.
        set_name: Test set.

    Returns:
        See :func:`target_row`.
    """
    scores = dig(study, "sets", set_name, default={})
    duration, longer = gain_over_text(scores, "durations", "pearson")
    pitch, higher = gain_over_text(scores, "pitch", "pearson_within_speaker")
    measures = (
        ("encoder WER", dig(scores, "original", "wer", "rate"), "<= 0.1"),
        ("word durations, Pearson r", duration, ">= 0.95"),
        ("... gain over text only", longer, REPORTED),
        ("word mean F0 within a speaker, Pearson r", pitch, REPORTED),
        ("... gain over text only", higher, REPORTED),
        ("WER of resynthesis", dig(scores, TASTE, "wer", "rate"), "<= 0.15"),
    )
    words = dig(scores, "original", "wer", "words")
    return [target_row(*measure, words, FEWEST_WORDS) for measure in measures]


def gain_over_text(scores: Mapping, *path: str) -> tuple[float | None, float | None]:
    """A measure of TASTE, and how much of it the text alone does not give.

    Args:
        scores: Of one set, by rendition.
        *path: Of the measure.
    """
    own, text = (dig(scores, label, *path) for label in (TASTE, TEXT_ONLY))
    return own, None if own is None or text is None else own - text


def swap_targets(study: Mapping) -> list[tuple]:
    """The recipe's targets for the token swap.

    Args:
        study: The swap study.

    Returns:
        See :func:`target_row`.
    """
    goals = (
        ("swapped words that move the right way", "share_right", ">= 0.85"),
        ("median change of unswapped words", "unswapped_change", "<= 0.1"),
    )
    words = dig(study, "scores", "swapped_words")
    return [
        target_row(name, dig(study, "scores", key), goal, words, FEWEST_PAIRS)
        for name, key, goal in goals
    ]


def slm_targets(study: Mapping) -> list[tuple]:
    """The recipe's targets for every spoken language model.

    Args:
        study: The study of the spoken language models.

    Returns:
        See :func:`target_row`.
    """
    models = dig(study, "models", default={}) or {"TASLM": {}}
    goals = (
        ("text perplexity / base LM", ("perplexity", "ratio"), "<= 1.1"),
        ("consistent style", ("pairs", "pairs_style", "accuracy"), ">= 0.65"),
        ("consistent voice", ("pairs", "pairs_voice", "accuracy"), ">= 0.65"),
        ("coherent ending", ("pairs", "pairs_coherent", "accuracy"), ">= 0.8"),
        ("rate follows the prompt, r", ("rate", "pearson"), ">= 0.4"),
    )
    return [
        target_row(
            f"{model}: {name}",
            dig(scores, *path),
            goal,
            _count(scores, path),
            FEWEST_PAIRS,
        )
        for model, scores in models.items()
        for name, path, goal in goals
    ]


def _count(scores: Mapping, path: tuple[str, ...]) -> int | None:
    """How many pairs or utterances a measure is of."""
    return dig(scores, *path[:-1], "pairs", default=dig(scores, "rate", "utterances"))


def write_report(studies: Mapping[str, Mapping], test_sets: Iterable[str]) -> str:
    """Set the whole page.

    Args:
        studies: Contents of the ``scores.json`` files by their ``study``.
        test_sets: Sets whose targets are listed; sets the tokenizer study lacks are
            passed by.

    Returns:
        Markdown.
    """
    parts = ["# Results", "Made by `espnet2_taste.bin.write_results`; do not edit."]
    parts += _target_sections(studies, test_sets)
    parts += _tokenizer_sections(dig(studies, "tokenizer", default={}))
    if "swap" in studies:
        parts += ["## Token swap", _source(studies["swap"])]
        parts += swap_tables(studies["swap"])
    parts += _slm_sections(dig(studies, "slm", default={}))
    for name, (title, tables) in EXTRA_STUDIES.items():
        if name in studies:
            parts += [title, _source(studies[name]), *tables(studies[name])]
    missing = [name for name in STUDIES if name not in studies]
    if missing:
        stages = ", ".join(f"{name} (stage {STUDIES[name]})" for name in missing)
        parts += ["## Missing", f"Not scored yet: {stages}."]
    return "\n\n".join(parts + _versions(studies)) + "\n"


def _target_sections(
    studies: Mapping[str, Mapping], test_sets: Iterable[str]
) -> list[str]:
    """Targets of every test set, then those that belong to no single one."""
    scored = dig(studies, "tokenizer", "sets", default={})
    names = [name for name in test_sets if name in scored] or list(scored)[:1] or ["-"]
    tokenizer = dig(studies, "tokenizer", default={})
    tables = {f"on `{name}`": set_targets(tokenizer, name) for name in names}
    tables["of the token swap"] = swap_targets(dig(studies, "swap", default={}))
    tables["of the spoken language model"] = slm_targets(
        dig(studies, "slm", default={})
    )
    header = ("measure", "value", "target", "")
    parts = []
    for title, rows in tables.items():
        parts += [f"## Targets {title}", markdown_table(header, rows)]
    return parts


def _source(study: Mapping) -> str:
    """Command and settings of a study."""
    settings = ", ".join(
        f"{name} = {value}"
        for name, value in dig(study, "settings", default={}).items()
    )
    return f"Command: `{dig(study, 'command', default='-')}`  \nSettings: {settings}."


def _tokenizer_sections(study: Mapping) -> list[str]:
    """Tables of the tokenizer study."""
    if not study:
        return []
    parts = ["## Tokenizer", _source(study)]
    for name, scores in study["sets"].items():
        tolerance = dig(study, "settings", "tolerance_seconds", default=0.05)
        left_out = {
            label: {**values, "left_out": len(dig(values, "left_out", default={}))}
            for label, values in scores.items()
        }
        columns = _rendition_columns(1000 * tolerance)
        table = results_table("rendition", left_out, columns)
        parts += [f"### Resynthesis of `{name}`", table, RENDITION_NOTE]
        units = dig(study, "units", name, default={})
        named = {ABLATION.get(label, label): hits for label, hits in units.items()}
        table = results_table("", named, UNIT_COLUMNS)
        parts += [f"### Unit accuracy on `{name}`", table, UNIT_NOTE]
    bitrate = dig(study, "bitrate", default={})
    return parts + ["### Bit rate", results_table("set", bitrate, BITRATE_COLUMNS, 1)]


def _rendition_columns(tolerance_ms: float) -> dict[str, str]:
    """Columns of a resynthesis."""
    return {
        "epochs": "epochs",
        "WER %": "wer.rate",
        "duration r": "durations.pearson",
        "within utt.": "durations.pearson_within",
        f"duration consistency ±{tolerance_ms:g} ms": "durations.share_within",
        f"±{tolerance_ms / 2:g} ms": "durations.share_within_half",
        "r beyond letters": "durations.pearson_beyond_letters",
        "r to truth": "durations_against_truth.pearson",
        "length r": "durations.length_pearson",
        "predicted durations: r": "durations_predicted.pearson",
        "beyond letters": "durations_predicted.pearson_beyond_letters",
        f"±{tolerance_ms:g} ms": "durations_predicted.share_within",
        "F0 r": "pitch.pearson",
        "F0 r within speaker": "pitch.pearson_within_speaker",
        "left out": "left_out",
    }


def _slm_sections(study: Mapping) -> list[str]:
    """Tables of the spoken language models."""
    if not study:
        return []
    header = ("model", "measure", "value", "95 % interval", "n")
    rows = []
    for model, scores in study["models"].items():
        for name, value in dig(scores, "perplexity", default={}).items():
            rows.append((model, f"perplexity, {name}", value, "", ""))
        for name, pairs in dig(scores, "pairs", default={}).items():
            interval = f"{format_number(pairs['low'])}-{format_number(pairs['high'])}"
            rows.append((model, name, pairs["accuracy"], interval, pairs["pairs"]))
        count = dig(scores, "rate", "utterances")
        for name, key in RATES.items():
            rows.append((model, name, dig(scores, "rate", key), "", count))
        said = [dig(scores, "continuation", key) for key in ("wer", "words")]
        rows.append((model, "WER of continuations", said[0], "", said[1]))
    table = markdown_table(header, rows)
    return ["## Spoken language model", _source(study), table, *_pair_sections(study)]


def _pair_sections(study: Mapping) -> list[str]:
    """Pair accuracy under every score: rankings turn on this choice."""
    by_model = {m: dig(s, "pairs_by_reduction") for m, s in study["models"].items()}
    found = [
        (m, n, row) for m, sets in by_model.items() for n, row in (sets or {}).items()
    ]
    if not found:
        return []
    columns = list(found[0][2])
    rows = [(m, n, *(dig(row, c, "accuracy") for c in columns)) for m, n, row in found]
    header = ("model", "pairs", *(column.replace("_", " ") for column in columns))
    return ["### Pair accuracy by score", markdown_table(header, rows)]


def _versions(studies: Mapping[str, Mapping]) -> list[str]:
    """Versions of the first study; the others' where they differ."""
    lines, seen = [], []
    for name, study in studies.items():
        versions = dig(study, "versions", default={})
        if versions and versions not in seen:
            seen.append(versions)
            listed = ", ".join(f"{key} {value}" for key, value in versions.items())
            lines.append(f"- {name}: {listed}")
    return ["## Versions", "\n".join(lines)] if lines else []
