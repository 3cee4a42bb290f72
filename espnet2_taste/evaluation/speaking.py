"""How well texts are said: errors, durations, manner, voice, times of words.

Enters: a set, and folders in which its texts are said (``wav.scp``, perhaps ``ctm``),
each text in the voice, and perhaps the manner, of another recording of the set. Leaves:
numbers a folder.

Legend: B utterances, W words, E speaker features.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from espnet2_taste.data.ctm import read_ctm
from espnet2_taste.data.kaldi_dir import sort_keys
from espnet2_taste.evaluation.rendition import OriginalSet, score_rendition
from espnet2_taste.evaluation.taste import align_rendition
from espnet2_taste.metrics.durations import pair_words
from espnet2_taste.metrics.rates import follow_rates, speaking_rate
from espnet2_taste.structures import WordCodes, WordTiming


def followed_by(speakers: Mapping[str, str]) -> dict[str, str]:
    """Which recording each text is said like: the next one of its speaker.

    Args:
        speakers: Speaker of each utterance.

    Returns:
        Utterance -> another one; an utterance whose speaker has no other is left out.
    """
    groups: dict[str, list[str]] = {}
    for name in sort_keys(speakers):
        groups.setdefault(speakers[name], []).append(name)
    return {
        name: group[(place + 1) % len(group)]
        for group in groups.values()
        if len(group) > 1
        for place, name in enumerate(group)
    }


def timing_agreement(
    claimed: Mapping[str, list[WordTiming]], aligned: Mapping[str, list[WordTiming]]
) -> dict:
    """Whether the unit decoder's word times are where an aligner finds the words.

    Args:
        claimed: Times that came with the speech.
        aligned: Times by forced alignment.

    Returns:
        ``words``, ``median_difference`` of begins and of ends in seconds, without sign,
        ``median_signed`` of claimed minus aligned, and ``share_within`` 50 ms.
    """
    pairs = pair_words(claimed, aligned)
    difference = np.array(
        [
            (first.start - second.start, first.end - second.end)
            for first, second in zip(pairs.reference, pairs.rendition)
        ]
    ).ravel()
    if not len(difference):
        return {"words": 0}
    return {
        "words": len(pairs.reference),
        "median_difference": float(np.median(np.abs(difference))),
        "median_signed": float(np.median(difference)),
        "share_within": float(np.mean(np.abs(difference) < 0.05)),
    }


def voices_named(
    said: Mapping[str, np.ndarray], speakers: Mapping[str, np.ndarray]
) -> float:
    """Share of utterances whose voice is nearest to the one that was asked for.

    Args:
        said: Embedding (E,) of each utterance as it was said.
        speakers: Mean embedding (E,) of each voice; keys of ``said`` are (utterance,
            voice asked for).
    """
    names, means = zip(*speakers.items())
    means = np.stack(means) / np.linalg.norm(means, axis=1, keepdims=True)
    hits = [
        names[int(np.argmax(means @ row))] == voice for (_, voice), row in said.items()
    ]
    return float(np.mean(hits)) if hits else float("nan")


def score_spoken(
    folder: Path,
    original: OriginalSet,
    followed: Mapping[str, str],
    aligner: Callable,
    embed: Callable[[str], np.ndarray],
) -> dict:
    """Score the texts of a set as they are said in a folder.

    Args:
        folder: With ``wav.scp`` and, where the times of words are known, ``ctm``.
        original: The set.
        followed: See ``followed_by``.
        aligner: Function that gives the aligner.
        embed: Gives the speaker embedding (E,) of a recording.

    Returns:
        What ``score_rendition`` gives, ``rate`` (``follow_rates`` of the recording
        that was followed and the speech), ``voice_named``, ``timings``.
    """
    texts = {name: original.texts[name] for name in followed}
    aligned, wavs = align_rendition(folder, texts, aligner)
    scores, _ = score_rendition(original, aligned, wavs)
    names = [name for name in followed if name in aligned.timings]
    rates = (
        {name: speaking_rate(original.timings[followed[name]]) for name in names},
        {name: speaking_rate(aligned.timings[name]) for name in names},
    )
    by_speaker: dict[str, list[np.ndarray]] = {}
    for name, speaker in original.speakers.items():
        by_speaker.setdefault(speaker, []).append(embed(original.wavs[name]))
    means = {name: np.mean(rows, axis=0) for name, rows in by_speaker.items()}
    said = {(name, original.speakers[name]): embed(wavs[name]) for name in names}
    claimed = read_ctm(folder / "ctm") if (folder / "ctm").is_file() else {}
    return scores | {
        "rate": follow_rates(*rates),
        "voice_named": voices_named(said, means),
        "timings": timing_agreement(claimed, aligned.timings),
    }


def stream_speed(
    lm, prompts: Sequence[WordCodes], voices: Sequence[np.ndarray], turns: int = 5
) -> dict[str, float]:
    """How soon the speech of continuations begins while they are written.

    Args:
        lm: ``SpokenLM``.
        prompts: What is continued; each is once before, so that everything is loaded.
        voices: Speaker (E,) of each.
        turns: In each of them every prompt is continued twice: with all speech at the
            end, and streamed.

    Returns:
        Medians over prompts and turns: ``first`` and ``seconds`` (until the first
        samples and the last), ``at_once`` (seconds of a call that gives all speech at
        its end), ``share`` (of ``first`` in that) and ``largest_share`` of a prompt,
        ``real_time_factor`` (seconds a second of streamed speech); ``prompts``,
        ``turns``.
    """
    pairs = list(zip(prompts, voices, strict=True))
    rows = [[_times(lm, *pair) for pair in pairs] for _ in range(turns + 1)][1:]
    at_once, first, seconds, spoken = np.array(rows).transpose(2, 0, 1)  # (turns, B)
    return {
        "prompts": len(pairs),
        "turns": turns,
        "first": float(np.median(first)),
        "seconds": float(np.median(seconds)),
        "at_once": float(np.median(at_once)),
        "share": float(np.median(first / at_once)),
        "largest_share": float(np.median(first / at_once, axis=0).max()),
        "real_time_factor": float(np.median(seconds / spoken)),
    }


def _times(lm, prompt: WordCodes, voice: np.ndarray) -> tuple[float, ...]:
    """Seconds of a whole call, until first and last samples, and of the speech."""
    begin = time.perf_counter()
    lm.tokenizer.decode(lm.continue_(prompt), voice)
    at_once = time.perf_counter() - begin
    begin, first, samples = time.perf_counter(), None, 0
    for piece in lm.stream_speech(prompt, voice):
        samples += len(piece.wave)
        if samples and first is None:
            first = time.perf_counter() - begin
    seconds = time.perf_counter() - begin
    return at_once, first, seconds, samples / lm.tokenizer.vocoder.sample_rate
