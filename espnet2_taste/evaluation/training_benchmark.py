"""Steps of TASLM's training against steps of plain LoRA on the text alone.

Enters: sizes of a random LM. Leaves: seconds and peak memory of a step (loss and
gradients) by each way, and the median of their ratios to the opponent's. The ways take
turns, so that other load on the machine meets all of them alike; on a CPU the time is
that of the processor.

Legend: B utterances, N text tokens, W words, Q codebooks, V text vocabulary.
"""

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from statistics import median

import torch
from torch.nn import functional

from espnet2_taste.espnet_spoken_lm_model import ESPnetSpokenLMModel
from espnet2_taste.evaluation.benchmark import (
    TOKENS_A_WORD,
    LmSize,
    make_taslm,
    measure,
    random_words,
)
from espnet2_taste.inference.scorer import padded
from espnet2_taste.slm.core import SpokenLMCore
from espnet2_taste.tokenizer.state_cache import StateCache

KL_WEIGHT = 0.9
CACHE_MB = 1000
EVERY = 4
Step = Callable[[], object]


def training_batch(
    core: SpokenLMCore, utterances: int, tokens: int
) -> dict[str, torch.Tensor]:
    """Random utterances of equal length, as the training reads them.

    Args:
        core: Gives vocabulary and codebooks.
        utterances: B.
        tokens: N.

    Returns:
        Fields with their lengths.
    """
    generator = torch.Generator().manual_seed(0)
    words = max(1, int(tokens / TOKENS_A_WORD))
    word_ids = torch.arange(tokens) * words // tokens
    sizes = word_ids.bincount(minlength=words).tolist()
    batch = padded(
        [
            core.layout.encode(random_words(core, sizes, generator)).fields
            for _ in range(utterances)
        ]
    )
    return {name: x.to(core.device) for name, x in batch.items()}


def plain_step(taslm: SpokenLMCore, text: torch.Tensor) -> Step:
    """A step of LoRA on the text alone, as peft and Hugging Face compute it.

    Args:
        taslm: An LM and adapters of the same sizes are trained.
        text: (B, N).
    """
    from peft import get_peft_model

    base, adapters = taslm.backbone.causal_lm, taslm.backbone.lm.peft_config["default"]
    lm = get_peft_model(type(base)(base.config).to(text.device), adapters).train()
    edge = text.new_zeros(len(text), 1)
    row = torch.cat([edge + taslm.bos_id, text, edge + taslm.eos_id], dim=1)

    def step() -> None:
        lm.zero_grad(set_to_none=True)
        logits = lm(input_ids=row[:, :-1]).logits
        loss = functional.cross_entropy(logits.flatten(0, 1), row[:, 1:].flatten())
        loss.backward()

    return step


def taslm_step(
    taslm: SpokenLMCore, batch: dict[str, torch.Tensor], forget: bool = False, **options
) -> Step:
    """A step of TASLM's training.

    Args:
        taslm: The network.
        batch: What it reads.
        forget: Whether every step is the first one that sees its texts.
        **options: Of the training model.
    """
    model = ESPnetSpokenLMModel(deepcopy(taslm), **options)

    def step() -> None:
        model.zero_grad(set_to_none=True)
        if forget:
            model.cache = StateCache(CACHE_MB)
        model(**batch)[0].backward()

    return step


def training_ways(size: LmSize, device: str, batch_size: tuple[int, int]) -> dict:
    """Steps by name; the first is the opponent's.

    Args:
        size: Of the LM.
        device: "cpu" or "cuda".
        batch_size: Utterances and tokens of each.

    Returns:
        Functions that compute a loss and its gradients.
    """
    taslm = make_taslm(size, device, torch.float32).train()
    batch = training_batch(taslm, *batch_size)
    kl = {"kl_weight": KL_WEIGHT}
    kept = {**kl, "base_cache_mb": CACHE_MB}
    first = {**kept, "forget": True}
    options = {
        "cross entropy alone": {},
        "KL, base known": kept,
        "KL, first epoch": first,
        f"KL, first epoch, kl_every {EVERY}": {**first, "kl_every": EVERY},
        "KL, nothing kept": kl,
    }
    ways = {
        "LoRA of peft, text alone": plain_step(
            taslm, batch["grid"][:, : batch_size[1], 0]
        )
    }
    for name, given in options.items():
        ways[name] = taslm_step(taslm, batch, **given)
    return ways


def time_steps(ways: dict[str, Step], repeat: int, device: str) -> list[dict]:
    """Time the ways in turns.

    Args:
        ways: Steps by name; the first is the opponent.
        repeat: Turns.
        device: "cpu" or "cuda".

    Returns:
        Rows: the median of a way's milliseconds and of its ratios to the opponent's
        step of the same turn, and its peak of memory above what was in use before.
    """
    clock = time.perf_counter if device == "cuda" else time.process_time
    memory = {}
    for name, step in ways.items():
        step()  # the first one fills the cache
        memory[name] = measure(step, device).megabytes
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeat):
        for name, step in ways.items():
            start = clock()
            step()
            if device == "cuda":
                torch.cuda.synchronize()
            seconds[name].append(clock() - start)
    against = seconds[next(iter(ways))]
    rows = []
    for name, times in seconds.items():
        ratio = median(own / other for own, other in zip(times, against))
        row = {"step": name, "ms": 1000 * median(times), "x LoRA": ratio}
        rows.append(row | {"MB": memory[name]})
    return rows


def training_rows(
    vocabularies: list[int], device: str, batch_size: tuple[int, int], repeat: int
) -> list[dict]:
    """Rows of the table, one a vocabulary and way.

    Args:
        vocabularies: V of each LM; its other sizes are those of the medium model.
        device: "cpu" or "cuda".
        batch_size: Utterances and tokens of each.
        repeat: Turns.

    Returns:
        Rows of :func:`time_steps` with their vocabulary.
    """
    rows = []
    for vocabulary in vocabularies:
        size = replace(LmSize(), vocab_size=vocabulary)
        found = time_steps(training_ways(size, device, batch_size), repeat, device)
        rows += [{"vocabulary": vocabulary} | row for row in found]
    return rows
