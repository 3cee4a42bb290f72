"""ESPnet model of the text-aligned spoken LM: batch -> loss, statistics, weight.

Enters: ``text`` (B, N) ids with ``word_ids`` (B, N), and ``codes`` (B, W, Q), all -1 at
padding. Leaves: the loss of the paper (section 3.3)::

    loss = text_weight * L_text + taste_weight * L_taste
    L_text = kl_weight * KL(base || model) + (1 - kl_weight) * CE

Legend: B utterances, N text tokens, W words, Q codebooks, V text vocabulary.
"""

from typing import Dict

import torch
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.abs_espnet_model import AbsESPnetModel

from espnet2_taste.slm import losses
from espnet2_taste.slm.heads import HeadLoss
from espnet2_taste.slm.layouts.text_aligned import IGNORE
from espnet2_taste.slm.taslm import Taslm, TaslmOutput
from espnet2_taste.trainable_state import TrainableState


class ESPnetTaslmModel(TrainableState, AbsESPnetModel):
    """Trains TASLM; checkpoints leave out the frozen weights of the text LM.

    Args:
        taslm: The model.
        text_weight: Weight of the text loss.
        taste_weight: Weight of the TASTE loss.
        kl_weight: Share of the KL term in the text loss, 0 to 1; the rest is CE.
        extract_feats_in_collect_stats: Read by ESPnet's task; statistics need no
            model.

    Raises:
        ValueError: A share outside 0 to 1.
    """

    def __init__(
        self,
        taslm: Taslm,
        text_weight: float = 0.5,
        taste_weight: float = 0.5,
        kl_weight: float = 0.9,
        extract_feats_in_collect_stats: bool = False,
    ):
        super().__init__()
        if not 0.0 <= kl_weight <= 1.0:
            raise ValueError(
                f"model_conf: kl_weight is a share from 0 to 1, found {kl_weight}"
            )
        self.taslm = taslm
        self.text_weight = text_weight
        self.taste_weight = taste_weight
        self.kl_weight = kl_weight
        self.extract_feats_in_collect_stats = extract_feats_in_collect_stats
        self.frozen_prefixes = frozen_names(taslm.backbone, "taslm.backbone.")

    def forward(
        self,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        word_ids: torch.Tensor,
        codes: torch.Tensor,
        **kwargs,
    ):
        """Compute the loss of a batch.

        Args:
            text: (B, N) int64.
            text_lengths: (B,).
            word_ids: (B, N) int64.
            codes: (B, W, Q) int64.
            **kwargs: Lengths of the other fields and ``utt_id``, not used.

        Returns:
            Loss, statistics by name, weight (the batch size).
        """
        output = self.taslm(text, text_lengths, word_ids, codes)
        loss_text, stats = self.text_loss(text, output)
        head = self.taslm.head.loss(
            output.prediction, output.codes, self.taslm.quantizer
        )
        loss_taste = losses.masked_mean(head.per_word, output.word_mask)
        loss = self.text_weight * loss_text + self.taste_weight * loss_taste
        stats.update(self.taste_stats(output, head))
        stats.update(loss=loss.detach(), loss_taste=loss_taste.detach())
        return force_gatherable((loss, stats, len(text)), loss.device)

    def text_loss(self, text: torch.Tensor, output: TaslmOutput):
        """Compute the text loss.

        Args:
            text: (B, N).
            output: Of the model for the same batch.

        Returns:
            Scalar and statistics by name; both perplexities are over the same tokens,
            EOS apart. Without the KL term the base LM does not run.
        """
        logits, labels = output.text_logits, output.text_labels
        rows = output.grid.base_rows[:, : labels.size(1)]
        nll = losses.text_cross_entropy(logits, labels, IGNORE)
        loss = ce = losses.masked_mean(nll, labels != IGNORE)
        hits = (logits.argmax(dim=-1) == labels).float()
        ends = (labels != IGNORE) & ~rows
        stats = {
            "loss_text_ce": ce.detach(),
            "text_ppl": losses.masked_mean(nll.detach(), rows).exp(),
            "text_acc": losses.masked_mean(hits, rows),
            "eos_acc": losses.masked_mean(hits, ends),
        }
        if self.kl_weight:
            base = self.taslm.base_logits(text)  # (B, N + 1, V)
            kl = losses.masked_mean(losses.kl_to_base(logits, base), rows)
            loss = self.kl_weight * kl + (1.0 - self.kl_weight) * ce
            base_nll = losses.text_cross_entropy(base, labels, IGNORE)
            stats["loss_text_kl"] = kl.detach()
            stats["base_text_ppl"] = losses.masked_mean(base_nll, rows).exp()
        stats["loss_text"] = loss.detach()
        return loss, stats

    @torch.no_grad()
    def taste_stats(
        self, output: TaslmOutput, head: HeadLoss
    ) -> Dict[str, torch.Tensor]:
        """Collect the terms of the head's loss and the accuracy of each codebook.

        Args:
            output: Of the model.
            head: Loss of the head.

        Returns:
            Statistics by name.
        """
        mask = output.word_mask
        stats = {}
        for name, values in head.parts.items():
            per_word = values.reshape(*mask.shape, -1).mean(dim=-1)
            stats[f"loss_{name}"] = losses.masked_mean(per_word, mask)
        codes = self.taslm.head.codes(output.prediction, self.taslm.quantizer)
        hits = (codes == output.codes).float()  # (B, W, Q)
        for q in range(hits.size(-1)):
            stats[f"code_acc_{q + 1}"] = losses.masked_mean(hits[..., q], mask)
        return stats

    def collect_feats(self, **batch: torch.Tensor) -> Dict[str, torch.Tensor]:
        """Nothing: the shapes of the inputs are all that the batches need."""
        return {}


def frozen_names(module: torch.nn.Module, prefix: str) -> tuple[str, ...]:
    """List the parameters that do not train, tied names included.

    Args:
        module: A module whose frozen weights come from files of their own.
        prefix: Put before each name.

    Returns:
        Names.
    """
    named = module.named_parameters(remove_duplicate=False)
    return tuple(prefix + name for name, p in named if not p.requires_grad)
