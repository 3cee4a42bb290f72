"""ESPnet model of every spoken LM: batch -> loss, statistics, weight.

Enters: the fields that a design's preprocessor makes, padded. Leaves the loss that all
designs share::

    loss = sum over groups g of weight_g * L_g
    L_g = mean cross entropy of the group's cells, or the loss of a TASTE head; of the
          group with the text: (1 - kl_weight) * CE + kl_weight * KL(base || model)

A group is text, speech, mixed where one stream holds both, or tail (units that no row
holds). With two groups and equal weights this is the loss of the paper (section 3.3).

Legend: B utterances, N text tokens, H hidden size of the text LM.
"""

import re

import torch
from espnet2.torch_utils.device_funcs import force_gatherable
from espnet2.train.abs_espnet_model import AbsESPnetModel

from espnet2_taste.ranks import joint_weight
from espnet2_taste.slm.core import SpokenLMCore
from espnet2_taste.slm.group_losses import group_losses
from espnet2_taste.slm.layouts.streams import MIXED, SPEECH, TAIL, TEXT
from espnet2_taste.tokenizer.state_cache import StateCache
from espnet2_taste.trainable_state import TrainableState

FORMER = (
    (r"^(taslm|grid_lm)\.", "core."),
    (
        r"^core\.(pad_text|code_embedding|input_fusion|quantizer)\b",
        r"core.embedding.\1",
    ),
    (
        r"^core\.head\.(linear|mu|logvar|layer_weights|scale|mean)\b",
        r"core.code_head.\1",
    ),
)
"""Names in checkpoints of a time when each kind had its own network, and ours."""


class ESPnetSpokenLMModel(TrainableState, AbsESPnetModel):
    """Trains a spoken LM; checkpoints leave out the frozen weights of the text LM.

    Args:
        core: The network.
        text_weight: Weight of the text group.
        speech_weight: Weight of the speech group.
        mixed_weight: Weight of the mixed group.
        tail_weight: Weight of the tail, in nats a unit.
        kl_weight: Share of the divergence from the base LM in the loss of the group
            that holds the text, 0 to 1 (published for TASLM: 0.9).
        base_cache_mb: Memory for what the base LM predicts of texts seen before (about
            H numbers a token); 0 runs it anew in every step.
        kl_every: In training, one utterance of so many is compared with the base LM in
            a step, drawn anew each time; it counts so many times, so that the expected
            gradient is the same. Validation compares all.
        extract_feats_in_collect_stats: Read by ESPnet's task; statistics need no
            model.

    Raises:
        ValueError: A share outside 0 to 1, ``kl_every`` below 1, or a cache for a base
            LM that trains.
    """

    def __init__(
        self,
        core: SpokenLMCore,
        text_weight: float = 0.5,
        speech_weight: float = 0.5,
        mixed_weight: float = 1.0,
        tail_weight: float = 1.0,
        kl_weight: float = 0.0,
        base_cache_mb: int = 0,
        kl_every: int = 1,
        extract_feats_in_collect_stats: bool = False,
    ):
        super().__init__()
        if not 0.0 <= kl_weight <= 1.0:
            raise ValueError(
                f"model_conf: kl_weight is a share from 0 to 1, found {kl_weight}"
            )
        if kl_every < 1:
            raise ValueError(f"model_conf: kl_every is at least 1, found {kl_every}")
        if base_cache_mb and core.backbone.base_changes:
            raise ValueError(
                f"model_conf: base_cache_mb is {base_cache_mb}, but the base LM trains "
                "as well: set it to 0, or adaptation_conf.keep_base to true"
            )
        self.core = core
        self.weights = {
            TEXT: text_weight,
            SPEECH: speech_weight,
            MIXED: mixed_weight,
            TAIL: tail_weight,
        }
        self.kl_weight = kl_weight
        self.kl_every = kl_every
        self.cache = StateCache(base_cache_mb) if base_cache_mb else None
        if base_cache_mb and kl_weight:
            core.keep_base_rows()
        self.extract_feats_in_collect_stats = extract_feats_in_collect_stats
        named = core.backbone.named_parameters(remove_duplicate=False)
        self.frozen_prefixes = tuple(
            f"core.backbone.{name}" for name, p in named if not p.requires_grad
        )

    def forward(self, **batch: torch.Tensor):
        """Compute the loss of a batch.

        Args:
            **batch: Fields of the preprocessor with their lengths; ``utt_id`` is not
                used.

        Returns:
            Loss, statistics by name, weight (the batch size; with several ranks that
            of all, divided by their number).
        """
        every = self.kl_every if self.training else 1
        found = group_losses(self.core, batch, self.kl_weight, self.base_rows, every)
        parts = [self.weights[name] * value for name, value in found.groups.items()]
        loss = torch.stack(parts).sum()
        means = {f"loss_{name}": x.detach() for name, x in found.groups.items()}
        stats = {**means, **found.stats, "loss": loss.detach()}
        count = next(len(value) for value in batch.values())
        weight = joint_weight(count, loss.device)
        return force_gatherable((loss, stats, weight), loss.device)

    def base_rows(self, text: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """What the base LM says, which reads texts that are not in memory.

        Args:
            text: (B, N).
            lengths: (B,).

        Returns:
            ``core.base_rows``, (B, N + 1, X); anything at padding.
        """
        if self.cache is None:
            return self.core.base_rows(text)
        pairs = zip(text.tolist(), lengths.tolist())
        keys = [tuple(row[:length]) for row, length in pairs]
        rows = [self.cache.states.get(key) for key in keys]
        new = [row for row, known in enumerate(rows) if known is None]
        if new:
            longest = int(lengths[new].max())
            for row, said in zip(new, self.core.base_rows(text[new, :longest])):
                rows[row] = (said[: len(keys[row]) + 1],)
                self.cache.keep(keys[row], *rows[row])
        padded = text.new_zeros(
            (len(rows), text.size(1) + 1, rows[0][0].size(1)), dtype=rows[0][0].dtype
        )
        for place, (said,) in zip(padded, rows):
            place[: len(said)] = said
        return padded

    def collect_feats(self, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Nothing: the shapes of the inputs are all that the batches need."""
        return {}

    def load_state_dict(self, state_dict, strict: bool = True, assign: bool = False):
        """Load what ``state_dict`` saves, or saved under the former names."""
        names = list(state_dict)
        for former, ours in FORMER:
            names = [re.sub(former, ours, name) for name in names]
        renamed = dict(zip(names, state_dict.values()))
        return super().load_state_dict(renamed, strict, assign)
