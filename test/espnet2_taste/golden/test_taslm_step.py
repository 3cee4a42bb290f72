"""One optimizer step of TASLM from the golden weights: what changes, what stays.

Trained are LoRA, both padding vectors, the input fusion and the head (specification,
section 7.1); the text LM and the quantizer stay. Legend: B utterances, W words.
"""

import pytest
import torch
import yaml
from helper_modules import load_tests

from espnet2_taste.reference import importing, layout, names
from espnet2_taste.reference.importing import MODEL_FILE
from espnet2_taste.tasks.spoken_lm import SpokenLMTask

ROWS = ("pad_text", "code_embedding.pad", "input_fusion.")
TRAINED = (*(f"embedding.{name}" for name in ROWS), "code_head.")


def load_model(golden, imported):
    """The imported spoken LM with the head and the weights of a case."""
    exp = next(p for n in importing.TASLM_EXPS if (p := imported / n).is_dir())
    config = yaml.safe_load((exp / "config.yaml").read_text(encoding="utf-8"))
    head = golden.config["case"].get("spoken_lm", {}).get("out_llm_module")
    if head not in (None, config["head"]):
        config |= {"head": head, "head_conf": {}}
    state = layout.read_tensors(exp / MODEL_FILE)
    own = {k[6:]: v for k, v in golden.tensors.items() if k.startswith("param.")}
    if any(name.startswith("extract_") for name in own):
        state = {k: v for k, v in state.items() if not k.startswith("core.code_head.")}
    state |= names.taslm_from_published(names.under(own, names.SPOKEN_LM))
    changed = imported / "changed_taslm.yaml"
    changed.write_text(yaml.safe_dump(config), encoding="utf-8")
    model, _ = SpokenLMTask.build_model_from_file(changed)
    model.load_state_dict(state)
    return model


batch_of = load_tests("golden", "test_taslm_golden.py").batch_of


@pytest.mark.golden("G5b_*", "G5c_*")
def test_one_step_changes_what_is_trained(golden, imported):
    model = load_model(golden, imported).train()
    before = {name: x.clone() for name, x in everything(model).items()}
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-3)
    loss, _, _ = model(**batch_of(golden, model.core.layout))
    loss.backward()
    optimizer.step()
    after = everything(model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    wanted = {name for name in before if is_trained(name.removeprefix("core."))}
    assert changed == wanted


def is_trained(name):
    return name.startswith(TRAINED) or ".lora_" in name


def everything(model):
    """All parameters and saved buffers, the frozen text LM's included."""
    return dict(model.state_dict()) | dict(model.named_parameters())
