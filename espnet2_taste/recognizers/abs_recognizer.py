"""What a recipe takes from a trained speech recognizer.

Enters: where a recognizer is and how it is used. Leaves its parts, each loaded only
when it is asked for: the vocabulary of the speech side's text, an aligner (transcripts
and word times), and the encoder (frames of the TASTE tokenizer and of k-means units).
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from espnet2_taste.align.abs_aligner import AbsAligner
from espnet2_taste.tokenizer.encoders.abs_encoder import AbsSpeechEncoder


class AbsRecognizer(ABC):
    """A trained recognizer on disk or on a hub.

    Attributes:
        model: Its directory, a file in it, or its public name.
        speech_encoder: Name of its encoder in ``speech_encoder_choices``.
        aggregator: Name in ``aggregator_choices`` of what can start from its decoder.
    """

    model: str
    speech_encoder: ClassVar[str]
    aggregator: ClassVar[str] = "espnet"

    @abstractmethod
    def encoder_conf(self) -> dict[str, Any]:
        """Options that make the speech encoder this recognizer's."""

    @abstractmethod
    def frame_encoder(self, layer: int) -> AbsSpeechEncoder:
        """Load the encoder for frames of a layer, none beyond an utterance's end.

        Args:
            layer: Blocks passed.

        Raises:
            ValueError: The model is missing or has no such layer.
        """

    @abstractmethod
    def write_vocabulary(self, directory: Path) -> str:
        """Write the text tokens into an empty directory.

        Args:
            directory: Receives ``token_type`` and ``tokens.txt`` (with ``bpe.model``
                for sentencepiece), or a Hugging Face tokenizer.

        Returns:
            The kind of vocabulary, a name in ``token_type_choices``.

        Raises:
            ValueError: The vocabulary is missing or of a kind that cannot be used.
        """

    @abstractmethod
    def aligner(self, device: str = "cpu", window: float = 30.0) -> AbsAligner:
        """Load what recognizes and times words.

        Args:
            device: Torch device.
            window: Longest audio, in seconds, that is encoded at once.

        Raises:
            ValueError: The model is missing or has no part that could do it.
        """
