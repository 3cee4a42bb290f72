"""Symbols of a text: the letters of its tokens, or the tokens, word by word.

Enters: token ids (B, N), the word of each token, and how tokens are spelled. Leaves:
symbols (B, C) with a border before each word and one at the end, and where the symbols
of each word are (B, W). Later: encoded symbols (B, C, D), spread evenly over the units
of their word (B, U, D).

Legend: B utterances, N text tokens, V vocabulary, W words, C symbols, L letters of a
token, U units, D features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.masks import length_mask
from espnet2_taste.speech_decoder.segments import UnitRows

BORDER = 0
"""Symbol between words."""


@dataclass(frozen=True)
class Symbols:
    """Symbols of a batch of texts.

    Attributes:
        ids: (B, C), ``BORDER`` between words and at padding.
        word: Word of each symbol, -1 at borders and padding, (B, C).
        first: Place of the first symbol of each word, (B, W); a word without symbols
            points to the border behind it.
        count: Symbols of each word, (B, W).
        words: Words of each text, (B,).
        lengths: Symbols of each text, borders included, (B,).
    """

    ids: torch.Tensor
    word: torch.Tensor
    first: torch.Tensor
    count: torch.Tensor
    words: torch.Tensor
    lengths: torch.Tensor

    @property
    def valid(self) -> torch.Tensor:
        """False at padding, (B, C)."""
        return length_mask(self.lengths, self.ids.size(1))


def spelling_table(token_bytes: Sequence[bytes]) -> torch.Tensor:
    """Letters of each token as numbers.

    Args:
        token_bytes: UTF-8 of the V tokens, without marks of a word's beginning; empty
            for tokens that are not spoken.

    Returns:
        Bytes in lower case plus 1, 0 behind the last one, (V, L); 255 for both bytes
        that UTF-8 does not have. Of a type that processes of a training can exchange.
    """
    rows = [
        torch.tensor(list(token.lower()), dtype=torch.int16) for token in token_bytes
    ]
    table = pad_sequence(rows, batch_first=True, padding_value=-1) + 1
    return table.clamp(max=255).to(torch.uint8)


def lay_out(letters: torch.Tensor, word_ids: torch.Tensor) -> Symbols:
    """Put the letters of the tokens in a row, with borders between words.

    Args:
        letters: Letters of each token, 0 behind its last one, (B, N, L).
        word_ids: Word of each token, -1 at padding, (B, N).

    Returns:
        The symbols.
    """
    batch, _, longest = letters.shape
    real = (letters > 0) & (word_ids >= 0).unsqueeze(-1)
    real, flat = real.flatten(1), letters.flatten(1).long()
    owner = word_ids.unsqueeze(-1).expand(-1, -1, longest).flatten(1)  # (B, N L)
    words = word_ids.amax(1) + 1  # (B,)
    lengths = real.sum(1) + words + 1
    width, size = int(words.max()), int(lengths.max())
    place = real.cumsum(1) + owner  # before it: letters, and a border for each word
    spare = size  # letters that are not there go to one more column
    place = torch.where(real, place, spare)
    ids = flat.new_full((batch, size + 1), BORDER).scatter(1, place, flat)
    word = flat.new_full((batch, size + 1), -1).scatter(1, place, owner)
    count = flat.new_zeros(batch, width)
    count.scatter_add_(1, owner.clamp(min=0), real.long())
    index = torch.arange(width, device=flat.device)
    first = count.cumsum(1) - count + index + 1
    first = torch.minimum(first, lengths.unsqueeze(1) - 1)
    return Symbols(ids[:, :size], word[:, :size], first, count, words, lengths)


def places_of_rows(
    symbols: Symbols, rows: UnitRows
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Between which two symbols each unit lies.

    The symbols of a word are spread evenly over its units. A silence is at the border
    before the next word.

    Args:
        symbols: Of B texts.
        rows: Of the same utterances.

    Returns:
        Place of the symbol before, place of the symbol after, weight of the latter,
        all (B, U).
    """
    word = rows.word.clamp(min=0)
    count = symbols.count.gather(1, word).clamp(min=1)
    offset = (rows.phase * count - 0.5).clamp(min=0)
    offset = torch.minimum(offset, count - 1.0)
    first = symbols.first.gather(1, word)
    left = offset.floor().long()
    right = torch.minimum(left + 1, count - 1)
    last = symbols.lengths.unsqueeze(1) - 1
    following = rows.segment // 2  # word behind a silence
    ahead = following.clamp(max=symbols.first.size(1) - 1)
    inside = following < symbols.words.unsqueeze(1)
    border = torch.where(inside, symbols.first.gather(1, ahead) - 1, last)
    left = torch.where(rows.silent, border, first + left)
    right = torch.where(rows.silent, border, first + right)
    return left, right, (offset - offset.floor()) * ~rows.silent


def spread(encoded: torch.Tensor, symbols: Symbols, rows: UnitRows) -> torch.Tensor:
    """Encoded symbols at the rate of the units.

    Args:
        encoded: (B, C, D).
        symbols: Of the same texts.
        rows: Of the same utterances.

    Returns:
        (B, U, D), between two symbols their weighted mean.
    """
    return between(encoded, *places_of_rows(symbols, rows))


def between(
    encoded: torch.Tensor, left: torch.Tensor, right: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Rows of (B, C, D) at places left and right (B, U), the latter by weight."""

    def at(places: torch.Tensor) -> torch.Tensor:
        index = places.unsqueeze(-1).expand(-1, -1, encoded.size(-1))
        return encoded.gather(1, index)

    return torch.lerp(at(left), at(right), weight.unsqueeze(-1).to(encoded))


def spread_parts(parts: torch.Tensor, rows: UnitRows) -> torch.Tensor:
    """What is known of equal parts of the words, at the rate of the units.

    Args:
        parts: P rows for each word, (B, W, P, D).
        rows: Of the same utterances.

    Returns:
        (B, U, D), between the middles of two parts their weighted mean; in a silence
        that of the word before.
    """
    last = parts.size(2) - 1
    offset = (rows.phase * (last + 1) - 0.5).clamp(0, last)
    first = rows.word.clamp(min=0) * (last + 1)
    left = offset.floor().long()
    right = (left + 1).clamp(max=last)
    return between(parts.flatten(1, 2), first + left, first + right, offset - left)


def sum_words(values: torch.Tensor, word_ids: torch.Tensor, words: int) -> torch.Tensor:
    """Sum of the rows of each word.

    Args:
        values: (B, C, D).
        word_ids: Word of each row, -1 for none, (B, C).
        words: W.

    Returns:
        (B, W, D).
    """
    index = torch.where(word_ids < 0, words, word_ids)
    index = index.unsqueeze(-1).expand_as(values)
    sums = values.new_zeros(len(values), words + 1, values.size(-1))
    return sums.scatter_add(1, index, values)[:, :words]
