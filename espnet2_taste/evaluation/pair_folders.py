"""Published sets of utterance pairs, from their folders to Kaldi-style sets.

Enters: folders as SALMON, the spoken StoryClozes, sWUGGY and sBLIMP are published.
Leaves: pairs of a
positive and a negative candidate, and sets with ``pairs.tsv`` that go through the
stages like any other and are scored by ``evaluation.slm.score_pairs``. What does not
fit its layout is an error: one file that is passed over would shift all later pairs.
"""

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from espnet2_taste.data.audio import read_audio, resample, write_audio
from espnet2_taste.data.ctm import write_rows
from espnet2_taste.data.files import read_text
from espnet2_taste.data.finished import finish_folder, is_finished, start_folder
from espnet2_taste.data.kaldi_dir import KaldiDir, write_kaldi_dir

RECORD, GOLD = "imported.json", "gold.csv"
_SALMON = re.compile(r"sample_(\d+)_([01])")
_LABELLED = re.compile(r"(.+)_(correct|incorrect|mutual)")
_NUMBERED = re.compile(r"(\d+)((?:_.*)?)")


@dataclass(frozen=True)
class Candidate:
    """One member of a pair.

    Attributes:
        audio: Files that follow one another.
        text: What is said in them, None if unknown.
    """

    audio: tuple[Path, ...]
    text: str | None


@dataclass(frozen=True)
class SpokenPair:
    """Two candidates, of which a good model prefers the first.

    Attributes:
        name: Of the pair within its set.
        positive: The better one.
        negative: The other one.
    """

    name: str
    positive: Candidate
    negative: Candidate


def candidate(*audio: Path) -> Candidate:
    """A member with the transcripts that lie beside its files as ``.txt``."""
    texts = [path.with_suffix(".txt") for path in audio]
    if not all(path.is_file() for path in texts):
        return Candidate(audio, None)
    words = " ".join(read_text(path) for path in texts).split()
    return Candidate(audio, " ".join(words))


def match_files(folder: Path, pattern: re.Pattern, expected: str) -> dict[tuple, Path]:
    """Recordings of a folder by what their names say.

    Args:
        folder: Where they are.
        pattern: For the whole name without suffix.
        expected: The names, in words, for errors.

    Returns:
        Files by the pattern's groups.

    Raises:
        ValueError: There is none, one has another name, or two have the same.
    """
    found = {}
    for path in sorted(folder.glob("*")):
        if path.suffix.lower() not in (".wav", ".flac"):
            continue
        match = pattern.fullmatch(path.stem)
        if match is None:
            raise ValueError(
                f"{path}: expected names such as {expected}; move the file away or "
                "choose another --layout"
            )
        other = found.setdefault(match.groups(), path)
        if other != path:
            raise ValueError(
                f"{path}: it has the same name as {other.name}; move one of both away"
            )
    if not found:
        raise ValueError(f"{folder}: expected {expected}, found no recording")
    return found


def _named_pairs(
    folder: Path, pattern: re.Pattern, file_name: str, kinds: Sequence[str], order=str
) -> list[SpokenPair]:
    """Pairs of the files of one folder.

    Args:
        folder: Where they are.
        pattern: For a name without suffix: the pair's name and the kind of the member.
        file_name: The same as a template, for errors.
        kinds: Of the better and the other member; ``mutual`` comes before both.
        order: Of the names.

    Raises:
        ValueError: A file is missing or has another name.
    """
    expected = " and ".join(file_name.format(12, kind) for kind in kinds)
    found, pairs = match_files(folder, pattern, expected), []
    for name in sorted({name for name, _ in found}, key=order):
        first = [found[name, "mutual"]] if (name, "mutual") in found else []
        for kind in kinds:
            if (name, kind) not in found:
                raise ValueError(
                    f"{folder}: pair '{name}' has no {file_name.format(name, kind)}; "
                    "copy it there, or move what there is of the pair away"
                )
        members = (candidate(*first, found[name, kind]) for kind in kinds)
        pairs.append(SpokenPair(name, *members))
    return pairs


