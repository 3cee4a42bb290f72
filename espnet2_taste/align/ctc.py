"""CTC forced alignment as expected times: all paths weighed, none chosen.

Enters: log-probabilities of a CTC head and the token ids of the transcript.
Leaves: for every CTC state the expected frame at which the path enters it. As
the expectation runs over all paths, a boundary may lie between two frames,
which matters at 25 frames per second; the surer the head, the nearer it is to the
single best path (Viterbi).

Legend: B utterances, F frames, V token list size, N tokens,
S = 2N + 1 states (blank, token 1, blank, ..., token N, blank).
"""

from dataclasses import dataclass

import numpy as np
import torch

from espnet2_taste.align.ctc_cuts import cut_pieces

IMPOSSIBLE = -1.0e30
WINDOW = 1500
"""Most frames that are aligned at once: a minute at 25 a second."""


@dataclass(frozen=True)
class CtcLattice:
    """All CTC paths of a batch of transcripts through a batch of recordings.

    Attributes:
        emissions: Log-probability of each state at each frame, (B, F, S).
        skips: State s may be entered from s - 2, (B, S) bool.
        frame_lengths: Valid frames, (B,) int64.
        state_lengths: Valid states, 2 N + 1, (B,) int64.
    """

    emissions: torch.Tensor
    skips: torch.Tensor
    frame_lengths: torch.Tensor
    state_lengths: torch.Tensor

    def reversed(self) -> "CtcLattice":
        """Return the same paths read from the last frame and state to the first."""
        states = _reversed_index(self.emissions.size(2), self.state_lengths)  # (B, S)
        # s entered from s - 2 becomes, read backwards, s - 2 entered from s
        shifted = torch.roll(self.skips, -2, dims=1)
        shifted[:, -2:] = False
        return CtcLattice(
            reverse_valid(self.emissions, self.frame_lengths, self.state_lengths),
            shifted.gather(1, states),
            self.frame_lengths,
            self.state_lengths,
        )

    def both_ways(self) -> "CtcLattice":
        """Return these paths and, as further rows, the same read backwards."""
        ways = vars(self), vars(self.reversed())
        return CtcLattice(**{n: torch.cat([way[n] for way in ways]) for n in ways[0]})


def _reversed_index(size: int, lengths: torch.Tensor) -> torch.Tensor:
    """Positions that read the valid part of a row backwards, (B, size)."""
    positions = torch.arange(size, device=lengths.device).expand(len(lengths), size)
    return torch.where(
        positions < lengths[:, None], lengths[:, None] - 1 - positions, positions
    )


def reverse_valid(
    scores: torch.Tensor, frame_lengths: torch.Tensor, state_lengths: torch.Tensor
) -> torch.Tensor:
    """Read (B, F, S) backwards in frames and states, padding left in place."""
    _, num_frames, num_states = scores.shape
    frames = _reversed_index(num_frames, frame_lengths)[:, :, None]
    states = _reversed_index(num_states, state_lengths)[:, None, :]
    scores = scores.gather(1, frames.expand_as(scores))
    return scores.gather(2, states.expand_as(scores))


def required_frames(
    targets: torch.Tensor, target_lengths: torch.Tensor
) -> torch.Tensor:
    """Fewest frames a transcript fits into: one a token, one more at a repeat, (B,)."""
    repeats = targets[:, 1:] == targets[:, :-1]
    positions = torch.arange(targets.size(1), device=targets.device)[1:]
    repeats = repeats & (positions < target_lengths[:, None])
    return target_lengths + repeats.sum(1)


def check_frames(
    frame_lengths: torch.Tensor, targets: torch.Tensor, target_lengths: torch.Tensor
) -> None:
    """Refuse transcripts that need more frames than their recordings have.

    Args:
        frame_lengths: Valid frames, (B,).
        targets: Token ids, (B, N).
        target_lengths: Valid tokens, (B,).

    Raises:
        ValueError: One does; its row and both numbers are named.
    """
    short = frame_lengths < required_frames(targets, target_lengths)
    if short.any():
        row = int(short.nonzero()[0])
        raise ValueError(
            f"row {row} of the batch has {int(frame_lengths[row])} frames, its "
            f"{int(target_lengths[row])} tokens need at least "
            f"{int(required_frames(targets, target_lengths)[row])}: "
            "leave the utterance out, or check that text and audio belong together"
        )


