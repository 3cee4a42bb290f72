"""When each word is spoken, known to the tokenizer itself.

Enters: speech (B, S) and its text, token ids (B, N) with word ids. Leaves: begin and
end of each word in seconds (B, W, 2). Legend: B utterances, S samples, N text tokens, W
words, K states of the models, D features.

A cross-attention that is trained on an hour of speech finds roughly where a word is,
not how long it is. With times from models of letters it is limited to the frames of its
word, and the length of the word itself stands in the vector. Not part of the published
system. Relative: the durations and the pauses of TADA, one vector a token.
"""

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.align.letter_models import LetterModels
from espnet2_taste.text.abs_tokenizer import AbsTextTokenizer
from espnet2_taste.text.words import words_of_tokens

UNSPELLED = "\0"  # a letter for words whose tokens write nothing


class AbsWordTimer(nn.Module, ABC):
    """Common interface of what times words."""

    @abstractmethod
    def forward(
        self,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        text: torch.Tensor,
        word_ids: torch.Tensor,
    ) -> torch.Tensor:
        """Time the words of a batch; each utterance gets what it would get alone.

        Args:
            speech: (B, S).
            speech_lengths: Valid samples, (B,).
            text: Token ids, (B, N).
            word_ids: Word of each token, -1 at padding, (B, N).

        Returns:
            Begin and end in seconds, (B, W, 2), equal where they are unknown.
        """


class LetterTimer(AbsWordTimer):
    """Models of letters (``align.letter_models``), which are saved with the tokenizer.

    Args:
        tokenizer: Knows how its tokens are spelled.
        sample_rate: Of the speech, in Hz.
        letters: Letters that have models; the models themselves come from a checkpoint
            or by :meth:`load_models`.
    """

    def __init__(
        self, tokenizer: AbsTextTokenizer, sample_rate: int, letters: str = ""
    ):
        super().__init__()
        from espnet2_taste.align.cepstra import Cepstra  # imports torchaudio

        self.letters = letters
        self.spelled = tokenizer.token_bytes()
        self.cepstra = Cepstra(sample_rate)
        shape = (LetterModels.count(letters), Cepstra.SIZE)
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("variance", torch.ones(shape))

    def load_models(self, models: LetterModels) -> None:
        """Take trained models of the same letters."""
        self.mean.copy_(torch.from_numpy(models.mean))
        self.variance.copy_(torch.from_numpy(models.variance))

    @torch.no_grad()
    def forward(self, speech, speech_lengths, text, word_ids):
        """See ``AbsWordTimer.forward``."""
        numbers = (self.mean.float().cpu().numpy(), self.variance.float().cpu().numpy())
        models = LetterModels(self.letters, *numbers)
        counts = (word_ids.amax(1) + 1).tolist()
        waves = speech.detach().float().cpu()
        rows = zip(waves, speech_lengths.tolist(), text.tolist(), word_ids.tolist())
        times = [
            self._place(models, wave[:length].numpy(), tokens, ids, count)
            for (wave, length, tokens, ids), count in zip(rows, counts)
        ]
        return pad_sequence(times, batch_first=True).to(speech.device)

    def _place(
        self,
        models: LetterModels,
        wave: np.ndarray,
        tokens: list[int],
        word_ids: list[int],
        count: int,
    ) -> torch.Tensor:
        """Times of one utterance, (W, 2); zeros where letters outnumber frames."""
        words = words_of_tokens(self.spelled, tokens, word_ids, count)
        placed = models.place(self.cepstra(wave), [word or UNSPELLED for word in words])
        times = np.zeros((count, 2)) if placed is None else placed
        return torch.from_numpy(times).float()
