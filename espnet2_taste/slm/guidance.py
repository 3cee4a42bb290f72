"""Text guidance: the base LM, which reads the text alone, takes part in choosing text.

Enters: logits of the spoken LM and of the frozen base LM for the same place. Leaves:
logits in which the distribution over text tokens is a mixture of both, in the log
domain::

    log p(text token) = log P(any text) + log softmax((1 - g) log s + g log b)

where s and b are the distributions of the spoken and of the base LM over text tokens.
The end of text, and what is no text (units, padding), keep the probability that the
spoken LM gives them: a base LM need not expect an end there, and knows no units.

Legend: B prompts under way, N text tokens, X ids of a stream, V ids of the text LM.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.slm.backbone import AbsBackbone
from espnet2_taste.slm.row_reader import RowReader
from espnet2_taste.slm.sampling import NEVER


@dataclass(frozen=True)
class TextMixture:
    """Mixes the text of two LMs.

    Attributes:
        share: Of the base LM, 0 to 1; the option ``guidance``.
        text_size: Ids of a stream that are the text LM's; they come first.
        end_id: The one of them that ends text.

    Raises:
        ValueError: A share outside 0 to 1.
    """

    share: float
    text_size: int
    end_id: int

    def __post_init__(self):
        if not 0.0 <= self.share <= 1.0:
            raise ValueError(f"guidance is a share from 0 to 1, found {self.share}")

    def __call__(self, logits: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
        """Mix.

        Args:
            logits: Of the spoken LM, (..., X).
            base: Of the base LM, (..., V).

        Returns:
            (..., X); the sum of the probabilities of text stays.
        """
        text = logits[..., : self.text_size].float()
        is_end = torch.arange(self.text_size, device=text.device) == self.end_id
        own = text.masked_fill(is_end, NEVER)
        others = base[..., : self.text_size].float().masked_fill(is_end, NEVER)
        mixed = torch.lerp(own.log_softmax(-1), others.log_softmax(-1), self.share)
        mixed = mixed.masked_fill(own == NEVER, NEVER).log_softmax(dim=-1)
        mixed = mixed + own.logsumexp(dim=-1, keepdim=True)
        mixed = torch.where(is_end, text, mixed)
        return torch.cat([mixed, logits[..., self.text_size :].float()], dim=-1)


class TextGuide:
    """The base LM beside a generation; does nothing with a share of 0.

    Args:
        backbone: The adapted text LM; with a share above 0 it must not be merged.
        bos_id: Text id that begins texts of the base LM.
        mixture: How both are mixed.
    """

    def __init__(self, backbone: AbsBackbone, bos_id: int, mixture: TextMixture):
        self.backbone, self.bos_id, self.mixture = backbone, bos_id, mixture
        self.reader = RowReader(backbone.base_forward)

    def start(self, texts: Sequence[torch.Tensor]) -> None:
        """Read the text of prompts, (N,) each, with or without BOS."""
        if not self.mixture.share:
            return
        rows = [
            text if text[:1].tolist() == [self.bos_id] else self._begun(text)
            for text in texts
        ]
        lengths = torch.tensor([len(row) for row in rows], device=rows[0].device)
        (self.last,) = self.reader.start(pad_sequence(rows, True), lengths)

    def _begun(self, text: torch.Tensor) -> torch.Tensor:
        return torch.cat([text.new_tensor([self.bos_id]), text])

    def mix(self, logits: torch.Tensor) -> torch.Tensor:
        """Mix logits of the next text, (B, X) -> (B, X)."""
        if not self.mixture.share:
            return logits
        return self.mixture(logits, self.backbone.base_logits(self.last))

    def read(self, text: torch.Tensor, active: torch.Tensor) -> None:
        """Read the next text token, (B,), of the prompts that wrote one, (B,) bool."""
        if active.any():
            (states,) = self.reader.read(text.where(active, self.bos_id), active)
            self.last = torch.where(active[:, None], states, self.last)

    def select(self, kept: torch.Tensor) -> None:
        """Keep only some prompts, given as indices (B',)."""
        if self.mixture.share:
            self.reader.select(kept)
            self.last = self.last[kept]
