"""The fast reader of Llamas against the models' own forward pass."""

import numpy as np
import pytest
import torch

from espnet2_taste.row_arithmetic import NumpyArithmetic, TorchArithmetic
from espnet2_taste.slm.backbone import FrozenBackbone, LoraBackbone
from espnet2_taste.slm.llama_reader import LlamaReader, reader_maker
from espnet2_taste.slm.llama_stack import LlamaStack, PackedLinear, is_plain_llama
from espnet2_taste.slm.row_readers import HuggingFaceReader

SIZES = {
    "vocab_size": 30,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
LONG = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
MODELS = [
    ("llama", {}),
    ("llama", {"num_key_value_heads": 4, "tie_word_embeddings": True}),
    ("llama", {"attention_bias": True, "mlp_bias": True, "head_dim": 16}),
    ("llama", {"rope_parameters": LONG}),
    ("mistral", {"sliding_window": None}),
    ("qwen2", {}),
    ("llama", {"hidden_act": "gelu"}),
]
OTHERS = [
    ("mistral", {"sliding_window": 4}),
    ("qwen2", {"use_sliding_window": True, "sliding_window": 4}),
    ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}),
    ("gemma", {"head_dim": 8}),
]
LAYERS = (0, 2, 3)


def make_lm(model_type, fields):
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    torch.manual_seed(0)
    config = CONFIG_MAPPING[model_type](**{**SIZES, **fields})
    lm = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, parameter in lm.named_parameters():
            if parameter.dim() == 1:  # norms and biases start as constants
                parameter.add_(0.3 * torch.randn_like(parameter))
    return lm.eval()


def walk(reader, lengths, dtype=torch.float32, steps=70):
    """States of prompts and of rows behind them; prompts stop on the way."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(len(lengths), max(lengths), 32, generator=generator).to(dtype)
    states = [reader.start(inputs, torch.tensor(lengths))]
    kept = torch.arange(len(lengths))
    for step in range(steps):
        if step in (3, 66) and len(kept) > 1:
            kept = torch.arange(len(kept) - 1)
            reader.select(kept)
        row = torch.randn(len(lengths), 32, generator=generator)[: len(kept)]
        states.append(reader.read(row.to(dtype)))
    return states


CASES = [(*model, [5, 2, 4]) for model in MODELS]
CASES += [("llama", {}, [6, 6]), ("llama", {}, [1])]


@pytest.mark.parametrize("model_type, fields, lengths", CASES)
@torch.no_grad()
def test_states_are_those_of_the_model(model_type, fields, lengths):
    lm = make_lm(model_type, fields)
    backbone = FrozenBackbone(lm)
    wanted = walk(HuggingFaceReader(backbone, LAYERS), lengths)
    assert is_plain_llama(lm)
    found = walk(reader_maker(backbone, LAYERS)(), lengths)
    for expected, states in zip(wanted, found, strict=True):
        for one, other in zip(expected, states, strict=True):
            torch.testing.assert_close(other, one, atol=2e-5, rtol=1e-4)
            logits = backbone.logits(other), backbone.logits(one)
            torch.testing.assert_close(*logits, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_states_of_a_model_in_half_precision_leave_as_float32():
    backbone = FrozenBackbone(make_lm(*MODELS[0]).to(torch.bfloat16))
    wanted = walk(HuggingFaceReader(backbone, LAYERS), [5, 2, 4], steps=9)
    reader = reader_maker(backbone, LAYERS)()
    for expected, states in zip(wanted, walk(reader, [5, 2, 4], steps=9), strict=True):
        for one, other in zip(expected, states, strict=True):
            assert one.dtype == other.dtype == torch.float32
            torch.testing.assert_close(other, one, atol=0.1, rtol=0.05)
        assert reader.logits(states[-1]).dtype == torch.float32


@torch.no_grad()
def test_the_model_keeps_its_weights_without_a_copy():
    lm = make_lm("llama", {})
    before = {name: tensor.clone() for name, tensor in lm.state_dict().items()}
    ids = torch.tensor([[3, 4, 5]])
    logits = lm(ids).logits
    first = LlamaStack(lm).layers[0]
    again = LlamaStack(lm).layers[0]
    assert np.shares_memory(first.qkv.weight, again.qkv.weight)
    attention = lm.base_model.layers[0].self_attn
    assert np.shares_memory(attention.q_proj.weight.data.numpy(), first.qkv.weight)
    for name, tensor in lm.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    torch.testing.assert_close(lm(ids).logits, logits)


@torch.no_grad()
def test_other_types_are_read_by_torch():
    backbone = FrozenBackbone(make_lm("llama", {}).double())
    wanted = walk(HuggingFaceReader(backbone, LAYERS), [5, 2, 4], torch.float64)
    reader = reader_maker(backbone, LAYERS)()
    assert isinstance(reader.stack.arithmetic, TorchArithmetic)
    found = walk(reader, [5, 2, 4], torch.float64)
    for expected, states in zip(wanted, found, strict=True):
        torch.testing.assert_close(states, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("arithmetic", [TorchArithmetic(1e-6), NumpyArithmetic(1e-6)])
@pytest.mark.parametrize("count", [1, 5])
@torch.no_grad()
def test_products_of_layers_with_and_without_bias(arithmetic, count):
    layers = [torch.nn.Linear(4, 3), torch.nn.Linear(4, 2, bias=False)]
    x = torch.randn(count, 4)
    wanted = torch.cat([layer(x) for layer in layers], dim=1)
    packed = PackedLinear(arithmetic, *layers)
    found = arithmetic.tensor(packed(arithmetic.array(x)))
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("with_bias", [False, True])
def test_numpy_attends_as_torch_does(with_bias):
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(2, 3, 2, 4, generator=generator)
    keys, values = torch.randn(2, 2, 3, 5, 4, generator=generator)
    bias = torch.zeros(2, 1, 1, 5)
    bias[1, ..., 3:] = float("-inf")
    given = [query, keys, values, bias if with_bias else None]
    wanted = TorchArithmetic(1e-6).attend(*given, scale=0.5)
    arrays = [None if part is None else part.numpy() for part in given]
    found = NumpyArithmetic(1e-6).attend(*arrays, scale=0.5)
    torch.testing.assert_close(torch.from_numpy(found), wanted)


def test_torch_gets_its_threads_back_after_an_error():
    count = torch.get_num_threads()
    with pytest.raises(KeyError), NumpyArithmetic(1e-6).threads():
        assert torch.get_num_threads() == 1
        raise KeyError
    assert torch.get_num_threads() == count


@pytest.mark.parametrize("model_type, fields", OTHERS)
def test_other_models_are_read_by_their_own_code(model_type, fields):
    backbone = FrozenBackbone(make_lm(model_type, fields))
    assert isinstance(reader_maker(backbone, LAYERS)(), HuggingFaceReader)


def test_adapters_must_be_merged_first():
    backbone = LoraBackbone(make_lm("llama", {}), 2, 4)
    assert isinstance(reader_maker(backbone, LAYERS)(), HuggingFaceReader)
    assert isinstance(reader_maker(backbone.merged(), LAYERS)(), LlamaReader)


def test_the_activation_of_numpy_is_that_of_torch():
    rows = torch.tensor([[-200.0, -90.0, -5.0, -0.1, 0.0, 0.3, 7.0, 200.0]])
    function = NumpyArithmetic(0.0).activation("silu", torch.nn.functional.silu)
    with np.errstate(over="raise", invalid="raise"):
        found = torch.from_numpy(function(rows.numpy()))
    torch.testing.assert_close(found, torch.nn.functional.silu(rows))
