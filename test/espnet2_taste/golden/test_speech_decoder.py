"""The unit decoder against the golden cases G3: states, logits, gradients, units."""

import pytest
import torch
from torch.nn import functional

from espnet2_taste.masks import length_mask
from espnet2_taste.speech_decoder.fusion import WeightedSumFusion
from espnet2_taste.speech_decoder.unit_decoder import UnitDecoder
from espnet2_taste.speech_decoder.unit_sampling import ArgmaxSampler, UtteranceNoise

PREFIX = "speech_decoder."


def make_decoder(case):
    """Decoder with the weights of a case; sizes come from its configuration."""
    conf = case.config["speech_decoder_config"]
    state = case.weights(PREFIX)
    taste = "audio_token_encoder.encoders.0."
    decoder = UnitDecoder(
        vocab_size=conf["text_token_size"],
        num_units=conf["speech_token_size"],
        taste_size=conf["audio_encoder_input_size"],
        spembs_size=conf["spk_embed_dim"],
        fusion=WeightedSumFusion(conf["llm_input_size"]),
        embed_size=conf["encoder_input_size"],
        hidden_size=conf["llm_input_size"],
        text_blocks=conf["encoder__num_blocks"],
        lm_blocks=conf["llm__num_blocks"],
        attention_heads=conf["llm__attention_heads"],
        linear_units=conf["llm__linear_units"],
        taste_attention_heads=len(state[taste + "self_attn.pos_bias_u"]),
        taste_linear_units=len(state[taste + "feed_forward.w_1.bias"]),
        dropout_rate=0.0,
    )
    decoder.load_state_dict(state)
    return decoder.train()


@pytest.fixture
def build_decoder():
    """Function that makes the decoder of a case."""
    return make_decoder


def inputs(case):
    taste = case["audio_unit_embeds"] if "audio_encoded" in case.tensors else None
    if taste is not None:
        taste = taste.clone().requires_grad_()
    return {
        "text": case["asr_token_ids"],
        "text_lengths": case["asr_token_lengths"].long(),
        "taste": taste,
        "units": case["speech_token_ids"],
        "units_lengths": case["speech_token_lengths"].long(),
        "spembs": case["speaker_embeds"],
    }


@pytest.mark.golden("G3a*", "G3b*")
def test_condition(golden, golden_check, build_decoder):
    batch = inputs(golden)
    decoder = build_decoder(golden)
    lengths = batch["text_lengths"]
    mask = length_mask(lengths, batch["text"].size(1))
    golden_check(
        decoder.text_encoder(golden["text_embedding"], mask)[mask],
        golden["text_enc_out"][mask],
        "text_enc_out",
    )
    condition = decoder.encode_conditions(
        batch["text"], lengths, batch["taste"], batch["spembs"]
    )
    for row, length in enumerate(lengths.tolist()):
        want = golden["lm_input"][row, : length + 3]
        golden_check(condition.embeds[row][condition.mask[row]], want, "lm_input")


@pytest.mark.golden("G3a*", "G3b*")
def test_teacher_forcing_and_gradients(golden, golden_check, build_decoder):
    batch = inputs(golden)
    decoder = build_decoder(golden)
    logits = decoder(**batch)
    targets = decoder.targets(batch["units"], batch["units_lengths"])
    lengths = zip(batch["text_lengths"].tolist(), batch["units_lengths"].tolist())
    for row, (tokens, units) in enumerate(lengths):
        place = slice(tokens + 2, tokens + 3 + units)
        golden_check(logits[row, : units + 1], golden["logits"][row, place], "logits")
        golden_check(targets[row, : units + 1], golden["labels"][row, place], "labels")
    loss = functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=-1
    )
    golden_check(loss, golden["loss"], "loss")
    loss.backward()
    parameters = dict(decoder.named_parameters())
    for name in golden.tensors:
        if name == "grad.audio_unit_embeds":
            golden_check(batch["taste"].grad, golden[name], name)
        elif name.startswith("grad."):
            got = parameters[name.removeprefix("grad.")].grad
            golden_check(got, golden[name], name)


@pytest.mark.golden("G3c*")
def test_generation(golden, golden_check, build_decoder):
    decoder = build_decoder(golden).eval()
    count = len(golden["asr_token_ids"])
    noise = UtteranceNoise([torch.Generator() for _ in range(count)])
    generated = decoder.generate(
        golden["asr_token_ids"],
        golden["asr_token_lengths"].long(),
        golden["audio_unit_embeds"],
        golden["speaker_embeds"],
        ArgmaxSampler(),
        noise,
    )
    for row, units in enumerate(generated):
        golden_check(units, golden[f"utt{row}.units"][0], f"utt{row}.units")
        log_probs = decoder(
            golden["asr_token_ids"][row : row + 1],
            golden["asr_token_lengths"][row : row + 1].long(),
            golden["audio_unit_embeds"][row : row + 1],
            units.unsqueeze(0),
            torch.tensor([len(units)]),
            golden["speaker_embeds"][row : row + 1],
        ).log_softmax(-1)
        want = golden[f"utt{row}.logp"]
        golden_check(log_probs[0, : len(want)], want, f"utt{row}.logp")
