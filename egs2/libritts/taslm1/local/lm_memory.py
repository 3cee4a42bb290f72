"""Memory that a language model needs in training: weights, gradients, optimizer.

Enters: sizes of language models, built on the meta device, so nothing is allocated.
Leaves: a table on the screen. Activations come on top: they grow with the batch.

Example:
    python local/lm_memory.py
"""

from dataclasses import asdict

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from espnet2_taste.evaluation.benchmark import LM_SIZES, LmSize
from espnet2_taste.tasks.slm_choices import adaptation_choices

MODELS = {"SmolLM2-135M": "135m", "Llama-3.2-1B": "1b", "Llama-2-7B": "7b"}
LORA = dict(r=64, alpha=128, dropout=0.05)
FLOAT32, BFLOAT16 = 4, 2
NF4 = (4 + 8 / 64 + 32 / (64 * 256)) / 8
"""Bytes of a 4-bit number: itself, its share of the scale of 64 and of that of 256."""
TRAINED = 4 * FLOAT32
"""Bytes of a trained number: itself, its gradient and two averages of Adam."""


def count(sizes: LmSize) -> tuple[int, int, int]:
    """Parameters of a model, those that LoRA trains, those kept in 4 bits if asked."""
    with torch.device("meta"):
        lm = LlamaForCausalLM(LlamaConfig(**asdict(sizes)))
        total = sum(p.numel() for p in lm.parameters())
        layers = (m for m in lm.model.modules() if isinstance(m, torch.nn.Linear))
        in_4bit = sum(layer.weight.numel() for layer in layers)
        adapted = adaptation_choices.get_class("lora")(lm, **LORA)
    trained = (p.numel() for p in adapted.parameters() if p.requires_grad)
    return total, sum(trained), in_4bit


def main() -> None:
    """Print the table, in GiB."""
    print(
        "| LM | parameters | float32 | bfloat16 | all trained | LoRA 64, bfloat16 | "
        "LoRA 64, 4 bit |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, size in MODELS.items():
        total, trained, in_4bit = count(LM_SIZES[size])
        needs = (
            *(total * FLOAT32, total * BFLOAT16, total * TRAINED),
            total * BFLOAT16 + trained * TRAINED,
            (total - in_4bit) * BFLOAT16 + in_4bit * NF4 + trained * TRAINED,
        )
        cells = " | ".join(f"{need / 2**30:.1f}" for need in needs)
        print(f"| {name} | {total:,} | {cells} |")


if __name__ == "__main__":
    main()
