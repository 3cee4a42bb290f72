"""Training steps of what counts moments of vectors, of one process or of a rank."""

import torch

from espnet2_taste.tokenizer.quantizers.rvq import ResidualQuantizer
from espnet2_taste.tokenizer.running_scale import RunningScale

CODES, STEPS = 16, 3


def batches():
    """Three batches of four utterances (4, N, D) with masks (4, N)."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        lengths = torch.randint(1, 8, (4,), generator=generator)
        mask = torch.arange(8) < lengths.unsqueeze(1)
        yield torch.randn(4, 8, 6, generator=generator), mask


def quantizer():
    """Three codebooks that are revived."""
    options = {"num_codebooks": 3, "codebook_size": CODES, "latent_size": 4}
    return ResidualQuantizer(6, quantize_dropout=False, revive_below=0.5, **options)


MODELS = {"quantizer": quantizer, "running_scale": lambda: RunningScale(6)}


def trained(rows, name="quantizer"):
    """One of the models after steps on these rows of each batch."""
    torch.manual_seed(0)
    model = MODELS[name]()
    for x, mask in batches():
        model.train()(x[rows], mask[rows])
    return model


def train_rank(rank, folder, name="quantizer"):
    """Train rank 0 or 1 on its half of each batch; write its state."""
    meeting = f"file://{folder}/meeting"
    torch.distributed.init_process_group("gloo", meeting, rank=rank, world_size=2)
    model = trained(slice(2 * rank, 2 * rank + 2), name)
    torch.save(model.state_dict(), f"{folder}/rank{rank}.pth")
