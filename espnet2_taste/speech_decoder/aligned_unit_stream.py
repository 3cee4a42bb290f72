"""Units of the aligned unit decoder while the words of an utterance arrive.

Enters: new words, with their vectors. Leaves: the units that no later word can change,
and the times of their words. With each word the last few words are laid out again, as
far as they depend on each other; convolutions over rows and the choice of units go on
where they stopped. A word takes the same time wherever it stands.

What is final follows from how far the parts look ahead: a word's symbols, and with them
its duration and the silence before it, when ``LookAhead.symbols`` more symbols are
known; a unit when the durations of ``LookAhead.units`` more units are.

Legend: B utterances, W words, S = 2 W + 1 segments, U units, D features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from espnet2_taste.context_window import ContextWindow
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

    def from_word(self, word: int) -> "LaidOutUnits":
        """Without the units of the words before one; the symbols stay. B = 1."""
        units = int(self.counts[0, : 2 * word].sum())
        return LaidOutUnits(
            self.symbols,
            self.counts[:, 2 * word :],
            self.seconds[:, 2 * word :],
            self.rows[:, units:],
            self.valid[:, units:],
        )

    def word_times(self, begin: torch.Tensor | None = None) -> torch.Tensor:
        """Begin and end of each word in seconds, (B, W, 2), on the CPU.

        The first segment begins at a time (B, 1), or at 0.
        """
        return segments.times_of_words(self.seconds, begin).cpu()

    def unit_times(
        self, settings: UnitSettings, begin: torch.Tensor | None = None
    ) -> torch.Tensor | None:
        """Begin and end of each unit (B, U, 2), on the CPU, if they are wanted."""
        if not settings.exact_times:
            return None
        return segments.times_of_units(self.counts, self.seconds, begin).cpu()


def duration_noise(names: Sequence[str], seed: int) -> UtteranceNoise:
    """Random numbers of the durations, three a word and two more."""
    return UtteranceNoise.from_ids([f"{name} durations" for name in names], seed)


def duration_numbers(words: int) -> int:
    """How many of them so many words need."""
    return 3 * words + 2


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


def first_needed(symbols: Symbols, done: int, before: int) -> int:
    """The first word that later words depend on, if only as part of a text.

    Args:
        symbols: Of one text.
        done: Its first words whose units are known.
        before: Symbols before its own that an encoded symbol depends on.

    Returns:
        Its index: the silence behind the last word that is done depends on that word,
        whose symbols depend on those before it. Each word has a border before it.
    """
    if done == 0:
        return 0
    begins = symbols.first[0] - 1
    near = begins <= symbols.first[0, done - 1] - before
    return min(max(0, int(near.sum()) - 1), done - 1)


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
        self.settings = settings
        self.noise = UtteranceNoise.from_ids([name], seed)
        self.duration_noise = duration_noise([name], seed)
        self.drawn = torch.empty(1, 0)  # from the duration noise, for the kept words
        self.inputs: UnitInputs | None = None  # of the words that are kept
        self.done = 0  # of these words
        self.begin: torch.Tensor | None = None  # of what is not, in seconds, (1, 1)
        self.times = torch.empty(0, 2)  # of units that are not written yet
        stack, history = decoder.row_stack, decoder.history
        self.rows = ContextWindow(stack.before, stack.after)
        self.hidden = ContextWindow(history.before, history.after)
        self.written: WrittenUnits | None = None

    @torch.no_grad()
    def extend(self, inputs: UnitInputs) -> GeneratedUnits:
        """See ``AbsUnitStream.extend``."""
        kept = self.inputs
        self.inputs = inputs if kept is None else kept.followed_by(inputs)
        return self._next(last=False)

    @torch.no_grad()
    def finish(self) -> GeneratedUnits:
        """See ``AbsUnitStream.finish``."""
        return self._next(last=True)

    def _next(self, last: bool) -> GeneratedUnits:
        """What the words so far make final."""
        decoder = self.decoder
        laid = decoder.lay_out(self.inputs, self._drawn(), self.settings)
        words = int(laid.symbols.words[0])
        if not last:
            words = max(self.done, final_words(laid.symbols, decoder.text_stack.after))
        count, new, begin = words - self.done, laid.from_word(self.done), self.begin
        final = new.counts.size(1) if last else 2 * count  # segments
        stop = int(new.counts[0, :final].sum())
        units, prosody, mixture = self._write(new.rows[0, :stop], last)
        self.begin = segments.borders(new.seconds, begin)[:, final : final + 1]
        self._keep(laid.symbols, words)
        return GeneratedUnits(
            units.cpu(),
            new.word_times(begin)[0, :count],
            prosody,
            self._unit_times(new.unit_times(self.settings, begin), stop, len(units)),
            None if mixture is None else mixture.cpu(),
        )

    def _unit_times(
        self, times: torch.Tensor | None, known: int, written: int
    ) -> torch.Tensor | None:
        """Times (U', 2) of units that were written now.

        Args:
            times: Of units that were laid out, (1, U, 2), if they are wanted.
            known: How many of them are final now.
            written: U'.
        """
        if times is None:
            return None
        whole = torch.cat([self.times, times[0, :known]])
        self.times = whole[written:]
        return whole[:written]

    def _drawn(self) -> torch.Tensor | None:
        """Random numbers for the durations of the words that are kept."""
        if self.settings.duration_temperature == 0:
            return None
        count = duration_numbers(int(self.inputs.word_ids.max()) + 1)
        more = self.duration_noise.numbers(count - self.drawn.size(1))
        self.drawn = torch.cat([self.drawn, more], dim=1)
        return self.drawn

    def _keep(self, symbols: Symbols, words: int) -> None:
        """Forget what the words behind the first ones do not depend on."""
        needed = first_needed(symbols, words, self.decoder.text_stack.before)
        self.inputs = self.inputs.from_word(needed)
        self.drawn = self.drawn[:, 3 * needed :]
        self.done = words - needed

    def _write(
        self, rows: torch.Tensor, last: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """New units (U',) when further rows (U'', D) have final durations.

        With them their prosody (U', 3) and mixtures (U', K), if these are wanted.
        """
        stack, history = self.decoder.row_stack, self.decoder.history
        self.written = self.written or history.start(rows[None, :0])
        (known,), place = self.rows.extend(rows, last=last)
        hidden = known[place]
        if len(hidden):
            valid = torch.ones(1, len(known), dtype=torch.bool, device=rows.device)
            hidden = stack(known[None], valid)[0, place]
        (hidden,), place = self.hidden.extend(hidden, last=last)
        if place.start == place.stop:
            return torch.empty(0, dtype=torch.int64), None, None
        hidden, settings = hidden[None], self.settings
        valid = torch.ones(hidden.shape[:2], dtype=torch.bool, device=rows.device)
        before = (self.written, settings, self.noise)
        units, mixture = history.write(hidden, valid, place, *before)
        prosody = self.decoder.prosody_of(hidden[:, place], settings)
        return units[0], *(None if x is None else x[0] for x in (prosody, mixture))
