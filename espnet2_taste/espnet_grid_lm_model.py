"""ESPnet model of the grid language model: batch -> loss, statistics, weight.

Enters: ``grid`` (B, T, S) with ``weights`` and ``padding`` of its cells, and ``tail``
(B, U), -1 at padding. Leaves the loss that all designs share::

    loss = sum over groups g of weight_g * mean cross entropy of g's cells
           + kl_weight * KL(base || model) over the text + tail_weight * tail

A group is text, speech, or mixed where one stream holds both; means are weighted by
the cells' own weights.

Legend: B utterances, T rows, S streams, U units of a tail.
"""

import torch
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.abs_espnet_model import AbsESPnetModel

from espnet2_taste.espnet_taslm_model import frozen_names
from espnet2_taste.ranks import joint_weight
from espnet2_taste.slm.grid_lm import GridLM
from espnet2_taste.slm.grid_losses import base_divergence, cell_nats
from espnet2_taste.slm.layouts.streams import MIXED, SPEECH, TEXT
from espnet2_taste.slm.losses import masked_mean, weighted_mean
from espnet2_taste.trainable_state import TrainableState


class ESPnetGridLMModel(TrainableState, AbsESPnetModel):
    """Trains a grid LM; checkpoints leave out the frozen weights of the text LM.

    Args:
        grid_lm: The model.
        text_weight: Weight of the text group.
        speech_weight: Weight of the speech group.
        mixed_weight: Weight of the mixed group.
        kl_weight: Weight of the divergence from the base LM.
        tail_weight: Weight of the tail, in nats a unit.
        extract_feats_in_collect_stats: Read by ESPnet's task; statistics need no
            model.
    """

    def __init__(
        self,
        grid_lm: GridLM,
        text_weight: float = 0.5,
        speech_weight: float = 0.5,
        mixed_weight: float = 1.0,
        kl_weight: float = 0.0,
        tail_weight: float = 1.0,
        extract_feats_in_collect_stats: bool = False,
    ):
        super().__init__()
        self.grid_lm = grid_lm
        shares = {TEXT: text_weight, SPEECH: speech_weight, MIXED: mixed_weight}
        groups = [stream.group for stream in grid_lm.layout.streams]
        self.groups = {
            group: (shares[group], [s for s, own in enumerate(groups) if own == group])
            for group in dict.fromkeys(groups)
        }
        self.kl_weight = kl_weight
        self.tail_weight = tail_weight
        self.extract_feats_in_collect_stats = extract_feats_in_collect_stats
        self.frozen_prefixes = frozen_names(grid_lm.backbone, "grid_lm.backbone.")

    def forward(
        self,
        grid: torch.Tensor,
        grid_lengths: torch.Tensor,
        weights: torch.Tensor,
        padding: torch.Tensor,
        tail: torch.Tensor,
        tail_lengths: torch.Tensor,
        **kwargs,
    ):
        """Compute the loss.

        Args:
            grid: (B, T, S), -1 after the end.
            grid_lengths: (B,).
            weights: Of the cells, (B, T, S), zero after the end.
            padding: 1 at cells that carry nothing, (B, T, S).
            tail: (B, U).
            tail_lengths: (B,).
            **kwargs: Lengths of the other fields and ``utt_id``, not used.

        Returns:
            Loss, statistics by name, weight (the batch size; with
            several ranks that of all, divided by their number).
        """
        logits, hidden = self.grid_lm(grid)
        nats = cell_nats(logits, grid)
        loss = nats.new_zeros(())
        for share, columns in self.groups.values():
            mean = weighted_mean(nats[..., columns], weights[..., columns])
            loss = loss + share * mean
        stats = self.cell_stats(logits, nats, grid, padding)
        if self.kl_weight:
            divergence = self.divergence(logits[0], grid, padding)
            loss = loss + self.kl_weight * divergence
            stats["loss_text_kl"] = divergence.detach()
        tail_loss = self.grid_lm.tail_loss(hidden, grid_lengths, tail, tail_lengths)
        a_unit = tail_loss.per_utterance / tail_lengths.clamp(min=1)
        mean_tail = weighted_mean(a_unit, tail_loss.feasible)
        loss = loss + self.tail_weight * mean_tail
        stats.update(
            loss=loss.detach(),
            loss_tail=mean_tail.detach(),
            infeasible=1.0 - tail_loss.feasible.float().mean(),
            rows=grid_lengths.float().mean(),
        )
        weight = joint_weight(len(grid), loss.device)
        return force_gatherable((loss, stats, weight), loss.device)

    def text_mask(self, grid: torch.Tensor) -> torch.Tensor:
        """Cells that count as text, (B, T, S) bool."""
        columns = []
        for index, stream in enumerate(self.grid_lm.layout.streams):
            is_text = torch.from_numpy(stream.is_text).to(grid.device)
            ids = grid[..., index]
            columns.append(is_text[ids.clamp(min=0)] & (ids >= 0))
        return torch.stack(columns, dim=-1)

    def divergence(
        self, logits: torch.Tensor, grid: torch.Tensor, padding: torch.Tensor
    ) -> torch.Tensor:
        """Divergence from the base LM over the text of the first stream, a scalar."""
        stream = self.grid_lm.layout.streams[0]
        text = self.text_mask(grid)[..., 0] & (padding[..., 0] != 1)
        text &= grid[..., 0] < stream.text_size
        backbone, bos_id = self.grid_lm.backbone, self.grid_lm.bos_id
        return base_divergence(backbone, logits, grid[..., 0], text, bos_id)

    @torch.no_grad()
    def cell_stats(self, logits, nats, grid, padding) -> dict[str, torch.Tensor]:
        """Loss and accuracy of text and of speech, and the share of padding.

        Args:
            logits: Of each stream.
            nats: Cross entropy, (B, T, S).
            grid: (B, T, S).
            padding: (B, T, S).

        Returns:
            Statistics by name, the same names whatever the batch holds.
        """
        best = torch.stack([scores.argmax(dim=-1) for scores in logits], dim=-1)
        hits = (best == grid).float()
        text, real = self.text_mask(grid), grid >= 0
        said = real & (padding != 1)
        return {
            "loss_text": masked_mean(nats, said & text),
            "loss_speech": masked_mean(nats, said & ~text),
            "acc_text": masked_mean(hits, said & text),
            "acc_speech": masked_mean(hits, said & ~text),
            "padding_share": masked_mean((padding == 1).float(), real),
        }

    def collect_feats(self, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Nothing: the shapes of the inputs are all that the batches need."""
        return {}
