"""Memory that a spoken LM needs: computed from its sizes, and measured beside it.

Enters: sizes of a random LM. Leaves: rows of a table, one a way to train or to run it.
Computed are weights, gradients and Adam's averages, of a model on the meta device, so
that nothing is allocated. Measured is the peak above what the process had before the
model was built, after the same was done with a tiny one; what it has beyond the
computed numbers are activations.
"""

import logging
from dataclasses import dataclass

import torch

from espnet2_taste.espnet_spoken_lm_model import ESPnetSpokenLMModel
from espnet2_taste.evaluation.benchmark import (
    LmSize,
    Meter,
    continue_prompts,
    make_generator,
    make_prompts,
    make_taslm,
)
from espnet2_taste.evaluation.training_benchmark import KL_WEIGHT, training_batch
from espnet2_taste.slm.backbone import AbsBackbone, FullBackbone, LoraBackbone
from espnet2_taste.slm.lm_options import LmOptions
from espnet2_taste.slm.taslm import Taslm

TINY = LmSize(50, 16, 24, 2, 2, 2)
LEARNING = 3 * 4
"""Bytes that a trained number needs beside itself: a gradient, two averages of Adam."""
GIB = 2**30


@dataclass(frozen=True)
class Use:
    """What is done with an LM.

    Attributes:
        name: In the table.
        dtype: Of the weights that do not train.
        backbone: Which weights train.
        options: How the LM runs.
        kl_weight: Of the training's loss.
    """

    name: str
    dtype: str
    backbone: type[AbsBackbone] = LoraBackbone
    options: LmOptions = LmOptions()
    kl_weight: float = 0.0

    def build(self, size: LmSize, device: str) -> Taslm:
        """A random model."""
        taslm = make_taslm(size, device, getattr(torch, self.dtype), self.backbone)
        self.options.apply(taslm.backbone.causal_lm)
        return taslm

    def computed(self, size: LmSize) -> float:
        """GiB of weights and buffers, gradients and averages."""
        with torch.device("meta"):
            taslm = self.build(size, "meta")
        tensors = [*taslm.parameters(), *taslm.buffers()]
        kept = sum(tensor.nbytes for tensor in tensors)
        return (kept + self.learning(taslm)) / GIB

    def learning(self, taslm: Taslm) -> int:
        """Bytes of gradients and averages."""
        trained = (p.numel() for p in taslm.parameters() if p.requires_grad)
        return LEARNING * sum(trained)

    def run(self, size: LmSize, batch_size: tuple[int, int], device: str) -> None:
        """Take two steps of a training; the second has Adam's averages.

        Args:
            size: Of the LM.
            batch_size: Utterances and tokens of each.
            device: "cpu" or "cuda".
        """
        taslm = self.build(size, device).train()
        model = ESPnetSpokenLMModel(taslm, kl_weight=self.kl_weight)
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained)
        batch = training_batch(taslm, *batch_size)
        for _ in range(2):
            optimizer.zero_grad()
            model(**batch)[0].backward()
            optimizer.step()


class Generation(Use):
    """Continues prompts instead."""

    def learning(self, taslm):
        """See :meth:`Use.learning`: nothing learns."""
        return 0

    def run(self, size, batch_size, device):
        """Continue as many prompts, each by a word for two tokens of a training."""
        prompts, tokens = batch_size
        taslm = self.build(size, device)
        taslm.backbone = taslm.backbone.merged()
        generator = make_generator(taslm, tokens // 2)
        continue_prompts(generator, make_prompts(taslm, prompts))


CHECKPOINTS = LmOptions(gradient_checkpointing=True)
USES = (
    Generation("generation", "float32"),
    Generation("generation", "bfloat16"),
    Use("LoRA 64", "float32"),
    Use("LoRA 64, KL", "float32", kl_weight=KL_WEIGHT),
    Use("LoRA 64, KL, checkpoints", "float32", LoraBackbone, CHECKPOINTS, KL_WEIGHT),
    Use("LoRA 64", "bfloat16"),
    Use("LoRA 64, KL", "bfloat16", kl_weight=KL_WEIGHT),
    Use("LoRA 64, KL, checkpoints", "bfloat16", LoraBackbone, CHECKPOINTS, KL_WEIGHT),
    Use("all weights, KL", "float32", FullBackbone, kl_weight=KL_WEIGHT),
)


def memory_rows(
    name: str, size: LmSize, batch_size: tuple[int, int], device: str
) -> list[dict]:
    """Rows of the table.

    Args:
        name: Of the LM.
        size: Its sizes.
        batch_size: Utterances and tokens of each.
        device: "cpu" or "cuda".

    Returns:
        What is done with the LM, and GiB.
    """
    rows, meter = [], Meter(device)
    for use in USES:
        use.run(TINY, (2, 4), device)  # what is set up once does not count
        found = meter(lambda: use.run(size, batch_size, device)).megabytes / 1024
        needed = use.computed(size)
        row = {"LM": name, "use": use.name, "weights": use.dtype}
        numbers = {"computed GiB": needed, "measured GiB": found}
        rows.append(row | numbers | {"beyond GiB": found - needed})
        logging.info("%s", rows[-1])
    return rows
