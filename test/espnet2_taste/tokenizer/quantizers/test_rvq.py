"""Residual quantizer: codes, masks, codebook learning, gradients."""

import pytest
import quantizer_ranks
import torch
from two_processes import run_in_two

from espnet2_taste.tokenizer.quantizers.abs_quantizer import code_statistics
from espnet2_taste.tokenizer.quantizers.fsq import FiniteScalarQuantizer
from espnet2_taste.tokenizer.quantizers.rvq import ResidualQuantizer, kmeans, nearest


def build(**options):
    torch.manual_seed(0)
    conf = {"num_codebooks": 3, "codebook_size": 8, "latent_size": 4}
    return ResidualQuantizer(6, **(conf | options))


def batch():
    torch.manual_seed(1)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    return torch.randn(2, 5, 6), mask


def test_nearest_is_the_smallest_distance():
    x, vectors = torch.randn(7, 5, 4), torch.randn(9, 4)
    assert torch.equal(nearest(x, vectors), torch.cdist(x, vectors).argmin(-1))


def test_evaluation_changes_nothing_and_codes_decode():
    model = build().eval()
    before = {name: x.clone() for name, x in model.state_dict().items()}
    x, mask = batch()
    output = model(x, mask)
    assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())
    assert output.codes.shape == (2, 5, 3) and output.loss == 0
    assert (output.codes[~mask] == -1).all() and (output.codes[mask] >= 0).all()
    assert torch.allclose(model.decode(output.codes), output.quantized, atol=1e-6)
    want = model.codes_from_latent(model.project_in(x))
    assert torch.equal(want[mask], output.codes[mask])
    assert torch.equal(model.encode(x, mask), output.codes)


@pytest.mark.parametrize("kind", [ResidualQuantizer, FiniteScalarQuantizer])
def test_tables_are_held_until_training(kind):
    torch.manual_seed(0)
    quantizer = kind(6).eval()
    latents = torch.randn(50, quantizer.latent_size)
    found = quantizer.codes_from_latent(latents)
    quantizer.hold_tables()
    lengths = quantizer.squares
    assert torch.equal(found, quantizer.codes_from_latent(latents))
    assert lengths.shape == (quantizer.num_codebooks, quantizer.codebook_size)
    assert "squares" not in quantizer.state_dict()
    assert quantizer.train().squares is None


def test_padding_changes_neither_codes_nor_codebooks():
    x, mask = batch()
    first, second = build(quantize_dropout=False), build(quantize_dropout=False)
    torch.manual_seed(5)
    one = first.train()(x, mask)
    torch.manual_seed(5)
    two = second.train()(x.masked_fill(~mask.unsqueeze(-1), 100.0), mask)
    assert torch.equal(one.codes, two.codes) and torch.equal(one.loss, two.loss)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])


def test_first_training_batch_starts_the_codebooks():
    model = build(quantize_dropout=False).train()
    x, mask = batch()
    assert not any(book.initialized for book in model.codebooks)
    model(x, mask)
    assert all(book.initialized for book in model.codebooks)
    used, perplexity = model.usage()
    assert 0 < used <= 1 and 1 <= perplexity <= 8


def test_codebooks_learn_by_averages_and_projections_by_gradients():
    model = build(quantize_dropout=False).train()
    x, mask = batch()
    x.requires_grad_()
    output = model(x, mask)
    (output.quantized.square().sum() + output.loss).backward()
    assert x.grad[mask].abs().sum() > 0
    names = {name for name, p in model.named_parameters() if p.grad is not None}
    want = {"project_in.weight", "project_in.bias"}
    assert names == want | {"project_out.weight", "project_out.bias"}


def test_dropout_leaves_leading_codebooks():
    model = build().train()
    x, mask = batch()
    depths = set()
    for seed in range(20):
        torch.manual_seed(seed)
        codes = model(x, mask).codes[mask]
        skipped = (codes == -1).all(0)
        depth = int((~skipped).sum())
        assert depth >= 1 and not skipped[:depth].any() and skipped[depth:].all()
        depths.add(depth)
    assert depths == {1, 2, 3}


def test_dead_codes_are_revived():
    model = build(revive_below=0.5, quantize_dropout=False).train()
    x, mask = batch()
    model(x, mask)
    book = model.codebooks[0]
    book.vectors[3] = 1e3
    book.counts[3] = 0.0
    book.sums[3] = 0.0
    model(x, mask)
    assert book.vectors[3].abs().max() < 100 and book.counts[3] == 0.5


def test_kmeans_finds_separated_groups():
    torch.manual_seed(0)
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    samples = (centres[:, None] + 0.1 * torch.randn(3, 30, 2)).flatten(0, 1)
    means, sizes = max(
        (kmeans(samples, 3, 10) for _ in range(10)), key=lambda r: r[1].min()
    )
    assert torch.allclose(
        torch.cdist(centres, means).min(1).values, torch.zeros(3), atol=0.2
    )
    assert sizes.tolist() == [30.0] * 3


def test_kmeans_with_fewer_samples_than_codes():
    means, sizes = kmeans(torch.randn(3, 2), 8, 5)
    assert means.shape == (8, 2) and sizes.sum() == 3


def test_code_statistics():
    codes = torch.tensor([[0, 0], [1, 0], [2, 0], [3, -1]])
    share, perplexity = code_statistics(codes, 4)
    assert share.tolist() == [1.0, 0.25]
    assert torch.allclose(perplexity, torch.tensor([4.0, 1.0]))


def test_encode_refuses_training_mode():
    with pytest.raises(RuntimeError, match="eval"):
        build().train().encode(*batch())


@pytest.mark.parametrize("name", quantizer_ranks.MODELS)
def test_two_ranks_learn_the_moments_of_the_joint_batch(tmp_path, name):
    run_in_two(tmp_path, quantizer_ranks.train_rank, str(tmp_path), name)
    joint = quantizer_ranks.trained(slice(4), name).state_dict()
    first, second = (torch.load(tmp_path / f"rank{rank}.pth") for rank in range(2))
    for name, tensor in joint.items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], tensor, rtol=1e-4, atol=1e-5)
