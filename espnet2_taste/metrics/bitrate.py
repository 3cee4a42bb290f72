"""How many bits a second the codes cost, counted in the data.

Enters: the codes of a set (one (W, Q) array an utterance), the seconds they stand for
and the size of the codebooks. Leaves: tokens per second, bits per token and second,
once as stored (log2 K a code) and once as used (empirical entropy, an ideal coder's
lower bound). The text that travels with TASTE codes is counted apart: published
rates of about 150 bit/s include it (36 bits of codes + 15.66 of text, 3 tokens/s).

Legend: W words, Q codebooks, K codes.
"""

from collections.abc import Sequence

import numpy as np


def entropy_bits(codes: np.ndarray) -> float:
    """Empirical entropy of codes, (n,) -> bits a code; -1 (no code) is left out."""
    codes = np.asarray(codes)
    _, counts = np.unique(codes[codes >= 0], return_counts=True)
    if not len(counts):
        return 0.0
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def measure_bitrate(
    codes: Sequence[np.ndarray],
    seconds: float,
    codebook_size: int,
    text_tokens: int = 0,
    text_vocab_size: int = 1,
) -> dict[str, float]:
    """Count bits.

    Args:
        codes: Codes of each utterance, (W, Q) each.
        seconds: Length of the recordings together.
        codebook_size: K.
        text_tokens: Text tokens that travel along.
        text_vocab_size: Size of their vocabulary.

    Returns:
        ``seconds`` of speech, ``tokens`` (code rows, one a word) and
        ``tokens_per_second``; ``bits_per_token`` (Q log2 K) and ``bits_per_second`` of
        the codes as stored; ``entropy_bits_per_token`` (sum over codebooks of the
        entropy of their codes) and ``entropy_bits_per_second``;
        ``text_bits_per_second`` of the text tokens at log2 V each, not part of the
        others.

    Raises:
        ValueError: There are no codes, no seconds, or codes beyond the codebook.
    """
    if not codes or seconds <= 0:
        raise ValueError(
            f"expected codes and their length in seconds, found {len(codes)} "
            f"utterances and {seconds} s"
        )
    rows = np.concatenate([np.asarray(item, dtype=np.int64) for item in codes])
    if rows.max(initial=0) >= codebook_size:
        raise ValueError(
            f"code {rows.max()} is outside a codebook of {codebook_size}; "
            "codes and quantizer come from different models"
        )
    bits = rows.shape[1] * np.log2(codebook_size)
    entropy = sum(entropy_bits(column) for column in rows.T)
    rate = len(rows) / seconds
    return {
        "seconds": float(seconds),
        "tokens": len(rows),
        "tokens_per_second": rate,
        "bits_per_token": float(bits),
        "bits_per_second": float(bits * rate),
        "entropy_bits_per_token": entropy,
        "entropy_bits_per_second": entropy * rate,
        "text_bits_per_second": float(text_tokens * np.log2(text_vocab_size) / seconds),
    }
