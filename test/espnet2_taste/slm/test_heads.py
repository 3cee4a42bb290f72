"""TASTE heads: shapes, objectives, what they take in training and evaluation."""

import pytest
import torch

from espnet2_taste.slm import heads

HEADS = [
    heads.LinearLastHead,
    heads.WeightedLayerHead,
    heads.MultiLinearLastHead,
    heads.ContinueLatentLinearLastHead,
]


def states_for(head, *shape):
    return [torch.randn(*shape, head.hidden_size) for _ in head.layers]


@pytest.mark.parametrize("head_class", HEADS)
def test_every_head_serves_one_interface(head_class, quantizer):
    head = head_class(8, 3, quantizer)
    codes = torch.randint(0, 7, (2, 4, 3))
    prediction = head(states_for(head, 2, 4))
    loss = head.loss(prediction, codes, quantizer)
    assert loss.per_word.shape == (2, 4)
    assert head.code_logits(prediction, quantizer).shape == (2, 4, 3, 7)
    predicted = head.codes(prediction, quantizer)
    best = head.code_logits(prediction, quantizer).argmax(-1)
    assert torch.equal(predicted, best)
    assert head.log_likelihood(prediction, codes, quantizer).shape == (2, 4)
    assert head.nats(prediction, codes, quantizer).shape == (2, 4)
    loss.per_word.sum().backward()
    assert all(p.grad is not None for p in head.parameters())


def test_codebook_weights_change_only_the_loss(quantizer):
    torch.manual_seed(0)
    head = heads.LinearLastHead(8, 3, quantizer, weights=[1.0, 0.0, 0.0])
    prediction = head(states_for(head, 5))
    loss = head.loss(prediction, torch.randint(0, 7, (5, 3)), quantizer)
    torch.testing.assert_close(loss.per_word, loss.parts["code_ce"][:, 0])
    with pytest.raises(ValueError, match="needs 3 numbers"):
        heads.LinearLastHead(8, 3, quantizer, weights=[1.0])


def test_latent_head_samples_in_training_only(quantizer):
    head = heads.ContinueLatentLinearLastHead(8, 3, quantizer)
    states, noise = states_for(head, 5), torch.randn(5, quantizer.latent_size)
    trained = head(states, noise)
    torch.testing.assert_close(trained.z, trained.mu + noise)
    head.eval()
    torch.testing.assert_close(head(states).z, head(states).mu)


def test_published_latent_head_adds_sigma_in_evaluation(quantizer):
    head = heads.ContinueLatentLinearLastHead(8, 3, quantizer, reference_compat=True)
    head.eval()
    prediction = head(states_for(head, 5))
    torch.testing.assert_close(prediction.z, prediction.mu + 1.0)


def test_gradient_of_sigma_is_that_of_the_sample(quantizer):
    """d z / d logvar = sigma * noise / 2; the published head has sigma / 2."""
    noise = torch.full((1, quantizer.latent_size), 3.0)
    for compat, want in ((False, 1.5), (True, 0.5)):
        head = heads.ContinueLatentLinearLastHead(
            8, 3, quantizer, reference_compat=compat
        )
        head([torch.zeros(1, 8)], noise).z.sum().backward()
        torch.testing.assert_close(head.logvar.grad, torch.full_like(noise[0], want))


def test_expected_latent_of_sure_logits_is_the_latent(quantizer):
    head = heads.MultiLinearLastHead(8, 3, quantizer)
    codes = torch.randint(0, 7, (5, 3))
    logits = torch.nn.functional.one_hot(codes, 7) * 1000.0
    expected = head.expected_latent(logits, quantizer)
    torch.testing.assert_close(expected, quantizer.latent(codes))


def test_standardized_latents_have_unit_size_and_keep_their_codes(quantizer):
    head = heads.ContinueLatentLinearLastHead(8, 3, quantizer, standardize=True).eval()
    codes = torch.cartesian_prod(*[torch.arange(7)] * 3)
    latents = quantizer.latent(codes)
    unit = (latents - latents.mean(0)) / head.scale
    assert unit.square().mean().sqrt().item() == pytest.approx(1.0, abs=1e-4)
    sure = heads.LatentPrediction(unit, head.logvar, latents / head.scale)
    want = quantizer.codes_from_latent(latents)
    assert torch.equal(head.codes(sure, quantizer), want)
    assert "scale" in head.state_dict()


def test_centred_latents_have_no_mean_and_keep_their_codes(quantizer):
    kind = heads.ContinueLatentLinearLastHead
    head = kind(8, 3, quantizer, standardize=True, center=True).eval()
    codes = torch.cartesian_prod(*[torch.arange(7)] * 3)
    unit = head.target(codes, quantizer)
    torch.testing.assert_close(unit.mean(0), torch.zeros(unit.size(1)))
    assert unit.square().mean().sqrt().item() == pytest.approx(1.0, abs=1e-4)
    exact = heads.LatentPrediction(unit, head.logvar, unit)
    assert head.loss(exact, codes, quantizer).parts["latent_reg"].max() < 1e-9
    want = quantizer.codes_from_latent(quantizer.latent(codes))
    assert torch.equal(head.codes(exact, quantizer), want)
    assert {"scale", "mean"} <= set(head.state_dict())


def test_nats_of_codes_are_log_probabilities(quantizer):
    head = heads.LinearLastHead(8, 3, quantizer)
    prediction = head(states_for(head, 1))
    every = torch.cartesian_prod(*[torch.arange(7)] * 3)
    logits = prediction.expand(len(every), -1, -1)
    total = head.nats(logits, every, quantizer).exp().sum()
    torch.testing.assert_close(total, torch.tensor(1.0))
    assert head.score_unit == "nats"


@pytest.mark.parametrize("standardize", [False, True])
def test_nats_of_latents_are_a_gaussian_density(quantizer, standardize):
    kind = heads.ContinueLatentLinearLastHead
    head = kind(8, 3, quantizer, standardize=standardize).eval()
    head.logvar.data.uniform_(-1, 1)
    prediction = head(states_for(head, 5))
    codes = torch.randint(0, 7, (5, 3))
    size = quantizer.latent_size
    scale = head.scale.expand(size) * torch.ones(size)
    covariance = torch.diag(scale**2 * head.logvar.exp())
    normal = torch.distributions.MultivariateNormal(scale * prediction.mu, covariance)
    expected = normal.log_prob(quantizer.latent(codes))
    torch.testing.assert_close(head.nats(prediction, codes, quantizer), expected)
    assert head.score_unit == "minus training loss"
