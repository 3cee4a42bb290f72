"""Text guidance, one id after the other."""

import math

import torch


def slow_mix(logits, base, text_size, end, share):
    """One row: logits (X,) of the spoken LM, (V,) of the base LM -> (X,)."""
    words = [i for i in range(text_size) if i != end]
    finite = [i for i in words if float(logits[i]) > -math.inf]

    def logs(values, ids):
        total = math.log(sum(math.exp(float(values[i])) for i in ids))
        return {i: float(values[i]) - total for i in ids}

    own, other = logs(logits, finite), logs(base, words)
    mixed = {i: (1 - share) * own[i] + share * other[i] for i in finite}
    mass = math.log(sum(math.exp(float(logits[i])) for i in finite))
    total = math.log(sum(math.exp(value) for value in mixed.values()))
    result = logits.clone()
    for i in finite:
        result[i] = mixed[i] - total + mass
    return result


def base_logits(backbone, bos, text):
    """The base LM's logits (V,) behind a text without BOS."""
    text = torch.tensor([[bos, *text]])
    return backbone.base_logits(backbone.base_states(text))[0, -1]
