"""Averages over words, without loops.

Enters: token features (B, N, D) with word ids (B, N). Leaves: averages (B, N, D).
Legend: B utterances, N text tokens, W words, D features, Q codebooks.

Word ids count from 0 within an utterance, without gaps; padding is -1.
"""

import torch


def word_means(hidden: torch.Tensor, word_ids: torch.Tensor) -> torch.Tensor:
    """Give every token the mean of its word (paper, section 3.1.2).

    Args:
        hidden: Token features, (B, N, D).
        word_ids: Word of each token, (B, N), -1 at padding.

    Returns:
        (B, N, D); padding keeps its own features.
    """
    num_tokens = hidden.size(1)
    spare = torch.where(word_ids < 0, num_tokens, word_ids)  # padding -> last slot
    index = spare.unsqueeze(-1).expand_as(hidden)  # (B, N, D)
    sums = hidden.new_zeros(hidden.size(0), num_tokens + 1, hidden.size(2))
    sums = sums.scatter_add(1, index, hidden)  # (B, W slots, D)
    counts = hidden.new_zeros(sums.shape[:2])
    counts = counts.scatter_add(1, spare, torch.ones_like(spare, dtype=hidden.dtype))
    means = sums / counts.clamp(min=1.0).unsqueeze(-1)
    pooled = means.gather(1, index)  # (B, N, D)
    return torch.where((word_ids >= 0).unsqueeze(-1), pooled, hidden)


def word_starts(word_ids: torch.Tensor) -> torch.Tensor:
    """First token of every word.

    Args:
        word_ids: (B, N), -1 at padding.

    Returns:
        Boolean mask, (B, N).
    """
    before = torch.nn.functional.pad(word_ids, (1, 0), value=-1)[:, :-1]
    return (word_ids >= 0) & (word_ids != before)


def word_codes(
    codes: torch.Tensor, word_ids: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes of each word: those of its first token (TASTE.md, section 1).

    Args:
        codes: Token-level codes, (B, N, Q).
        word_ids: (B, N), -1 at padding.

    Returns:
        Word-level codes (B, W, Q), -1 at padding, and words per utterance (B,).
    """
    starts = word_starts(word_ids)
    lengths = starts.sum(dim=1)
    num_words = int(lengths.max())
    out = codes.new_full((codes.size(0), num_words, codes.size(2)), -1)
    batch = torch.arange(codes.size(0), device=codes.device)
    batch = batch.unsqueeze(1).expand_as(word_ids)
    out[batch[starts], word_ids[starts]] = codes[starts]
    return out, lengths


def token_codes(codes: torch.Tensor, word_ids: torch.Tensor) -> torch.Tensor:
    """Repeat each word's codes over its tokens, the inverse of ``word_codes``.

    Args:
        codes: Word-level codes, (B, W, Q).
        word_ids: (B, N), -1 at padding.

    Returns:
        (B, N, Q), -1 at padding.
    """
    index = word_ids.clamp(min=0).unsqueeze(-1).expand(-1, -1, codes.size(2))
    spread = codes.gather(1, index)  # (B, N, Q)
    return spread.masked_fill((word_ids < 0).unsqueeze(-1), -1)
