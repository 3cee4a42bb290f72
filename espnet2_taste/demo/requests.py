"""What the HTTP API accepts, with its limits.

Enters: JSON. Leaves: checked values, and words with codes for the model. What the
model itself checks (its codes, its words, its speaker) is left to it.

Legend: W words, Q codebooks, E speaker features.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from espnet2_taste.inference.results import SpeechTokens
from espnet2_taste.structures import WordTiming

MAX_WORDS = 200
MAX_SECONDS = 60.0
MAX_CHARACTERS = 4096  # as OpenAI's
Word = Annotated[str, StringConstraints(pattern=r"^\S+$", max_length=64)]
Code = Annotated[int, Field(ge=0, lt=2**31)]
Finite = Annotated[float, Field(allow_inf_nan=False, strict=True)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]
Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]


Voice = (
    Annotated[str, StringConstraints(max_length=256)]
    | Annotated[list[Finite], Field(min_length=1, max_length=4096)]
)


@dataclass(frozen=True)
class Limits:
    """What one request may take.

    Attributes:
        size: Bytes of a request.
        seconds: Longest recording.
        queue: Requests that wait or run.
    """

    size: int = 20_000_000
    seconds: float = MAX_SECONDS
    queue: int = 64


class Checked(BaseModel):
    """Refuses fields that do not exist."""

    model_config = ConfigDict(extra="forbid")


class Time(Checked):
    """When a word is said, in seconds."""

    start: Seconds
    duration: Seconds


class Tokens(Checked):
    """Words with codes.

    Attributes:
        words: W words.
        codes: W rows of Q codes.
        model: Digest of the model that they belong to, if it is known.
    """

    words: list[Word] = Field(min_length=1, max_length=MAX_WORDS)
    codes: list[Annotated[list[Code], Field(max_length=64)]] = Field(
        max_length=MAX_WORDS
    )
    model: str = ""

    def item(self) -> SpeechTokens:
        """The same for the model.

        Raises:
            ValueError: Rows differ in length.
        """
        if len({len(row) for row in self.codes}) != 1:
            raise ValueError("expected as many codes in each row, and a row a word")
        return SpeechTokens(tuple(self.words), np.array(self.codes), model=self.model)


class Voiced(Checked):
    """Words with codes that somebody says.

    Attributes:
        tokens: See ``Tokens``.
        voice: Speaker embedding (E,) from ``/tokenize``, or the name of a voice.
        seed: Another number is another reading or continuation.
    """

    tokens: Tokens
    voice: Voice
    seed: int = Field(0, ge=0, lt=2**31)


class SpeakRequest(Voiced):
    """``/speak``.

    Attributes:
        timings: When each word is said, in place of what the model predicts.
        other: Another reading of the same words.
        weights: Share of that reading in each word, 0 to 1; given with ``other``.
    """

    timings: list[Time] | None = Field(None, max_length=MAX_WORDS)
    other: Tokens | None = None
    weights: list[Share] | None = Field(None, max_length=MAX_WORDS)

    @model_validator(mode="after")
    def both(self) -> "SpeakRequest":
        """Refuse a reading without weights, and weights without a reading."""
        if (self.other is None) != (self.weights is None):
            raise ValueError("expected other and weights, or none of them")
        return self

    def times(self) -> list[WordTiming] | None:
        """The times for the model."""
        if self.timings is None:
            return None
        return [WordTiming("", time.start, time.duration) for time in self.timings]


class ContinueRequest(Voiced):
    """``/continue``.

    Attributes:
        max_words: Most words of the continuation; the model has a limit of its own.
        response_format: ``wav`` and ``pcm`` (16 bit, mono) are sent while they are
            made; ``jsonl`` gives words, codes and times with them, a piece a line.
    """

    max_words: int = Field(MAX_WORDS, ge=1, le=MAX_WORDS)
    response_format: Literal["wav", "pcm", "jsonl"] = "wav"


class SpeechRequest(Checked):
    """``/v1/audio/speech``, in OpenAI's form.

    Attributes:
        input: The text.
        voice: See ``Voiced``.
        model: Accepted and ignored: there is one model.
        instructions: Likewise.
        response_format: See ``ContinueRequest``.
        speed: Factor of the speed, for models that predict durations.
        stream_format: Likewise accepted: audio is always sent while it is made.
        style: Words with codes whose manner is followed; not in OpenAI's form.
        seed: See ``Voiced``; not in OpenAI's form.
    """

    input: str = Field(min_length=1, max_length=MAX_CHARACTERS)
    voice: Voice
    model: str = ""
    instructions: str = ""
    response_format: Literal["wav", "pcm", "jsonl"] = "wav"
    speed: float = Field(1.0, ge=0.25, le=4.0, allow_inf_nan=False)
    stream_format: Literal["audio"] = "audio"
    style: Tokens | None = None
    seed: int = Field(0, ge=0, lt=2**31)
