"""ESPnet model of the text backbone: sentences -> loss, perplexity, accuracy.

Enters: ``text`` (B, N) token ids, -1 at padding. Leaves: mean cross entropy for each
token of "words, end" given "beginning, words".

Legend: B utterances, N text tokens, V vocabulary.
"""

from functools import partial

import torch
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.abs_espnet_model import AbsESPnetModel
from torch.nn import functional

from espnet2_taste.slm.causal_lm import text_logits
from espnet2_taste.slm.text_loss import TextTargets, states_loss

IGNORE = -1


def sentence_inputs_and_targets(
    text: torch.Tensor, text_lengths: torch.Tensor, bos_id: int, eos_id: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Put the beginning before and the end behind each sentence.

    Args:
        text: Token ids, (B, N); anything beyond a sentence's length.
        text_lengths: (B,).
        bos_id: Beginning of text.
        eos_id: End of text.

    Returns:
        Inputs (B, N+1) with ``eos_id`` at padding, and targets (B, N+1) with -1 there.
    """
    positions = torch.arange(text.shape[1] + 1, device=text.device)  # (N+1,)
    ends = text_lengths.unsqueeze(1)  # (B, 1)
    column = text.new_full((len(text), 1), eos_id)
    inputs = torch.cat([torch.full_like(column, bos_id), text], dim=1)
    targets = torch.cat([text, column], dim=1).masked_fill(positions == ends, eos_id)
    inputs = inputs.masked_fill(positions > ends, eos_id)
    return inputs, targets.masked_fill(positions > ends, IGNORE)  # (B, N+1) each


class ESPnetTextLmModel(AbsESPnetModel):
    """A Hugging Face causal LM trained on single sentences.

    Args:
        lm: Causal LM, (B, N) ids -> logits (B, N, V).
        bos_id: Beginning of text.
        eos_id: End of text.
    """

    def __init__(self, lm: torch.nn.Module, bos_id: int, eos_id: int) -> None:
        super().__init__()
        self.lm = lm
        self.bos_id = bos_id
        self.eos_id = eos_id

    def token_losses(
        self, text: torch.Tensor, text_lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Cross entropy of every token.

        Args:
            text: (B, N) ids, padded with -1.
            text_lengths: (B,).

        Returns:
            Losses (B, N+1) in nats, zero at padding; hits (B, N+1) bool; the mask of
            valid places (B, N+1) bool.
        """
        inputs, targets = sentence_inputs_and_targets(
            text, text_lengths, self.bos_id, self.eos_id
        )
        logits = self.lm(input_ids=inputs, use_cache=False).logits  # (B, N+1, V)
        losses = functional.cross_entropy(
            logits.transpose(1, 2).float(),
            targets,
            ignore_index=IGNORE,
            reduction="none",
        )
        return losses, logits.argmax(-1) == targets, targets != IGNORE

    def forward(self, text: torch.Tensor, text_lengths: torch.Tensor, **kwargs):
        """Loss of a batch.

        Args:
            text: (B, N) ids, padded with -1.
            text_lengths: (B,).
            **kwargs: Other fields of the batch (``word_ids``, ``utt_id``), not used.

        Returns:
            Loss, statistics and weight (number of tokens) for ESPnet's trainer.
        """
        text = text[:, : text_lengths.max()]
        inputs, targets = sentence_inputs_and_targets(
            text, text_lengths, self.bos_id, self.eos_id
        )
        valid = targets != IGNORE
        states = self.lm.base_model(input_ids=inputs, use_cache=False)[0][valid]
        weight = valid.sum()
        shares = (1.0 / weight).expand(len(states))
        vocab_size = self.lm.config.vocab_size
        head = partial(text_logits, self.lm)
        wanted = TextTargets(targets[valid], shares, torch.zeros_like(shares))
        found = states_loss(states, head, vocab_size, wanted)
        loss = found.loss
        stats = {
            "loss": loss.detach(),
            "acc": found.hits.mean(),
            "ppl": loss.detach().exp(),
        }
        return force_gatherable((loss, stats, weight.float()), loss.device)

    def collect_feats(self, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """No features to collect.

        Args:
            **batch: Ignored.

        Returns:
            An empty dictionary.
        """
        return {}