def read_salmon(source: Path) -> dict[str, list[SpokenPair]]:
    """Read SALMON: ``<part>/sample_<i>_0.wav`` should win over ``sample_<i>_1.wav``.

    Args:
        source: Folder of the parts, or one part.

    Returns:
        Pairs by part, in the order of their numbers.

    Raises:
        ValueError: A file is missing or has another name.
    """
    own = any(_SALMON.fullmatch(path.stem) for path in source.glob("*"))
    folders = [source] if own else sorted(p for p in source.glob("*") if p.is_dir())
    if not folders:
        raise ValueError(
            f"{source}: expected <part>/sample_<i>_<0 or 1>.wav, found no such folder"
        )
    names = ("sample_{}_{}.wav", "01", int)
    return {folder.name: _named_pairs(folder, _SALMON, *names) for folder in folders}


def read_labelled(source: Path) -> dict[str, list[SpokenPair]]:
    """Read ``<name>_correct.wav`` and ``<name>_incorrect.wav``.

    Where a ``<name>_mutual.wav`` is there, both are its continuations and are joined to
    it.

    Args:
        source: The folder.

    Returns:
        Pairs of the one part, which has no name.

    Raises:
        ValueError: A file is missing or has another name.
    """
    kinds = ("correct", "incorrect")
    return {"": _named_pairs(source, _LABELLED, "{}_{}.wav", kinds)}


def read_numbered(source: Path) -> dict[str, list[SpokenPair]]:
    """Read files that begin with a number: each even one should win over the next.

    Args:
        source: The folder.

    Returns:
        Pairs of the one part, which has no name.

    Raises:
        ValueError: A number is there twice, or has no partner.
    """
    found = match_files(source, _NUMBERED, "12_story.wav")
    by_number = {int(number): path for (number, _), path in found.items()}
    numbers = sorted(by_number)
    if len(found) != len(numbers):
        raise ValueError(
            f"{source}: {len(found)} recordings have {len(numbers)} numbers; expected "
            "each number once, since pairs follow from the order"
        )
    for place, number in enumerate(numbers, numbers[0]):
        if number != place:
            raise ValueError(
                f"{source}: number {place} is missing; expected numbers without a gap, "
                "since pairs follow from the order"
            )
    if len(numbers) % 2:
        raise ValueError(
            f"{source}: {by_number[numbers[-1]].name} has no partner: expected an even "
            f"number of recordings, found {len(numbers)}"
        )
    pairs = [
        SpokenPair(str(n), candidate(by_number[n]), candidate(by_number[n + 1]))
        for n in numbers[::2]
    ]
    return {"": pairs}


def read_zerospeech(source: Path) -> dict[str, list[SpokenPair]]:
    """Read sWUGGY and sBLIMP: ``gold.csv`` beside ``<filename>.wav``.

    The line with ``correct`` 1 should win over the one with 0 of the same ``id`` and
    ``voice``. What is said is ``transcription``, or else ``word``.

    Args:
        source: A folder with ``gold.csv``, or one of such folders (``dev``, ``test``).

    Returns:
        Pairs by part.

    Raises:
        ValueError: A file, a column or a partner is missing.
    """
    own = (source / GOLD).is_file()
    folders = [source] if own else sorted(p.parent for p in source.glob(f"*/{GOLD}"))
    if not folders:
        raise ValueError(f"{source}: expected {GOLD}, or folders with it")
    return {"" if own else folder.name: _read_gold(folder) for folder in folders}


