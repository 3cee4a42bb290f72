"""TASLM: padding, the frozen base, what one step changes, scores, the cache."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from operation_counts import repeated, step_operations
from slow_losses import kl_to_base
from word_cores import grid_batch, inventory, word_core

from espnet2_taste.dropout import Dropout
from espnet2_taste.espnet_spoken_lm_model import ESPnetSpokenLMModel
from espnet2_taste.evaluation.training_cost import count_flops
from espnet2_taste.slm import backbone as backbones
from espnet2_taste.slm import group_losses, heads, input_fusion, losses
from espnet2_taste.slm.layouts.streams import Inventory
from espnet2_taste.slm.layouts.text_aligned import WordDelayLayout
from espnet2_taste.slm.scoring import utterance_scores


def LAYOUT(delay):
    return WordDelayLayout(inventory(40, 2), delay)


@pytest.fixture
def batch(pair):
    return grid_batch(LAYOUT(1), pair)


BACKBONES = {
    "lora": lambda lm: backbones.LoraBackbone(lm, r=2, alpha=4, dropout=0.1),
    "full": backbones.FullBackbone,
    "frozen": backbones.FrozenBackbone,
}


@pytest.fixture
def build(tiny_lm, quantizer):
    def build(backbone="lora", head=heads.ContinueLatentLinearLastHead, delay=1):
        torch.manual_seed(2)
        wrapped = BACKBONES[backbone](tiny_lm)
        size = wrapped.hidden_size
        model = word_core(
            wrapped,
            quantizer,
            LAYOUT(delay),
            input_fusion.FillForwardEmbedding(quantizer),
            input_fusion.WeightedSumFusion(size, quantizer.dim),
            head(size, wrapped.num_states, quantizer),
            bos_id=1,
        )
        torch.nn.init.normal_(model.embedding.pad_text)
        torch.nn.init.normal_(model.embedding.code_embedding.pad)
        return model

    return build


def loss_of(model, batch):
    found = model.read(batch["grid"])
    (logits,) = model.stream_logits(found)
    labels = batch["grid"][..., 0]
    text = losses.cross_entropy(logits, labels)
    prediction, codes, _ = model.predicted_codes(batch, found)
    taste = model.code_head.loss(prediction, codes, model.quantizer).per_word.mean()
    return losses.masked_mean(text, labels != -1) + taste


def base_logits(model, text):
    """What the base LM predicts, (B, N + 1, V)."""
    return model.backbone.base_logits(model.base_states(text))


@pytest.mark.parametrize("delay", [1, 2])
@pytest.mark.parametrize("head", [heads.LinearLastHead, heads.WeightedLayerHead])
def test_padding_never_changes_a_score(build, pair, head, delay):
    model = build(head=head, delay=delay).eval()
    together = utterance_scores(model, grid_batch(model.layout, pair))
    single = utterance_scores(model, grid_batch(model.layout, pair[1:]))
    for name, value in single.table().items():
        torch.testing.assert_close(together.table()[name][1:], value)
    assert together.text_mask.sum(1).tolist() == [6, 4]  # tokens and EOS
    assert together.speech_mask.sum(1).tolist() == [3, 1]


def test_every_token_of_a_text_is_scored_as_text(build, pair):
    model = build().eval()
    text = model.layout.inventory.text
    special = text.special | (np.arange(40) == pair[0].tokens[1])  # an unknown letter
    layout = WordDelayLayout(Inventory(replace(text, special=special), 0), 1)
    batch, wanted = grid_batch(layout, pair), utterance_scores(
        model, grid_batch(model.layout, pair)
    )
    model.layout = layout
    for masked in (False, True):
        found = utterance_scores(model, batch, mask_other_vocab=masked)
        torch.testing.assert_close(found.table(), wanted.table())


@pytest.mark.parametrize("name", BACKBONES)
def test_gradients_reach_what_trains_and_nothing_else(build, pair, name):
    model = build(name, delay=2).train()
    batch = grid_batch(model.layout, pair)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    for _ in range(2):  # the first step of LoRA moves B only
        optimizer.zero_grad()
        loss_of(model, batch).backward()
        optimizer.step()
    after = model.state_dict()
    changed = {key for key in after if not torch.equal(before[key], after[key])}
    around = {k for k in after if not k.startswith(("backbone", "embedding.quantizer"))}
    assert around <= changed
    inner = changed - around
    if name == "lora":
        assert inner == {k for k in after if ".lora_" in k}
    elif name == "full":
        assert inner == {k for k in after if k.startswith("backbone.lm.")}
    else:
        assert not inner
    frozen = [p for p in model.parameters() if not p.requires_grad]
    assert frozen and all(p.grad is None for p in frozen)


@pytest.mark.parametrize("name", ["lora", "full"])
def test_the_base_stays_what_it_was(build, batch, name):
    model = build(name).train()
    text = batch["grid"][..., 0].clamp(min=0)
    bos = torch.full_like(text[:, :1], model.bos_id)
    before = base_logits(model, text)
    torch.testing.assert_close(
        base_logits(model, text)[:, 1:],
        model.backbone.causal_lm(torch.cat([bos, text], dim=1)).logits[:, 1:],
    )
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.5)
    for _ in range(2):
        loss_of(model, batch).backward()
        optimizer.step()
    torch.testing.assert_close(base_logits(model, text), before)
    adapted = model.backbone.causal_lm(text).logits
    assert not torch.allclose(adapted, before[:, 1:])


def test_only_adapters_are_in_training_mode(build):
    model = build("lora").train()
    modes = {name: module.training for name, module in model.backbone.named_modules()}
    assert not model.quantizer.training and model.code_head.training
    assert all(mode == (".lora_" in n) for n, mode in modes.items() if n)


def test_rows_one_by_one_with_a_cache(build, pair):
    model = build().eval()
    inputs = model.rows(grid_batch(model.layout, pair[:1])["grid"])
    whole = model.backbone(inputs).last
    cache, rows = None, []
    for row in inputs.split(1, dim=1):
        step = model.backbone(row, cache=cache, use_cache=True)
        cache = step.cache
        rows.append(step.last)
    torch.testing.assert_close(torch.cat(rows, dim=1), whole, atol=1e-5, rtol=1e-4)


def test_too_few_codes_are_refused(pair):
    short = replace(pair[0], codes=pair[0].codes[:2])
    with pytest.raises(ValueError, match="the codes of 3 words, found 2"):
        LAYOUT(1).encode(short)


def test_the_base_costs_a_pass_and_runs_only_for_its_term(build, batch, tiny_lm):
    model = build("full", heads.LinearLastHead)
    (cost, stats), (without, fewer) = (
        (count_flops(trained, batch), set(trained(**batch)[1]))
        for trained in (ESPnetSpokenLMModel(model, kl_weight=w) for w in (0.5, 0.0))
    )
    linear = {
        n: m for n, m in tiny_lm.named_modules() if isinstance(m, torch.nn.Linear)
    }
    output = linear.pop("lm_head").weight.numel()
    weights = sum(layer.weight.numel() for layer in linear.values())
    rows = 5 + 1  # tokens and BOS
    size = 2 * rows
    scores = size * rows * tiny_lm.config.hidden_size * len(tiny_lm.model.layers)
    targets = 5 + 3 + 2  # EOS too
    # two operations a product of a row and a weight, or of two rows of attention
    assert cost - without == 2 * (weights * size + output * targets + 2 * scores)
    assert stats - fewer == {"loss_text_kl", "base_text_ppl"} and fewer < stats


def shuffled(batch):
    """The same utterances in another order."""
    order = torch.tensor([1, 0])
    return {name: value[order] for name, value in batch.items()}


@pytest.mark.parametrize("backbone", ["lora", "full"])
@pytest.mark.parametrize("kept", [0, 1])
@pytest.mark.parametrize("kl_weight", [0.0, 0.4, 1.0])
def test_the_text_loss_is_what_its_terms_say(build, pair, kl_weight, kept, backbone):
    model = build(backbone, delay=2).train()
    batch = grid_batch(model.layout, pair)
    output = model.read(batch["grid"])
    labels = batch["grid"][:, :6, 0]
    logits = model.stream_logits(output)[0][:, :6]
    rows = torch.arange(6) < torch.tensor([[5], [3]])
    nll = losses.cross_entropy(logits, labels)
    kl = kl_to_base(logits, base_logits(model, labels[:, :5]))
    expected = kl_weight * losses.masked_mean(kl, rows)
    expected = expected + (1 - kl_weight) * losses.masked_mean(nll, labels != -1)
    trained = [p for p in model.backbone.parameters() if p.requires_grad]
    slopes = torch.autograd.grad(expected, trained, retain_graph=True)
    base = ESPnetSpokenLMModel(model, kl_weight=kl_weight, base_cache_mb=kept).base_rows
    cells = model.text_cells(batch, output)
    found, stats = group_losses.text_group(model, cells, kl_weight, base)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    for slope, same in zip(torch.autograd.grad(found, trained), slopes):
        torch.testing.assert_close(slope, same, atol=1e-5, rtol=1e-5)
    perplexity = losses.masked_mean(nll, rows).exp()
    torch.testing.assert_close(stats["text_ppl"], perplexity.detach())
    assert model.uses_tangents == bool(backbone == "lora" and kept and kl_weight)
    if kl_weight:
        divergence = losses.masked_mean(kl, rows).detach()
        torch.testing.assert_close(stats["loss_text_kl"], divergence)


def test_a_cached_base_says_the_same(build, batch, monkeypatch):
    model = ESPnetSpokenLMModel(build(), kl_weight=0.5, base_cache_mb=1).eval()
    loss, stats, _ = model(**batch)
    monkeypatch.setattr(model.core, "base_states", None)  # must not run again
    cached, other, _ = model(**shuffled(batch))
    torch.testing.assert_close(cached, loss)
    torch.testing.assert_close(other["loss_text_kl"], stats["loss_text_kl"])


@pytest.mark.parametrize("kept", [0, 1])
def test_the_mean_of_rarer_comparisons_is_the_comparison_of_all(
    build, batch, kept, monkeypatch
):
    core = build(head=heads.LinearLastHead)
    options = {"kl_weight": 0.5, "base_cache_mb": kept, "kl_every": 2}
    model = ESPnetSpokenLMModel(core, **options)
    expected, whole, _ = model.eval()(**batch)
    model.train().core.eval()  # no dropout
    found, read = [], []
    base_rows = core.base_rows
    monkeypatch.setattr(
        core, "base_rows", lambda text: read.append(len(text)) or base_rows(text)
    )
    for weights in ([2.0, 0.0], [0.0, 2.0]):
        drawn = torch.tensor(weights)
        monkeypatch.setattr(group_losses, "comparison_weights", lambda *_: drawn)
        found.append(model(**batch))
    assert read == ([] if kept else [1, 1])
    trained = [p for p in model.parameters() if p.requires_grad]
    slopes = [
        torch.autograd.grad(loss, trained)
        for loss in (expected, sum(loss for loss, _, _ in found) / 2)
    ]
    torch.testing.assert_close(*slopes, atol=1e-5, rtol=1e-5)
    lengths = [5 / 8, 3 / 8]
    for name in ("loss_text_kl", "base_text_ppl"):
        one, other = (stats[name] for _, stats, _ in found)
        mean = lengths[0] * one + lengths[1] * other
        if name == "base_text_ppl":
            mean = one ** lengths[0] * other ** lengths[1]
        torch.testing.assert_close(mean, whole[name])
    assert set(whole) == set(found[0][1])


def test_validation_compares_all_and_training_as_many_as_asked_for(
    build, batch, monkeypatch
):
    model = ESPnetSpokenLMModel(build(), kl_weight=0.5, kl_every=2)
    every, weights = [], group_losses.comparison_weights

    def drawn(count, number, device):
        every.append(number)
        return weights(count, number, device)

    monkeypatch.setattr(group_losses, "comparison_weights", drawn)
    model.train()(**batch)
    model.eval()(**batch)
    assert every == [2, 1]
    with pytest.raises(ValueError, match="kl_every is at least 1, found 0"):
        ESPnetSpokenLMModel(model.core, kl_every=0)


def test_only_fixed_affine_outputs_in_float32_use_tangents(build, tiny_lm):
    assert not build("full").backbone.has_fixed_output()
    assert build("frozen").backbone.has_fixed_output()
    assert not build("frozen").bfloat16().backbone.has_fixed_output()
    tiny_lm.float().lm_head.register_forward_hook(lambda *given: given[-1].tanh())
    assert not build("frozen").backbone.has_fixed_output()


def test_the_base_reads_texts_that_are_not_cached(build, batch, monkeypatch):
    model = ESPnetSpokenLMModel(build(), kl_weight=0.5, base_cache_mb=1).eval()
    expected, _, _ = ESPnetSpokenLMModel(model.core, kl_weight=0.5)(**batch)
    first = {name: value[:1] for name, value in batch.items()}
    model(**first)
    read, base_states = [], model.core.base_states
    monkeypatch.setattr(
        model.core, "base_states", lambda text: read.append(text) or base_states(text)
    )
    found, _, _ = model(**batch)
    (text,) = read
    assert text.tolist() == batch["grid"][1:, :3, 0].tolist()
    torch.testing.assert_close(found, expected)


def test_dropout_of_the_adapters_is_the_cheap_one(build):
    backbone = build().backbone
    layers = [m for m in backbone.modules() if isinstance(m, torch.nn.Dropout)]
    rates = {(type(m), m.p) for m in layers if m.p}
    assert rates == {(Dropout, 0.1)}


def test_a_base_that_trains_is_not_cached(build):
    taslm = build("full")
    taslm.backbone.frozen_base = None
    with pytest.raises(ValueError, match="base_cache_mb is 5.*keep_base to true"):
        ESPnetSpokenLMModel(taslm, base_cache_mb=5)


@pytest.mark.parametrize("kl_weight", [0.0, 0.5])
def test_a_step_calls_nothing_for_each_utterance(build, batch, kl_weight):
    model = ESPnetSpokenLMModel(build(), kl_weight=kl_weight).train()
    many = step_operations(model, repeated(batch, 4))
    assert many == step_operations(model, batch)


def test_what_is_kept_of_the_base_costs_few_operations(build, batch):
    model = ESPnetSpokenLMModel(build(), kl_weight=0.5, base_cache_mb=1).train()
    step_operations(model, batch)  # is kept
    few, many = (step_operations(model, x) for x in (batch, repeated(batch, 4)))
    assert many <= few + 2 * 6  # of the 6 further utterances
