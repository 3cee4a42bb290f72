"""From token times to word times: gaps are shared, silences belong to nobody.

Enters: begin and end of the tokens in seconds and the waveform. Leaves: one
``WordTiming`` a word. The peaks of a CTC head say in which order and roughly where
words are, not how long they last: only the gap between the last token of a word and
the first of the next is known to hold the boundary. ``place_words`` divides the gap,
unless the waveform is silent in it, and lets the first and last word reach to the
edge of the sound.

Legend: S samples, H energy hops, N tokens, W words.
"""

from dataclasses import dataclass

import numpy as np

from espnet2_taste.structures import WordTiming

HOP_SECONDS = 0.01
WINDOW_SECONDS = 0.02


@dataclass(frozen=True)
class BoundaryRule:
    """How token times become word times.

    Attributes:
        offset: Seconds added to token times: where in its receptive field the
            encoder places a frame. Offset and split were chosen on the dev set of
            mini_espeak (r of durations with the truth .90; .88 with 0.01 and 0.5).
        split: Share of the gap between two words that goes to the earlier one.
        silence_db: A hop is silent this far below the loud part of the recording.
        min_pause: Shortest silence, in seconds, that separates two words. Closures
            of plosives last up to 0.1 s and belong to their word: with shorter pauses
            synthetic speech without any pause was cut at them (r of durations with
            the truth fell from .95 to .91 at 0.04 s and 35 dB).
    """

    offset: float = 0.05
    split: float = 0.3
    silence_db: float = 40.0
    min_pause: float = 0.15


@dataclass(frozen=True)
class Sound:
    """Which hops of a recording are audible.

    Attributes:
        audible: One flag a hop, (H,) bool.
        hop: Seconds a hop.
        duration: Length of the recording in seconds.
    """

    audible: np.ndarray
    hop: float
    duration: float

    def edges(self) -> tuple[float, float]:
        """Begin and end of everything audible; the whole recording if nothing is."""
        hops = np.flatnonzero(self.audible)
        if not len(hops):
            return 0.0, self.duration
        end = min((hops[-1] + 1) * self.hop, self.duration)
        return hops[0] * self.hop, end

    def longest_silence(self, begin: float, end: float) -> tuple[float, float] | None:
        """Longest silent stretch inside [begin, end], or None."""
        first, last = int(np.ceil(begin / self.hop)), int(end / self.hop)
        silent = ~self.audible[max(first, 0) : max(last, 0)]
        if not silent.any():
            return None
        turns = np.flatnonzero(np.diff(np.pad(silent.astype(int), 1)))
        starts, stops = turns[::2], turns[1::2]
        longest = int(np.argmax(stops - starts))
        return (
            (first + starts[longest]) * self.hop,
            (first + stops[longest]) * self.hop,
        )


def find_sound(speech: np.ndarray, sample_rate: int, silence_db: float) -> Sound:
    """Mark the audible hops of a waveform.

    Args:
        speech: Mono waveform, (S,).
        sample_rate: Samples a second.
        silence_db: Distance in decibels below the loud part (95th percentile of the
            hop energies) from which on a hop counts as silent.

    Returns:
        The audible hops; hop ``i`` covers ``[i, i + 1) * 10 ms``.
    """
    hop = int(HOP_SECONDS * sample_rate)
    window = int(WINDOW_SECONDS * sample_rate)
    count = -(-len(speech) // hop)
    before = (window - hop) // 2
    padded = np.pad(np.asarray(speech, dtype=np.float64), (before, window + hop))
    energy = np.pad(np.cumsum(padded**2), (1, 0))
    starts = np.arange(count) * hop
    power = (energy[starts + window] - energy[starts]) / window  # (H,)
    loud = np.percentile(power, 95) if count else 0.0
    audible = power > max(loud * 10 ** (-silence_db / 10), 1e-12)
    return Sound(audible, HOP_SECONDS, len(speech) / sample_rate)


def word_cores(token_times: np.ndarray, word_ids: np.ndarray) -> np.ndarray:
    """Begin of the first and end of the last token of every word.

    Args:
        token_times: Begin and end of each token, (N, 2).
        word_ids: Word of each token, ascending from 0 without holes, (N,).

    Returns:
        Begin and end of each word's tokens, (W, 2).
    """
    firsts = np.flatnonzero(np.diff(word_ids, prepend=-1))
    lasts = np.append(firsts[1:], len(word_ids)) - 1
    return np.stack([token_times[firsts, 0], token_times[lasts, 1]], axis=1)


def place_words(
    words: list[str], cores: np.ndarray, sound: Sound, rule: BoundaryRule
) -> list[WordTiming]:
    """Give every word its begin and its end.

    Args:
        words: Words of the utterance.
        cores: Begin and end of each word's tokens in seconds, (W, 2).
        sound: Audible hops of the recording.
        rule: How gaps are divided.

    Returns:
        One timing a word, in order, not overlapping.
    """
    cores = np.clip(cores + rule.offset, 0.0, sound.duration)
    middles = cores.mean(axis=1)
    begin, end = sound.edges()
    begins, ends = [min(begin, cores[0, 0])], []
    for left in range(len(words) - 1):
        gap_begin, gap_end = cores[left, 1], cores[left + 1, 0]
        boundary = gap_begin + rule.split * (gap_end - gap_begin)
        pause = sound.longest_silence(middles[left], middles[left + 1])
        if pause is None or pause[1] - pause[0] < rule.min_pause:
            pause = (boundary, boundary)
        ends.append(pause[0])
        begins.append(pause[1])
    ends.append(max(end, cores[-1, 1]))
    return [
        WordTiming(word, float(start), float(stop - start))
        for word, start, stop in zip(words, begins, ends, strict=True)
    ]