def _read_gold(folder: Path) -> list[SpokenPair]:
    """Pairs of a ``gold.csv`` in the order of its lines."""
    with open(folder / GOLD, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    needed = ("filename", "id", "voice", "correct")
    if missing := [name for name in needed if name not in (rows[0] if rows else {})]:
        raise ValueError(f"{folder / GOLD}: expected the column {missing[0]}")
    members: dict[str, dict[str, Candidate]] = {}
    for row in rows:
        audio = folder / f"{row['filename']}.wav"
        if not audio.is_file():
            raise ValueError(f"{folder / GOLD}: {audio.name} is missing; copy it there")
        text = row.get("transcription") or row.get("word") or candidate(audio).text
        pair = members.setdefault(f"{row['id']}_{row['voice']}", {})
        pair[row["correct"]] = Candidate((audio,), text)
    for name, pair in members.items():
        if set(pair) != {"0", "1"}:
            raise ValueError(
                f"{folder / GOLD}: pair '{name}' has the lines {sorted(pair)}, "
                "expected one with correct 0 and one with 1"
            )
    return [SpokenPair(name, pair["1"], pair["0"]) for name, pair in members.items()]


LAYOUTS: dict[str, Callable[[Path], dict[str, list[SpokenPair]]]] = {
    "salmon": read_salmon,
    "labelled": read_labelled,
    "numbered": read_numbered,
    "zerospeech": read_zerospeech,
}


def set_texts(pairs: list[SpokenPair], table: Mapping[str, str]) -> list[SpokenPair]:
    """Give each member a text.

    Args:
        pairs: Some with texts.
        table: Other texts by ``<folder>/<file stem>`` of the files.

    Returns:
        The pairs, all with texts.

    Raises:
        ValueError: A member has none.
    """

    def complete(member: Candidate) -> Candidate:
        keys = [f"{path.parent.name}/{path.stem}" for path in member.audio]
        if member.text is not None:
            return member
        if any(key not in table for key in keys):
            raise ValueError(
                f"{member.audio[-1]}: it has no transcript; put a .txt beside it, give "
                "a table with --text, or --recognizer to recognize it"
            )
        return replace(member, text=" ".join(table[key] for key in keys))

    return [
        SpokenPair(p.name, complete(p.positive), complete(p.negative)) for p in pairs
    ]


def join_audio(files: tuple[Path, ...], output: Path) -> Path:
    """Path of one recording of all files; several are joined at the first one's rate.

    Args:
        files: Recordings that follow one another.
        output: Where a joined recording goes.

    Returns:
        The only file, or ``output``.

    Raises:
        ValueError: A recording cannot be read.
    """
    if len(files) == 1:
        return files[0].absolute()
    parts = [read_audio(path) for path in files]
    rate = parts[0][1]
    speech = np.concatenate([resample(wave, own, rate) for wave, own in parts])
    output.parent.mkdir(parents=True, exist_ok=True)
    write_audio(output, speech, rate)
    return output


def write_pair_set(target: Path, pairs: list[SpokenPair], record: dict) -> bool:
    """Write a set with ``pairs.tsv``, unless it is there.

    Both members of a pair have one speaker id, their own: who speaks is what some sets
    ask about.

    Args:
        target: The set's folder; utterances are called
            ``<set>-<pair>-pos`` and ``-neg``.
        pairs: With texts.
        record: What it is made from.

    Returns:
        Whether anything was written.

    Raises:
        ValueError: The folder holds something else, or a recording cannot be read.
    """
    if is_finished(target, RECORD, record):
        return False
    folder = start_folder(target, RECORD, record)
    tables, rows = KaldiDir({}, {}, {}), []
    for pair in pairs:
        speaker = f"{target.name}-{pair.name}"
        names = (f"{speaker}-pos", f"{speaker}-neg")
        for name, member in zip(names, (pair.positive, pair.negative)):
            made = join_audio(member.audio, folder / "audio" / f"{name}.wav")
            if made.is_relative_to(folder):
                made = target / made.relative_to(folder)
            tables.wav[name] = str(made)
            tables.text[name] = member.text
            tables.utt2spk[name] = speaker
        rows.append(names)
    write_kaldi_dir(folder, tables)
    write_rows(folder / "pairs.tsv", ("positive", "negative"), rows)
    finish_folder(folder, target)
    return True
