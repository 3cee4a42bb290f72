"""A trained TASTE tokenizer from its experiment directory.

Enters: waveforms and transcripts. Leaves: word-level codes (W, Q) with their words.
Legend: B utterances, S samples, N text tokens, W words, Q codebooks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from espnet2_taste.espnet_taste_model import ESPnetTasteModel
from espnet2_taste.inference.loading import load_taste_exp
from espnet2_taste.structures import WordCodes
from espnet2_taste.text.preprocessor import TastePreprocessor
from espnet2_taste.units.batches import SpeechBatch


@dataclass(frozen=True)
class TextBatch:
    """Transcripts of a batch as ids.

    Attributes:
        text: Token ids, 0 at padding, (B, N).
        lengths: (B,).
        word_ids: -1 at padding, (B, N).
    """

    text: torch.Tensor
    lengths: torch.Tensor
    word_ids: torch.Tensor


class TasteEncoder:
    """Speech and transcripts -> codes.

    Args:
        model: A trained model in evaluation mode.
        preprocessor: Its text side.
    """

    def __init__(self, model: ESPnetTasteModel, preprocessor: TastePreprocessor):
        self.model = model
        self.preprocessor = preprocessor

    @classmethod
    def from_exp(
        cls,
        taste_exp: str | Path,
        model_file: str | Path | None = None,
        device: str = "cpu",
    ) -> "TasteEncoder":
        """Load from an experiment directory; see ``load_taste_exp``."""
        return cls(*load_taste_exp(taste_exp, model_file, device))

    @property
    def sample_rate(self) -> int:
        """Rate of the waveforms that enter, Hz."""
        return self.model.tokenizer.encoder.sample_rate

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def texts(self, names: Sequence[str], texts: Sequence[str]) -> TextBatch:
        """Tokenise transcripts.

        Args:
            names: Utterance ids, for errors.
            texts: B transcripts, words separated by spaces.

        Returns:
            The batch on the model's device.
        """
        items = [
            self.preprocessor(name, {"text": text}) for name, text in zip(names, texts)
        ]
        lengths = torch.tensor([len(item["text"]) for item in items])
        return TextBatch(
            text=_padded([item["text"] for item in items], 0).to(self.device),
            lengths=lengths.to(self.device),
            word_ids=_padded([item["word_ids"] for item in items], -1).to(self.device),
        )

    def __call__(self, batch: SpeechBatch, texts: Sequence[str]) -> list[WordCodes]:
        """Tokenize a batch; see :meth:`timed`."""
        return [codes for codes, _ in self.timed(batch, texts)]

    @torch.no_grad()
    def timed(
        self, batch: SpeechBatch, texts: Sequence[str]
    ) -> list[tuple[WordCodes, np.ndarray]]:
        """Tokenize a batch, with the times that the tokenizer itself gives the words.

        Args:
            batch: B utterances at ``sample_rate``.
            texts: Their transcripts.

        Returns:
            Codes of each utterance, and begin and end of its words in seconds, (W, 2),
            equal where they are unknown, as all are to a model without ``word_timer``.

        Raises:
            RuntimeError: The model was trained without codes.
        """
        if not (self.model.use_taste and self.model.quantize):
            raise RuntimeError(
                "this TASTE model was trained without codes: use the experiment of the "
                "step with 'use_taste: true' and 'quantize: true'"
            )
        batch, ids = batch.to(self.device), self.texts(batch.names, texts)
        tokenizer, speech = self.model.tokenizer, (batch.speech, batch.lengths)
        times = None
        if tokenizer.word_timer is not None:
            times = tokenizer.word_timer(*speech, ids.text, ids.word_ids)
        codes, words = tokenizer.encode(
            *speech, ids.text, ids.lengths, ids.word_ids, times
        )
        if times is None:
            times = codes.new_zeros(*codes.shape[:2], 2)
        return [
            (
                WordCodes(tuple(text.split()), row[:count].cpu().numpy()),
                placed[:count].cpu().numpy(),
            )
            for text, row, placed, count in zip(texts, codes, times, words.tolist())
        ]

    @torch.no_grad()
    def vectors(
        self, batch: SpeechBatch, texts: Sequence[str]
    ) -> tuple[TextBatch, torch.Tensor | None]:
        """What the unit decoder reads, whatever training step the model is of.

        Args:
            batch: B utterances at ``sample_rate``.
            texts: Their transcripts.

        Returns:
            The texts, and TASTE vectors (B, N, D) or None for a text-only model.
        """
        ids = self.texts(batch.names, texts)
        if not self.model.use_taste:
            return ids, None
        batch = batch.to(self.device)
        output = self.model.taste(
            batch.speech, batch.lengths, ids.text, ids.lengths, ids.word_ids
        )
        return ids, output.quantized


def _padded(rows: Iterable[np.ndarray], value: int) -> torch.Tensor:
    tensors = [torch.as_tensor(row) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(
        tensors, batch_first=True, padding_value=value
    )
