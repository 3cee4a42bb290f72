"""How long words are, and whether silence stands between them.

Enters: encoded symbols of a text (B, C, D), word vectors and speaker (B, W, D). Leaves:
a distribution of the logarithm of each word's duration, and, before the first word and
behind each, of a silence: its probability and the logarithm of its duration. In
training the loss of true durations, in generation durations in seconds.

A word's duration depends on its letters and those around it, its own vector and the
speaker; a silence on the words beside it.

Legend: B utterances, C symbols, W words, D features.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from espnet2_taste.dropout import Dropout
from espnet2_taste.masks import length_mask
from espnet2_taste.ranks import joint_mean
from espnet2_taste.speech_decoder.segments import silences_of_times
from espnet2_taste.speech_decoder.spelling import Symbols, sum_words

SHORTEST = 0.02  # seconds; alignments have no shorter words
LOG_VARIANCES = (-5.0, 3.0)  # surer than 8 percent, half a unit, learns by heart


@dataclass(frozen=True)
class WordDurations:
    """Distributions of the durations of a batch, in seconds.

    Attributes:
        word_mean: Mean of the logarithm, (B, W).
        word_log_variance: (B, W).
        silence_logit: Before the first word and behind each, (B, W + 1).
        silence_mean: Mean of the logarithm of a silence that is there, (B, W + 1).
        silence_log_variance: (B, W + 1).
    """

    word_mean: torch.Tensor
    word_log_variance: torch.Tensor
    silence_logit: torch.Tensor
    silence_mean: torch.Tensor
    silence_log_variance: torch.Tensor

    def loss(
        self, word_times: torch.Tensor, words: torch.Tensor, seconds: torch.Tensor
    ):
        """Negative log-likelihood of true times.

        Args:
            word_times: As from ``segments.tidy_times``, (B, W, 2).
            words: Words of each utterance, 0 for one that does not count, (B,).
            seconds: Length of each utterance, (B,).

        Returns:
            Mean over the words of what a word and the silences beside it cost, scalar.
        """
        width = word_times.size(1)
        spoken = length_mask(words, width)  # (B, W)
        gaps = length_mask(words + (words > 0), width + 1)  # (B, W + 1)
        begin, end = word_times.unbind(-1)
        silences = silences_of_times(word_times, seconds)  # (B, W + 1)
        there = silences > 1e-4
        word = _negative_log_likelihood(
            (end - begin).clamp(min=SHORTEST).log(),
            self.word_mean,
            self.word_log_variance,
        )
        length = _negative_log_likelihood(
            silences.clamp(min=SHORTEST).log(),
            self.silence_mean,
            self.silence_log_variance,
        )
        presence = functional.binary_cross_entropy_with_logits(
            self.silence_logit, there.to(self.silence_logit), reduction="none"
        )
        total = (word * spoken).sum() + (presence * gaps).sum()
        total = total + (length * (there & gaps)).sum()
        return joint_mean(total, spoken.sum())

    def choose(
        self, normal: torch.Tensor | None = None, uniform: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Durations in seconds: the centre, or a sample.

        Args:
            normal: Normal numbers of words and silences, scaled by the temperature,
                (B, 2 W + 1), in the order of the segments; None takes the centre.
            uniform: Numbers in [0, 1) that decide on silences, (B, W + 1); None takes
                those that are likelier than not.

        Returns:
            Of words (B, W) and silences (B, W + 1).
        """
        word, silence = self.word_mean, self.silence_mean
        if normal is not None:
            word = word + normal[:, 1::2] * (self.word_log_variance / 2).exp()
            silence = silence + normal[:, ::2] * (self.silence_log_variance / 2).exp()
        limit = 0.5 if uniform is None else uniform
        there = self.silence_logit.sigmoid() > limit
        return word.exp(), silence.exp() * there


def _negative_log_likelihood(
    value: torch.Tensor, mean: torch.Tensor, log_variance: torch.Tensor
) -> torch.Tensor:
    spread = math.log(2 * math.pi) + log_variance
    return 0.5 * (spread + (value - mean) ** 2 * (-log_variance).exp())


class WordDurationPredictor(nn.Module):
    """Predicts durations.

    Args:
        size: Features D.
        dropout_rate: Dropout of the word's features.
    """

    def __init__(self, size: int, dropout_rate: float = 0.0):
        super().__init__()
        self.letter = nn.Linear(size, 1)
        self.word = nn.Sequential(
            nn.Linear(2 * size + 2, size),
            nn.SiLU(),
            Dropout(dropout_rate),
            nn.Linear(size, size),
            nn.SiLU(),
        )
        self.word_out = nn.Linear(size, 2)
        self.silence = nn.Sequential(nn.Linear(2 * size, size), nn.SiLU())
        self.silence_out = nn.Linear(size, 3)

    def forward(
        self, encoded: torch.Tensor, symbols: Symbols, conditions: torch.Tensor
    ) -> WordDurations:
        """Predict.

        Args:
            encoded: (B, C, D).
            symbols: Of the same texts.
            conditions: Vector and speaker of each word, (B, W, D).

        Returns:
            The distributions.
        """
        width = symbols.count.size(1)
        shares = torch.cat([encoded, self.letter(encoded).clamp(max=8).exp()], dim=-1)
        sums = sum_words(shares, symbols.word, width)  # (B, W, D + 1)
        count = symbols.count.clamp(min=1).unsqueeze(-1)
        log_sum = sums[..., -1:].clamp(min=1e-3).log()  # of the letters together
        features = [sums[..., :-1] / count, conditions, log_sum, count.log()]
        hidden = self.word(torch.cat(features, dim=-1))  # (B, W, D)
        mean, log_variance = self.word_out(hidden).unbind(-1)
        spoken = length_mask(symbols.words, width)
        around = functional.pad(hidden * spoken.unsqueeze(-1), (0, 0, 1, 1))
        pairs = torch.cat([around[:, :-1], around[:, 1:]], dim=-1)  # (B, W + 1, 2 D)
        logit, length, spread = self.silence_out(self.silence(pairs)).unbind(-1)
        return WordDurations(
            word_mean=mean + log_sum.squeeze(-1),
            word_log_variance=log_variance.clamp(*LOG_VARIANCES),
            silence_logit=logit,
            silence_mean=length,
            silence_log_variance=spread.clamp(*LOG_VARIANCES),
        )
