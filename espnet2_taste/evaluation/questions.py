"""Spoken questions answered by speech: right if an accepted answer is said.

Enters: for each question its accepted answers, and what a system said after it. Leaves:
the share of questions whose continuation holds an answer, word for word after
normalisation, with an interval; beside it the share that would hold the answers of
another question, which is what talking much about anything reaches.

Sets: ``text`` and audio of the questions, ``answers.tsv`` (``utt``, ``answer``, one
line an accepted answer) and ``prompt_words`` (the whole question is the prompt).
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from espnet2_taste.data.ctm import read_rows
from espnet2_taste.metrics.statistics import bootstrap_interval
from espnet2_taste.text.normalizers import BasicNormalizer

ARTICLES = frozenset(("a", "an", "the"))
HEADER = ("utt", "answer")


def answer_words(text: str) -> tuple[str, ...]:
    """Words that count: lower case, no punctuation, no articles.

    Example:
        >>> answer_words("The Nile, of course!")
        ('nile', 'of', 'course')
    """
    return tuple(w for w in BasicNormalizer()(text).split() if w not in ARTICLES)


def holds(said: Sequence[str], answers: Iterable[Sequence[str]]) -> bool:
    """Whether one of the answers stands in ``said``, its words side by side.

    Args:
        said: Words of a continuation.
        answers: Words of the accepted answers; empty ones are never held.

    Returns:
        True if so.
    """
    text = f" {' '.join(said)} "
    return any(f" {' '.join(answer)} " in text for answer in answers if answer)


def read_answers(path: Path) -> dict[str, list[str]]:
    """Accepted answers by question.

    Raises:
        ValueError: The table is malformed, or an answer has no word.
    """
    answers: dict[str, list[str]] = {}
    for number, row in enumerate(read_rows(path, dict.fromkeys(HEADER, str)), start=2):
        if not answer_words(row["answer"]):
            raise ValueError(
                f"{path}, line {number}: question '{row['utt']}' has the answer "
                f"'{row['answer']}', of which no word is left; write it in words"
            )
        answers.setdefault(row["utt"], []).append(row["answer"])
    return answers


def score_answers(
    answers: Mapping[str, Sequence[str]], said: Mapping[str, str]
) -> tuple[dict[str, float], dict[str, bool]]:
    """Score what was said after each question.

    Args:
        answers: Accepted answers of every question.
        said: Text after each question; absent counts as silence.

    Returns:
        Numbers of ``questions``, of ``right`` continuations and of ``silent`` ones,
        ``accuracy`` with ``low`` and ``high`` of its 95 % bootstrap interval, and
        ``by_chance``, the mean share of continuations that hold another question's
        answer; and whether each question was answered.

    Raises:
        ValueError: There is no question.
    """
    if not answers:
        raise ValueError("no question has an answer: expected lines in answers.tsv")
    accepted = [[answer_words(text) for text in texts] for texts in answers.values()]
    recognized = [answer_words(said.get(name, "")) for name in answers]
    held = np.array([[holds(words, own) for own in accepted] for words in recognized])
    right = held.diagonal()  # (questions,)
    low, high = bootstrap_interval(right)
    others = len(right) * (len(right) - 1)
    by_chance = (held.sum() - right.sum()) / others if others else float("nan")
    score = {
        "questions": len(right),
        "right": int(right.sum()),
        "silent": sum(not words for words in recognized),
        "accuracy": float(right.mean()),
        "low": low,
        "high": high,
        "by_chance": float(by_chance),
    }
    return score, dict(zip(answers, right.tolist()))


def cut_cloze(
    name: str, positive: Sequence[str], negative: Sequence[str]
) -> tuple[int, int]:
    """Make a question of two sentences that differ in one place.

    Args:
        name: Utterance id of the positive one.
        positive: Words of the sentence that makes sense, (W,).
        negative: Words of the one that does not.

    Returns:
        How many words come before the difference, and the index of its last word in
        the first sentence: what agrees with it (a or an) may differ before.

    Raises:
        ValueError: They do not differ, or already in their first word.

    Example:
        >>> cut_cloze("u", "he rules an island".split(), "he rules a ship".split())
        (2, 3)
    """
    same = 0
    while same < min(len(positive), len(negative)) and positive[same] == negative[same]:
        same += 1
    end, other = len(positive), len(negative)
    while end > same and other > same and positive[end - 1] == negative[other - 1]:
        end, other = end - 1, other - 1
    if not 0 < same < end:
        raise ValueError(
            f"'{name}': expected two sentences that begin alike and then differ, found "
            f"'{' '.join(positive)}' and '{' '.join(negative)}'; leave the pair out"
        )
    return same, end - 1


def related_endings(
    endings: Iterable[str], sentences: Iterable[Sequence[str]]
) -> dict[str, set[str]]:
    """Endings that sentences put beside one another, so that each may stand for any.

    Args:
        endings: Words that are asked for.
        sentences: Sentences that make sense.

    Returns:
        For each ending itself and those that share a sentence with it.
    """
    related = {word: {word} for word in endings}
    for words in sentences:
        together = related.keys() & set(words)
        for word in together:
            related[word] |= together
    return related
