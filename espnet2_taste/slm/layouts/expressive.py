"""Spirit LM Expressive: pitch and style tokens merged into the units by time.

::

    [SPEECH] s1 u1 p1 u2 u3 p2 u4 s2 ..

Within a span the streams are sorted by time; at the same time style comes before the
unit and the unit before pitch. A span begins with what lasts from before it, so with
all three. Units and pitch are deduplicated, style (1 Hz) is not. What the style stream
is made of is the data's business, and a row's label must say it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby

from espnet2_taste.slm.layouts.interleave import (
    TEXT_TAG,
    InterleaveLayout,
    InterleaveState,
)
from espnet2_taste.slm.layouts.streams import END, UNIT
from espnet2_taste.slm.layouts.utterance import Utterance

PITCH, STYLE = "pitch", "style"
ORDER = (STYLE, UNIT, PITCH)
"""Of tokens that begin at the same time, and of the beginning of a span."""
AFTERWARDS = frozenset((*ORDER, TEXT_TAG, END))


@dataclass(frozen=True)
class ExpressiveState(InterleaveState):
    """State of the grammar inside a speech span.

    Attributes:
        opening: Kinds that the span must still begin with, in their order.
        unit: Unit written last in the span, or none.
        pitch: Pitch written last in the span, or none.
    """

    opening: tuple[str, ...] = ()
    unit: frozenset[int] = frozenset()
    pitch: frozenset[int] = frozenset()


def values_between(
    tokens: tuple[int, ...], rate: float, first: float, last: float
) -> list[tuple[float, int]]:
    """Tokens that sound between two times, with the time where each begins.

    The last token lasts as long as it must.

    Args:
        tokens: One every ``1 / rate`` seconds, at least one.
        rate: Tokens a second.
        first: Seconds.
        last: Seconds, more than ``first``.

    Returns:
        Time and token, in order; at least one.

    Example:
        >>> values_between((5, 6, 7), 1.0, 0.5, 2.0)
        [(0.5, 5), (1.0, 6)]
    """
    rounding = 1e-6
    begin = min(int(first * rate + rounding), len(tokens) - 1)
    end = max(-int((rounding - last * rate) // 1), begin + 1)
    inside = range(begin, min(end, len(tokens)))
    return [(max(index / rate, first), tokens[index]) for index in inside]


def first_of_runs(items: Iterable[tuple[float, int]]) -> list[tuple[float, int]]:
    """Leave the first of each run of equal tokens, with its time."""
    return [next(run) for _, run in groupby(items, key=lambda item: item[1])]


class ExpressiveLayout(InterleaveLayout):
    """Spans of text, and of units with pitch and style."""

    needs = frozenset(("word_times", PITCH, STYLE))

    def speech_kinds(self):
        """See :meth:`InterleaveLayout.speech_kinds`."""
        inventory = self.inventory
        if not (inventory.pitch and inventory.style):
            raise ValueError(
                "layout 'expressive' needs pitch and style tokens, found an inventory "
                f"of {inventory.pitch} and {inventory.style}: extract them and set "
                "num_pitch and num_style"
            )
        sizes = {STYLE: inventory.style, UNIT: inventory.units, PITCH: inventory.pitch}
        return tuple((kind, sizes[kind]) for kind in ORDER)

    def speech_span(self, utterance: Utterance, first: int, last: int) -> list[int]:
        """See :meth:`InterleaveLayout.speech_span`."""
        if not (utterance.pitch and utterance.style):
            raise ValueError(
                f"expected pitch and style tokens, found {len(utterance.pitch)} and "
                f"{len(utterance.style)}: extract them for this set"
            )
        rate = utterance.unit_rate
        span = (first / rate, last / rate)
        units = [(f / rate, utterance.units[f][0]) for f in range(first, last)]
        pitch = values_between(utterance.pitch, utterance.pitch_rate, *span)
        streams = {
            STYLE: values_between(utterance.style, utterance.style_rate, *span),
            UNIT: first_of_runs(units),
            PITCH: first_of_runs(pitch),
        }
        merged = [
            (time, order, self.stream.id(kind, token))
            for order, kind in enumerate(ORDER)
            for time, token in streams[kind]
        ]
        return [ident for *_, ident in sorted(merged)]

    def decode(self, ids, tail=()):
        """See :meth:`InterleaveLayout.decode`; pitch and style as they were written."""
        tokens = {
            kind: tuple(
                self.stream.index(kind, ident)
                for ident in ids[:, 0].tolist()
                if self.stream.is_kind(kind, ident)
            )
            for kind in (PITCH, STYLE)
        }
        return replace(super().decode(ids), **tokens)

    def open_speech(self):
        """See :meth:`InterleaveLayout.open_speech`: style, unit, pitch must follow."""
        kinds = frozenset(ORDER[:1])
        return ExpressiveState(kinds, begun=True, opening=ORDER[1:])

    def advance_speech(self, state, ident):
        """See :meth:`InterleaveLayout.advance_speech`."""
        unit, pitch = state.unit, state.pitch
        if self.stream.is_kind(UNIT, ident):
            unit = frozenset((ident,))
        if self.stream.is_kind(PITCH, ident):
            pitch = frozenset((ident,))
        kinds = frozenset(state.opening[:1]) or AFTERWARDS
        return ExpressiveState(
            kinds, unit | pitch, True, False, state.opening[1:], unit, pitch
        )
