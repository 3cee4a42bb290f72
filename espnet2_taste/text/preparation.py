"""Stage 3 on disk: the transcripts of a set become normalised words.

Enters: a Kaldi-style directory with raw ``text``. Leaves: ``text`` with words separated
by one space, the original as ``text_raw``, and every other file speaking of the same
utterances and words: word times follow removed words, utterances without a word are
dropped everywhere and listed in ``dropped.tsv``. ``text_prepared.json`` is written just
before ``text``; while it fits, the set is left alone, and after a kill the work is
repeated from the raw text.

Legend: W words.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from espnet2_taste.data import ctm, kaldi_dir
from espnet2_taste.data.files import read_json, read_lines, read_text
from espnet2_taste.text.normalizers import normalizer_choices
from espnet2_taste.text.segmenters import looks_unsegmented, segmenter_choices
from espnet2_taste.text.words import NormalizedText, normalize_text

RECORD = "text_prepared.json"
KEYED_TABLES = ("wav.scp", "utt2spk", "utt2num_samples", "utt2dur", "text_asr")
Words = tuple[str, ...]


@dataclass(frozen=True)
class TextRules:
    """How raw text becomes words.

    Attributes:
        normalizer: Name in ``normalizer_choices``.
        segmenter: Name in ``segmenter_choices``.
        symbols: Words of the transcripts that are not spoken, beside tags.
        transcripts: Table of the set with the transcripts; another one than ``text``
            leaves that of the corpus to the scores.
    """

    normalizer: str = "basic"
    segmenter: str = "whitespace"
    symbols: tuple[str, ...] = ()
    transcripts: str = "text"

    def function(self) -> Callable[[str], NormalizedText]:
        """Build the function from raw text to words."""
        normalizer = normalizer_choices.get_class(self.normalizer)()
        segmenter = segmenter_choices.get_class(self.segmenter)()
        return lambda text: normalize_text(text, normalizer, segmenter, self.symbols)


def read_symbols(path: str | Path) -> tuple[str, ...]:
    """Read ESPnet's ``non_linguistic_symbols``, one a line.

    Raises:
        ValueError: The file is missing.
    """
    if not Path(path).is_file():
        raise ValueError(f"--non_linguistic_symbols: no such file: '{path}'")
    lines = read_text(path).split("\n")
    return tuple(filter(None, map(str.strip, lines)))


@dataclass(frozen=True)
class SetReport:
    """What was done to a set.

    Attributes:
        kept: Utterances that remain.
        dropped: Reason for each utterance without words.
        removed: Pieces of text left out, for each utterance that lost some.
        untimed: Reason for each utterance whose word times were left out.
    """

    kept: int
    dropped: dict[str, str]
    removed: dict[str, str]
    untimed: dict[str, str]


def read_rules(directory: Path) -> TextRules | None:
    """How the text of a set was prepared.

    Args:
        directory: After stage 3.

    Returns:
        The rules, None if the set is not here or was not prepared.
    """
    record = _read_record(directory)
    if not record:
        return None
    symbols = tuple(record.get("symbols", "").split())
    transcripts = record.get("transcripts", "text")
    return TextRules(record["normalizer"], record["segmenter"], symbols, transcripts)


def corpus_text(directory: Path, text: Mapping[str, str]) -> Mapping[str, str]:
    """What the corpus says was spoken, where the text is that of a recognizer.

    Args:
        directory: After stage 3.
        text: Its text.

    Returns:
        Normalised words of the corpus by utterance; else ``text``.
    """
    rules = read_rules(directory)
    if rules is None or rules.transcripts == "text":
        return text
    normalize = rules.function()
    raw = kaldi_dir.read_table(directory / "text_raw")
    return {utt: " ".join(normalize(line).words) for utt, line in raw.items()}


def prepare_set(directory: str | Path, rules: TextRules) -> SetReport | None:
    """Normalise the text of a set in place.

    Args:
        directory: Kaldi-style directory, as stage 2 leaves it.
        rules: Normaliser and segmenter.

    Returns:
        A report, or None when the set was prepared before.

    Raises:
        ValueError: ``text`` is missing or malformed, or no utterance has a word.
    """
    directory = Path(directory)
    text, raw_text = directory / "text", directory / "text_raw"
    raw = kaldi_dir.read_table(text)
    record = _read_record(directory)
    ours = record.get("sha256") == _digest(raw) and raw_text.is_file()
    if ours and record == _record(rules, raw):
        return None
    if ours:
        raw = kaldi_dir.read_table(raw_text)
    said = _transcripts(directory, raw, rules)
    normalize = rules.function()
    normalized = {utt: normalize(line) for utt, line in said.items()}
    words = {utt: item.words for utt, item in normalized.items() if item.words}
    if not words:
        raise ValueError(f"{text}: none of {len(raw)} utterances has a word")
    _check_segmented(text, words, rules)
    dropped = {
        utt: f"no word with a letter or digit in '{said[utt]}'"
        for utt in raw
        if utt not in words
    }
    removed = {utt: " ".join(normalized[utt].removed) for utt in raw}
    removed = {utt: pieces for utt, pieces in removed.items() if pieces}
    kaldi_dir.write_table(raw_text, {utt: raw[utt] for utt in words})
    _drop_everywhere(directory, dropped)
    report = SetReport(
        len(words), dropped, removed, _follow_words(directory, words, normalize)
    )
    _list_reasons(directory / "dropped.tsv", "reason", report.dropped)
    _list_reasons(directory / "removed_words.tsv", "removed", report.removed)
    _list_reasons(directory / "untimed.tsv", "reason", report.untimed)
    _write_text(directory, {utt: " ".join(words[utt]) for utt in words}, rules)
    return report


def _transcripts(
    directory: Path, raw: Mapping[str, str], rules: TextRules
) -> Mapping[str, str]:
    """The text to normalise: that of the set, or a recognizer's beside it."""
    if rules.transcripts == "text":
        return raw
    table = kaldi_dir.read_table(directory / rules.transcripts)
    return {utt: table.get(utt, "") for utt in raw}


