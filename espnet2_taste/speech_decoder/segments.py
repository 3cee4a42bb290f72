"""Words and silences of utterances in whole units, and what each unit is part of.

Enters: word times in seconds (B, W, 2), or durations of words (B, W) and silences
(B, W + 1). Leaves: units of each segment (B, S), and for each unit its segment, its
place in it (B, U), and its times (B, U, 2).

An utterance is a row of S = 2 W + 1 segments: silence, word, silence, word, ...,
silence. A silence may have no unit, a word has at least one. Words behind the end of
an utterance, in a batch, have none.

Legend: B utterances, W words, S segments, U units.
"""

from dataclasses import dataclass

import torch

from espnet2_taste.masks import length_mask


@dataclass(frozen=True)
class UnitRows:
    """What each unit of a batch is part of.

    Attributes:
        segment: Index of the segment, (B, U); that of the last one at padding.
        phase: Place in the segment, from 0 to 1, middle of the unit, (B, U).
        size: Units of the segment, (B, U), at least 1.
        valid: False at padding, (B, U).
    """

    segment: torch.Tensor
    phase: torch.Tensor
    size: torch.Tensor
    valid: torch.Tensor

    @property
    def word(self) -> torch.Tensor:
        """Index of the word, of the word before in a silence, -1 before the first."""
        return (self.segment + 1) // 2 - 1

    @property
    def silent(self) -> torch.Tensor:
        """Whether the unit is part of a silence, (B, U)."""
        return self.segment % 2 == 0


def tidy_times(
    word_times: torch.Tensor,
    words: torch.Tensor,
    seconds: torch.Tensor,
    shortest: float,
) -> torch.Tensor:
    """Word times in order, within the utterance, without short silences.

    A shorter silence between two words goes to both in equal parts, one at an end of
    the utterance to the word there. A word that begins before the one before it ends
    begins with that end.

    Args:
        word_times: Begin and end in seconds, (B, W, 2); arbitrary behind the last word.
        words: Words of each utterance, (B,).
        seconds: Length of each utterance, (B,).
        shortest: Shortest silence that is kept, in seconds.

    Returns:
        (B, W, 2); both are the end of the utterance behind the last word.
    """
    batch, width, _ = word_times.shape
    end = seconds.unsqueeze(1)  # (B, 1)
    real = length_mask(words, width)  # (B, W)
    times = torch.where(real.unsqueeze(-1), word_times, end.unsqueeze(-1))
    times = torch.minimum(times.clamp(min=0), end.unsqueeze(-1))
    edges = times.flatten(1).cummax(1).values.view(batch, width, 2)
    begin, stop = edges.unbind(-1)
    before = torch.cat([torch.zeros_like(end), stop[:, :-1]], dim=1)
    after = torch.cat([begin[:, 1:], end], dim=1)
    index = torch.arange(width, device=words.device)
    last = index == words.unsqueeze(1) - 1
    middle = torch.where(index == 0, torch.zeros_like(begin), (before + begin) / 2)
    begin = torch.where(real & (begin - before < shortest), middle, begin)
    middle = torch.where(last, end, (stop + after) / 2)
    stop = torch.where(real & (after - stop < shortest), middle, stop)
    return torch.stack([begin, stop], dim=-1)


def units_of_times(
    word_times: torch.Tensor, words: torch.Tensor, units: torch.Tensor, rate: float
) -> torch.Tensor:
    """Units of each segment where the times of the words are given.

    Borders are rounded, not durations, so that an utterance stays with its recording
    to its end; a border moves on where a word would have no unit.

    Args:
        word_times: As from ``tidy_times``, (B, W, 2).
        words: (B,), at most ``units``.
        units: Units of each utterance, (B,).
        rate: Units a second.

    Returns:
        (B, 2 W + 1) int64, rows that sum to ``units``.
    """
    width = word_times.size(1)
    edges = (word_times.double() * rate + 0.5).floor().long().flatten(1)  # (B, 2 W)
    real = length_mask(words, width)
    least = torch.stack([torch.zeros_like(real), real], dim=-1).flatten(1).long()
    needed = least.cumsum(1)  # units up to each border, at least
    edges = (edges - needed).clamp(min=0).cummax(1).values + needed
    most = units.unsqueeze(1) - (needed[:, -1:] - needed)
    edges = torch.minimum(edges, most)
    full = torch.cat([torch.zeros_like(edges[:, :1]), edges, units.unsqueeze(1)], dim=1)
    return full.diff(dim=1)


