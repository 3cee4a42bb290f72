"""How likely an utterance is: by its text, its speech, or both; summed or averaged.

Enters: the log likelihood of every text token and of every unit or word's code, of
whatever design. Leaves: the reductions that an evaluation asks for.

Legend: B utterances, N text tokens, W speech tokens (words with codes, or units).
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class BaseScores:
    """The same text by the base LM, which reads no speech.

    Attributes:
        text: Log likelihood of each text token and of EOS, (B, N + 1).
        tokens: True at the text tokens, EOS apart, (B, N + 1).
    """

    text: torch.Tensor
    tokens: torch.Tensor


@dataclass(frozen=True)
class UtteranceScores:
    """Log likelihoods of a batch; zero where the masks are False.

    Attributes:
        text: Of each text token and of the end, (B, N + 1).
        text_mask: (B, N + 1) bool.
        speech: Of each speech token, (B, W), in the unit of the head.
        speech_mask: (B, W) bool.
        speech_nats: The same in nats (or log density), where that differs, (B, W).
        base: Of the same text by the base LM, where it was asked.
    """

    text: torch.Tensor
    text_mask: torch.Tensor
    speech: torch.Tensor
    speech_mask: torch.Tensor
    speech_nats: torch.Tensor | None = None
    base: BaseScores | None = None

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

    def table(self) -> dict[str, torch.Tensor]:
        """All reductions by name, each (B,).

        ``tokens_*`` are of the text without its end, ``base_*`` by the base LM.
        """
        table = {
            "text_sum": self.text_sum,
            "text_mean": self.text_mean,
            "speech_sum": self.speech_sum,
            "speech_mean": self.speech_mean,
            "both_sum": self.both_sum,
            "both_mean": self.both_mean(),
        }
        if self.speech_nats is not None:
            table["speech_nats_sum"] = self.speech_nats.sum(dim=1)
        if self.base is not None:
            for prefix, values in (("", self.text), ("base_", self.base.text)):
                total = (values * self.base.tokens).sum(dim=1)
                table[f"{prefix}tokens_sum"] = total
                table[f"{prefix}tokens_mean"] = total / self.base.tokens.sum(dim=1)
            total, count = self.base.text.sum(dim=1), self.text_mask.sum(dim=1)
            table["base_text_sum"] = total
            table["base_text_mean"] = total / count.clamp(min=1)
        return table
