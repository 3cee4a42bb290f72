"""What a row hears: code embeddings and fusions."""

import pytest
import torch

from espnet2_taste.slm import input_fusion

WORDS = torch.tensor([[[1, 2, 3], [4, 5, 6]]])
ROWS = torch.full((1, 5, 3), -1)
ROWS[:, [2, 4]] = WORDS


def rows_of(embedding, quantizer):
    torch.nn.init.normal_(embedding.pad)
    return embedding(ROWS, quantizer)[0], quantizer.decode(WORDS)[0]


def test_fill_forward_repeats_a_word(quantizer):
    embedding = input_fusion.FillForwardEmbedding(quantizer)
    rows, words = rows_of(embedding, quantizer)
    want = [embedding.pad, embedding.pad, words[0], words[0], words[1]]
    torch.testing.assert_close(rows, torch.stack(want))


@pytest.mark.parametrize(
    "kind", [input_fusion.FillForwardEmbedding, input_fusion.ArrivalEmbedding]
)
def test_standardized_vectors_have_no_mean_and_unit_size(kind, quantizer):
    quantizer.project_out.bias.data += 30.0
    embedding = kind(quantizer, standardize=True)
    codes = torch.cartesian_prod(*[torch.arange(7)] * 3)
    vectors = embedding.embed(codes, quantizer)
    torch.testing.assert_close(vectors.mean(0), torch.zeros(12), rtol=0, atol=1e-4)
    assert vectors.square().mean().sqrt().item() == pytest.approx(1.0, abs=1e-3)
    assert {"mean", "scale"} <= set(embedding.state_dict())
    assert "scale" not in kind(quantizer).state_dict()  # published weights fit


def test_what_is_no_sum_is_not_standardized(quantizer):
    quantizer.is_sum = False
    with pytest.raises(ValueError, match="standardize needs a quantizer whose"):
        input_fusion.FillForwardEmbedding(quantizer, standardize=True)


def test_arrival_hears_a_word_once(quantizer):
    embedding = input_fusion.ArrivalEmbedding(quantizer)
    torch.nn.init.normal_(embedding.empty)
    rows, words = rows_of(embedding, quantizer)
    want = [embedding.pad, embedding.pad, words[0], embedding.empty, words[1]]
    torch.testing.assert_close(rows, torch.stack(want))


def test_first_codebook_reads_its_own_table(quantizer):
    embedding = input_fusion.FirstCodebookEmbedding(quantizer)
    rows, _ = rows_of(embedding, quantizer)
    torch.testing.assert_close(rows[2], embedding.table.weight[1])
    torch.testing.assert_close(rows[4], embedding.table.weight[4])


@pytest.mark.parametrize(
    "fusion",
    [
        input_fusion.WeightedSumFusion,
        input_fusion.SimpleSumFusion,
        input_fusion.ReferenceMixFusion,
    ],
)
def test_gradients_reach_every_parameter(fusion):
    module = fusion(6, 4)
    fused = module(torch.randn(2, 3, 6), torch.randn(2, 3, 4))
    assert fused.shape == (2, 3, 6)
    fused.square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_weighted_sum_starts_almost_as_text():
    module = input_fusion.WeightedSumFusion(6, 4)
    share = module.weights.softmax(dim=0)
    assert share[0].item() == pytest.approx(0.018, abs=1e-3)
