"""G8a, G8c: mel to loss and gradients, and reconstruction, with imported weights.

The model is the one that training uses, built by its task from imported experiments;
only the log-mel front end is passed by, because the golden cases begin behind it.
"""

import pytest
import torch
import yaml
from reference_rules import load_quantizer, reference_word_ids
from torch.nn.utils.rnn import pad_sequence
from word_cores import grid_batch, utterance

from espnet2_taste.masks import length_mask
from espnet2_taste.reference import importing, names
from espnet2_taste.reference.importing import MODEL_FILE
from espnet2_taste.slm.scoring import utterance_scores
from espnet2_taste.speech_decoder.unit_sampling import ArgmaxSampler, UtteranceNoise
from espnet2_taste.structures import EncoderStates
from espnet2_taste.tasks.taste import TasteTask
from espnet2_taste.tokenizer.encoders.whisper import WhisperSpeechEncoder
from espnet2_taste.tokenizer.word_pooling import (
    token_codes,
    word_codes,
)

STEPS = {
    "text_only": {"use_taste": False},
    "wo_vq": {"use_taste": True, "quantize": False},
    "final": {"use_taste": True, "quantize": True},
}


class MelEncoder(WhisperSpeechEncoder):
    """Takes log-mel features (B, T, M) as its speech, and lets gradients pass."""

    def forward(self, speech, speech_lengths):
        frames = torch.full((len(speech),), self.num_positions)
        layers, final, lengths = self.feature_states(speech, frames, self.value_layers)
        return EncoderStates(final, layers[0], lengths)


def load_model(imported, **changes):
    """The imported model without dropout, fed with log-mel features."""
    exp = imported / importing.TASTE_EXP
    config = yaml.safe_load((exp / "config.yaml").read_text(encoding="utf-8"))
    config["model_conf"] = {**config["model_conf"], **changes}
    config["unit_decoder_conf"]["dropout_rate"] = 0.0
    config["quantizer_conf"]["quantize_dropout"] = False
    changed = imported / "changed.yaml"
    changed.write_text(yaml.safe_dump(config), encoding="utf-8")
    model, _ = TasteTask.build_model_from_file(changed, exp / MODEL_FILE)
    encoder = model.tokenizer.encoder
    encoder = MelEncoder(encoder.backbone, encoder.value_layers)
    model.tokenizer.encoder = encoder
    return model


def batch_of(case):
    lengths = case["asr_token_lengths"].long()
    return {
        "speech": case["audio_features"],
        "speech_lengths": case["audio_feature_lengths"].long(),
        "text": case["asr_token_ids"],
        "text_lengths": lengths,
        "word_ids": reference_word_ids(case["asr_word_ids"].long(), lengths),
    }


def step_of(case):
    return next(step for step in STEPS if case.name.endswith(step))


@pytest.mark.golden("G8a_*")
def test_training_step(golden, golden_check, golden_case, imported):
    model = load_model(imported, **STEPS[step_of(golden)]).train()
    model.requires_grad_(True)  # the golden gradients reach the encoder as well
    logits = []
    model.unit_decoder.register_forward_hook(lambda *args: logits.append(args[-1]))
    units_lengths = golden["speech_token_lengths"].long()
    loss, _, _ = model(
        **batch_of(golden),
        units=golden["speech_token_ids"],
        units_lengths=units_lengths,
        spembs=golden["speaker_embeds"],
    )
    golden_check(loss.squeeze(), golden["loss"], "loss")
    targets = model.unit_decoder.targets(golden["speech_token_ids"], units_lengths)
    lengths = zip(golden["asr_token_lengths"].tolist(), units_lengths.tolist())
    for row, (tokens, units) in enumerate(lengths):
        place = slice(tokens + 2, tokens + 3 + units)
        want = golden["speech_logits"][row, place]
        golden_check(logits[0][row, : units + 1], want, "speech_logits")
        want = golden["speech_labels"][row, place]
        golden_check(targets[row, : units + 1], want, "speech_labels")
    loss.backward()
    every = golden_case("G8a_stage1_forward_final")
    check_gradients(golden, golden_check, model, set(every.tensors))


def check_gradients(golden, golden_check, model, tracked):
    """Recorded gradients equal; tracked ones without a record are absent."""
    parameters = dict(model.named_parameters())
    for name in sorted(name for name in tracked if name.startswith("grad.")):
        published = name.removeprefix("grad.")
        ours = next(iter(names.taste_from_published({published: torch.zeros(1, 1)})))
        if name in golden.tensors:
            golden_check(parameters[ours].grad, golden[name], published)
        else:
            assert parameters[ours].grad is None, f"{ours} got a gradient"


TRAINED = {
    "text_only": ("unit_decoder.",),
    "wo_vq": ("unit_decoder.", "tokenizer.aggregator."),
    "final": ("unit_decoder.", "tokenizer.aggregator.", "tokenizer.quantizer."),
}
"""What each step trains (specification, section 6), but for what is frozen below."""
FROZEN = {
    "text_only": (
        "unit_decoder.audio_",
        "unit_decoder.fuse_encoded_audio_text_module.",
    ),
    "wo_vq": (),
    "final": (),
}
NEVER = (
    "tokenizer.encoder.",
    "tokenizer.aggregator.embed.",
    "tokenizer.aggregator.positions.",
    "tokenizer.aggregator.blocks.0.",
)


