"""Utterances from data: what ESPnet reads, or a dump directory, to the layouts' form.

Enters: a transcript, units, word times and the rest of one utterance as strings and
arrays. Leaves: an ``Utterance``, or the arrays of its grid.

Legend: W words, U units, Q codebooks, T rows, S columns.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from espnet2_taste.slm.layouts.abs_layout import AbsLayout
from espnet2_taste.slm.layouts.streams import TextVocabulary
from espnet2_taste.slm.layouts.utterance import Row, Turn, Utterance
from espnet2_taste.slm.turns import turn_frame
from espnet2_taste.slm.vocabulary import vocabulary_masks
from espnet2_taste.text.huggingface_tokenizer import HuggingFaceTokenizer
from espnet2_taste.text.preprocessor import TextPreprocessor

FIELDS = ("text", "units", "word_times", "codes", "pitch", "style")
"""What an utterance may be given by."""


def text_vocabulary(
    tokenizer: HuggingFaceTokenizer,
    first_word_space: bool = True,
    word_space: bool = True,
    size: int | None = None,
) -> TextVocabulary:
    """Describe a vocabulary to the layouts.

    Args:
        tokenizer: The language model's.
        first_word_space: The first word is marked like every other.
        word_space: Words are marked at all; without it every token is one.
        size: Ids of the model, if they are more than tokens.

    Returns:
        The vocabulary.
    """
    with torch.device("cpu"):  # values, also where a model is only tried
        masks = vocabulary_masks(tokenizer.tokenizer, word_space)
        masks = masks if size is None else masks.resized(size)
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
                seconds, ``codes`` (W, Q), ``pitch`` and ``style``.

        Returns:
            The utterance.

        Raises:
            ValueError: There are neither words nor units, words and times or codes
                differ in number, units are cut, or a code is not a whole number.
        """
        options, text = self.options, data.get("text", "")
        wordless = "units" in data and not text.split()  # written by a design of units
        words = () if wordless else self.words(uid, text)
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
            codes=word_codes(uid, data["codes"], len(words)) if "codes" in data else (),
        )

    def words(self, uid: str, text: str) -> tuple[Row, ...]:
        """Token ids of each word."""
        spaces = (self.options.first_word_space, self.options.word_space)
        tokens = TextPreprocessor(self.tokenizer, *spaces).tokenize(uid, text)
        cuts = np.flatnonzero(np.diff(tokens.word_ids)) + 1
        return _rows(np.split(tokens.ids, cuts))

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


def word_codes(uid: str, codes: np.ndarray, words: int) -> tuple[Row, ...]:
    """Check word-level codes.

    Args:
        uid: Utterance id, for the message.
        codes: (W, Q) of any number type.
        words: W according to the text.

    Returns:
        Q codes of each word.

    Raises:
        ValueError: Wrong rank, wrong number of rows, or fractions.
    """
    codes = np.asarray(codes)
    if codes.ndim != 2 or codes.shape[1] == 0:
        raise ValueError(
            f"utterance '{uid}': codes must be words x codebooks, found shape "
            f"{codes.shape}; write them with taste_tokenize (stage 9)"
        )
    if len(codes) != words:
        raise ValueError(
            f"utterance '{uid}': {words} words in the text but {len(codes)} rows of "
            "codes; tokenize the set again after changing its text (stage 9)"
        )
    if not np.array_equal(codes.astype(np.int64), codes):
        raise ValueError(
            f"utterance '{uid}': codes are not whole numbers; is this a file of "
            "vectors instead of codes?"
        )
    return _rows(codes)


class GridPreprocessor:
    """One utterance as ESPnet reads it -> the arrays of its grid.

    Args:
        reader: Builds utterances.
        layout: Lays them out.
        train: Draw anew at every reading where the layout has chance in it; otherwise
            the form that is scored.
        frame: Text around turns that are answered, asked for when there is one; None
            for the chat template of the tokenizer.
    """

    def __init__(
        self,
        reader: UtteranceReader,
        layout: AbsLayout,
        train: bool,
        frame: tuple[str, str] | None = None,
    ):
        self.reader = reader
        self.layout = layout
        self.train = train
        self.frame = frame

    @cached_property
    def turn_frame(self) -> tuple[Row, Row]:
        """Text around turns.

        Raises:
            RuntimeError: None is given and the tokenizer has no chat template.
        """
        return turn_frame(self.reader.tokenizer, self.frame)

    def __call__(self, uid: str, data: dict[str, Any]) -> dict[str, np.ndarray]:
        """Lay one utterance out.

        Args:
            uid: Utterance id.
            data: See :class:`UtteranceReader`; ``turn_words`` (1,) if so many words
                are a turn, which the others answer.

        Returns:
            ``grid`` (T, S) int64, ``weights`` (T, S) float32, ``padding`` (T, S) int64
            and ``tail`` (U,) int64.

        Raises:
            ValueError: Something the layout needs is missing or does not fit, or a
                turn or an answer has no word.
            RuntimeError: There is a turn and no text to stand around it.
        """
        read = self._answer if "turn_words" in data else self.reader
        return self.arrays(uid, read(uid, data))

    def _answer(self, uid: str, data: Mapping[str, Any]) -> Utterance:
        """Words that answer the ones before them."""
        if "codes" not in self.layout.needs:
            raise ValueError(
                "turns with answers (turn_words) are for text_aligned layouts only"
            )
        words, count = data["text"].split(), int(data["turn_words"][0])
        if not 0 < count < len(words):
            raise ValueError(
                f"utterance '{uid}': {count} words of {len(words)} are a turn, "
                "expected at least one, and one for the answer: correct the table "
                "turn_words"
            )
        word_codes(uid, data["codes"], len(words))
        turn, answer = (
            self.reader(
                uid, {"text": " ".join(words[part]), "codes": data["codes"][part]}
            )
            for part in (slice(count), slice(count, None))
        )
        return replace(answer, turn=Turn(turn, *self.turn_frame))

    def arrays(self, uid: str, utterance: Utterance) -> dict[str, np.ndarray]:
        """Lay out what has been read; see :meth:`__call__`."""
        try:
            self._check(utterance)
            rng = np.random.default_rng(np.random.randint(2**31))
            grid = self.layout.encode(utterance, rng if self.train else None)
        except ValueError as error:
            raise ValueError(f"utterance '{uid}': {error}") from error
        return grid.fields

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
        if "codes" not in self.layout.needs:
            if not utterance.words or not utterance.units:
                raise ValueError(
                    f"expected words and units, found {len(utterance.words)} and "
                    f"{len(utterance.units)}: leave the utterance out of the set"
                )
