"""What generation prepares of words: the same as embedding and projecting them."""

import pytest
import torch

from espnet2_taste.slm import input_fusion
from espnet2_taste.slm.backbone import FullBackbone
from espnet2_taste.slm.word_embedding import CodeLookUp, WordEmbedding

FUSIONS = [
    input_fusion.WeightedSumFusion,
    input_fusion.SimpleSumFusion,
    input_fusion.ReferenceMixFusion,
]
EMBEDDINGS = [
    input_fusion.FillForwardEmbedding,
    input_fusion.ArrivalEmbedding,
    input_fusion.FirstCodebookEmbedding,
]


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("embedding", EMBEDDINGS)
@pytest.mark.parametrize("is_sum", [True, False])
def test_words_are_heard_as_they_are_embedded(
    fusion, embedding, is_sum, tiny_lm, quantizer
):
    quantizer.is_sum = is_sum
    backbone = FullBackbone(tiny_lm)
    rows = WordEmbedding(
        quantizer, embedding(quantizer), fusion(16, quantizer.dim), end_id=1
    ).eval()
    for vector in (rows.code_embedding.pad, rows.code_embedding.between):
        if vector is not None:
            torch.nn.init.normal_(vector)
    embeddings = rows.row_inputs(backbone, grammar=None)
    looks_up = embedding is not input_fusion.FirstCodebookEmbedding and is_sum
    assert isinstance(embeddings.new, CodeLookUp) == looks_up
    text, codes = torch.randn(5, 16), torch.randint(0, 7, (5, 3))
    with torch.no_grad():
        words = rows.code_embedding.embed(codes, quantizer)
        silence = rows.code_embedding.pad.expand_as(words)
        for held, vectors in (
            (embeddings.new(codes), words),
            (embeddings.hold(embeddings.new(codes)), rows.code_embedding.hold(words)),
            (embeddings.nothing.expand(5, -1), silence),
        ):
            got, want = rows.join(text, held), rows.fuse(text, vectors)
            torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)
