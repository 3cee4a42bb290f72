"""Rows read one by one against the model's forward pass over all of them."""

import pytest
import torch

from espnet2_taste.slm.backbone import FrozenBackbone
from espnet2_taste.slm.row_reader import RowReader

SIZES = {
    "vocab_size": 30,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
MODELS = [
    ("llama", {}),
    ("mistral", {"sliding_window": None}),
    ("qwen2", {}),
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


@pytest.mark.parametrize("lengths", [[5, 2, 4], [6, 6], [1]])
@pytest.mark.parametrize("model_type, fields", MODELS)
@torch.no_grad()
def test_states_are_those_of_the_whole_sequence(model_type, fields, lengths):
    backbone = FrozenBackbone(make_lm(model_type, fields))
    reader = RowReader(backbone, LAYERS)
    prompts = torch.randn(len(lengths), max(lengths), 32)
    rows = torch.randn(len(lengths), 9, 32)
    states = [reader.start(prompts, torch.tensor(lengths))]
    kept = len(lengths)
    for step in range(9):
        if step == 3 and kept > 1:  # the last prompt has ended
            kept -= 1
            reader.select(torch.arange(kept))
        states.append(reader.read(rows[:kept, step]))
    for index in range(kept):
        alone = torch.cat([prompts[index, : lengths[index]], rows[index]])[None]
        output = backbone(alone, layers=LAYERS)
        for layer, expected in enumerate((*output.states, output.last)):
            found = torch.stack([state[layer][index] for state in states])
            wanted = expected[0, lengths[index] - 1 :]
            torch.testing.assert_close(found, wanted, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_prompts_without_a_row_keep_their_place():
    backbone = FrozenBackbone(make_lm(*MODELS[0]))
    reader = RowReader(backbone.base_forward)
    text = torch.randint(0, 30, (2, 9))
    reader.start(text[:, :2], torch.tensor([2, 2]))
    places = torch.tensor([2, 2])
    last = torch.zeros(2, 32)
    for rows in [(), (0, 1), (1,), (0, 1), (0,)]:
        active = torch.tensor([row in rows for row in range(2)])
        row = text[torch.arange(2), places].where(active, 0)
        (states,) = reader.read(row, active)
        last = torch.where(active[:, None], states, last)
        places = places + active
    for row, length in enumerate(places.tolist()):
        expected = backbone.base_states(text[row : row + 1, :length])[0, -1]
        torch.testing.assert_close(last[row], expected, atol=2e-5, rtol=1e-4)
