"""Time and memory of CTC alignment against the length of the recording.

Enters: lengths in minutes. Leaves: processor seconds and peak memory for random tokens
whose frames are likely, at 25 frames a second, without the speech encoder.

Legend: F frames, N tokens, V token list size.
"""

import time

import torch

from espnet2_taste.align.ctc import align_tokens
from espnet2_taste.evaluation.benchmark import measure

FRAMES_A_MINUTE = 1500
FRAMES_A_TOKEN = 6
"""About 4 tokens a second."""
TOKENS = 120
LIKELY = 6.0
"""Of the right token above the others, before the softmax."""


def random_speech(minutes: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities (F, V) and the tokens (N,) that they belong to.

    Args:
        minutes: Length; each token has a frame of its own among six.
    """
    generator = torch.Generator().manual_seed(0)
    frames = int(minutes * FRAMES_A_MINUTE)
    count = frames // FRAMES_A_TOKEN
    tokens = torch.randint(1, TOKENS, (count,), generator=generator)
    places = torch.randint(0, FRAMES_A_TOKEN, (count,), generator=generator)
    best = torch.zeros(frames, dtype=torch.long)
    best[places + FRAMES_A_TOKEN * torch.arange(count)] = tokens
    logits = torch.randn(frames, TOKENS, generator=generator)
    logits[torch.arange(frames), best] += LIKELY
    return logits.log_softmax(-1), tokens


def alignment_rows(minutes: list[float]) -> list[dict]:
    """Align a recording of each length.

    Args:
        minutes: Lengths.

    Returns:
        For each its processor seconds, those of a minute, and the peak of memory above
        the log-probabilities.
    """
    rows = []
    for length in minutes:
        scores, tokens = random_speech(length)
        sizes = torch.tensor([len(scores)]), tokens[None], torch.tensor([len(tokens)])
        start = time.process_time()
        found = measure(lambda: align_tokens(scores[None], *sizes))
        seconds = time.process_time() - start
        row = {"minutes": length, "tokens": len(tokens), "CPU s": seconds}
        rows.append(row | {"CPU s a minute": seconds / length, "MB": found.megabytes})
    return rows
