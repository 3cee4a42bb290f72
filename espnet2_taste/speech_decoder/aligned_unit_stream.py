"""Units of the aligned unit decoder while the words of an utterance arrive.

Enters: the words so far, with their vectors. Leaves: the units that no later word can
change, and the times of their words. With each word the text is laid out again, which
is cheap; convolutions over rows and the choice of units go on where they stopped.

What is final follows from how far the parts look ahead: a word's symbols, and with them
its duration and the silence before it, when ``LookAhead.symbols`` more symbols are
known; a unit when the durations of ``LookAhead.units`` more units are.

Legend: B utterances, W words, S = 2 W + 1 segments, U units, D features.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from espnet2_taste.speech_decoder import segments
from espnet2_taste.speech_decoder.abs_unit_decoder import (
    AbsUnitStream,
    GeneratedUnits,
    UnitInputs,
    UnitSettings,
)
from espnet2_taste.speech_decoder.spelling import Symbols
from espnet2_taste.speech_decoder.unit_history import WrittenUnits
from espnet2_taste.speech_decoder.unit_sampling import UtteranceNoise

if TYPE_CHECKING:
    from espnet2_taste.speech_decoder.aligned_unit_decoder import AlignedUnitDecoder


@dataclass(frozen=True)
class LaidOutUnits:
    """The units of a batch before they are written.

    Attributes:
        symbols: Of the texts.
        counts: Units of each segment, (B, S).
        seconds: Duration of each segment, (B, S).
        rows: What is known of each unit alone, (B, U, D).
        valid: False at padding, (B, U).
    """

    symbols: Symbols
    counts: torch.Tensor
    seconds: torch.Tensor
    rows: torch.Tensor
    valid: torch.Tensor

    def word_times(self) -> torch.Tensor:
        """Begin and end of each word in seconds, (B, W, 2), on the CPU."""
        return segments.times_of_words(self.seconds).cpu()

    def unit_times(self, settings: UnitSettings) -> torch.Tensor | None:
        """Begin and end of each unit (B, U, 2), on the CPU, if they are wanted."""
        if not settings.exact_times:
            return None
        return segments.times_of_units(self.counts, self.seconds).cpu()


def final_words(symbols: Symbols, after: int) -> int:
    """Words of a text, which may go on, whose encoded symbols no longer change.

    Args:
        symbols: Of one text.
        after: Symbols behind its own that an encoded symbol depends on.

    Returns:
        How many of its first words.
    """
    last = symbols.first[0] + (symbols.count[0] - 1).clamp(min=0)
    return int((last + after < symbols.lengths[0]).sum())


class AlignedUnitStream(AbsUnitStream):
    """See ``AbsUnitStream``.

    Args:
        decoder: In evaluation mode.
        name: Utterance id.
        seed: See ``AbsUnitDecoder.generate_units``.
        settings: How to choose.
    """

    def __init__(
        self,
        decoder: "AlignedUnitDecoder",
        name: str,
        seed: int,
        settings: UnitSettings,
    ):
        self.decoder = decoder
        self.name = name
        self.seed = seed
        self.settings = settings
        self.noise = UtteranceNoise.from_ids([name], seed)
        self.written: WrittenUnits | None = None
        self.words = self.units = 0  # that were given

    @torch.no_grad()
    def extend(self, inputs: UnitInputs, last: bool) -> GeneratedUnits:
        """See ``AbsUnitStream.extend``."""
        decoder = self.decoder
        laid = decoder.lay_out(inputs, [self.name], self.seed, self.settings)
        words, known = int(laid.symbols.words[0]), laid.rows.size(1)
        if not last:
            words = final_words(laid.symbols, decoder.text_stack.after)
            known = int(laid.counts[0, : 2 * words].sum())
        word_times = laid.word_times()[0, self.words : words]
        unit_times, given = laid.unit_times(self.settings), self.units
        self.words = words
        units, prosody = self._write(laid.rows[:, :known], last)
        if unit_times is not None:
            unit_times = unit_times[0, given : self.units]
        return GeneratedUnits(units.cpu(), word_times, prosody, unit_times)

    def _write(
        self, rows: torch.Tensor, last: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """New units (U',) of all rows (1, U, D) whose durations are final.

        Their prosody (U', 3) with them, if it is wanted.
        """
        history, stack = self.decoder.history, self.decoder.row_stack
        seen = rows.size(1) - (0 if last else stack.after)
        stop = seen - (0 if last else history.after)
        if stop <= self.units:
            return torch.empty(0, dtype=torch.int64), None
        first = max(0, self.units - history.before)
        begin = max(0, first - stack.before)
        valid = torch.ones(1, rows.size(1), dtype=torch.bool, device=rows.device)
        hidden = stack(rows[:, begin:], valid[:, begin:])[:, first - begin :]
        hidden = hidden[:, : seen - first]
        self.written = self.written or history.start(rows)
        place = slice(self.units - first, stop - first)
        units = history.write(
            hidden,
            valid[:, first:seen],
            place,
            self.written,
            self.settings.sampler,
            self.noise,
        )
        self.units = stop
        prosody = self.decoder.prosody_of(hidden[:, place], self.settings)
        return units[0], None if prosody is None else prosody[0]
