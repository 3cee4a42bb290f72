"""Unit decoding of random decoders, by our ways and by others'.

Enters: sizes. Leaves: works to be measured in turns (seconds and memory) and the rows
that compare them. A further unit is the difference between long and short utterances,
so that what is read before the first unit has no part in it.

Legend: B utterances, N text tokens, U units.
"""

from copy import deepcopy
from functools import partial
from types import SimpleNamespace

import torch

from espnet2_taste.evaluation.benchmark import TOKENS_A_WORD, Measure, further
from espnet2_taste.evaluation.opponents import reading, reference_units, unit_weights
from espnet2_taste.speech_decoder.abs_unit_decoder import UnitInputs, UnitSettings
from espnet2_taste.speech_decoder.aligned_unit_decoder import AlignedUnitDecoder
from espnet2_taste.speech_decoder.fusion import WeightedSumFusion
from espnet2_taste.speech_decoder.reading_window import ReadingPlace, ReadingWindow
from espnet2_taste.speech_decoder.text_input import TokenInput
from espnet2_taste.speech_decoder.unit_condition import condition_words
from espnet2_taste.speech_decoder.unit_decoder import UnitDecoder
from espnet2_taste.speech_decoder.unit_history import CausalHistory
from espnet2_taste.speech_decoder.unit_sampling import (
    ArgmaxSampler,
    LengthRule,
    UtteranceNoise,
)
from espnet2_taste.weight_types import convert_weights

UNIT_SIZES = dict(
    vocab_size=8192, num_units=4096, taste_size=1280, spembs_size=192, hidden_size=512
)
UNIT_RATE = 25.0
SHORT = 2
"""Units of an utterance that is nearly nothing but what stands before the units."""


class UnitWorks:
    """The decoders, and what they do for utterances of so many words.

    Args:
        device: "cpu" or "cuda".
    """

    def __init__(self, device: str):
        self.device = device
        self.decoder = make_unit_decoder(device)
        self.aligned = make_aligned_decoder(device)
        self.int8 = None
        if device == "cpu":
            self.int8 = deepcopy(self.decoder)
            convert_weights(self.int8, "int8")

    def ways(self, words: int, units: int, batch: int) -> dict:
        """What to measure.

        Args:
            words: Of an utterance.
            units: Of an utterance, more than ``SHORT``.
            batch: Utterances of "batch".

        Returns:
            Works by name with the models that do them. The work "limit" reads the
            weights once a unit.
        """
        decoder, ours = self.decoder, generate_units
        one = unit_inputs(1, words, self.device)
        several = unit_inputs(batch, words, self.device)
        read = reading(unit_weights(decoder))
        works = {
            "opponent": lambda: reference_units(decoder, one, units),
            "opponent, short": lambda: reference_units(decoder, one, SHORT),
            "one": lambda: ours(decoder, one, units),
            "short": lambda: ours(decoder, one, SHORT),
            "batch": lambda: ours(decoder, several, units),
            "batch, short": lambda: ours(decoder, several, SHORT),
            "guided": lambda: ours(decoder, one, units, guided=True),
            "limit": lambda: [read() for _ in range(units)],
        }
        ways = {name: (work, decoder) for name, work in works.items()}
        if self.int8:
            ways["int8"] = (lambda: ours(self.int8, one, units), self.int8)
        for name, inputs in {"aligned": one, "aligned batch": several}.items():
            work = partial(aligned_units, self.aligned, inputs, units)
            ways[name] = (work, self.aligned)
        return ways