def _check_segmented(path: Path, words: Mapping[str, Words], rules: TextRules) -> None:
    """Refuse whole phrases of a script without spaces as words."""
    if looks_unsegmented(map(" ".join, words.values())):
        example = next(iter(words.values()))[0]
        raise ValueError(
            f"{path}: '{example}' is one word for --segmenter {rules.segmenter}, so it "
            "would get one code. Set --segmenter character --word_space false, or put "
            "spaces between the words"
        )


def _write_text(directory: Path, text: Mapping[str, str], rules: TextRules) -> None:
    """Write the record, then the text it describes: the last file of a set."""
    record = json.dumps(_record(rules, text))
    kaldi_dir.write_lines(directory / RECORD, [record])
    kaldi_dir.write_table(directory / "text", text)


def read_sentences(path: str | Path, rules: TextRules) -> list[str]:
    """Read text without audio, one sentence a line, and normalise it.

    Args:
        path: UTF-8 text.
        rules: Normaliser and segmenter.

    Returns:
        Sentences with at least one word, words separated by one space.

    Raises:
        ValueError: The file is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"--extra_text: no such file: '{path}'")
    normalize = rules.function()
    lines = read_lines(path)
    return [" ".join(words) for words in (normalize(x).words for x in lines) if words]


def kept_rows(
    row_words: Sequence[str],
    expected: Words,
    normalize: Callable[[str], NormalizedText],
) -> list[int] | None:
    """Find the time rows that belong to the words of the normalised text.

    Args:
        row_words: Word of each row, as in the raw transcript.
        expected: The W words of the normalised text.
        normalize: From raw text to words.

    Returns:
        Index of the row of each word, W of them; None when rows and words do not match
        one to one.
    """
    found = [normalize(word).words for word in row_words]
    rows = [index for index, words in enumerate(found) if words]
    flat = tuple(word for words in found for word in words)
    return rows if flat == expected and len(rows) == len(expected) else None


def _record(rules: TextRules, text: Mapping[str, str]) -> dict[str, str]:
    return {
        "normalizer": rules.normalizer,
        "segmenter": rules.segmenter,
        "symbols": " ".join(rules.symbols),
        "transcripts": rules.transcripts,
        "sha256": _digest(text),
    }


def _read_record(directory: Path) -> dict[str, str]:
    path = directory / RECORD
    return read_json(path) if path.is_file() else {}


def _digest(text: Mapping[str, str]) -> str:
    lines = "".join(f"{utt} {text[utt]}\n" for utt in kaldi_dir.sort_keys(text))
    return hashlib.sha256(lines.encode("utf-8")).hexdigest()


def _drop_everywhere(directory: Path, dropped: Mapping[str, str]) -> None:
    """Remove utterances from every table of the set but ``text``."""
    if not dropped:
        return
    for name in KEYED_TABLES:
        if (directory / name).is_file():
            table = kaldi_dir.read_table(directory / name)
            left = {utt: table[utt] for utt in table if utt not in dropped}
            kaldi_dir.write_table(directory / name, left)
    if (directory / "utt2spk").is_file():
        utt2spk = kaldi_dir.read_table(directory / "utt2spk")
        spk2utt = kaldi_dir.speakers_to_utterances(utt2spk)
        kaldi_dir.write_table(directory / "spk2utt", spk2utt)
    for path in directory.glob("*.tsv"):  # studies, e.g. pairs.tsv
        rows = ctm.read_rows(path)
        left = [row.values() for row in rows if not dropped.keys() & set(row.values())]
        if path.name != "dropped.tsv" and len(left) < len(rows):
            ctm.write_rows(path, rows[0], left)


def _follow_words(
    directory: Path,
    words: Mapping[str, Words],
    normalize: Callable[[str], NormalizedText],
) -> dict[str, str]:
    """Make ``ctm`` and ``word_prosody`` speak of the normalised words.

    Returns:
        Reason for each utterance whose rows were left out.
    """
    untimed: dict[str, str] = {}
    if (directory / "ctm").is_file():
        _follow_ctm(directory / "ctm", words, normalize, untimed)
    if (directory / "word_prosody").is_file():
        _follow_prosody(directory / "word_prosody", words, normalize, untimed)
    return untimed


def _follow_ctm(
    path: Path,
    words: Mapping[str, Words],
    normalize: Callable[[str], NormalizedText],
    untimed: dict[str, str],
) -> None:
    """Do for ``ctm`` what :func:`_follow_words` is for."""
    timings = ctm.read_ctm(path)
    row_words = {utt: [item.word for item in rows] for utt, rows in timings.items()}
    result = {
        utt: [
            replace(timings[utt][row], word=word) for row, word in zip(rows, words[utt])
        ]
        for utt, rows in _match(row_words, words, normalize, untimed).items()
    }
    if result != timings:
        ctm.write_ctm(path, result)


def _follow_prosody(
    path: Path,
    words: Mapping[str, Words],
    normalize: Callable[[str], NormalizedText],
    untimed: dict[str, str],
) -> None:
    """Do for ``word_prosody`` what :func:`_follow_words` is for."""
    by_utt: dict[str, list[dict[str, str]]] = {}
    for row in ctm.read_rows(path):
        by_utt.setdefault(row["utt"], []).append(row)
    row_words = {utt: [row["word"] for row in rows] for utt, rows in by_utt.items()}
    result = [
        {**by_utt[utt][row], "word_index": str(index), "word": words[utt][index]}
        for utt, rows in _match(row_words, words, normalize, untimed).items()
        for index, row in enumerate(rows)
    ]
    if result != [row for rows in by_utt.values() for row in rows]:
        ctm.write_rows(path, ctm.PROSODY_COLUMNS, (row.values() for row in result))


def _match(
    row_words: Mapping[str, Sequence[str]],
    words: Mapping[str, Words],
    normalize: Callable[[str], NormalizedText],
    untimed: dict[str, str],
) -> dict[str, list[int]]:
    """Rows of each utterance that is kept; notes those that do not match."""
    matched: dict[str, list[int]] = {}
    for utt in (utt for utt in row_words if utt in words):
        rows = kept_rows(row_words[utt], words[utt], normalize)
        if rows is None:
            untimed[utt] = (
                f"{len(row_words[utt])} timed words do not match the "
                f"{len(words[utt])} words of the text one to one"
            )
        else:
            matched[utt] = rows
    return matched


def _list_reasons(path: Path, column: str, reasons: Mapping[str, str]) -> None:
    """Add lines ``utterance <tab> reason`` to a table unless they are there."""
    if not reasons:
        return
    rows = ctm.read_rows(path) if path.is_file() else []
    table = {row["utt"]: row[column] for row in rows} | dict(reasons)
    lines = ((utt, table[utt].replace("\t", " ")) for utt in kaldi_dir.sort_keys(table))
    ctm.write_rows(path, ("utt", column), lines)
