"""RESULTS.md from the studies' ``scores.json``.

Enters: the contents of the studies (``tokenizer``, ``swap``, ``slm``, and those of
``EXTRA_STUDIES`` that there are). Leaves: Markdown: the recipe's targets and whether
they are met, then one table a question, each with the command and the settings that
made it, and the versions at the end. A study that is missing is named as missing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from espnet2_taste.evaluation.audio_report import audio_tables, noise_tables
from espnet2_taste.evaluation.saying_report import saying_tables
from espnet2_taste.evaluation.swap_report import swap_tables
from espnet2_taste.evaluation.systems_report import systems_tables
from espnet2_taste.evaluation.variants import NO_VQ, TASTE, TEXT_ONLY, TOPLINE
from espnet2_taste.metrics.tables import Target, format_number, markdown_table

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


@dataclass(frozen=True)
class Measure:
    """One line of the table of targets.

    Attributes:
        name: What is measured.
        study: Where it is found.
        value: Its value, None if it does not exist.
        target: What it should be.
        count: Words, pairs or utterances it was measured on; None if unknown.
        least: How many a target needs.
    """

    name: str
    study: str
    value: float | None
    target: Target
    count: int | None = None
    least: int = 0

    def row(self) -> tuple:
        """Cells of the table."""
        verdict = "met" if self.target.met(self.value) else "**missed**"
        if self.target == Target():
            verdict = ""
        if self.count is not None and self.count < self.least:
            verdict = f"too few to say ({self.count})"
        if self.value is None:
            verdict = "not measured"
        return self.name, self.value, str(self.target), verdict


def dig(content, *path, default=None):
    """Value at a path of nested dictionaries, ``default`` where it breaks off."""
    for key in path:
        if not isinstance(content, Mapping) or key not in content:
            return default
        content = content[key]
    return default if content is None else content


def set_targets(study: Mapping, set_name: str) -> list[Measure]:
    """The recipe's targets for the tokenizer on one test set.

    Args:
        study: The tokenizer study.
        set_name: Test set.

    Returns:
        One measure a line.
    """
    scores = dig(study, "sets", set_name, default={})
    duration, longer = gain_over_text(scores, "durations", "pearson")
    pitch, higher = gain_over_text(scores, "pitch", "pearson_within_speaker")
    measures = (
        ("encoder WER", dig(scores, "original", "wer", "rate"), Target(maximum=0.10)),
        ("word durations, Pearson r", duration, Target(minimum=0.95)),
        ("... gain over text only", longer, Target()),
        ("word mean F0 within a speaker, Pearson r", pitch, Target()),
        ("... gain over text only", higher, Target()),
        ("WER of resynthesis", dig(scores, TASTE, "wer", "rate"), Target(maximum=0.15)),
    )
    words = dig(scores, "original", "wer", "words")
    return [Measure(n, "tokenizer", v, t, words, FEWEST_WORDS) for n, v, t in measures]


def gain_over_text(scores: Mapping, *path: str) -> tuple[float | None, float | None]:
    """A measure of TASTE, and how much of it the text alone does not give.

    Args:
        scores: Of one set, by rendition.
        *path: Of the measure.
    """
    own, text = (dig(scores, label, *path) for label in (TASTE, TEXT_ONLY))
    return own, None if own is None or text is None else own - text


def swap_targets(study: Mapping) -> list[Measure]:
    """The recipe's targets for the token swap.

    Args:
        study: The swap study.

    Returns:
        One measure a line.
    """
    goals = (
        ("swapped words that move the right way", "share_right", Target(minimum=0.85)),
        ("median change of unswapped words", "unswapped_change", Target(maximum=0.10)),
    )
    words = dig(study, "scores", "swapped_words")
    return [
        Measure(name, "swap", dig(study, "scores", key), goal, words, FEWEST_PAIRS)
        for name, key, goal in goals
    ]


def slm_targets(study: Mapping) -> list[Measure]:
    """The recipe's targets for every spoken language model.

    Args:
        study: The study of the spoken language models.

    Returns:
        One measure a line.
    """
    models = dig(study, "models", default={}) or {"TASLM": {}}
    goals = (
        ("text perplexity / base LM", ("perplexity", "ratio"), Target(maximum=1.10)),
        ("consistent style", ("pairs", "pairs_style", "accuracy"), Target(0.65)),
        ("consistent voice", ("pairs", "pairs_voice", "accuracy"), Target(0.65)),
        ("coherent ending", ("pairs", "pairs_coherent", "accuracy"), Target(0.80)),
        ("rate follows the prompt, r", ("rate", "pearson"), Target(0.4)),
    )
    return [
        Measure(
            f"{model}: {name}",
            "slm",
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
    for title, measures in tables.items():
        rows = [measure.row() for measure in measures]
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
        table = _rendition_table(scores, 1000 * tolerance)
        parts += [f"### Resynthesis of `{name}`", table]
        units = dig(study, "units", name, default={})
        parts += [f"### Unit accuracy on `{name}`", _unit_table(units)]
    parts += ["### Bit rate", _bitrate_table(dig(study, "bitrate", default={}))]
    return parts


def _rendition_table(scores: Mapping[str, Mapping], tolerance_ms: float) -> str:
    header = (
        "rendition",
        "epochs",
        "WER %",
        "duration r",
        "within utt.",
        f"duration consistency ±{tolerance_ms:g} ms",
        f"±{tolerance_ms / 2:g} ms",
        "r beyond letters",
        "r to truth",
        "length r",
        "predicted durations: r",
        "beyond letters",
        f"±{tolerance_ms:g} ms",
        "F0 r",
        "F0 r within speaker",
        "left out",
    )
    rows = []
    for label, values in scores.items():
        rate = dig(values, "wer", "rate")
        rows.append(
            (
                label,
                dig(values, "epochs"),
                format_number(100 * rate if rate is not None else None, 1),
                dig(values, "durations", "pearson"),
                dig(values, "durations", "pearson_within"),
                dig(values, "durations", "share_within"),
                dig(values, "durations", "share_within_half"),
                dig(values, "durations", "pearson_beyond_letters"),
                dig(values, "durations_against_truth", "pearson"),
                dig(values, "durations", "length_pearson"),
                dig(values, "durations_predicted", "pearson"),
                dig(values, "durations_predicted", "pearson_beyond_letters"),
                dig(values, "durations_predicted", "share_within"),
                dig(values, "pitch", "pearson"),
                dig(values, "pitch", "pearson_within_speaker"),
                len(dig(values, "left_out", default={})),
            )
        )
    note = (
        "Epochs are those of all steps of a training: a row with fewer has had less of "
        "it. F0 r is mostly the difference between voices, which the speaker "
        "embedding brings; see the column within speaker for what the codes add. "
        "Predicted durations are those the unit decoder chose, without an aligner's "
        "errors in the rendition, against the recordings' times, refined where stage 4 "
        "does that; beyond letters: given the words' numbers of letters."
    )
    return markdown_table(header, rows) + "\n\n" + note


def _unit_table(units: Mapping[str, Mapping]) -> str:
    columns = ("acc", "acc_top5", "acc_change", "acc_change_top5")
    header = ("", "top-1", "top-5", "top-1 at changes", "top-5 at changes")
    note = (
        "Next unit, teacher-forced. The encoder alone has no row: a unit decoder that "
        "reads its frames is not trained here. Ceiling: units found again in speech "
        "made from the true units, one guess a unit."
    )
    rows = [
        (ABLATION.get(label, label), *(dig(v, c) for c in columns))
        for label, v in units.items()
    ]
    return markdown_table(header, rows) + "\n\n" + note


def _bitrate_table(bitrate: Mapping[str, Mapping]) -> str:
    columns = (
        "tokens_per_second",
        "bits_per_token",
        "bits_per_second",
        "entropy_bits_per_second",
        "text_bits_per_second",
    )
    header = ("set", "words/s", "bit/word", "bit/s", "bit/s (entropy)", "text bit/s")
    rows = [
        (name, *(format_number(dig(values, c), 1) for c in columns))
        for name, values in bitrate.items()
    ]
    return markdown_table(header, rows)


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
        rate, said = (dig(scores, k, default={}) for k in ("rate", "continuation"))
        count = dig(rate, "utterances")
        rows.append((model, "rate follows, r", dig(rate, "pearson"), "", count))
        for side in ("prompt", "continuation"):
            value = dig(rate, f"{side}_mean")
            rows.append((model, f"words a second, {side}", value, "", count))
        words = dig(said, "words")
        rows.append((model, "WER of continuations", dig(said, "wer"), "", words))
    table = markdown_table(header, rows)
    return ["## Spoken language model", _source(study), table, *_pair_sections(study)]


def _pair_sections(study: Mapping) -> list[str]:
    """Pair accuracy under every score: rankings turn on this choice."""
    rows, columns = [], []
    for model, scores in study["models"].items():
        for name, by_column in dig(scores, "pairs_by_reduction", default={}).items():
            columns = columns or list(by_column)
            accuracies = [dig(by_column, c, "accuracy") for c in columns]
            rows.append((model, name, *accuracies))
    if not rows:
        return []
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
