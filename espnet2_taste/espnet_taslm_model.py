"""ESPnet model of the text-aligned spoken LM: batch -> loss, statistics, weight.

Enters: ``text`` (B, N) ids with ``word_ids`` (B, N), and ``codes`` (B, W, Q), all -1 at
padding. Leaves: the loss of the paper (section 3.3)::

    loss = text_weight * L_text + taste_weight * L_taste
    L_text = kl_weight * KL(base || model) + (1 - kl_weight) * CE

Legend: B utterances, N text tokens, W words, Q codebooks, V text vocabulary, H hidden
size of the text LM, R rows with a text target.
"""

from collections.abc import Sequence
from typing import Dict

import torch
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.abs_espnet_model import AbsESPnetModel
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.ranks import joint_mean, joint_weight
from espnet2_taste.slm import losses
from espnet2_taste.slm.heads import HeadLoss
from espnet2_taste.slm.layouts.text_aligned import IGNORE
from espnet2_taste.slm.taslm import Taslm, TaslmOutput
from espnet2_taste.slm.text_loss import text_loss
from espnet2_taste.tokenizer.state_cache import StateCache
from espnet2_taste.trainable_state import TrainableState


class ESPnetTaslmModel(TrainableState, AbsESPnetModel):
    """Trains TASLM; checkpoints leave out the frozen weights of the text LM.

    Args:
        taslm: The model.
        text_weight: Weight of the text loss.
        taste_weight: Weight of the TASTE loss.
        kl_weight: Share of the KL term in the text loss, 0 to 1; the rest is CE.
        base_cache_mb: Memory for what the base LM says about utterances seen before
            (its last hidden states); 0 runs it anew in every step.
        extract_feats_in_collect_stats: Read by ESPnet's task; statistics need no
            model.

    Raises:
        ValueError: A share outside 0 to 1, or a cache for a base LM that trains.
    """

    def __init__(
        self,
        taslm: Taslm,
        text_weight: float = 0.5,
        taste_weight: float = 0.5,
        kl_weight: float = 0.9,
        base_cache_mb: int = 0,
        extract_feats_in_collect_stats: bool = False,
    ):
        super().__init__()
        if not 0.0 <= kl_weight <= 1.0:
            raise ValueError(
                f"model_conf: kl_weight is a share from 0 to 1, found {kl_weight}"
            )
        if base_cache_mb and taslm.backbone.base_changes:
            raise ValueError(
                f"model_conf: base_cache_mb is {base_cache_mb}, but the base LM trains "
                "as well: set it to 0, or adaptation_conf.keep_base to true"
            )
        self.taslm = taslm
        self.cache = StateCache(base_cache_mb) if base_cache_mb else None
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
            **kwargs: ``utt_id``, by which the cache remembers, and lengths of the
                other fields, not used.

        Returns:
            Loss, statistics by name, weight (the batch size; with
            several ranks that of all, divided by their number).
        """
        output = self.taslm(text, text_lengths, word_ids, codes)
        names = kwargs.get("utt_id")
        loss_text, stats = self.text_loss(text, text_lengths, names, output)
        head = self.taslm.head.loss(
            output.prediction, output.codes, self.taslm.quantizer
        )
        loss_taste = losses.weighted_mean(head.per_word, output.word_mask)
        loss = self.text_weight * loss_text + self.taste_weight * loss_taste
        stats.update(self.taste_stats(output, head))
        stats.update(loss=loss.detach(), loss_taste=loss_taste.detach())
        weight = joint_weight(len(text), loss.device)
        return force_gatherable((loss, stats, weight), loss.device)

    def text_loss(
        self,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        names: Sequence[str] | None,
        output: TaslmOutput,
    ):
        """Compute the text loss.

        Args:
            text: (B, N).
            text_lengths: (B,).
            names: Utterance ids, B of them; None for a batch without.
            output: Of the model for the same batch.

        Returns:
            Scalar and statistics by name; both perplexities are over the same tokens,
            EOS apart. Without the KL term the base LM does not run.
        """
        has_target = output.text_labels != IGNORE  # (B, N + 1)
        backbone, base = self.taslm.backbone, None
        rows = output.grid.base_rows[:, : has_target.size(1)][has_target].float()
        ends = 1.0 - rows  # (R,)
        if self.kl_weight:
            states = self.base_states(text, text_lengths, names)[has_target]
            base = lambda part: backbone.base_logits(states[part])  # noqa: E731
        found = text_loss(
            backbone.logits(output.text_states[has_target]),
            output.text_labels[has_target],
            (1.0 - self.kl_weight) * joint_mean(torch.ones_like(rows), len(rows)),
            self.kl_weight * joint_mean(rows, rows.sum()),
            base,
        )
        stats = {
            "loss_text_ce": found.nll.mean(),
            "text_ppl": (found.nll @ _shares(rows)).exp(),
            "text_acc": found.hits @ _shares(rows),
            "eos_acc": found.hits @ _shares(ends),
            "loss_text": found.loss.detach(),
        }
        if self.kl_weight:
            stats["loss_text_kl"] = found.kl @ _shares(rows)
            stats["base_text_ppl"] = (found.base_nll @ _shares(rows)).exp()
        return found.loss, stats

    def base_states(
        self,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        names: Sequence[str] | None,
    ) -> torch.Tensor:
        """Last hidden states of the base LM, from memory where it has them all.

        Args:
            text: (B, N).
            text_lengths: (B,).
            names: Utterance ids, or None.

        Returns:
            (B, N + 1, H); anything at padding.
        """
        if self.cache is None or names is None:
            return self.taslm.base_states(text)
        keys = list(zip(names, text_lengths.tolist()))
        known = self.cache.find(keys)
        if known is not None:
            rows = [states for (states,) in known]
            return pad_sequence(rows, batch_first=True).to(text.device)
        states = self.taslm.base_states(text)
        for row, key in enumerate(keys):
            self.cache.keep(key, states[row, : key[1] + 1])
        return states

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


def _shares(marked: torch.Tensor) -> torch.Tensor:
    """Weights (R,) of a mean over the marked rows, whose mark is 1; zeros for none."""
    return marked / marked.sum().clamp(min=1)


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
