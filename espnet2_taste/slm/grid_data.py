"""Utterances from data: what ESPnet reads, or a dump directory, to the layouts' form.

Enters: a transcript, units, word times and the rest of one utterance as strings and
arrays. Leaves: an ``Utterance``, or the arrays of its grid.

Legend: N text tokens, W words, U units, Q codebooks, T rows, S streams.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from espnet2_taste.slm.layouts.abs_layout import AbsGridLayout
from espnet2_taste.slm.layouts.streams import TextVocabulary
from espnet2_taste.slm.layouts.utterance import Row, Utterance
from espnet2_taste.slm.vocabulary import vocabulary_masks
from espnet2_taste.text.huggingface_tokenizer import HuggingFaceTokenizer
from espnet2_taste.text.words import tokenize_words

FIELDS = ("text", "units", "word_times", "codes", "pitch", "style")
"""What an utterance may be given by."""


def text_vocabulary(
    tokenizer: HuggingFaceTokenizer,
    first_word_space: bool = True,
    word_space: bool = True,
) -> TextVocabulary:
    """Describe a vocabulary to the layouts.

    Args:
        tokenizer: The language model's.
        first_word_space: The first word is marked like every other.
        word_space: Words are marked at all; without it every token is one.

    Returns:
        The vocabulary.
    """
    with torch.device("cpu"):  # values, also where a model is only tried
        masks = vocabulary_masks(tokenizer.tokenizer, word_space)
    return TextVocabulary.of(
        masks,
        tokenizer.tokenizer.all_special_ids,
        tokenizer.special_id("eos"),
        plain_first=not first_word_space,
    )


@dataclass(frozen=True)
class UtteranceOptions:
    """How data are read.

    Attributes:
        unit_rate: Units a second.
        codebooks: Q; units of several codebooks are stored frame after frame.
        pitch_rate: Pitch tokens a second.
        style_rate: Style tokens a second.
        first_word_space: See :func:`text_vocabulary`.
        word_space: Likewise.
    """

    unit_rate: float = 25.0
    codebooks: int = 1
    pitch_rate: float = 12.5
    style_rate: float = 1.0
    first_word_space: bool = True
    word_space: bool = True


class UtteranceReader:
    """Builds utterances.

    Args:
        tokenizer: The language model's.
        options: How data are read.
    """

    def __init__(self, tokenizer: HuggingFaceTokenizer, options: UtteranceOptions):
        self.tokenizer = tokenizer
        self.options = options

    def __call__(self, uid: str, data: Mapping[str, Any]) -> Utterance:
        """Build one.

        Args:
            uid: Utterance id, for messages.
            data: ``text`` str and some of ``units`` (U x Q,), ``word_times`` (2 W,)
                seconds, ``pitch`` and ``style``.

        Returns:
            The utterance.

        Raises:
            ValueError: Words and times differ in number, or units are cut.
        """
        options = self.options
        words = self.words(uid, data.get("text", ""))
        units = np.asarray(data.get("units", ()), dtype=np.int64)
        if units.size % options.codebooks:
            raise ValueError(
                f"utterance '{uid}': {units.size} units are no multiple of "
                f"{options.codebooks} codebooks: extract them again"
            )
        frames = units.reshape(-1, options.codebooks).tolist()
        return Utterance(
            words=words,
            units=tuple(tuple(frame) for frame in frames),
            unit_rate=options.unit_rate,
            word_times=self.times(uid, data.get("word_times", ()), len(words)),
            pitch=_flat(data.get("pitch", ())),
            pitch_rate=options.pitch_rate,
            style=_flat(data.get("style", ())),
            style_rate=options.style_rate,
        )

    def words(self, uid: str, text: str) -> tuple[Row, ...]:
        """Token ids of each word."""
        options, words = self.options, text.split()
        try:
            tokens = tokenize_words(
                words, self.tokenizer, options.first_word_space, options.word_space
            )
        except ValueError as error:
            raise ValueError(f"utterance '{uid}': {error}") from error
        cuts = np.flatnonzero(np.diff(tokens.word_ids)) + 1
        return _rows(np.split(tokens.ids, cuts)) if words else ()

    @staticmethod
    def times(uid: str, times, count: int) -> tuple[tuple[float, float], ...]:
        """Start and end of each word."""
        pairs = np.asarray(times, dtype=np.float64)
        if pairs.size not in (0, 2 * count):
            raise ValueError(
                f"utterance '{uid}': {count} words, but word_times has {pairs.size} "
                f"numbers instead of {2 * count}: write it again from the ctm of this "
                "text (units expression)"
            )
        return tuple((start, end) for start, end in pairs.reshape(-1, 2).tolist())


def _rows(values) -> tuple[Row, ...]:
    return tuple(_flat(row) for row in values)


def _flat(values) -> Row:
    return tuple(int(value) for value in values)


class GridPreprocessor:
    """One utterance as ESPnet reads it -> the arrays of its grid.

    Args:
        reader: Builds utterances.
        layout: Lays them out.
        train: Draw anew at every reading where the layout has chance in it; otherwise
            the form that is scored.
    """

    def __init__(self, reader: UtteranceReader, layout: AbsGridLayout, train: bool):
        self.reader = reader
        self.layout = layout
        self.train = train

    def __call__(self, uid: str, data: dict[str, Any]) -> dict[str, np.ndarray]:
        """Lay one utterance out.

        Args:
            uid: Utterance id.
            data: See :class:`UtteranceReader`.

        Returns:
            ``grid`` (T, S) int64, ``weights`` (T, S) float32, ``padding`` (T, S) int64
            and ``tail`` (U,) int64.

        Raises:
            ValueError: Something the layout needs is missing or does not fit.
        """
        if "turn_words" in data:
            raise ValueError(
                "turns with answers (turn_words) are for text_aligned layouts only"
            )
        return self.arrays(uid, self.reader(uid, data))

    def arrays(self, uid: str, utterance: Utterance) -> dict[str, np.ndarray]:
        """Lay out what has been read; see :meth:`__call__`."""
        try:
            self._check(utterance)
            rng = np.random.default_rng(np.random.randint(2**31))
            grid = self.layout.encode(utterance, rng if self.train else None)
        except ValueError as error:
            raise ValueError(f"utterance '{uid}': {error}") from error
        return {
            "grid": grid.ids,
            "weights": grid.weights,
            "padding": grid.padding.astype(np.int64),
            "tail": np.array(grid.tail, dtype=np.int64),
        }

    def _check(self, utterance: Utterance) -> None:
        """Refuse ids that the layout has no place for."""
        inventory = self.layout.inventory
        for name, limit in (
            ("units", inventory.units),
            ("pitch", inventory.pitch),
            ("style", inventory.style),
        ):
            values = np.array(getattr(utterance, name), dtype=np.int64)
            if name in ("units", *self.layout.needs) and values.size:
                if values.min() < 0 or values.max() >= limit:
                    raise ValueError(
                        f"{name} must lie in 0 .. {limit - 1}, found {values.min()} .. "
                        f"{values.max()}: set num_{name} to the size of the inventory"
                    )
        if not utterance.words or not utterance.units:
            raise ValueError(
                f"expected words and units, found {len(utterance.words)} and "
                f"{len(utterance.units)}: leave the utterance out of the set"
            )
