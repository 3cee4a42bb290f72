"""What users give to be continued, before it is tokenised.

Enters: spoken words with codes, written words, a spoken turn of a dialogue, or
nothing. Leaves: rows for the generator, tokenised as in training.

Legend: W words, Q codebooks.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

from espnet2_taste.slm.core import SpokenLMCore
from espnet2_taste.slm.grid_data import GridPreprocessor
from espnet2_taste.slm.layouts.utterance import Turn
from espnet2_taste.slm.prompts import (
    PromptRows,
    empty_prompt,
    spoken_prompt,
    turn_prompt,
    written_prompt,
)
from espnet2_taste.slm.turns import turn_frame
from espnet2_taste.structures import WordCodes


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
        core: SpokenLMCore,
        preprocessor: GridPreprocessor,
        name: str,
        reference_compat: bool = False,
    ) -> PromptRows:
        """Tokenise and embed.

        Args:
            core: The model in evaluation mode.
            preprocessor: Its data side.
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

    def rows(self, core, preprocessor, name, reference_compat=False):
        """See :meth:`PromptSpec.rows`."""
        return spoken_prompt(core, preprocessor.reader(name, self.spoken.fields))


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

    def rows(self, core, preprocessor, name, reference_compat=False):
        """See :meth:`PromptSpec.rows`."""
        read = preprocessor.reader(name, {"text": " ".join(self.words)})
        return written_prompt(core, read.tokens, reference_compat)


@dataclass(frozen=True)
class EmptyPrompt(PromptSpec):
    """Nothing: any utterance may follow."""

    words = ()

    def first(self, count):
        """See :meth:`PromptSpec.first`."""
        return self

    def rows(self, core, preprocessor, name, reference_compat=False):
        """See :meth:`PromptSpec.rows`."""
        return empty_prompt(core, preprocessor.reader.options.first_word_space)


@dataclass(frozen=True)
class SpokenTurn(SpokenPrompt):
    """Spoken words as the turn of a dialogue, to be answered.

    Attributes:
        spoken: Words (W,) with codes (W, Q).
        frame: Text before and after them; None for what stood around turns in
            training, or the chat template of the text LM's tokenizer.
    """

    frame: tuple[str, str] | None = None

    def rows(self, core, preprocessor, name, reference_compat=False):
        """See :meth:`PromptSpec.rows`.

        Raises:
            RuntimeError: No frame is given and the tokenizer has none.
        """
        spoken = preprocessor.reader(name, self.spoken.fields)
        if self.frame:
            frame = turn_frame(preprocessor.reader.tokenizer, self.frame)
        else:
            frame = preprocessor.turn_frame
        return turn_prompt(core, Turn(spoken, *frame), reference_compat)
