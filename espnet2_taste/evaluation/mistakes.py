"""Sets whose transcripts have wrong words, as a recognizer leaves them, and scores.

Enters: a set as stages 2 to 5 left it. Leaves: ``<set>_wrong10`` and so on with the
same recordings, units and speakers, and a ``text`` in which a share of the words is
another word of the set; word times keep their places. Every later command takes it
like any other set. Words are exchanged, not left out or added, so that each keeps its
time; what is wrong at one rate is wrong at every higher one; equal texts get equal
mistakes. From the scores of such sets: a row a rate.
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from espnet2_taste.data.ctm import read_ctm, write_ctm
from espnet2_taste.data.files import read_json
from espnet2_taste.data.finished import digest, finish_folder, is_finished, start_folder
from espnet2_taste.data.kaldi_dir import read_table, write_table
from espnet2_taste.evaluation.noise_table import TOKENIZER_COLUMNS, set_scores
from espnet2_taste.metrics.statistics import utterance_rng

RECORD = "mistakes.json"
TIMES = ("ctm", "ctm_aligned", "ctm_refined")
SWAP_COLUMNS = {"swapped words right": "share_right", "way": "way"}


def wrong_name(name: str, percent: float) -> str:
    """Name of a set with mistakes.

    Example:
        >>> wrong_name("test", 5.0)
        'test_wrong5'
    """
    return f"{name}_wrong{percent:g}"


def mistake_words(
    words: Sequence[str], vocabulary: Sequence[str], percent: float, seed: int = 0
) -> list[str]:
    """Put other words in the place of some.

    Args:
        words: Of a transcript.
        vocabulary: Words to choose from, at least two different ones.
        percent: Share of the words that become wrong, 0 to 100; each by itself.
        seed: With the transcript, all that the choice depends on.

    Returns:
        As many words.
    """
    rng = utterance_rng(seed, " ".join(words))
    wrong = 100 * rng.random(len(words)) < percent
    others = rng.integers(0, len(vocabulary), len(words))
    result = []
    for word, is_wrong, other in zip(words, wrong, others.tolist()):
        chosen = vocabulary[other]
        if chosen == word:
            chosen = vocabulary[(other + 1) % len(vocabulary)]
        result.append(chosen if is_wrong else word)
    return result


def add_mistakes_to_set(source: Path, target: Path, percent: float, seed: int) -> bool:
    """Write ``source`` with wrong words to ``target``, unless that is done.

    Args:
        source: The set.
        target: The folder to make.
        percent: See :func:`mistake_words`.
        seed: Likewise.

    Returns:
        Whether there was something to do.

    Raises:
        ValueError: A file is missing, the rate is no share of words, or the set has one
            word only.
    """
    if not 0 <= percent <= 100:
        raise ValueError(
            f"--percent: expected 0 to 100 % of the words, found {percent}"
        )
    texts = read_table(source / "text")
    vocabulary = sorted({word for text in texts.values() for word in text.split()})
    if len(vocabulary) < 2:
        raise ValueError(f"{source}: expected several different words to choose from")
    record = {"source": source.name, "percent": percent, "seed": seed}
    files = sorted(path for path in source.iterdir() if path.is_file())
    record["files"] = digest(files, contents=True)
    if is_finished(target, RECORD, record):
        return False
    folder = start_folder(target, RECORD, record)
    for path in files:
        shutil.copyfile(path, folder / path.name)
    words = {
        name: mistake_words(text.split(), vocabulary, percent, seed)
        for name, text in texts.items()
    }
    write_table(folder / "text", {name: " ".join(row) for name, row in words.items()})
    for name in TIMES:
        if (source / name).is_file():
            write_ctm(folder / name, _renamed(read_ctm(source / name), words))
    finish_folder(folder, target)
    return True


def _renamed(timings: Mapping, words: Mapping[str, Sequence[str]]) -> dict:
    """The same times with other words."""
    return {
        name: [replace(t, word=word) for t, word in zip(row, words[name], strict=True)]
        for name, row in timings.items()
    }


def collect_mistakes(
    studies: Iterable[Mapping], dump_dir: Path, label: str
) -> list[dict[str, float]]:
    """Order the scores of sets by their rate of wrong words.

    Args:
        studies: Contents of ``scores.json`` of ``taste_score`` and ``taste_swap``, on
            sets with mistakes and without.
        dump_dir: Where the sets are; ``mistakes.json`` holds the rate.
        label: Rendition whose scores count, as ``taste_score`` calls it.

    Returns:
        A row a rate with ``wrong %`` and the columns that there are.

    Raises:
        ValueError: A rendition is missing.
    """
    rows: dict[float, dict[str, float]] = {}

    def row(name: str) -> dict[str, float]:
        record = dump_dir / name / RECORD
        percent = read_json(record)["percent"] if record.is_file() else 0.0
        return rows.setdefault(percent, {"wrong %": percent})

    for study in studies:
        if "sets" not in study:
            name = study["settings"]["sets"].split()[0]
            scores = {
                title: study["scores"][key] for title, key in SWAP_COLUMNS.items()
            }
            row(name).update(scores)
            continue
        for name, renditions in set_scores([study]).items():
            if label not in renditions:
                raise ValueError(
                    f"no rendition '{label}' of '{name}' was scored; there are: "
                    f"{', '.join(renditions)}"
                )
            scores = renditions[label]
            row(name).update({c: scores[c] for c in TOKENIZER_COLUMNS if c in scores})
    return [rows[percent] for percent in sorted(rows)]
