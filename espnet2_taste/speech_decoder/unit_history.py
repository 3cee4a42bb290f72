"""From rows at the rate of the units to units: with the units before, or in one pass.

Enters: rows (B, U, D) that say what is being spoken, and in training the true units
(B, U). Leaves: logits (B, U, K), or generated units (B, U), with their mixtures
(B, U, K) where those are wanted.

Legend: B utterances, U units, K classes, D features.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional

from espnet2_taste.speech_decoder.abs_unit_decoder import UnitSettings
from espnet2_taste.speech_decoder.gated_conv import GatedConvStack
from espnet2_taste.speech_decoder.unit_sampling import UtteranceNoise, unit_mixture


@dataclass
class WrittenUnits:
    """What the units so far leave behind for the next ones.

    Attributes:
        unit: The last one, (B,).
        windows: Of causal blocks.
    """

    unit: torch.Tensor
    windows: list[torch.Tensor] = field(default_factory=list)


class AbsUnitHistory(nn.Module, ABC):
    """Writes units.

    Attributes:
        before: Rows before those that are written which :meth:`write` must have.
        after: Rows behind them, likewise.

    Args:
        num_units: K.
        stack: Blocks over the rows.
        size: Features D.
    """

    def __init__(self, num_units: int, stack: GatedConvStack, size: int):
        super().__init__()
        self.stack = stack
        self.before = self.after = 0
        self.hidden_unit = num_units  # stands before the first one
        self.norm = nn.LayerNorm(size)
        self.out = nn.Linear(size, num_units)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """What the blocks give, (..., D), to logits (..., K)."""
        return self.out(self.norm(hidden))

    @abstractmethod
    def forward(
        self, rows: torch.Tensor, valid: torch.Tensor, units: torch.Tensor
    ) -> torch.Tensor:
        """Score given units.

        Args:
            rows: (B, U, D).
            valid: False at padding, (B, U).
            units: Any value at padding, (B, U).

        Returns:
            Logits, (B, U, K).
        """

    def start(self, rows: torch.Tensor) -> WrittenUnits:
        """What there is before the first unit, for batch and type of the rows."""
        shape = rows.shape[:1]
        return WrittenUnits(rows.new_full(shape, self.hidden_unit, dtype=torch.int64))

    def generate(
        self,
        rows: torch.Tensor,
        valid: torch.Tensor,
        settings: UnitSettings,
        noise: UtteranceNoise,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Generate whole utterances.

        Args:
            rows: (B, U, D).
            valid: (B, U).
            settings: How to choose and mix.
            noise: Random streams of the B utterances.

        Returns:
            Units (B, U) and, if they are to be mixed, mixtures (B, U, K), arbitrary at
            padding.
        """
        place = slice(0, rows.size(1))
        return self.write(rows, valid, place, self.start(rows), settings, noise)

    @abstractmethod
    def write(
        self,
        rows: torch.Tensor,
        valid: torch.Tensor,
        place: slice,
        written: WrittenUnits,
        settings: UnitSettings,
        noise: UtteranceNoise,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Generate the next units; pieces give what the whole gives.

        Args:
            rows: Those of the next units, with :attr:`before` rows before them and
                :attr:`after` behind, or as many as the utterances have, (B, U', D).
            valid: (B, U').
            place: Which of the rows are to be written.
            written: From :meth:`start`, changed by each call.
            settings: How to choose and mix.
            noise: Random streams of the B utterances.

        Returns:
            Of the place, see :meth:`generate`.
        """


def choose_units(
    logits: torch.Tensor, settings: UnitSettings, noise: UtteranceNoise
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Choose units where there is no end: (B, K) -> (B,) and mixtures (B, K)."""
    with_end = functional.pad(logits, (0, 1), value=float("-inf"))
    never = torch.zeros(len(logits), dtype=torch.bool, device=logits.device)
    chosen = settings.sampler(with_end, never, noise)
    return chosen, unit_mixture(logits, settings.mixing)


def join_units(
    chosen: Sequence[tuple[torch.Tensor, torch.Tensor | None]],
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """What :func:`choose_units` gave one after the other, (B, U) and (B, U, K)."""
    units, mixtures = zip(*chosen)
    mixed = None if mixtures[0] is None else torch.stack(mixtures, dim=1)
    return torch.stack(units, dim=1), mixed


class CausalHistory(AbsUnitHistory):
    """Each unit knows a fixed number of units before it.

    Args:
        num_units: K.
        size: Features D.
        num_blocks: Causal blocks.
        kernel_size: Positions each of them sees.
        unit_dropout: Share of the units before that is hidden in training.
        dropout_rate: Dropout of the blocks.
    """

    def __init__(
        self,
        num_units: int,
        size: int,
        num_blocks: int = 3,
        kernel_size: int = 5,
        unit_dropout: float = 0.3,
        dropout_rate: float = 0.0,
    ):
        stack = GatedConvStack(size, num_blocks, kernel_size, True, dropout_rate)
        super().__init__(num_units, stack, size)
        self.unit_dropout = unit_dropout
        self.embed = nn.Embedding(num_units + 1, size)

    def forward(self, rows, valid, units):
        """See ``AbsUnitHistory.forward``."""
        before = functional.pad(units[:, :-1], (1, 0), value=self.hidden_unit)
        before = before.clamp(0, self.hidden_unit)
        if self.training and self.unit_dropout > 0:
            dropped = torch.rand(before.shape, device=before.device)
            before = before.masked_fill(dropped < self.unit_dropout, self.hidden_unit)
        return self.logits(self.stack(rows + self.embed(before), valid))

    def start(self, rows: torch.Tensor) -> WrittenUnits:
        """See ``AbsUnitHistory.start``."""
        unit = super().start(rows).unit
        return WrittenUnits(unit, self.stack.start_windows(rows))

    def write(self, rows, valid, place, written, settings, noise):
        """See ``AbsUnitHistory.write``; time is linear in the number of units."""
        chosen = []
        for row in rows[:, place].unbind(1):
            seen = row + self.embed(written.unit)
            hidden = self.stack.step(seen, written.windows)
            chosen.append(choose_units(self.logits(hidden), settings, noise))
            written.unit = chosen[-1][0]
        return join_units(chosen)


class OnePass(AbsUnitHistory):
    """All units at once, none knows the others.

    Args:
        num_units: K.
        size: Features D.
        num_blocks: Blocks towards both sides.
        kernel_size: Positions each of them sees.
        dropout_rate: Dropout of the blocks.
    """

    def __init__(
        self,
        num_units: int,
        size: int,
        num_blocks: int = 3,
        kernel_size: int = 5,
        dropout_rate: float = 0.0,
    ):
        stack = GatedConvStack(size, num_blocks, kernel_size, False, dropout_rate)
        super().__init__(num_units, stack, size)
        self.before, self.after = stack.before, stack.after

    def forward(self, rows, valid, units):
        """See ``AbsUnitHistory.forward``; the units are not read."""
        return self.logits(self.stack(rows, valid))

    def write(self, rows, valid, place, written, settings, noise):
        """See ``AbsUnitHistory.write``; the units before are not read."""
        steps = self.logits(self.stack(rows, valid)[:, place]).unbind(1)
        return join_units([choose_units(step, settings, noise) for step in steps])