def build_lattice(
    log_probs: torch.Tensor,
    frame_lengths: torch.Tensor,
    targets: torch.Tensor,
    target_lengths: torch.Tensor,
    blank: int = 0,
) -> CtcLattice:
    """Lay the states of the transcripts over the frames.

    Args:
        log_probs: Log-probabilities (any log-weights do), (B, F, V).
        frame_lengths: Valid frames, (B,) int64.
        targets: Token ids without blanks, any value at padding, (B, N).
        target_lengths: Valid tokens, (B,) int64.
        blank: Id of the blank.

    Returns:
        The lattice; padded frames and states can not be reached.

    Raises:
        ValueError: A transcript needs more frames than its recording has.
    """
    check_frames(frame_lengths, targets, target_lengths)
    batch, num_frames, _ = log_probs.shape
    states = targets.new_full((batch, 2 * targets.size(1) + 1), blank)
    positions = torch.arange(targets.size(1), device=targets.device)
    states[:, 1::2] = targets.where(positions < target_lengths[:, None], blank)
    emissions = log_probs.gather(2, states[:, None].expand(batch, num_frames, -1))
    skips = torch.zeros_like(states, dtype=torch.bool)
    skips[:, 2:] = (states[:, 2:] != blank) & (states[:, 2:] != states[:, :-2])
    state_lengths = 2 * target_lengths + 1
    reachable = torch.arange(states.size(1), device=states.device)
    emissions = emissions.masked_fill(
        (reachable >= state_lengths[:, None])[:, None], IMPOSSIBLE
    )
    return CtcLattice(emissions, skips, frame_lengths, state_lengths)


def forward_scores(lattice: CtcLattice) -> torch.Tensor:
    """Log-sum of the paths that begin at frame 0 and stand in s at f, (B, F, S)."""
    emissions = lattice.emissions
    scores = torch.full_like(emissions, IMPOSSIBLE)
    scores[:, 0, :2] = emissions[:, 0, :2]
    no_skip = ~lattice.skips
    for frame in range(1, emissions.size(1)):
        stay = scores[:, frame - 1]  # (B, S)
        step = torch.nn.functional.pad(stay, (1, 0), value=IMPOSSIBLE)[:, :-1]
        skip = torch.nn.functional.pad(stay, (2, 0), value=IMPOSSIBLE)[:, :-2]
        skip = skip.masked_fill(no_skip, IMPOSSIBLE)
        arrived = torch.logsumexp(torch.stack([stay, step, skip]), dim=0)
        scores[:, frame] = (arrived + emissions[:, frame]).clamp(min=IMPOSSIBLE)
    return scores


def state_posteriors(lattice: CtcLattice) -> torch.Tensor:
    """Probability of each state at each frame, given the transcript, (B, F, S).

    Rows of padded frames are zero; every other row sums to one.
    """
    forward, reverse = forward_scores(lattice.both_ways()).chunk(2)
    lengths = lattice.frame_lengths, lattice.state_lengths
    backward = reverse_valid(reverse, *lengths)
    joint = forward + backward - lattice.emissions
    posteriors = torch.softmax(joint, dim=2)
    frames = torch.arange(joint.size(1), device=joint.device)
    padding = frames >= lattice.frame_lengths[:, None]
    return posteriors.masked_fill(padding[:, :, None], 0.0)


def expected_entries(posteriors: torch.Tensor) -> torch.Tensor:
    """Expected frame at which the path enters each state (or passes it by).

    The entry into state s is the number of frames spent in states before s, so its
    expectation is the sum of their posteriors.

    Args:
        posteriors: From ``state_posteriors``, (B, F, S).

    Returns:
        Non-decreasing frame positions, (B, S + 1); the last column is the end.
    """
    occupancy = posteriors.sum(1)  # (B, S)
    return torch.nn.functional.pad(occupancy.cumsum(1), (1, 0))


