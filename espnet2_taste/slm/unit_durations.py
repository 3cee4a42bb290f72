"""How long each unit of a deduplicated string lasts.

Enters: strings of units without repetitions (B, R). Leaves: frames of each, (B, R).
Designs that leave repeated units out (GSLM, TWIST, Spirit LM, LLaMA-Omni) would lose
quality for a reason that is not theirs if their units were spoken without it.

Legend: B utterances, R runs of equal units, H hidden size.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
import yaml
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.data.files import read_yaml
from espnet2_taste.experiment_files import config_of, load_weights
from espnet2_taste.slm.layouts.utterance import deduplicate, run_lengths

CONFIG, WEIGHTS = "config.yaml", "durations.pth"


class UnitDurationPredictor(nn.Module):
    """Two convolutions over units; predicts the logarithm of each run's length.

    Args:
        num_units: Units.
        hidden_size: H.
        kernel_size: Units seen at once by each convolution, odd.

    Attributes:
        mean_frames: Mean length of each unit's runs in training, (num_units,).
    """

    def __init__(self, num_units: int, hidden_size: int = 64, kernel_size: int = 5):
        super().__init__()
        self.options = {
            "num_units": num_units,
            "hidden_size": hidden_size,
            "kernel_size": kernel_size,
        }
        self.embedding = nn.Embedding(num_units + 1, hidden_size)  # 0 is padding
        self.layers = nn.ModuleList(
            nn.Conv1d(hidden_size, hidden_size, kernel_size, padding="same")
            for _ in range(2)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_size) for _ in range(2))
        self.output = nn.Linear(hidden_size, 1)
        self.register_buffer("mean_frames", torch.ones(num_units))

    def forward(self, units: torch.Tensor) -> torch.Tensor:
        """Predict.

        Args:
            units: (B, R) int64, -1 at padding, which changes nothing before it.

        Returns:
            Logarithm of the frames, (B, R).
        """
        known = (units >= 0)[..., None]
        states = self.embedding(units + 1) * known  # (B, R, H)
        for layer, norm in zip(self.layers, self.norms):
            seen = layer(states.transpose(1, 2)).transpose(1, 2)
            states = norm(states + seen.relu()) * known
        return self.output(states)[..., 0]

    def loss(self, units: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Mean squared error of the logarithms.

        Args:
            units: (B, R), -1 at padding.
            frames: (B, R), at least 1.

        Returns:
            Scalar.
        """
        known = units >= 0
        error = self.forward(units) - frames.clamp(min=1).float().log()
        return error[known].square().mean()

    @torch.no_grad()
    def expand(self, strings: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """Repeat each unit as long as it lasts, at least one frame.

        Args:
            strings: Units of B utterances.

        Returns:
            (U,) int64 on the CPU, for each.
        """
        rows = [torch.tensor(list(row), dtype=torch.int64) for row in strings]
        device = self.output.weight.device
        units = pad_sequence(rows, batch_first=True, padding_value=-1)
        frames = self.forward(units.to(device)).exp().round().clamp(min=1).long().cpu()
        return [
            row.repeat_interleave(lengths[: len(row)])
            for row, lengths in zip(rows, frames)
        ]

    def save(self, folder: str | Path) -> None:
        """Write the predictor, its options last."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(self.state_dict(), folder / WEIGHTS)
        (folder / CONFIG).write_text(yaml.safe_dump(self.options), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> "UnitDurationPredictor":
        """Read a predictor, given its folder or the ``config.yaml`` in it.

        Raises:
            ValueError: There is none.
        """
        path = config_of(folder)
        if not path.is_file():
            raise ValueError(f"{path} not found: run units durations first")
        model = cls(**read_yaml(path))
        model.load_state_dict(load_weights(path.with_name(WEIGHTS)))
        return model.eval()


def fit_durations(
    strings: Sequence[Sequence[int]],
    num_units: int,
    steps: int = 600,
    batch_size: int = 32,
    lr: float = 2e-3,
    seed: int = 0,
) -> UnitDurationPredictor:
    """Train a predictor.

    Args:
        strings: Units with their repetitions, one string an utterance.
        num_units: Units.
        steps: Batches.
        batch_size: Utterances of a batch.
        lr: Learning rate of Adam.
        seed: Of weights and batches.

    Returns:
        The predictor in evaluation mode.

    Raises:
        ValueError: No units.
    """
    rows = [list(row) for row in strings if len(row)]
    if not rows:
        raise ValueError("no units to learn durations from: run units extract")
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    model = UnitDurationPredictor(num_units)
    pairs = [
        (torch.tensor(deduplicate(row)), torch.tensor(run_lengths(row))) for row in rows
    ]
    model.mean_frames = mean_run_lengths(rows, num_units)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for _ in range(steps):
        chosen = torch.randint(len(pairs), (batch_size,), generator=generator).tolist()
        units = [pairs[index][0] for index in chosen]
        frames = [pairs[index][1] for index in chosen]
        loss = model.loss(
            pad_sequence(units, batch_first=True, padding_value=-1),
            pad_sequence(frames, batch_first=True, padding_value=1),
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def mean_run_lengths(strings: Sequence[Sequence[int]], num_units: int) -> torch.Tensor:
    """Mean length of the runs of each unit.

    Args:
        strings: Units with their repetitions.
        num_units: Units.

    Returns:
        Frames, (num_units,); units that never occur have the mean of all runs.
    """
    units = torch.tensor([unit for row in strings for unit in deduplicate(row)])
    lengths = torch.tensor([n for row in strings for n in run_lengths(row)])
    counts = units.bincount(minlength=num_units)
    frames = units.bincount(lengths, minlength=num_units)
    overall = lengths.float().mean().to(frames.dtype)
    return torch.where(counts > 0, frames / counts.clamp(min=1), overall).float()


@torch.no_grad()
def duration_error(
    model: UnitDurationPredictor, strings: Sequence[Sequence[int]]
) -> tuple[float, float]:
    """Mean absolute error in frames, and that of the mean duration for everything.

    Args:
        model: In evaluation mode.
        strings: Units with their repetitions.

    Returns:
        Both errors.
    """
    found, true = [], []
    for row in strings:
        if len(row):
            units = torch.tensor([deduplicate(row)])
            found.append(model(units)[0].exp().round().clamp(min=1))
            true.append(torch.tensor(run_lengths(row), dtype=torch.float32))
    predicted, frames = torch.cat(found), torch.cat(true)
    constant = (frames - frames.mean()).abs().mean()
    return float((predicted - frames).abs().mean()), float(constant)