def silences_of_times(word_times: torch.Tensor, seconds: torch.Tensor) -> torch.Tensor:
    """Durations of the silences before the first word and behind each, (B, W + 1).

    Args:
        word_times: As from :func:`tidy_times`, (B, W, 2).
        seconds: Length of each utterance, (B,).
    """
    begin, end = word_times.unbind(-1)
    before = torch.nn.functional.pad(end, (1, 0))
    return torch.cat([begin, seconds.unsqueeze(1)], dim=1) - before


def durations_of_segments(
    word_seconds: torch.Tensor,
    silence_seconds: torch.Tensor,
    words: torch.Tensor,
    rate: float,
) -> torch.Tensor:
    """Durations of words and silences in the order in which they are spoken.

    Args:
        word_seconds: (B, W), arbitrary behind the last word.
        silence_seconds: Before the first word, and behind each, (B, W + 1).
        words: (B,).
        rate: Units a second.

    Returns:
        Seconds, (B, 2 W + 1): a word has at least half a unit, a silence that
        or nothing; nothing behind the silence after the last word.
    """
    least = 0.5 / rate
    spoken = word_seconds.clamp(min=least)
    spoken = spoken * length_mask(words, spoken.size(1))
    silent = silence_seconds * (silence_seconds > least)
    silent = silent * length_mask(words + 1, silent.size(1))
    pairs = torch.stack([silent[:, :-1], spoken], dim=-1).flatten(1)
    return torch.cat([pairs, silent[:, -1:]], dim=1)


def units_of_durations(seconds: torch.Tensor, rate: float) -> torch.Tensor:
    """Units of segments whose durations are predicted.

    Each segment is rounded by itself, so that another duration of one word changes no
    other segment.

    Args:
        seconds: From :func:`durations_of_segments`, (B, S).
        rate: Units a second.

    Returns:
        (B, S) int64, at least one where there is a duration.
    """
    return torch.where(seconds > 0, (seconds * rate).round().clamp(min=1), 0).long()


def unit_rows(counts: torch.Tensor) -> UnitRows:
    """Say for each unit what it is part of.

    Args:
        counts: Units of each segment, (B, S).

    Returns:
        Rows for the longest utterance of the batch.
    """
    ends = counts.cumsum(1)  # (B, S)
    units = ends[:, -1:]  # (B, 1)
    place = torch.arange(int(units.max()), device=counts.device)
    place = place.expand(len(counts), -1).contiguous()  # (B, U)
    segment = torch.searchsorted(ends, place, right=True)
    segment = segment.clamp(max=counts.size(1) - 1)
    size = counts.gather(1, segment).clamp(min=1)
    inside = place - (ends - counts).gather(1, segment)
    phase = ((inside + 0.5) / size).clamp(max=1.0)
    return UnitRows(segment, phase, size, place < units)


def borders(seconds: torch.Tensor, begin: torch.Tensor | None = None) -> torch.Tensor:
    """Begin of the first segment and end of each, (B, S + 1) float64.

    Args:
        seconds: Duration of each segment, (B, S).
        begin: Of the first one in seconds, (B, 1) float64; 0 by default.
    """
    begin = seconds.new_zeros(len(seconds), 1).double() if begin is None else begin
    return torch.cat([begin, seconds.double()], dim=1).cumsum(1)


def times_of_words(
    seconds: torch.Tensor, begin: torch.Tensor | None = None
) -> torch.Tensor:
    """Begin and end of each word in seconds.

    Args:
        seconds: Duration of each segment, (B, 2 W + 1).
        begin: See :func:`borders`.

    Returns:
        (B, W, 2) float32.
    """
    ends = borders(seconds, begin)[:, 1:].float()
    return torch.stack([ends[:, :-1:2], ends[:, 1::2]], dim=-1)


def times_of_units(
    counts: torch.Tensor, seconds: torch.Tensor, begin: torch.Tensor | None = None
) -> torch.Tensor:
    """Begin and end of each unit in seconds; those of a segment are equally long.

    Args:
        counts: Units of each segment, (B, S).
        seconds: Duration of each segment, (B, S).
        begin: See :func:`borders`.

    Returns:
        (B, U, 2) float32, arbitrary at padding.
    """
    rows = unit_rows(counts)
    edges = borders(seconds, begin)
    starts, ends = edges[:, :-1], edges[:, 1:]
    start, end = starts.gather(1, rows.segment), ends.gather(1, rows.segment)
    place = (rows.phase.double() * rows.size - 0.5).round()  # in the segment
    edges = torch.stack([place, place + 1], dim=-1) / rows.size.unsqueeze(-1)
    return torch.lerp(start.unsqueeze(-1), end.unsqueeze(-1), edges).float()
