"""No quantizer: vectors pass, codes are refused by name."""

import pytest
import torch

from espnet2_taste.tokenizer.quantizers.continuous import ContinuousQuantizer


def test_vectors_pass_and_padding_is_zero():
    x = torch.randn(2, 3, 4)
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]]).bool()
    model = ContinuousQuantizer(4)
    output = model(x, mask)
    assert torch.equal(output.quantized[mask], x[mask])
    assert not output.quantized[~mask].any() and output.loss == 0
    assert output.codes.shape == (2, 3, 0) and model(x).codes.shape == (2, 3, 0)
    assert torch.equal(model.project(x), x) and model.usage()[0] == 0


@pytest.mark.parametrize("name", ["encode", "latent", "decode", "codes_from_latent"])
def test_codes_are_refused(name):
    with pytest.raises(RuntimeError, match="'none': it has vectors, but no codes"):
        getattr(ContinuousQuantizer(4), name)(torch.zeros(1, 1, 4))
