"""What users give to be continued, before it is tokenised.

Enters: spoken words with codes, written words, a spoken turn of a dialogue, or
nothing. Leaves: rows for the generator, tokenised as in training.

Legend: W words, Q codebooks.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from espnet2_taste.slm.prompts import (
    PromptRows,
    empty_prompt,
    spoken_prompt,
    turn_prompt,
    written_prompt,
)
from espnet2_taste.slm.taslm import Taslm
from espnet2_taste.structures import WordCodes
from espnet2_taste.text.preprocessor import TaslmPreprocessor

TURN_MARK = "SPOKENWORDS"
"""Stands for the spoken words while a chat template is filled in."""


class PromptSpec(ABC):
    """Something to be continued.

    Attributes:
        words: W of them; prompts of about as many share a batch.
    """

    words: Sequence[str]

    @abstractmethod
    def first(self, count: int) -> "PromptSpec":
        """Only its first words."""

    @abstractmethod
    def rows(
        self,
        taslm: Taslm,
        preprocessor: TaslmPreprocessor,
        name: str,
        reference_compat: bool = False,
    ) -> PromptRows:
        """Tokenise and embed.

        Args:
            taslm: The model in evaluation mode.
            preprocessor: Its text side.
            name: Utterance id, for errors.
            reference_compat: Published behaviour of prompts, see
                :mod:`espnet2_taste.slm.prompts`.

        Returns:
            The rows that the model reads.
        """


@dataclass(frozen=True)
class SpokenPrompt(PromptSpec):
    """Spoken words.

    Attributes:
        spoken: Words (W,) with codes (W, Q).
    """

    spoken: WordCodes

    @property
    def words(self):
        """The words alone."""
        return self.spoken.words

    def first(self, count):
        """See :meth:`PromptSpec.first`."""
        return replace(self, spoken=self.spoken.first(count))

    def rows(self, taslm, preprocessor, name, reference_compat=False):
        """See :meth:`PromptSpec.rows`."""
        data = preprocessor(name, self.spoken.fields)
        keys = ("text", "word_ids", "codes")
        return spoken_prompt(taslm, *(torch.from_numpy(data[key]) for key in keys))


@dataclass(frozen=True)
class WrittenPrompt(PromptSpec):
    """Written words, which speech goes on from.

    Attributes:
        words: W of them.
    """

    words: tuple[str, ...]

    def first(self, count):
        """See :meth:`PromptSpec.first`."""
        return WrittenPrompt(self.words[:count])

    def rows(self, taslm, preprocessor, name, reference_compat=False):
        """See :meth:`PromptSpec.rows`."""
        data = preprocessor(name, {"text": " ".join(self.words)})
        text = torch.from_numpy(data["text"])
        return written_prompt(taslm, text, reference_compat)


@dataclass(frozen=True)
class EmptyPrompt(PromptSpec):
    """Nothing: any utterance may follow."""

    words = ()

    def first(self, count):
        """See :meth:`PromptSpec.first`."""
        return self

    def rows(self, taslm, preprocessor, name, reference_compat=False):
        """See :meth:`PromptSpec.rows`."""
        return empty_prompt(taslm, preprocessor.first_word_space)


@dataclass(frozen=True)
class SpokenTurn(SpokenPrompt):
    """Spoken words as the turn of a dialogue, to be answered.

    Attributes:
        spoken: Words (W,) with codes (W, Q).
        frame: Text before and after them; None for the chat template of the text LM's
            tokenizer. BOS is put before it where it is missing.
    """

    frame: tuple[str, str] | None = None

    def rows(self, taslm, preprocessor, name, reference_compat=False):
        """See :meth:`PromptSpec.rows`.

        Raises:
            RuntimeError: No frame is given and the tokenizer has none.
        """
        tokenizer = preprocessor.tokenizer.tokenizer
        before, after = (
            tokenizer.encode(text, add_special_tokens=False)
            for text in self.frame or chat_frame(tokenizer)
        )
        bos = preprocessor.tokenizer.special_id("bos")
        if before[:1] != [bos]:
            before = [bos, *before]
        return turn_prompt(
            taslm,
            torch.tensor(before),
            super().rows(taslm, preprocessor, name),
            torch.tensor(after, dtype=torch.int64),
            reference_compat,
        )


def chat_frame(tokenizer) -> tuple[str, str]:
    """What a tokenizer's chat template writes around a turn that is to be answered.

    Args:
        tokenizer: A ``transformers`` tokenizer.

    Returns:
        Text before and after the turn.

    Raises:
        RuntimeError: It has no chat template, or one that changes the turn.
    """
    if tokenizer.chat_template is None:
        raise RuntimeError(
            "the text LM's tokenizer has no chat template: write the text around a "
            "spoken turn yourself (--turn_frame BEFORE AFTER)"
        )
    turn = [{"role": "user", "content": TURN_MARK}]
    text = tokenizer.apply_chat_template(
        turn, tokenize=False, add_generation_prompt=True
    )
    before, mark, after = text.partition(TURN_MARK)
    if not mark:
        raise RuntimeError(
            "the chat template of the text LM's tokenizer changes what is said: write "
            "the text around a spoken turn yourself (--turn_frame BEFORE AFTER)"
        )
    return before, after
