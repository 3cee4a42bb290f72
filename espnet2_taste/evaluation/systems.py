"""One line a design: what every spoken language model of a comparison is scored by.

Enters, for each design: ``likelihood/<set>/scores.tsv`` of the pair sets, if it gives
likelihoods, and ``continuation/<set>`` with the audio of continued prompts. Leaves: a
dictionary a design. Designs that write no text are treated as those that do: what a
continuation says is what one recognizer finds in it, how well it goes on is the
perplexity of these words and of their end for one text LM given the prompt's text, and
its tempo is recognized words a second of audio. A continuation in which nothing is
recognized is an end right after the prompt: it counts in the perplexity. Other LMs give
the same perplexity, since the designs that start from the first one are favoured by it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from espnet2_taste.data.audio import read_header
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.evaluation.continuation_reader import AbsContinuationReader
from espnet2_taste.evaluation.questions import read_answers, score_answers
from espnet2_taste.evaluation.slm import prompt_rates, score_pair_set
from espnet2_taste.evaluation.transcripts import (
    RECOGNIZED,
    is_recognized,
    recognize_folder,
)
from espnet2_taste.metrics.rates import follow_rates


def score_pair_sets(
    likelihood: Path, dump: Path, pair_sets: Sequence[str]
) -> dict[str, dict]:
    """Pair accuracy of a design by set and column; empty without likelihoods.

    Args:
        likelihood: Folder with ``<set>/scores.tsv``.
        dump: Where the sets are.
        pair_sets: Sets with ``pairs.tsv``.

    Returns:
        What ``pair_accuracy`` gives, by set, then column.
    """
    if not likelihood.is_dir():
        return {}
    return {name: score_pair_set(likelihood, dump, name) for name in pair_sets}


def score_continuations(
    continued: Path,
    prompts: Path,
    aligner: Callable,
    recognizer: str,
    reader: AbsContinuationReader,
    other_lms: Mapping[str, AbsContinuationReader] | None = None,
) -> dict:
    """What is recognized in a design's continuations.

    Args:
        continued: Folder with ``wav.scp`` and ``prompt/text``.
        prompts: The set that was continued.
        aligner: Function that gives the recognizer.
        recognizer: Its name.
        reader: Text LM.
        other_lms: Further ones by name, that took no part in any design.

    Returns:
        ``perplexity`` by the text LM, ``other_lms``, for each what
        :func:`measure_perplexity` gives, ``words`` recognized, ``silent`` continuations
        in which nothing is recognized, and ``rate`` of ``follow_rates``.
    """
    recognized = recognize_continuations(continued, aligner, recognizer)
    wavs = read_table(continued / "wav.scp")
    before = read_table(continued / "prompt" / "text")
    words = {name: len(recognized.get(name, "").split()) for name in sorted(wavs)}
    texts = [(before[name], recognized.get(name, "")) for name in words]
    names = [name for name, count in words.items() if count]
    tempo = {n: words[n] / read_header(wavs[n]).duration for n in names}
    return {
        "perplexity": measure_perplexity(texts, reader)["perplexity"],
        "other_lms": {
            lm: measure_perplexity(texts, other)
            for lm, other in (other_lms or {}).items()
        },
        "words": sum(words.values()),
        "silent": len(wavs) - len(names),
        "rate": follow_rates(prompt_rates(prompts), tempo),
    }


def measure_perplexity(
    texts: Sequence[tuple[str, str]], reader: AbsContinuationReader
) -> dict[str, float | None]:
    """Perplexity of words and ends of continuations, one end a continuation.

    Args:
        texts: Prompt and continuation, which may be empty.
        reader: Text LM.

    Returns:
        ``perplexity``, and ``unknown``, the share of the words outside the LM's
        vocabulary; None where there is nothing to take it of.
    """
    counts = [reader.count_words(added) for _, added in texts]
    words = sum(count.words for count in counts)
    scored = sum(count.scored for count in counts) + len(texts)
    nats = sum(float(reader([prompt], [added])[0]) for prompt, added in texts)
    return {
        "perplexity": math.exp(nats / scored) if texts else None,
        "unknown": sum(c.unknown for c in counts) / words if words else None,
    }


def recognize_continuations(
    continued: Path, aligner: Callable, recognizer: str
) -> dict[str, str]:
    """Words of continuations, by the recognizer; kept beside their audio.

    Args:
        continued: Folder with ``wav.scp``.
        aligner: Function that gives the recognizer.
        recognizer: Its name.

    Returns:
        Text by utterance.
    """
    if not is_recognized(continued, recognizer):
        recognize_folder(continued, aligner, recognizer)
    return read_table(continued / RECOGNIZED)


def answer_questions(
    recognized: Mapping[str, str], questions: Path
) -> dict[str, float]:
    """Share of spoken questions with the right answer, and with that of another.

    Args:
        recognized: Text that follows each question.
        questions: The set, with ``answers.tsv``.

    Returns:
        ``accuracy`` and ``by_chance`` of ``score_answers``.
    """
    score, _ = score_answers(read_answers(questions / "answers.tsv"), recognized)
    return {key: score[key] for key in ("accuracy", "by_chance")}


def merge_seeds(runs: Sequence[Mapping]) -> dict:
    """Mean, least and most of every number over the seeds of a design.

    Args:
        runs: Scores of the same shape, one a seed; a number that is missing or nan in
            some is taken over the others.

    Returns:
        The shape of the scores with ``mean``, ``low``, ``high`` and ``seeds``.
    """
    keys = {key: None for run in runs for key in run}
    merged: dict = {}
    for key in keys:
        values = [run[key] for run in runs if run.get(key) is not None]
        if values and isinstance(values[0], Mapping):
            merged[key] = merge_seeds(values)
            continue
        known = [float(v) for v in values if not math.isnan(float(v))]
        if known:
            mean = sum(known) / len(known)
            merged[key] = {"mean": mean, "low": min(known), "high": max(known)}
            merged[key]["seeds"] = len(known)
    return merged
