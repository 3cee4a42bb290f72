"""Loss of the text backbone: places, padding, perplexity."""

import pytest
import torch
from half_precision import DTYPES, check_half_precision

from espnet2_taste.espnet_text_lm_model import (
    ESPnetTextLmModel,
    sentence_inputs_and_targets,
)
from espnet2_taste.slm import text_loss


@pytest.fixture
def model():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=20,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    return ESPnetTextLmModel(LlamaForCausalLM(config), bos_id=0, eos_id=1)


def test_inputs_and_targets_by_slow_loop():
    text = torch.tensor([[5, 6, 7], [8, -1, -1]])
    inputs, targets = sentence_inputs_and_targets(text, torch.tensor([3, 1]), 0, 1)
    assert inputs.tolist() == [[0, 5, 6, 7], [0, 8, 1, 1]]
    assert targets.tolist() == [[5, 6, 7, 1], [8, 1, -1, -1]]


def test_padding_changes_nothing(model):
    model.eval()
    text = torch.tensor([[5, 6, 7], [8, -1, -1]])
    both, _, weight = model(text, torch.tensor([3, 1]))
    one, _, one_weight = model(text[:1], torch.tensor([3]))
    two, _, two_weight = model(text[1:], torch.tensor([1]))
    assert weight == one_weight + two_weight == 6
    torch.testing.assert_close(both * 6, one * 4 + two * 2)


@DTYPES
def test_half_precision_changes_little(model, dtype):
    lengths = torch.tensor([3, 1])
    batch = {"text": torch.tensor([[5, 6, 7], [8, -1, -1]]), "text_lengths": lengths}
    check_half_precision(model, batch, dtype)


def test_statistics_and_gradients(model):
    loss, stats, _ = model(
        torch.tensor([[5, 6]]), torch.tensor([2]), word_ids=None, utt_id=["a"]
    )
    assert set(stats) == {"loss", "acc", "ppl"}
    torch.testing.assert_close(stats["ppl"], loss.detach().exp())
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())
    assert model.collect_feats(text=torch.zeros(1, 1)) == {}


def test_a_batch_in_parts_has_the_loss_of_the_whole(model, monkeypatch):
    batch = (torch.tensor([[5, 6, 7], [8, -1, -1]]), torch.tensor([3, 1]))
    expected, stats, _ = model(*batch)
    slopes = torch.autograd.grad(expected, model.parameters())
    losses, hits, valid = model.token_losses(*batch)
    torch.testing.assert_close(expected.squeeze(), losses.sum() / valid.sum())
    accuracy = (hits & valid).sum() / valid.sum()
    torch.testing.assert_close(stats["acc"].squeeze(), accuracy)
    monkeypatch.setattr(text_loss, "KEPT", 2 * 20)  # two rows of the vocabulary
    found, _, _ = model(*batch)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found, model.parameters()), slopes)
