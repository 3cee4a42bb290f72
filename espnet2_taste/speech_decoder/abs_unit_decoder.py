"""What every unit decoder offers: losses in training, units in generation.

Enters: text (B, N) with the word of each token, TASTE vectors (B, N, D) or None,
speaker embeddings (B, E), word times (B, W, 2) where they are known, and units (B, U)
in training. Leaves: logits with their targets and further losses; or generated units,
with the times of their words if the decoder knows them. Nothing outside of this folder
asks which decoder it has.

Legend: B utterances, N text tokens, W words, U units, K classes, E speaker features,
D features.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional

from espnet2_taste.speech_decoder.reading_window import ReadingWindow
from espnet2_taste.speech_decoder.unit_sampling import (
    AbsUnitSampler,
    LengthRule,
    TopKSampler,
)

USUAL_WORD = 0.4
"""Seconds, with the silence around it."""
USUAL_SYMBOLS = 5
"""Four letters and the border before them."""


@dataclass(frozen=True)
class UnitInputs:
    """What a unit decoder reads.

    Attributes:
        text: Token ids, any value at padding, (B, N).
        text_lengths: (B,).
        word_ids: Word of each token, -1 at padding, (B, N).
        taste: TASTE vectors, (B, N, D); None leaves the text alone.
        spembs: (B, E).
        word_times: Begin and end of each word in seconds, (B, W, 2); None where they
            are not known.
        seconds: Length of each utterance, (B,); None where it is not known.
        prosody: In training, what ``prosody.py`` measures of each unit, (B, U, 3);
            None where it is not known.
    """

    text: torch.Tensor
    text_lengths: torch.Tensor
    word_ids: torch.Tensor
    taste: torch.Tensor | None
    spembs: torch.Tensor
    word_times: torch.Tensor | None = None
    seconds: torch.Tensor | None = None
    prosody: torch.Tensor | None = None

    def followed_by(self, more: "UnitInputs") -> "UnitInputs":
        """One utterance without times and the words that it goes on with."""
        word_ids = more.word_ids + 1 + self.word_ids[:, -1:]
        taste = None
        if self.taste is not None and more.taste is not None:
            taste = torch.cat([self.taste, more.taste], 1)
        return UnitInputs(
            torch.cat([self.text, more.text], 1),
            self.text_lengths + more.text_lengths,
            torch.cat([self.word_ids, word_ids], 1),
            taste,
            self.spembs,
        )

    def from_word(self, word: int) -> "UnitInputs":
        """One utterance without times and without the words before this one."""
        first = int((self.word_ids < word).sum())
        return UnitInputs(
            self.text[:, first:],
            self.text_lengths - first,
            self.word_ids[:, first:] - word,
            None if self.taste is None else self.taste[:, first:],
            self.spembs,
        )


@dataclass(frozen=True)
class UnitScores:
    """Teacher-forced predictions of given units.

    Attributes:
        logits: Row t for unit t, and more rows if the decoder predicts an end,
            (B, U or more, K or more).
        targets: What the rows are to predict, -1 behind the end, (B, U or more).
        alignment: Loss that pulls attention to the words being said, scalar; zero for
            decoders that attend to no text.
        durations: Loss of the durations of words and silences, scalar; zero for
            decoders that predict none.
        prosody: Loss of pitch, voicing and loudness of the units, scalar; zero for
            decoders that predict none.
    """

    logits: torch.Tensor
    targets: torch.Tensor
    alignment: torch.Tensor
    durations: torch.Tensor
    prosody: torch.Tensor


@dataclass(frozen=True)
class GeneratedUnits:
    """Units of one utterance.

    Attributes:
        units: (U,) int64, on the CPU.
        word_times: Begin and end of each word in seconds, (W, 2), on the CPU; None
            if the decoder does not know them.
        prosody: Of each unit as in ``prosody.py``, (U, 3), on the CPU; None if the
            decoder predicts none or was asked for none.
        times: Begin and end of each unit in seconds, (U, 2), on the CPU; None where
            all units are equally long.
        mixture: What a vocoder is to speak in the place of each unit: shares of all
            units, (U, K), on the CPU; None where nothing is mixed.
    """

    units: torch.Tensor
    word_times: torch.Tensor | None = None
    prosody: torch.Tensor | None = None
    times: torch.Tensor | None = None
    mixture: torch.Tensor | None = None

    def behind(self, first: torch.Tensor) -> "GeneratedUnits":
        """The units alone, mixed as they are, behind given ones (U',)."""
        mixture = self.mixture
        if mixture is not None:
            known = functional.one_hot(first, mixture.size(1)).to(mixture)
            mixture = torch.cat([known, mixture])
        return GeneratedUnits(torch.cat([first, self.units]), mixture=mixture)


@dataclass(frozen=True)
class UnitSettings:
    """How units are generated; a decoder reads what concerns it.

    Attributes:
        sampler: Chooses the next unit.
        length_rule: Fewest and most units, for decoders that predict an end.
        window: Keeps attention near the word being said; None leaves it free.
        duration_temperature: Factor of the deviation of predicted durations; 0 takes
            their centre.
        tempo: Factor of the speed of predicted durations.
        use_prosody: Whether to give prosody, from a decoder that predicts it.
        exact_times: Whether words are as long as predicted or given, so that units
            have times of their own, from a decoder that knows them; otherwise
            durations are rounded to whole units.
        mixing: Temperature of the probabilities by which units are mixed for the
            vocoder, from a decoder with ``mixes_units``; 0 leaves them as chosen.

    Raises:
        ValueError: A temperature below 0 or a tempo that is not above 0.
    """

    sampler: AbsUnitSampler = field(default_factory=TopKSampler)
    length_rule: LengthRule = field(default_factory=LengthRule)
    window: ReadingWindow | None = None
    duration_temperature: float = 0.0
    tempo: float = 1.0
    use_prosody: bool = True
    exact_times: bool = False
    mixing: float = 0.0

    def __post_init__(self):
        if min(self.duration_temperature, self.mixing) < 0 or self.tempo <= 0:
            raise ValueError(
                "expected duration_temperature >= 0, unit_mixing >= 0 and tempo > 0, "
                f"got {self.duration_temperature}, {self.mixing} and {self.tempo}"
            )


@dataclass(frozen=True)
class LookAhead:
    """What must be known behind a unit before it is final.

    Attributes:
        symbols: Letters or tokens behind the word of the unit; a border between words
            counts as one.
        units: Units.
        unit_rate: Units a second.
    """

    symbols: int
    units: int
    unit_rate: float

    def words(self, context: int = 0) -> int:
        """The same in words of usual length, ``USUAL_WORD`` and ``USUAL_SYMBOLS``.

        Args:
            context: Further units that are waited for, of a vocoder.

        Returns:
            How many words must be known behind that of a unit, wherever it is in it:
            those that the units behind it are in, and those that their durations need.
        """
        seconds = (self.units + context) / self.unit_rate
        symbols = max(0, self.symbols - 1)  # there is a border behind the last word
        return math.ceil(seconds / USUAL_WORD) + math.ceil(symbols / USUAL_SYMBOLS)


class AbsUnitStream(ABC):
    """Gives the units of one utterance while its words arrive.

    What :meth:`extend` and :meth:`finish` give is together what
    ``AbsUnitDecoder.generate_units`` gives for all words at once.
    """

    @abstractmethod
    def extend(self, inputs: UnitInputs) -> GeneratedUnits:
        """Take more words.

        Args:
            inputs: The new words alone, B = 1, without word times.

        Returns:
            The units that are final and were not given yet, perhaps none; the times of
            the words that are final and were not given yet, (W', 2), from the begin of
            the utterance, or None if the decoder does not know them.
        """

    @abstractmethod
    def finish(self) -> GeneratedUnits:
        """Likewise, when there are no more words."""


class AbsUnitDecoder(nn.Module, ABC):
    """Text and TASTE vectors to speech units.

    A constructor takes ``vocab_size`` and ``taste_size``, what it needs of ``fusion``,
    ``text_input`` and ``unit_history``, and its options; ``num_units``, ``spembs_size``
    and, if it takes that, ``unit_rate`` come from the unit directory.

    Attributes:
        num_units: Unit classes K.
        spembs_size: E.
        vocab_size: Text tokens.
        spembs_dropout: Probability that the speaker is hidden in training.
        mixes_units: Whether it can give mixtures of units.
    """

    num_units: int
    spembs_size: int
    vocab_size: int
    spembs_dropout: float = 0.0
    mixes_units: bool = False

    def voice(self, spembs: torch.Tensor) -> torch.Tensor:
        """Speaker embeddings (B, E) of length one, in training some of them hidden."""
        unit_norm = functional.normalize(spembs, dim=1)
        if self.training and self.spembs_dropout > 0:
            kept = torch.rand(len(spembs), 1, device=spembs.device)
            unit_norm = unit_norm * (kept >= self.spembs_dropout)
        return unit_norm

    @property
    def look_ahead(self) -> LookAhead | None:
        """How far a unit depends on what follows; None: on the whole text."""
        return None

    @property
    def prosody_rate(self) -> float | None:
        """Units a second, if it learns their prosody; None if it does not."""
        return None

    def stream(self, name: str, seed: int, settings: UnitSettings) -> AbsUnitStream:
        """Begin an utterance whose words arrive one after the other.

        Args:
            name: Utterance id.
            seed: See ``generate_units``.
            settings: How to choose.

        Returns:
            What takes the words; it waits for the last one where :attr:`look_ahead`
            is None.
        """
        return WholeTextStream(self, name, seed, settings)

    @abstractmethod
    def taste_parts(self) -> tuple[nn.Module, ...]:
        """What computes nothing where there are no TASTE vectors."""

    @abstractmethod
    def score(
        self,
        inputs: UnitInputs,
        units: torch.Tensor,
        units_lengths: torch.Tensor,
        guided: bool = False,
    ) -> UnitScores:
        """Score given units, the true units before each one known.

        Args:
            inputs: Texts, vectors, speakers, times.
            units: Any value at padding, (B, U).
            units_lengths: (B,).
            guided: Whether the alignment loss is wanted, for which the inputs must
                have ``word_times`` and ``seconds``.

        Returns:
            Logits, targets, losses.

        Raises:
            ValueError: The decoder needs word times and there are none.
        """

    @abstractmethod
    def generate_units(
        self,
        inputs: UnitInputs,
        names: Sequence[str],
        seed: int,
        settings: UnitSettings,
    ) -> list[GeneratedUnits]:
        """Generate a batch; each utterance gets what it would get alone.

        Args:
            inputs: Texts, vectors, speakers; given ``word_times`` take the place of
                predicted durations in a decoder that predicts them.
            names: B utterance ids; with the seed, all an utterance's randomness
                depends on.
            seed: See ``names``.
            settings: How to choose.

        Returns:
            Units of each utterance.

        Raises:
            ValueError: Something is given that this decoder cannot follow.
        """


@dataclass
class WholeTextStream(AbsUnitStream):
    """Gives all units when the last word is known.

    Attributes:
        decoder: Generates them.
        name: Utterance id.
        seed: See ``AbsUnitDecoder.generate_units``.
        settings: How to choose.
        inputs: The words so far.
    """

    decoder: AbsUnitDecoder
    name: str
    seed: int
    settings: UnitSettings
    inputs: UnitInputs | None = None

    def extend(self, inputs: UnitInputs) -> GeneratedUnits:
        """See ``AbsUnitStream.extend``."""
        known = self.inputs
        self.inputs = inputs if known is None else known.followed_by(inputs)
        return GeneratedUnits(torch.empty(0, dtype=torch.int64))

    def finish(self) -> GeneratedUnits:
        """See ``AbsUnitStream.finish``."""
        generate = self.decoder.generate_units
        return generate(self.inputs, [self.name], self.seed, self.settings)[0]
