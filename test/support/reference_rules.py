"""Rules of the published system that only comparisons with it need."""

from pathlib import Path

import torch
from torch import nn

from espnet2_taste.structures import EncoderStates
from espnet2_taste.tasks.choices import quantizer_choices
from espnet2_taste.tasks.quantizer_files import read_quantizer


def span_means(
    hidden: torch.Tensor, lengths: torch.Tensor, spans: torch.Tensor
) -> torch.Tensor:
    """Mean of the frames a token spans (local average pooling).

    Args:
        hidden: Frames, (B, F, D).
        lengths: Valid frames, (B,).
        spans: Start and end of each token as a share of the length, (B, N, 2). Both
            end frames belong to the span.

    Returns:
        (B, N, D).
    """
    edges = (spans * lengths[:, None, None]).long()  # (B, N, 2)
    frames = torch.arange(hidden.size(1), device=hidden.device)
    inside = (frames >= edges[..., :1]) & (frames <= edges[..., 1:])  # (B, N, F)
    inside = inside.to(hidden.dtype)
    return inside @ hidden / inside.sum(-1, keepdim=True).clamp(min=1.0)


class SpanAverage(nn.Module):
    """Averages frames over known token times instead of attending (golden G1i).

    Args:
        value_size: Features of the encoder's values.
        output_size: Features D of the result.
    """

    def __init__(self, value_size: int, output_size: int):
        super().__init__()
        self.output_size = output_size
        self.affine = nn.Linear(value_size, output_size)

    def forward(self, states: EncoderStates, spans: torch.Tensor) -> torch.Tensor:
        """Average, then map.

        Args:
            states: Values (B, F, D_value) are used.
            spans: Start and end of each token as a share of the length, (B, N, 2).

        Returns:
            (B, N, D).
        """
        return self.affine(span_means(states.values, states.lengths, spans))


def reference_word_ids(word_ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Word ids as the reference implementation groups them (``reference_compat``).

    The reference pads word ids with 0, so an utterance of one word merges with its
    padding: with one padded position that row is averaged in, with more nothing is
    averaged. These ids make ``word_means`` do the same.

    Args:
        word_ids: (B, N), padded with 0.
        lengths: Valid tokens, (B,).

    Returns:
        (B, N) ids that group what the reference groups.
    """
    before = torch.nn.functional.pad(word_ids, (1, 0), value=-1)[:, :-1]
    runs = (word_ids != before).cumsum(dim=1) - 1  # (B, N)
    positions = torch.arange(word_ids.size(1), device=word_ids.device)
    positions = positions.expand_as(word_ids)
    ends = torch.zeros_like(runs).scatter_reduce(
        1, runs, positions + 1, "amax", include_self=False
    )
    kept = ends.gather(1, runs) <= lengths[:, None] + 1
    return torch.where(kept, runs, -1)


def load_quantizer(
    taste_exp: str | Path, model_file: str = "valid.loss.best.pth"
) -> nn.Module:
    """Load the quantizer of a trained TASTE tokenizer and nothing else of it.

    Args:
        taste_exp: Experiment directory.
        model_file: Checkpoint in it.

    Returns:
        The quantizer in evaluation mode.

    Raises:
        ValueError: Not such an experiment, or the checkpoint has no quantizer.
    """
    name, conf, state = read_quantizer(taste_exp, model_file)
    quantizer = quantizer_choices.get_class(name)(**conf)
    quantizer.load_state_dict(state)
    return quantizer.eval()
