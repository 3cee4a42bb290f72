"""Small parts for the tests of the spoken LM."""

import pytest
import torch
from torch import nn
from word_cores import utterance


class TableQuantizer(nn.Module):
    """Residual codebooks with linear layers around them, as plain as can be."""

    is_sum = True

    def __init__(self, dim=12, num_codebooks=3, codebook_size=7, latent_size=5):
        super().__init__()
        self.dim, self.latent_size = dim, latent_size
        self.num_codebooks, self.codebook_size = num_codebooks, codebook_size
        scale = 0.5 ** torch.arange(num_codebooks).view(-1, 1, 1)
        tables = torch.randn(num_codebooks, codebook_size, latent_size) * scale
        self.tables = nn.Parameter(tables)
        self.project_out = nn.Linear(latent_size, dim)

    def hold_tables(self):
        """Nothing is prepared: searches are the plain loop."""

    def latent(self, codes):
        rows = torch.arange(self.num_codebooks)
        vectors = self.tables[rows, codes.clamp(min=0)]
        return torch.where((codes >= 0)[..., None], vectors, 0.0).sum(dim=-2)

    def decode(self, codes):
        return self.project_out(self.latent(codes))

    def codes_from_latent(self, z):
        codes = []
        for table in self.tables:
            nearest = (z[..., None, :] - table).square().sum(-1).argmin(-1)
            codes.append(nearest)
            z = z - table[nearest]
        return torch.stack(codes, dim=-1)


@pytest.fixture
def quantizer():
    """A frozen-size quantizer with 3 codebooks of 7 codes."""
    torch.manual_seed(0)
    return TableQuantizer()


@pytest.fixture
def tiny_lm():
    """A random Llama with a vocabulary of 40."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config)


@pytest.fixture
def pair():
    """Two utterances of 5 and 3 tokens, 3 and 1 words."""
    codes = torch.randint(0, 7, (2, 3, 3), generator=torch.Generator().manual_seed(1))
    return [
        utterance([4, 5, 6, 7, 8], [0, 0, 1, 2, 2], codes[0]),
        utterance([9, 10, 11], [0, 0, 0], codes[1, :1]),
    ]
