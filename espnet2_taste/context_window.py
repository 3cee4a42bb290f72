"""Work on a sequence while it arrives, where each position needs some neighbours.

Enters: the next positions of a sequence. Leaves: the positions that can be worked on
now, with their neighbours. What no later position needs is forgotten, so that time and
memory of a step do not grow with the length of the sequence.

Legend: T positions that are kept.
"""

import torch


class ContextWindow:
    """What is still needed of a sequence.

    Args:
        before: Positions before its own that a position needs.
        after: Positions behind it.
        patience: Most positions that are waited for, where few at a time cost more than
            many: half as many as were given before, so that the first ones come soon
            and a listener does not wait for the others.
        first: Fewest positions that are worked on at first, where fewer are of no use.
    """

    def __init__(self, before: int, after: int, patience: int = 0, first: int = 0):
        self.before, self.after, self.patience = before, after, patience
        self.first = first
        self.rows: tuple[torch.Tensor, ...] = ()
        self.done = 0  # of the kept positions
        self.given = 0  # in all

    def extend(
        self, *rows: torch.Tensor, last: bool = False
    ) -> tuple[tuple[torch.Tensor, ...], slice]:
        """Take more positions.

        Args:
            *rows: One or more sequences that belong together, (T', ...) each; none at
                all are no more positions.
            last: Whether they end with these.

        Returns:
            What is kept of the sequences, (T, ...) each, and which of its positions
            have their neighbours now and were not given yet, perhaps none.
        """
        if self.rows and rows:
            rows = tuple(torch.cat(pair) for pair in zip(self.rows, rows, strict=True))
        rows = rows or self.rows
        size = len(rows[0]) if rows else 0
        ready = max(self.done, size - (0 if last else self.after))
        least = min(self.patience, self.given // 2) if self.given else self.first
        if not last and ready - self.done < least:
            ready = self.done
        self.given += ready - self.done
        place, dropped = slice(self.done, ready), max(0, ready - self.before)
        self.rows, self.done = tuple(x[dropped:] for x in rows), ready - dropped
        return rows, place
