"""How likely an utterance is: by its text, its speech, or both; summed or averaged.

Enters: a batch for :class:`espnet2_taste.slm.taslm.Taslm`. Leaves: the log likelihood
of every text token and of every word's code, to be reduced as an evaluation asks.

Legend: B utterances, N text tokens, W words, P pairs.
"""

from dataclasses import dataclass
from typing import Optional

import torch

from espnet2_taste.slm import losses
from espnet2_taste.slm.layouts.text_aligned import IGNORE


@dataclass(frozen=True)
class UtteranceScores:
    """Log likelihoods of a batch; zero where the masks are False.

    Attributes:
        text: Of each text token and of EOS, (B, N + 1).
        text_mask: (B, N + 1) bool.
        speech: Of each word's code, (B, W).
        speech_mask: (B, W) bool.
        speech_nats: Natural log-likelihood (or density) of each word's code, (B, W).
    """

    text: torch.Tensor
    text_mask: torch.Tensor
    speech: torch.Tensor
    speech_mask: torch.Tensor
    speech_nats: Optional[torch.Tensor] = None

    @property
    def text_sum(self) -> torch.Tensor:
        """Log likelihood of the text, (B,)."""
        return self.text.sum(dim=1)

    @property
    def text_mean(self) -> torch.Tensor:
        """The same per token, (B,)."""
        return self.text_sum / self.text_mask.sum(dim=1).clamp(min=1)

    @property
    def speech_sum(self) -> torch.Tensor:
        """Log likelihood of the codes, (B,)."""
        return self.speech.sum(dim=1)

    @property
    def speech_mean(self) -> torch.Tensor:
        """The same per word, (B,)."""
        return self.speech_sum / self.speech_mask.sum(dim=1).clamp(min=1)

    @property
    def both_sum(self) -> torch.Tensor:
        """Log likelihood of text and codes, (B,)."""
        return self.text_sum + self.speech_sum

    def both_mean(
        self, text_weight: float = 0.5, speech_weight: float = 0.5
    ) -> torch.Tensor:
        """Weighted sum of the two means; with the defaults the published score.

        Args:
            text_weight: Share of the text.
            speech_weight: Share of the speech.

        Returns:
            (B,), higher is likelier.
        """
        return text_weight * self.text_mean + speech_weight * self.speech_mean

    def table(self) -> dict:
        """All reductions by name, each (B,)."""
        return {
            "text_sum": self.text_sum,
            "text_mean": self.text_mean,
            "speech_sum": self.speech_sum,
            "speech_mean": self.speech_mean,
            "both_sum": self.both_sum,
            "both_mean": self.both_mean(),
        }


@torch.no_grad()
def score_utterances(
    taslm: torch.nn.Module,
    text: torch.Tensor,
    text_lengths: torch.Tensor,
    word_ids: torch.Tensor,
    codes: torch.Tensor,
) -> UtteranceScores:
    """Score a padded batch; padding never changes a score.

    Args:
        taslm: The model in evaluation mode.
        text: Text ids, (B, N).
        text_lengths: (B,).
        word_ids: (B, N).
        codes: (B, W, Q).

    Returns:
        Scores of every token and word.
    """
    output = taslm(text, text_lengths, word_ids, codes)
    labels = output.text_labels
    logits = taslm.backbone.logits(output.text_states)
    given = (output.prediction, output.codes, taslm.quantizer)
    speech, nats = taslm.head.log_likelihood(*given), taslm.head.nats(*given)
    return UtteranceScores(
        text=-losses.text_cross_entropy(logits, labels, IGNORE),
        text_mask=labels != IGNORE,
        speech=torch.where(output.word_mask, speech, torch.zeros_like(speech)),
        speech_mask=output.word_mask,
        speech_nats=torch.where(output.word_mask, nats, torch.zeros_like(nats)),
    )


@torch.no_grad()
def score_base_text(
    taslm: torch.nn.Module,
    text: torch.Tensor,
    text_lengths: torch.Tensor,
    word_ids: torch.Tensor,
) -> torch.Tensor:
    """Score the same text tokens with the frozen base LM, which reads no speech.

    Args:
        taslm: The model in evaluation mode.
        text: Text ids, (B, N).
        text_lengths: (B,).
        word_ids: (B, N).

    Returns:
        Log likelihood of each text token and of EOS, (B, N + 1), zero at padding.
    """
    grid = taslm.layout.encode(text, text_lengths, word_ids, taslm.eos_id)
    labels = grid.text_labels[:, : text.size(1) + 1]
    logits = taslm.backbone.base_logits(taslm.base_states(text))
    return -losses.text_cross_entropy(logits, labels, IGNORE)
