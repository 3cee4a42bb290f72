"""The aligned unit decoder of the benchmark.

Enters: conditions of ``benchmark.unit_inputs``. Leaves: units of a random decoder, as
many as are asked for, one row each.
"""

from types import SimpleNamespace

import torch

from espnet2_taste.evaluation.benchmark import TOKENS_A_WORD, UNIT_SIZES
from espnet2_taste.speech_decoder.abs_unit_decoder import UnitInputs, UnitSettings
from espnet2_taste.speech_decoder.aligned_unit_decoder import AlignedUnitDecoder
from espnet2_taste.speech_decoder.text_input import TokenInput
from espnet2_taste.speech_decoder.unit_history import CausalHistory
from espnet2_taste.speech_decoder.unit_sampling import ArgmaxSampler

UNIT_RATE = 25.0


def make_aligned_decoder(device: str) -> AlignedUnitDecoder:
    """A random aligned decoder of as many features, vocabulary and units."""
    size, text = UNIT_SIZES["hidden_size"], UNIT_SIZES["vocab_size"]
    decoder = AlignedUnitDecoder(
        **UNIT_SIZES,
        unit_rate=UNIT_RATE,
        text_input=TokenInput(size, SimpleNamespace(vocab_size=text)),
        unit_history=CausalHistory(UNIT_SIZES["num_units"], size),
    )
    return decoder.to(device).eval()


def aligned_units(decoder: AlignedUnitDecoder, inputs: dict, units: int) -> list:
    """Write so many units with an aligned decoder; all words last equally long.

    Args:
        decoder: The decoder.
        inputs: Of :func:`unit_inputs`.
        units: How many.

    Returns:
        Units of each utterance.
    """
    batch, tokens = inputs["text"].shape
    words = max(1, int(tokens / TOKENS_A_WORD))
    edges = torch.linspace(0, units / UNIT_RATE, words + 1)
    times = torch.stack([edges[:-1], edges[1:]], dim=-1).expand(batch, -1, -1)
    device = inputs["text"].device
    given = UnitInputs(
        **inputs,
        word_ids=(torch.arange(tokens) * words // tokens).expand(batch, -1).to(device),
        word_times=times.to(device),
        seconds=edges[-1:].expand(batch).to(device),
    )
    names = [str(index) for index in range(batch)]
    settings = UnitSettings(sampler=ArgmaxSampler())
    return [row.units for row in decoder.generate_units(given, names, 0, settings)]
