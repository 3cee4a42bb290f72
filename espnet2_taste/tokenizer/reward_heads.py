"""Heads that reward TASTE vectors for what predicting units alone leaves out.

Enters: vectors (B, N, D) and what a word of speech has besides its sounds. Leaves: a
loss. Units of a supervised encoder hardly know the voice, and a decoder that is given
the speaker and its last units finds voice and tempo there; a language model of
the codes can keep to a voice or a tempo only if the codes hold them. Not part of the
published system; the heads are not used after training.

Legend: B utterances, N text tokens, W words, D features, E speaker features, V tokens.
"""

import torch
from torch import nn
from torch.nn import functional as F

from espnet2_taste.ranks import joint_mean


class SpeakerHead(nn.Module):
    """Predicts the speaker from every single TASTE vector.

    Args:
        taste_size: D.
        spembs_size: E.
    """

    def __init__(self, taste_size: int, spembs_size: int):
        super().__init__()
        self.linear = nn.Linear(taste_size, spembs_size)

    def forward(
        self, taste: torch.Tensor, word_ids: torch.Tensor, spembs: torch.Tensor
    ) -> torch.Tensor:
        """One less the cosine between predicted and true embedding.

        Args:
            taste: (B, N, D).
            word_ids: (B, N), -1 at padding.
            spembs: (B, E).

        Returns:
            Mean over the tokens, scalar.
        """
        cosine = F.cosine_similarity(
            self.linear(taste).float(), spembs.unsqueeze(1), dim=-1
        )
        distances = 1.0 - cosine[word_ids >= 0]  # of (B, N)
        return joint_mean(distances.sum(), len(distances))


class DurationHead(nn.Module):
    """Predicts the duration of its word from every single TASTE vector.

    A bias for each token takes what the text alone says about it, so that the vector
    has to hold the tempo.

    Args:
        taste_size: D.
        vocab_size: V.
    """

    def __init__(self, taste_size: int, vocab_size: int):
        super().__init__()
        self.linear = nn.Linear(taste_size, 1)
        self.token_bias = nn.Embedding(vocab_size, 1)
        nn.init.zeros_(self.token_bias.weight)

    def predict(self, taste: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """Logarithms of durations.

        Args:
            taste: (B, N, D).
            text: Token ids, (B, N), 0 at padding.

        Returns:
            (B, N).
        """
        return (self.linear(taste) + self.token_bias(text)).squeeze(-1)

    def forward(
        self,
        taste: torch.Tensor,
        text: torch.Tensor,
        word_ids: torch.Tensor,
        word_times: torch.Tensor,
    ) -> torch.Tensor:
        """Squared error of the logarithm of the duration.

        Args:
            taste: (B, N, D).
            text: Token ids, (B, N), 0 at padding.
            word_ids: (B, N), -1 at padding.
            word_times: Begin and end of each word in seconds, (B, W, 2); words that
                end where they begin ("0 0") have no known duration and do not count.

        Returns:
            Mean over the tokens whose word's duration is known, scalar; zero without.
        """
        seconds = word_times[..., 1] - word_times[..., 0]  # (B, W)
        seconds = seconds.gather(1, word_ids.clamp(min=0))  # (B, N)
        known = (word_ids >= 0) & (seconds > 0)
        targets = torch.where(known, seconds, 1.0).log()
        errors = torch.where(known, self.predict(taste, text) - targets, 0.0)
        return joint_mean(errors.square().sum(), known.sum())
