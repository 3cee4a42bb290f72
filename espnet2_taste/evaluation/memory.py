"""Memory that a spoken LM or a speech encoder needs: computed, and measured beside it.

Enters: sizes of a random network. Leaves: rows of a table, one a way to train or to run
it. Computed are weights, gradients and Adam's averages, of a model on the meta device,
so that nothing is allocated, and of an encoder its states. Measured is the peak above
what the process had before the model was built, after the same was done with a tiny
one; what it has beyond the computed numbers are activations.

Legend: B utterances, S samples, F frames, D features.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from espnet2_taste.espnet_spoken_lm_model import ESPnetSpokenLMModel
from espnet2_taste.evaluation.benchmark import (
    LM_SIZES,
    LmSize,
    continue_prompts,
    make_generator,
    make_prompts,
    make_taslm,
    measure,
)
from espnet2_taste.evaluation.training_benchmark import KL_WEIGHT, training_batch
from espnet2_taste.slm.backbone import AbsBackbone, FullBackbone, LoraBackbone
from espnet2_taste.slm.core import SpokenLMCore
from espnet2_taste.slm.lm_options import LmOptions
from espnet2_taste.tokenizer.encoders.whisper import (
    WhisperSpeechEncoder,
    random_encoder,
)

TINY = LmSize(50, 16, 24, 2, 2, 2)
LEARNING = 3 * 4
"""Bytes that a trained number needs beside itself: a gradient, two averages of Adam."""
NF4 = (4 + 8 / 64 + 32 / (64 * 256)) / 8
"""Bytes of a 4-bit number: itself, its share of the scale of 64 and of that of 256."""
GIB = 2**30
WHISPER_SIZES = {
    "tiny": (80, 384, 6, 1536, 4),
    "large": (128, 1280, 20, 5120, 32),
}
"""Of ``WHISPER_FIELDS``: tiny.en, and large-v3, which the paper takes."""
WHISPER_FIELDS = ("num_mel_bins", "d_model", "encoder_attention_heads")
WHISPER_FIELDS += ("encoder_ffn_dim", "encoder_layers")
TINY_WHISPER = (8, 16, 2, 32, 2)
VALUE_LAYER = 6
SAMPLE_RATE, FRAME_RATE, WINDOW = 16000, 50, 30


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

    def build(self, size: LmSize, device: str) -> SpokenLMCore:
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

    def learning(self, taslm: SpokenLMCore) -> int:
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


class FourBits(Use):
    """Linear layers of the frozen LM in 4 bits; only computed."""

    def computed(self, size):
        """See :meth:`Use.computed`."""
        with torch.device("meta"):
            lm = self.build(size, "meta").backbone.causal_lm.base_model
        linear = (m for n, m in lm.named_modules() if "lora_" not in n)
        weights = [m.weight for m in linear if type(m) is nn.Linear]
        saved = sum(w.nbytes - NF4 * w.numel() for w in weights)
        return super().computed(size) - saved / GIB


def keep_no_base(lm: nn.Module) -> AbsBackbone:
    """All weights train, and the loss compares with no base LM."""
    return FullBackbone(lm, keep_base=False)


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

ONLY_COMPUTED = (
    *(Generation("generation", kind) for kind in ("float32", "bfloat16")),
    Use("all weights", "float32", keep_no_base),
    Use("all weights, KL", "float32", FullBackbone),
    Use("LoRA 64", "bfloat16"),
    FourBits("LoRA 64", "bfloat16"),
)
COLUMNS = ("float32", "bfloat16", "all trained", "all trained, KL")
COLUMNS += ("LoRA 64, bfloat16", "LoRA 64, 4 bit")


def computed_rows(sizes: Mapping[str, LmSize] = LM_SIZES) -> list[dict]:
    """What LMs of known sizes need without activations, in GiB.

    Args:
        sizes: By name.
    """
    return [
        {"LM": name} | {c: u.computed(size) for c, u in zip(COLUMNS, ONLY_COMPUTED)}
        for name, size in sizes.items()
    ]


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
    rows = []
    for use in USES:
        use.run(TINY, (2, 4), device)  # what is set up once does not count
        work = partial(use.run, size, batch_size, device)
        found = measure(work, device).megabytes / 1024
        needed = use.computed(size)
        row = {"LM": name, "use": use.name, "weights": use.dtype}
        numbers = {"computed GiB": needed, "measured GiB": found}
        rows.append(row | numbers | {"beyond GiB": found - needed})
        logging.info("%s", rows[-1])
    return rows


@torch.no_grad()
def encode_noise(
    sizes: tuple[int, ...], dtype: torch.dtype, device: str, utterances: int
) -> tuple[int, int]:
    """Run a random, frozen Whisper encoder; every utterance fills a window.

    Args:
        sizes: Of ``WHISPER_FIELDS``.
        dtype: What it computes in, by autocast if not in float32.
        device: "cpu" or "cuda".
        utterances: B.

    Returns:
        Bytes of the weights, and of the states.
    """
    network = random_encoder(dict(zip(WHISPER_FIELDS, sizes)))
    encoder = WhisperSpeechEncoder(network, min(VALUE_LAYER, sizes[-1])).to(device)
    speech = torch.randn(utterances, WINDOW * SAMPLE_RATE, device=device)
    lengths = torch.full((utterances,), speech.size(1), device=device)
    with torch.autocast(device, dtype, enabled=dtype != torch.float32):
        states = encoder(speech, lengths)
    weights = sum(p.nbytes for p in encoder.parameters())
    return weights, states.keys.nbytes + states.values.nbytes


def state_rows(name: str, utterances: int, device: str) -> list[dict]:
    """Encoder states made on the fly in a training, and kept on a disk.

    Args:
        name: In ``WHISPER_SIZES``.
        utterances: B, of 30 s.
        device: "cpu" or "cuda".

    Returns:
        For float32 and bfloat16: GiB on the fly, GB an hour of keys and values that is
        kept, in the type computed in.
    """
    rows, sizes = [], WHISPER_SIZES[name]
    features = 2 * dict(zip(WHISPER_FIELDS, sizes))["d_model"]
    for dtype in (torch.float32, torch.bfloat16):
        encode_noise(TINY_WHISPER, dtype, device, 1)  # what is set up once is left out
        made = []
        work = partial(encode_noise, sizes, dtype, device, utterances)
        found = measure(lambda: made.append(work()), device).megabytes / 1024
        weights, states = (size / GIB for size in made[0])
        row = {"Whisper": name, "windows of 30 s": utterances}
        row |= {"computed in": str(dtype).removeprefix("torch.")}
        row |= {"weights GiB": weights, "states GiB": states, "measured GiB": found}
        row |= {"beyond GiB": found - weights - states}
        kept = 3600 * FRAME_RATE * features * dtype.itemsize / 1e9
        rows.append(row | {"kept, GB an hour": kept})
        logging.info("%s", rows[-1])
    return rows