def unit_rows(words: int, units: int, found: dict[str, Measure]) -> list[dict]:
    """The comparisons of the measured works.

    Args:
        words: Of an utterance.
        units: Of an utterance.
        found: Of the works of :meth:`UnitWorks.ways`.

    Returns:
        For each row: its task, what it makes (amount), who is compared (opponent), the
        measures ("opponent", "one", "batch") and the limit in seconds.
    """
    name, published = f"decoding, {words} words", "published loop with its cache"
    whole = {key: found[key] for key in ("opponent", "one", "batch")}
    limit, steps = found["limit"].seconds, units - SHORT
    next_unit = {
        "opponent": further(found, "opponent", "opponent, short", steps),
        "one": further(found, "one", "short", steps),
        "batch": further(found, "batch", "batch, short", steps),
    }
    aligned = {"one": found["aligned"], "batch": found["aligned batch"]}
    free = {"opponent": found["one"]}
    guided = free | {"one": found["guided"]}
    rows = [
        (f"{name}, {units} units", units, published, whole, limit),
        (f"{name}, a further unit", 1, published, next_unit, limit / units),
        (f"aligned {name}, {units} units", units, published, whole | aligned, limit),
        (f"guided {name}", units, "free reading", guided, None),
    ]
    if "int8" in found:
        quarter = free | {"one": found["int8"]}
        rows.append((f"int8 {name}", units, "float32", quarter, None))
    keys = ("task", "amount", "opponent", "ways", "limit")
    return [dict(zip(keys, row)) for row in rows]


def make_unit_decoder(device: str) -> UnitDecoder:
    """A random unit decoder of medium size."""
    fusion = WeightedSumFusion(UNIT_SIZES["hidden_size"])
    return UnitDecoder(**UNIT_SIZES, fusion=fusion).to(device).eval()


def unit_inputs(batch: int, words: int, device: str) -> dict[str, torch.Tensor]:
    """Random conditions of so many words."""
    generator = torch.Generator().manual_seed(0)
    tokens = int(TOKENS_A_WORD * words)
    inputs = {
        "text": torch.randint(
            0, UNIT_SIZES["vocab_size"], (batch, tokens), generator=generator
        ),
        "text_lengths": torch.full((batch,), tokens),
        "taste": torch.randn(
            batch, tokens, UNIT_SIZES["taste_size"], generator=generator
        ),
        "spembs": torch.randn(batch, UNIT_SIZES["spembs_size"], generator=generator),
    }
    return {name: tensor.to(device) for name, tensor in inputs.items()}


def word_ids(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The word of each token, (B, N)."""
    batch, tokens = inputs["text"].shape
    words = max(1, int(tokens / TOKENS_A_WORD))
    ids = torch.arange(tokens, device=inputs["text"].device) * words // tokens
    return ids.expand(batch, -1)


def generate_units(
    decoder: UnitDecoder, inputs: dict, units: int, guided: bool = False
) -> list:
    """Generate so many units with cached keys and values.

    Args:
        decoder: The decoder.
        inputs: Of :func:`unit_inputs`.
        units: How many.
        guided: Whether a head is kept near the word being said (``read_ahead``).

    Returns:
        Units of each utterance.
    """
    ratio = (units + 0.5) / (int(inputs["text_lengths"][0]) + 3)  # is rounded down
    noise = UtteranceNoise([torch.Generator() for _ in inputs["text"]])
    rule, place = LengthRule(ratio, ratio), None
    if guided:
        words = condition_words(word_ids(inputs), inputs["text_lengths"])
        place = ReadingPlace(ReadingWindow(), words)
    sampler = ArgmaxSampler()
    return decoder.generate(
        **inputs, sampler=sampler, noise=noise, length_rule=rule, place=place
    )


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
    batch, device = len(inputs["text"]), inputs["text"].device
    ids = word_ids(inputs)
    edges = torch.linspace(0, units / UNIT_RATE, int(ids.max()) + 2)
    times = torch.stack([edges[:-1], edges[1:]], dim=-1).expand(batch, -1, -1)
    given = UnitInputs(
        **inputs,
        word_ids=ids,
        word_times=times.to(device),
        seconds=edges[-1:].expand(batch).to(device),
    )
    names = [str(index) for index in range(batch)]
    settings = UnitSettings(sampler=ArgmaxSampler())
    return [row.units for row in decoder.generate_units(given, names, 0, settings)]
