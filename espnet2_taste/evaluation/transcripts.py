"""What was said in spoken results, and who wrote it down.

Enters: folders of audio (``wav.scp``) with transcripts beside it. Leaves: the texts
with their source, which belongs to every score made of them: another recognizer moves
the scores of a continuation as much as another model does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet2_taste.data.ctm import write_rows
from espnet2_taste.data.files import read_json
from espnet2_taste.data.kaldi_dir import read_table, write_table
from espnet2_taste.data.parts import join_parts
from espnet2_taste.data.prompt_words import read_prompt_words
from espnet2_taste.metrics.tables import write_json

RECOGNIZED = "text_recognized"
"""Table of ``recognize transcribe``; ``text_recognized.json`` names the recognizer."""
SOURCES = {
    "text": "the model's own words, not recognized",
    "text_asr": "transcripts of the recipe's recognizer",
}


@dataclass(frozen=True)
class Transcripts:
    """Texts of a set of recordings.

    Attributes:
        texts: Text of each utterance; an utterance may be absent or empty.
        source: Who wrote them, in words.
    """

    texts: dict[str, str]
    source: str


def read_transcripts(folder: Path, name: str, source: str | None = None) -> Transcripts:
    """Read a table of transcripts and find out who wrote them.

    Args:
        folder: Where the table is.
        name: Its file name.
        source: Who wrote it, where that does not follow from the name.

    Returns:
        Texts and source.

    Raises:
        ValueError: The table is missing, or nobody says who wrote it.
    """
    path = folder / name
    if not path.is_file():
        remedy = "give the name of a table that is there with --transcripts"
        if name == RECOGNIZED:
            command = f"espnet2_taste.bin.recognize transcribe --folders {folder}"
            remedy = f"make it: python -m {command}"
        raise ValueError(f"{path}: expected transcripts, found no such file; {remedy}")
    record = path.with_name(name + ".json")
    if source is None and record.is_file():
        source = f"recognized by {read_json(record)['recognizer']}"
    source = source or SOURCES.get(name)
    if source is None:
        raise ValueError(
            f"{path}: name the recognizer that wrote it with --transcript_source, e.g. "
            '"whisper-large-v3"'
        )
    return Transcripts(read_table(path), source)


def recognize_folder(
    folder: Path, aligner: Callable, recognizer: str, batch_size: int = 16
) -> str:
    """Recognize every recording of a folder.

    Args:
        folder: Has ``wav.scp``; gets ``text_recognized`` with a line for every
            recording, and ``not_recognized.tsv`` with those that cannot be read and
            why.
        aligner: Function that gives an ``AbsAligner``.
        recognizer: What the recognizer is called in results.
        batch_size: Utterances at once.

    Returns:
        How many recordings there are, and how many without a word.

    Raises:
        ValueError: ``wav.scp`` is missing.
    """
    from espnet2_taste.align.sets import align_set

    wavs = read_table(folder / "wav.scp")
    result = align_set(
        aligner(), wavs, dict.fromkeys(wavs, ""), batch_size, str(folder)
    )
    unread = {
        n: why for n, why in result.problems.items() if n not in result.recognized
    }
    texts = {name: result.recognized.get(name, "") for name in wavs}
    write_rows(folder / "not_recognized.tsv", ("utt", "reason"), sorted(unread.items()))
    write_json(folder / f"{RECOGNIZED}.json", {"recognizer": recognizer})
    write_table(folder / RECOGNIZED, texts)
    return _describe(texts)


def join_recognized(parts: Sequence[Path], folder: Path, recognizer: str) -> str:
    """Make ``text_recognized`` of a folder of those of its parts.

    Args:
        parts: Folders of the parts, in order.
        folder: Gets what :func:`recognize_folder` writes.
        recognizer: What the recognizer is called in results.

    Returns:
        As :func:`recognize_folder`.

    Raises:
        ValueError: A part is not complete.
    """
    join_parts(parts, folder, ["not_recognized.tsv", RECOGNIZED])
    write_json(folder / f"{RECOGNIZED}.json", {"recognizer": recognizer})
    return _describe(read_table(folder / RECOGNIZED))


def _describe(texts: Mapping[str, str]) -> str:
    silent = sum(not text for text in texts.values())
    return f"{len(texts)} recordings, {silent} without a word"


def is_recognized(folder: Path, recognizer: str) -> bool:
    """Whether ``text_recognized`` is of this recognizer and newer than the audio."""
    text, record = folder / RECOGNIZED, folder / f"{RECOGNIZED}.json"
    if not (text.is_file() and record.is_file() and (folder / "wav.scp").is_file()):
        return False
    fresh = text.stat().st_mtime >= (folder / "wav.scp").stat().st_mtime
    return fresh and read_json(record) == {"recognizer": recognizer}


def read_prompts(continued: Path, prompts: Path, default_words: int) -> dict[str, str]:
    """Texts of the prompts that were continued.

    Args:
        continued: Folder of continuations; its ``prompt/text``, if there, is taken.
        prompts: Else the set that was continued, with ``text`` and perhaps
            ``prompt_words``.
        default_words: Words of a prompt without that table.

    Returns:
        Text by utterance id.

    Raises:
        ValueError: Neither is there.
    """
    if (continued / "prompt" / "text").is_file():
        return read_table(continued / "prompt" / "text")
    return first_words(prompts, default_words)


def first_words(prompts: Path, default_words: int) -> dict[str, str]:
    """Texts of the prompts of a set.

    Args:
        prompts: The set, with ``text`` and perhaps ``prompt_words``.
        default_words: Words of a prompt without that table.

    Returns:
        Text by utterance id.
    """
    texts = read_table(prompts / "text")
    counts = read_prompt_words(prompts)
    if counts is None:
        counts = dict.fromkeys(texts, default_words)
    return {
        name: " ".join(texts[name].split()[:count])
        for name, count in counts.items()
        if name in texts
    }
