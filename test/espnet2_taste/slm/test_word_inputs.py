"""What generation prepares of words: the same as embedding and projecting them."""

import pytest
import torch

from espnet2_taste.slm import input_fusion
from espnet2_taste.slm.backbone import FullBackbone
from espnet2_taste.slm.heads import LinearLastHead
from espnet2_taste.slm.layouts.text_aligned import WordDelayLayout
from espnet2_taste.slm.taslm import Taslm
from espnet2_taste.slm.word_inputs import CodeLookUp

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
    taslm = Taslm(
        backbone=backbone,
        quantizer=quantizer,
        layout=WordDelayLayout(1),
        code_embedding=embedding(quantizer),
        input_fusion=fusion(16, quantizer.dim),
        head=LinearLastHead(16, backbone.num_states, quantizer),
        bos_id=0,
        eos_id=1,
    ).eval()
    for vector in (taslm.code_embedding.pad, taslm.code_embedding.between):
        if vector is not None:
            torch.nn.init.normal_(vector)
    embeddings = taslm.row_inputs(grammar=None)
    looks_up = embedding is not input_fusion.FirstCodebookEmbedding and is_sum
    assert isinstance(embeddings.new, CodeLookUp) == looks_up
    text, codes = torch.randn(5, 16), torch.randint(0, 7, (5, 3))
    with torch.no_grad():
        words = taslm.code_embedding.embed(codes, quantizer)
        silence = taslm.code_embedding.pad.expand_as(words)
        for held, vectors in (
            (embeddings.new(codes), words),
            (embeddings.hold(embeddings.new(codes)), taslm.code_embedding.hold(words)),
            (embeddings.nothing.expand(5, -1), silence),
        ):
            got, want = taslm.join(text, held), taslm.fuse(text, vectors)
            torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)