def align_tokens(
    log_probs: torch.Tensor,
    frame_lengths: torch.Tensor,
    targets: torch.Tensor,
    target_lengths: torch.Tensor,
    blank: int = 0,
) -> torch.Tensor:
    """Expected begin and end of every token.

    Recordings longer than ``WINDOW`` are cut first (``ctc_cuts``), so that time and
    memory are linear in their length.

    Args:
        log_probs: Log-probabilities, (B, F, V).
        frame_lengths: Valid frames, (B,) int64.
        targets: Token ids without blanks, (B, N).
        target_lengths: Valid tokens, (B,) int64.
        blank: Id of the blank.

    Returns:
        Begin and end in frames, (B, N, 2); positions of padding are meaningless.

    Raises:
        ValueError: A transcript needs more frames than its recording has.
    """
    if log_probs.size(1) <= WINDOW:
        return _align_whole(log_probs, frame_lengths, targets, target_lengths, blank)
    check_frames(frame_lengths, targets, target_lengths)
    spans = log_probs.new_zeros((*targets.shape, 2), dtype=torch.float64)
    sizes = zip(frame_lengths.tolist(), target_lengths.tolist())
    for row, (frames, tokens) in enumerate(sizes):
        spans[row, :tokens] = _align_pieces(
            log_probs[row, :frames], targets[row, :tokens], blank
        )
    return spans


def _align_pieces(
    log_probs: torch.Tensor, target: torch.Tensor, blank: int
) -> torch.Tensor:
    """Align one recording (F, V) with its tokens (N,) piece by piece, to (N, 2)."""
    weights, spans = log_probs.cpu().numpy(), []
    for piece in cut_pieces(weights, target.cpu().numpy(), blank, WINDOW):
        scores = log_probs[None, slice(*piece.frames)]
        tokens = target[None, slice(*piece.tokens)]
        frames, count = (torch.tensor([x.size(1)]).to(target) for x in (scores, tokens))
        found = _align_whole(scores, frames, tokens, count, blank)[0]
        spans.append(found + piece.frames[0])
    return torch.cat(spans)


def _align_whole(log_probs, frame_lengths, targets, target_lengths, blank):
    """See ``align_tokens``; the whole lattice is in memory."""
    lengths = frame_lengths, targets, target_lengths
    lattice = build_lattice(log_probs.double(), *lengths, blank)
    entries = expected_entries(state_posteriors(lattice))  # (B, S + 1)
    return torch.stack([entries[:, 1:-1:2], entries[:, 2::2]], dim=2)  # (B, N, 2)


def token_confidence(
    log_probs: torch.Tensor, tokens: np.ndarray, spans: np.ndarray
) -> np.ndarray:
    """How sure the CTC head is of each token of a transcript where it was placed.

    A head that finds a token gives it a probability near one in at least one frame of
    its span; for a text that was not spoken, for noise and for silence it does not.

    Args:
        log_probs: Log-probabilities, (F, V).
        tokens: Token ids, (N,).
        spans: Begin and end of each in frames, (N, 2).

    Returns:
        Highest probability of each token in its span, 0 to 1, (N,).
    """
    first = np.floor(spans[:, 0]).astype(int).clip(0, len(log_probs) - 1)
    last = np.ceil(spans[:, 1]).astype(int).clip(first + 1, len(log_probs))
    found = [
        log_probs[begin:end, token].max().exp().item()
        for token, begin, end in zip(tokens.tolist(), first, last)
    ]
    return np.array(found)


def greedy_tokens(
    log_probs: torch.Tensor, frame_lengths: torch.Tensor, blank: int = 0
) -> list[list[int]]:
    """Best token of each frame, repeats collapsed, blanks dropped.

    Args:
        log_probs: Log-probabilities, (B, F, V).
        frame_lengths: Valid frames, (B,).
        blank: Id of the blank.

    Returns:
        Token ids of each utterance.
    """
    best = log_probs.argmax(2)
    hypotheses = []
    for row, length in zip(best, frame_lengths.tolist()):
        collapsed = torch.unique_consecutive(row[:length])
        hypotheses.append(collapsed[collapsed != blank].tolist())
    return hypotheses
