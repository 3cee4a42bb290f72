"""No quantizer: vectors pass as they are.

Enters and leaves: vectors (B, N, D). There are no codes: what asks for some is refused.
Legend: B utterances, N positions, D features.
"""

from typing import NoReturn

import torch

from espnet2_taste.structures import QuantizerOutput
from espnet2_taste.tokenizer.quantizers.abs_quantizer import AbsQuantizer


class ContinuousQuantizer(AbsQuantizer):
    """``--quantizer none``: an upper bound for the unit decoder, without tokens.

    Args:
        dim: Features D.
    """

    num_codebooks = 0
    codebook_size = 0

    def __init__(self, dim: int):
        super().__init__()
        self.dim = self.latent_size = dim

    def forward(self, x, mask=None):
        """See ``AbsQuantizer.forward``; padding is zero, codes are (B, N, 0)."""
        if mask is not None:
            x = x * mask.unsqueeze(-1)
        codes = torch.empty(*x.shape[:-1], 0, dtype=torch.int64, device=x.device)
        return QuantizerOutput(x, codes, x.new_zeros(()))

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """See ``AbsQuantizer.project``: nothing is done."""
        return x

    def usage(self) -> tuple[torch.Tensor, torch.Tensor]:
        """See ``AbsQuantizer.usage``: no code is used."""
        return torch.zeros(()), torch.zeros(())

    def _refuse(self, *_) -> NoReturn:
        raise RuntimeError(
            "this TASTE model was trained with quantizer 'none': it has vectors, but "
            "no codes; train with quantizer rvq or fsq to tokenize or to model codes"
        )

    encode = latent = decode = codes_from_latent = _refuse
