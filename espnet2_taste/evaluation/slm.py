"""Scores of spoken language models: perplexity, pairs, tempo.

Enters, for each model: ``likelihood/<set>/scores.tsv`` (log-likelihoods of every
utterance by stream and reduction) and ``continuation/<set>`` (audio and text of
continued prompts). Leaves: a dictionary a model. Which stream and which reduction
decide a pair is an option: published rankings depend on it.

Legend: W words.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from espnet2_taste.data.ctm import finite, read_ctm, read_rows, write_rows
from espnet2_taste.data.kaldi_dir import read_table, sort_keys
from espnet2_taste.data.prompt_words import read_prompt_words
from espnet2_taste.evaluation.taste import align_rendition
from espnet2_taste.metrics.pairs import pair_accuracy
from espnet2_taste.metrics.rates import follow_rates, speaking_rate

Scores = dict[str, dict[str, float]]


def read_scores(path: Path) -> Scores:
    """Log-likelihoods of a set.

    Args:
        path: ``scores.tsv`` with ``utt`` and one column a reduction.

    Returns:
        Columns by name, for each utterance.

    Raises:
        ValueError: The file is missing or malformed.
    """
    return {row.pop("utt"): row for row in read_rows(path, {"utt": str}, others=finite)}


def write_scores(path: Path, scores: Scores):
    """Inverse of ``read_scores``; the folder is made when absent.

    Args:
        path: ``scores.tsv``.
        scores: Of all utterances the same columns; maybe of none, in part of a set.
    """
    columns = list(next(iter(scores.values()), {}))
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ([u, *(scores[u][c] for c in columns)] for u in sort_keys(scores))
    write_rows(path, ("utt", *columns), rows)


def perplexity(scores: Scores, total: str, per_token: str) -> float:
    """Corpus perplexity of the text.

    Args:
        scores: Of the set.
        total: Column of summed log-likelihoods.
        per_token: Column of the same per token; the quotient counts the tokens.

    Returns:
        exp of the mean negative log-likelihood a token; nan if a column is missing.
    """
    if not scores or any(
        total not in row or per_token not in row for row in scores.values()
    ):
        return float("nan")
    log_likelihood = sum(row[total] for row in scores.values())
    tokens = sum(
        row[total] / row[per_token] for row in scores.values() if row[per_token]
    )
    return math.exp(-log_likelihood / tokens) if tokens else float("nan")


def compare_perplexity(scores: Scores) -> dict[str, float]:
    """Text perplexity of the model, of its base and their ratio.

    The end of speech is left out: a given base LM need not expect it there.

    Args:
        scores: Of a test set; the base's columns begin with ``base_``.

    Returns:
        ``model``, ``base``, ``ratio``; nan where a column is missing.
    """
    model = perplexity(scores, "tokens_sum", "tokens_mean")
    base = perplexity(scores, "base_tokens_sum", "base_tokens_mean")
    return {"model": model, "base": base, "ratio": model / base}


def score_pairs(
    scores: Scores, pairs: Sequence[Mapping[str, str]], columns: Sequence[str]
) -> dict[str, dict]:
    """Pair accuracy under several reductions.

    Args:
        scores: Of the set that holds both members.
        pairs: Rows with ``positive`` and ``negative``, utterance ids.
        columns: Reductions to try.

    Returns:
        What ``pair_accuracy`` gives, by column.

    Raises:
        ValueError: A member has no score or a column is missing.
    """
    results = {}
    for column in columns:
        sides: list[list[float]] = [[], []]
        for row in pairs:
            for side, key in zip(sides, ("positive", "negative")):
                value = scores.get(row[key], {}).get(column)
                if value is None:
                    raise ValueError(
                        f"'{row[key]}' has no '{column}' in scores.tsv: "
                        "run stage 12 again"
                    )
                side.append(value)
        results[column] = pair_accuracy(*sides)
    return results


def score_pair_set(
    likelihood: Path, dump: Path, name: str, columns: Sequence[str] = ()
) -> dict[str, dict]:
    """Pair accuracy of one set on disk.

    Args:
        likelihood: Folder with ``<set>/scores.tsv``.
        dump: Folder with ``<set>/pairs.tsv``.
        name: The set.
        columns: Reductions; all that are no sums over tokens if empty.

    Returns:
        What ``pair_accuracy`` gives, by column.

    Raises:
        ValueError: A file, a member or a column is missing.
    """
    scores = read_scores(likelihood / name / "scores.tsv")
    known = next(iter(scores.values()), {})
    columns = columns or [column for column in known if "tokens" not in column]
    return score_pairs(scores, read_rows(dump / name / "pairs.tsv"), columns)


def prompt_rates(folder: Path) -> dict[str, float]:
    """Words per second of the prompts of a set.

    Args:
        folder: Set with ``ctm_aligned`` and, if only the first words of each
            utterance are the prompt, ``prompt_words``.

    Returns:
        Rate by utterance.
    """
    timings = read_ctm(folder / "ctm_aligned")
    counts = read_prompt_words(folder) or {}
    return {
        name: speaking_rate(words[: counts.get(name)])
        for name, words in timings.items()
    }


def score_rates(prompts: Path, continuation: Path, aligner) -> dict:
    """How the tempo of continuations follows their prompts.

    A continuation is timed after its prompt, in one recording: the decoder speaks
    both in one breath, and few utterances of a corpus begin in mid-sentence.

    Args:
        prompts: Set of the prompts.
        continuation: Folder with the ``text`` of the continuations alone, and ``full``
            with ``wav.scp`` and ``text`` of prompts and continuations together.
        aligner: Function that gives the aligner.

    Returns:
        What ``follow_rates`` gives.

    Raises:
        ValueError: A file is missing.
    """
    added = {k: len(v.split()) for k, v in read_table(continuation / "text").items()}
    spoken = read_table(continuation / "full" / "text")
    texts = {name: text for name, text in spoken.items() if added.get(name)}
    aligned, _ = align_rendition(continuation / "full", texts, aligner)
    spoken_rates = {
        name: speaking_rate(words[-added[name] :])
        for name, words in aligned.timings.items()
        if added.get(name)
    }
    return follow_rates(prompt_rates(prompts), spoken_rates)


def score_words(continuation: Path, aligner) -> dict:
    """Whether continuations say the words that were generated.

    Args:
        continuation: Folder with ``wav.scp`` and ``text`` of the continuations alone.
        aligner: Function that gives the aligner.

    Returns:
        ``wer`` of the recognised audio against the text, ``words`` and ``utterances``.

    Raises:
        ValueError: A file is missing.
    """
    texts = {k: v for k, v in read_table(continuation / "text").items() if v}
    aligned, _ = align_rendition(continuation, texts, aligner)
    errors = aligned.errors(texts)
    return {"wer": errors.rate, "words": errors.words, "utterances": len(texts)}
