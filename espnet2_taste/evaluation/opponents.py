"""What a user would run instead of this package: the benchmark's opponents.

Enters: the benchmark's random models. Leaves: the same work done as others do it, and
how long reading the weights takes, which no way of generating one row at a time can
beat.

- Unit decoding: the published loop, which keeps keys and values. Each step makes the
  buffers longer and encodes and projects all distances again, in every block.
- Continuation: Hugging Face's static cache in a loop with the same heads.

Legend: B utterances, N text tokens, U units.
"""

import time
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional

from espnet2_taste.evaluation.benchmark import simple_continuation
from espnet2_taste.slm.backbone import BackboneOutput
from espnet2_taste.slm.core import SpokenLMCore
from espnet2_taste.slm.generator import Generator
from espnet2_taste.slm.prompts import PromptRows
from espnet2_taste.speech_decoder.rel_attention import distance_encoding, visible_keys
from espnet2_taste.speech_decoder.rel_step import LayerCache
from espnet2_taste.speech_decoder.rel_transformer import RelTransformer
from espnet2_taste.speech_decoder.unit_decoder import UnitDecoder

READINGS = 5
"""Readings of the weights of which the fastest counts."""


@torch.no_grad()
def reference_units(decoder: UnitDecoder, inputs: dict, units: int) -> torch.Tensor:
    """Generate units as the published loop does.

    Args:
        decoder: The unit decoder.
        inputs: Of ``unit_benchmark.unit_inputs``, without padding.
        units: How many.

    Returns:
        (B, U).
    """
    x = decoder.encode_conditions(**inputs).embeds
    caches: list[LayerCache] = []
    history = []
    for _ in range(units):
        hidden = _read_positions(decoder.llm, x, caches)
        logits = decoder.llm_decoder(hidden[:, -1])[:, :-1]
        history.append(logits.argmax(dim=-1, keepdim=True))
        x = decoder.speech_embedding(history[-1])
    return torch.cat(history, dim=1)


def _read_positions(
    stack: RelTransformer, x: torch.Tensor, caches: list[LayerCache]
) -> torch.Tensor:
    """Read more positions (B, T, D); the caches, one a block, are replaced."""
    past, new = caches[0].keys.size(2) if caches else 0, x.size(1)
    size, heads = stack.output_size, stack.heads
    empty = x.new_zeros(len(x), heads, 0, size // heads)
    before = caches or [LayerCache(empty, empty, empty[:0].mT)] * len(stack.encoders)
    encoding = distance_encoding(past + new - 1, 0, size, x)
    known = torch.ones(len(x), past + new, dtype=torch.bool, device=x.device)
    visible, x = visible_keys(known, new, causal=True), stack.embed(x)
    longer = [
        LayerCache(
            functional.pad(cache.keys, (0, 0, 0, new)),
            functional.pad(cache.values, (0, 0, 0, new)),
            block.self_attn.project_distances(encoding).mT,
        )
        for block, cache in zip(stack.encoders, before)
    ]
    for block, cache in zip(stack.encoders, longer):
        x = block.extend(x, cache, past, visible)
    caches[:] = longer
    return stack.after_norm(x)


def static_cache_words(generator: Generator, prompt: PromptRows) -> list[int]:
    """Continue one prompt with Hugging Face's static cache and TASLM's own heads.

    Args:
        generator: Of ``benchmark.make_generator``: every token is a word.
        prompt: What to continue.

    Returns:
        Text ids.
    """
    from transformers import StaticCache

    backbone = generator.core.backbone
    size = len(prompt.inputs) + generator.keeper.limits.max_words + 2
    cache = StaticCache(config=backbone.causal_lm.config, max_cache_len=size)

    def read(rows: torch.Tensor) -> BackboneOutput:
        layers = range(backbone.num_states)
        output = backbone(rows, layers=layers, cache=cache, use_cache=True)
        last = tuple(state[:, -1:] for state in output.states)
        return BackboneOutput(last, output.last[:, -1:], cache)

    return simple_continuation(generator, prompt, read)


def unit_weights(decoder: UnitDecoder) -> list[torch.Tensor]:
    """Matrices that a step of the unit decoder reads; distances are no input of it."""
    stack = [
        module for name, module in decoder.llm.named_modules() if "pos" not in name
    ]
    return matrices([*stack, decoder.llm_decoder])


def word_weights(taslm: SpokenLMCore) -> list[torch.Tensor]:
    """Matrices that a row of TASLM reads."""
    return matrices([*taslm.backbone.causal_lm.modules(), *taslm.code_head.modules()])


def matrices(modules: Sequence[nn.Module]) -> list[torch.Tensor]:
    """Weights of the linear layers among some modules."""
    return [module.weight for module in modules if isinstance(module, nn.Linear)]


def reading(weights: Sequence[torch.Tensor]) -> Callable[[], object]:
    """What a step costs if nothing else costs anything.

    Args:
        weights: Matrices.

    Returns:
        A function that multiplies each matrix with a vector.
    """
    pairs = [(weight.detach(), torch.ones_like(weight[0])) for weight in weights]
    return torch.inference_mode()(lambda: [torch.mv(w, v) for w, v in pairs])


def products(weights: Sequence[torch.Tensor], rows: int) -> Callable[[], object]:
    """What many rows cost if nothing but the products with the weights costs anything.

    Args:
        weights: Matrices.
        rows: Vectors that each is multiplied with.

    Returns:
        A function that does so.
    """
    pairs = [(w.detach(), w.new_ones(rows, w.size(1))) for w in weights]
    return torch.inference_mode()(lambda: [functional.linear(x, w) for w, x in pairs])


def seconds_to_read(weights: Sequence[torch.Tensor]) -> float:
    """Seconds of the fastest of some readings of the weights."""
    read, found = reading(weights), []
    for _ in range(READINGS):
        start = time.perf_counter()
        read()
        if weights[0].is_cuda:
            torch.cuda.synchronize()
        found.append(time.perf_counter() - start)
    return min(found)
