"""Words among rows, as the golden tensors have them: where they begin, and back."""

import torch

from espnet2_taste.masks import length_mask

IGNORE = -1


def word_start_mask(word_ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Mark the first token of every word.

    Args:
        word_ids: Word of each token, equal within a word, (B, N); padding is ignored.
        lengths: Valid tokens, (B,).

    Returns:
        Mask, (B, N) bool.
    """
    changes = torch.ones_like(word_ids, dtype=torch.bool)
    changes[:, 1:] = word_ids[:, 1:] != word_ids[:, :-1]
    return changes & length_mask(lengths, word_ids.size(1))


def word_starts(
    word_ids: torch.Tensor, lengths: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Find the token where each word begins.

    Args:
        word_ids: Word of each token, (B, N).
        lengths: Valid tokens, (B,).

    Returns:
        Position of the first token of each word, (B, W), ``IGNORE`` after the last
        word, and the number of words of each utterance, (B,).
    """
    mask = word_start_mask(word_ids, lengths)
    num_words = mask.sum(dim=1)
    width = int(num_words.max()) if num_words.numel() else 0
    positions = torch.arange(word_ids.size(1), device=word_ids.device)
    ordered = torch.where(mask, positions, word_ids.size(1)).sort(dim=1).values
    starts = ordered[:, :width]  # (B, N) -> (B, W)
    return starts.masked_fill(~length_mask(num_words, width), IGNORE), num_words


def place_words(positions: torch.Tensor, num_rows: int) -> torch.Tensor:
    """Write the index of each word at its row.

    Args:
        positions: Row of each word, (B, W), ``IGNORE`` for no word.
        num_rows: L.

    Returns:
        Word index at each row, (B, L), ``IGNORE`` elsewhere.
    """
    batch, width = positions.shape
    rows = positions.new_full((batch, num_rows + 1), IGNORE)
    target = torch.where(positions == IGNORE, num_rows, positions)
    index = torch.arange(width, device=positions.device).expand(batch, width)
    return rows.scatter(1, target, index)[:, :num_rows]


def unplace_words(word_labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Find the row of each word: the inverse of :func:`place_words`.

    Args:
        word_labels: Word index at each row, (B, L), ``IGNORE`` elsewhere.

    Returns:
        Row of each word, (B, W), ``IGNORE`` after the last, and the number of words
        of each utterance, (B,).
    """
    mask = word_labels != IGNORE
    num_words = mask.sum(dim=1)
    width = int(num_words.max()) if num_words.numel() else 0
    positions = word_labels.new_full((word_labels.size(0), width + 1), IGNORE)
    rows = torch.arange(word_labels.size(1), device=word_labels.device)
    target = torch.where(mask, word_labels, width)
    positions = positions.scatter(1, target, rows.expand_as(word_labels))
    return positions[:, :width], num_words


def fill_forward(placed: torch.Tensor) -> torch.Tensor:
    """Repeat each entry until the next one.

    Args:
        placed: Values at some rows, (B, L), ``IGNORE`` elsewhere.

    Returns:
        Filled values, (B, L); ``IGNORE`` before the first entry.
    """
    rows = torch.arange(placed.size(1), device=placed.device)
    last = torch.where(placed == IGNORE, IGNORE, rows).cummax(dim=1).values
    filled = placed.gather(1, last.clamp(min=0))
    return torch.where(last == IGNORE, IGNORE, filled)


def gather_words(values: torch.Tensor, words: torch.Tensor, fill) -> torch.Tensor:
    """Bring word-level values to rows.

    Args:
        values: One entry a word, (B, W, X).
        words: Word of each row, (B, L), ``IGNORE`` for none.
        fill: Value for rows without a word; broadcast to (X,).

    Returns:
        Row-level values, (B, L, X).
    """
    index = words.clamp(min=0)[..., None].expand(-1, -1, values.size(-1))
    if values.size(1) == 0:
        rows = values.new_zeros(*words.shape, values.size(-1))
    else:
        rows = values.gather(1, index)  # (B, W, X) -> (B, L, X)
    return torch.where((words == IGNORE)[..., None], fill, rows)