@pytest.mark.golden("G8a_*")
def test_one_step_changes_what_is_trained(golden, imported):
    step = step_of(golden)
    model = load_model(imported, **STEPS[step]).train()
    before = {name: x.clone() for name, x in everything(model).items()}
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-3)
    loss, _, _ = model(
        **batch_of(golden),
        units=golden["speech_token_ids"],
        units_lengths=golden["speech_token_lengths"].long(),
        spembs=golden["speaker_embeds"],
    )
    loss.backward()
    optimizer.step()
    after = everything(model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    frozen = (*NEVER, *FROZEN[step])
    wanted = {
        name
        for name in before
        if name.startswith(TRAINED[step])
        and not name.startswith(frozen)
        and not name.endswith(".initialized")
    }
    assert changed == wanted


def everything(model):
    """All parameters and saved buffers, those of the frozen encoder included."""
    state = dict(model.state_dict())
    return state | dict(model.named_parameters())


def speak(model, case, taste):
    """Units of the most likely path, one tensor an utterance."""
    batch = batch_of(case)
    noise = UtteranceNoise([torch.Generator() for _ in batch["text"]])
    return model.unit_decoder.generate(
        batch["text"],
        batch["text_lengths"],
        taste,
        case["speaker_embeds"],
        ArgmaxSampler(),
        noise,
    )


def check_units(case, golden_check, units):
    for row, length in enumerate(case["speech_token_lengths"].tolist()):
        want = case["speech_token_ids"][row, :length]
        golden_check(units[row], want, "speech_token_ids")


@pytest.mark.golden("G8c_*SpeechAutoEncoder")
@torch.no_grad()
def test_reconstruction(golden, golden_check, imported):
    model = load_model(imported).eval()
    taste = model.taste(**batch_of(golden)).quantized
    check_units(golden, golden_check, speak(model, golden, taste))


@pytest.mark.golden("G8c_*SpokenLLM")
@torch.no_grad()
def test_reconstruction_of_predicted_codes(golden, golden_check, imported):
    """Codes that the spoken LM predicts, teacher forced, spoken by the unit decoder."""
    model, batch = load_model(imported).eval(), batch_of(golden)
    codes, num_words = word_codes(model.taste(**batch).codes, batch["word_ids"])
    taslm = load_taslm(imported)
    text_lengths = golden["llm_token_lengths"].long()
    mask = length_mask(text_lengths, golden["llm_token_ids"].size(1))
    word_ids = golden["llm_word_ids"].long().masked_fill(~mask, -1)
    items = spoken_words(golden["llm_token_ids"], text_lengths, word_ids, codes)
    rows = grid_batch(taslm.layout, items)
    prediction, _, mask = taslm.predicted_codes(rows, taslm.read(rows["grid"]))
    each = taslm.code_head.codes(prediction, taslm.quantizer)
    predicted = pad_sequence(each.split(mask.sum(dim=1).tolist()), True, -1)
    assert predicted.shape == codes.shape and len(num_words) == len(codes)
    spread = token_codes(predicted, batch["word_ids"])
    taste = load_quantizer(imported / importing.TASTE_EXP).decode(spread)
    check_units(golden, golden_check, speak(model, golden, taste))


@pytest.mark.golden("G8b_*")
@torch.no_grad()
def test_scores_from_speech(golden, golden_check, imported):
    """Log-mel to the published score of each utterance, its codes from one batch."""
    batch, lengths = batch_of(golden), golden["llm_token_lengths"].long()
    model = load_model(imported).eval()
    codes, _ = word_codes(model.taste(**batch).codes, batch["word_ids"])
    mask = length_mask(lengths, golden["llm_token_ids"].size(1))
    word_ids = golden["llm_word_ids"].long().masked_fill(~mask, -1)
    taslm = load_taslm(imported)
    singles = []
    for item in spoken_words(golden["llm_token_ids"], lengths, word_ids, codes):
        rows = grid_batch(taslm.layout, [item])
        singles.append(utterance_scores(taslm, rows).both_mean())
    golden_check(-torch.cat(singles), golden["loss_single"], "loss_single (from mel)")


def spoken_words(text, lengths, word_ids, codes):
    """Words with codes, one utterance a row of padded tensors."""
    return [
        utterance(ids[:count], words[:count], own[: int(words[:count].max()) + 1])
        for ids, words, own, count in zip(text, word_ids, codes, lengths.tolist())
    ]


def load_taslm(imported):
    """The imported spoken LM in evaluation mode."""
    from espnet2_taste.tasks.spoken_lm import SpokenLMTask

    found = (imported / name for name in importing.TASLM_EXPS)
    exp = next(path for path in found if path.is_dir())
    model, _ = SpokenLMTask.build_model_from_file(exp / "config.yaml", exp / MODEL_FILE)
    return model.core.eval()
