"""G4, G5, G8b: input rows, labels, predictions, losses and gradients of TASLM."""

import pytest
import torch
from slow_losses import kl_to_base

from espnet2_taste.masks import length_mask
from espnet2_taste.reference.spoken_lm_names import from_reference, to_reference
from espnet2_taste.slm import heads, input_fusion, losses
from espnet2_taste.slm.backbone import FullBackbone, LoraBackbone
from espnet2_taste.slm.layouts import text_aligned
from espnet2_taste.slm.taslm import Taslm
from espnet2_taste.tokenizer.quantizers.rvq import ResidualQuantizer

LAYOUTS = {
    "word": text_aligned.WordDelayLayout,
    "token": text_aligned.TokenDelayLayout,
}
CODE_EMBEDDINGS = {
    "fill_forward": input_fusion.FillForwardEmbedding,
    "pad": input_fusion.ArrivalEmbedding,
    "embed_a0_only": input_fusion.FirstCodebookEmbedding,
}
FUSIONS = {
    "weighted_sum": input_fusion.WeightedSumFusion,
    "simple_sum": input_fusion.SimpleSumFusion,
    "reference_mix": input_fusion.ReferenceMixFusion,
}
HEADS = {
    "continue_latent_linear_last": lambda h, n, q: (
        heads.ContinueLatentLinearLastHead(h, n, q, reference_compat=True)
    ),
    "linear_last": heads.LinearLastHead,
    "multi_linear_last": heads.MultiLinearLastHead,
    "weighted_layer": heads.WeightedLayerHead,
}


def make_quantizer(golden):
    """The published codebooks in our quantizer."""
    state = golden.weights("audio_tower.vq.rvq.")
    books = [state[f"layers.{q}._codebook.embed"][0] for q in range(num_layers(state))]
    latent_size, dim = state["project_in.weight"].shape
    quantizer = ResidualQuantizer(dim, len(books), len(books[0]), latent_size)
    own = {f"codebooks.{q}.vectors": book for q, book in enumerate(books)}
    own |= {name: state[name] for name in state if name.startswith("project_")}
    missing, unexpected = quantizer.load_state_dict(own, strict=False)
    assert not unexpected and all("codebooks." in name for name in missing)
    return quantizer


def num_layers(state):
    """Number of codebooks in a published quantizer."""
    return 1 + max(int(n.split(".")[1]) for n in state if n.startswith("layers."))


def make_lm(golden):
    from transformers import AutoConfig, LlamaForCausalLM

    config = AutoConfig.from_pretrained(golden.root / "config" / "llama")
    return LlamaForCausalLM(config).eval()


def make_backbone(golden, spoken):
    lm = make_lm(golden)
    if not spoken["use_lora"]:
        return FullBackbone(lm)
    lora = spoken["kwargs_for_lora"]
    return LoraBackbone(lm, lora["lora_r"], lora["lora_alpha"], dropout=0.0)


def weights_for(golden, spoken):
    """Published weights, this case's parameters over them, in our names."""
    state = golden.weights("spoken_lm.")
    own = {k[6:]: v for k, v in golden.tensors.items() if k.startswith("param.")}
    if any(name.startswith("extract_") for name in own):
        state = {k: v for k, v in state.items() if not k.startswith("extract_")}
    elif spoken["out_llm_module"] != "continue_latent_linear_last":
        raise AssertionError(f"{golden.name}: no weights for the head")
    if own:
        state = {k: v for k, v in state.items() if not k.startswith("fuse_")}
    state.update(own)
    if not spoken["use_lora"]:
        state = without_lora(state)
    return from_reference(state)


def without_lora(state):
    plain = {}
    for name, tensor in state.items():
        if ".lora_" not in name:
            name = name.replace("language_model.base_model.model.", "language_model.")
            plain[name.replace(".base_layer.", ".")] = tensor
    return plain


def make_taslm(golden):
    full = golden.config["spoken_lm_config"]
    spoken = {**full, **golden.config["case"].get("spoken_lm", {})}
    quantizer = make_quantizer(golden)
    backbone = make_backbone(golden, spoken)
    size = backbone.hidden_size
    head = HEADS[spoken["out_llm_module"]](size, backbone.num_states, quantizer)
    taslm = Taslm(
        backbone=backbone,
        quantizer=quantizer,
        layout=LAYOUTS[spoken["delay_level"]](spoken["delay"], reference_compat=True),
        code_embedding=CODE_EMBEDDINGS[spoken["audio_embed_conv_mode"]](quantizer),
        input_fusion=FUSIONS[spoken["in_llm_module"]](size, quantizer.dim),
        head=head,
        bos_id=spoken["sos_id"],
        eos_id=spoken["sos_id"] + 1,
    )
    load(taslm, weights_for(golden, spoken))
    return taslm.eval(), spoken


def load(taslm, state):
    """Strict about everything but the tied embedding and the published leftovers."""
    missing, unexpected = taslm.load_state_dict(state, strict=False)
    base = ("quantizer.", "backbone.frozen_base.")
    own = [name for name in missing if not name.startswith(base)]
    assert all(name.endswith("lm_head.weight") for name in own), own
    assert set(unexpected) <= {"head.logvar"}, unexpected
    taslm.backbone.causal_lm.tie_weights()
    if isinstance(taslm.backbone, FullBackbone):
        trained = taslm.backbone.lm.state_dict()
        taslm.backbone.frozen_base.load_state_dict(trained)


def batch_of(golden):
    """Inputs of a case with word-level codes, (B, W, Q)."""
    text, lengths = golden["llm_token_ids"], golden["llm_token_lengths"].long()
    word_ids = golden["llm_word_ids"].long()
    starts, _ = text_aligned.word_starts(word_ids, lengths)
    index = starts.clamp(min=0)[..., None]
    indices = golden["llm_indices"]
    codes = indices.gather(1, index.expand(-1, -1, indices.size(-1)))
    return {
        "text": text,
        "text_lengths": lengths,
        "word_ids": word_ids,
        "codes": codes.masked_fill((starts == text_aligned.IGNORE)[..., None], -1),
    }


def check_inputs(golden, golden_check, taslm):
    batch = batch_of(golden)
    codes = batch.pop("codes")
    grid = taslm.layout.encode(**batch, eos_id=taslm.eos_id)
    num_rows = golden["inputs_embeds"].size(1)
    extra = grid.text.size(1) - num_rows
    assert extra == int(taslm.layout.delay == 0), "published delay 0 lacks the last row"
    mask = length_mask(grid.lengths - extra, num_rows)
    inputs = taslm.inputs(grid, codes)[:, :num_rows] * mask[..., None]
    golden_check(inputs, golden["inputs_embeds"], "inputs_embeds")
    golden_check(grid.lengths - extra, golden["output_lengths"], "output_lengths")
    labels = text_aligned.gather_words(codes, grid.word_labels, -1)[:, :num_rows]
    golden_check(labels, golden["taste_labels"], "taste_labels")
    if "attention_mask" in golden.tensors:
        golden_check(mask, golden["attention_mask"], "attention_mask")
    return grid


@pytest.mark.golden("G4a_*", "G4b_*/*")
def test_input_rows(golden, golden_check):
    taslm, _ = make_taslm(golden)
    grid = check_inputs(golden, golden_check, taslm)
    if "audio_embeds_0" not in golden.tensors:
        return
    speech = taslm.code_embedding(
        batch_of(golden)["codes"], grid.words, grid.arrivals, taslm.quantizer
    )
    for row, length in enumerate(grid.lengths.tolist()):
        want = golden[f"audio_embeds_{row}"]
        golden_check(speech[row, 1:length], want, f"audio_embeds_{row}")


@pytest.mark.golden("G4a_*")
def test_codes_move_from_asr_tokens_to_text_tokens(golden, golden_check):
    """A word's code lies at its first ASR token and goes to its first text token."""
    lengths = golden["asr_token_lengths"].long()
    starts, _ = text_aligned.word_starts(golden["asr_word_ids"].long(), lengths)
    index = starts.clamp(min=0)[..., None].expand(-1, -1, golden["asr_indices"].size(2))
    codes = golden["asr_indices"].gather(1, index)
    text_lengths = golden["llm_token_lengths"].long()
    first, _ = text_aligned.word_starts(golden["llm_word_ids"].long(), text_lengths)
    placed = text_aligned.place_words(first, golden["llm_token_ids"].size(1))
    moved = text_aligned.gather_words(codes, placed, -1)
    golden_check(moved, golden["llm_indices"], "llm_indices")


def noise_of(golden, grid):
    """Recorded noise at the rows that predict words."""
    if "eps" not in golden.tensors:
        return None
    positions, _ = text_aligned.unplace_words(grid.word_labels)
    eps = golden["eps"]
    return eps.gather(1, positions.clamp(min=0)[..., None].expand(-1, -1, eps.size(2)))


def check_rows(golden, golden_check, taslm, spoken):
    """Every hidden state and prediction of the rows inside an utterance."""
    mask = (
        torch.arange(golden["inputs_embeds"].size(1))
        < golden["output_lengths"][:, None]
    )
    every = range(taslm.backbone.num_states)
    hidden = taslm.backbone(golden["inputs_embeds"], layers=every)
    golden_check(hidden.last[mask], golden["last_hidden_state"][mask], "last")
    for layer in every[1:-1]:
        want = golden[f"hidden_{layer}"][mask]
        golden_check(hidden.states[layer][mask], want, f"hidden_{layer}")
    logits = taslm.backbone.logits(hidden.last)
    golden_check(logits[mask], golden["text_logits"][mask], "text_logits")
    states = [hidden.states[layer] for layer in taslm.head.layers]
    prediction = taslm.head(states, golden.tensors.get("eps"))
    if "mu" in golden.tensors:
        golden_check(prediction.mu[mask], golden["mu"][mask], "mu")
        golden_check(prediction.z[mask], golden["z"][mask], "z")
        golden_check(prediction.logvar, golden["logvar"], "logvar")
        codes = taslm.head.codes(prediction, taslm.quantizer)
        golden_check(codes[mask], golden["taste_indices_pred"][mask], "codes")
    if "agg_code" in golden.tensors:
        expected = taslm.head.expected_latent(prediction, taslm.quantizer)
        golden_check(expected[mask], golden["agg_code"][mask], "agg_code")
    code_logits = taslm.head.code_logits(prediction, taslm.quantizer)
    golden_check(code_logits[mask], golden["taste_logits"][mask], "taste_logits")


def text_terms(golden, golden_check, taslm, batch, output):
    logits = taslm.backbone.logits(output.text_states)
    ce = losses.cross_entropy(logits, output.text_labels)
    ce = losses.masked_mean(ce, output.text_labels != -1)
    golden_check(ce, golden["loss.text_ce"], "loss.text_ce")
    if "loss.text_kl" not in golden.tensors:
        return ce
    base = taslm.backbone.base_logits(taslm.base_states(batch["text"]))
    golden_check(base, golden["ref_logits"], "ref_logits")
    rows = output.grid.base_rows[:, : base.size(1)]
    kl = losses.masked_mean(kl_to_base(logits, base), rows)
    golden_check(kl, golden["loss.text_kl"], "loss.text_kl")
    return 0.9 * kl + 0.1 * ce


def taste_terms(golden, golden_check, taslm, output):
    result = taslm.head.loss(output.prediction, output.codes, taslm.quantizer)
    taste = losses.masked_mean(result.per_word, output.word_mask)
    golden_check(taste, golden["loss.taste"], "loss.taste")
    if "loss.taste_ce_layers" in golden.tensors:
        mask = output.word_mask[..., None].expand_as(result.parts["code_ce"])
        layers = [
            losses.masked_mean(result.parts["code_ce"][..., q], mask[..., q])
            for q in range(mask.size(-1))
        ]
        want = golden["loss.taste_ce_layers"]
        golden_check(torch.stack(layers), want, "loss.taste_ce_layers")
    if "latent_mse" in result.parts:
        mse = losses.masked_mean(result.parts["latent_mse"], output.word_mask)
        golden_check(mse, golden["loss.taste_mse_part"], "loss.taste_mse_part")
    return taste


@pytest.mark.golden("G5[a-g]_*")
def test_taslm(golden, golden_check):
    taslm, spoken = make_taslm(golden)
    taslm.train(bool(golden.config["case"].get("train_mode", False)))
    grid = check_inputs(golden, golden_check, taslm)
    check_rows(golden, golden_check, taslm, spoken)
    batch = batch_of(golden)
    output = taslm(**batch, noise=noise_of(golden, grid))
    golden_check(grid.text_labels, golden["text_labels"], "text_labels")
    text = text_terms(golden, golden_check, taslm, batch, output)
    golden_check(text, golden["loss.text"], "loss.text")
    taste = taste_terms(golden, golden_check, taslm, output)
    text_weight, taste_weight = map(float, spoken["loss_weights"].split("-"))
    loss = text_weight * text + taste_weight * taste
    golden_check(loss, golden["loss"], "loss")
    check_gradients(golden, golden_check, taslm, loss)


def check_gradients(golden, golden_check, taslm, loss):
    wanted = {k[5:]: v for k, v in golden.tensors.items() if k.startswith("grad.")}
    if not wanted:
        return
    loss.backward()
    parameters = dict(taslm.named_parameters())
    for name, gradient in from_reference(wanted).items():
        golden_check(parameters[name].grad, gradient, f"grad.{name}")
    frozen = [n for n, p in parameters.items() if not p.requires_grad]
    assert frozen and all(parameters[name].grad is None for name in frozen)


@pytest.mark.golden("G5[a-f]_*")
def test_correct_labels_by_default(golden, golden_check):
    """Without the published padding targets: the corrected loss of the golden set."""
    taslm, _ = make_taslm(golden)
    batch = batch_of(golden)
    output = taslm(**batch)
    compat = taslm.layout
    taslm.layout = type(compat)(compat.delay)
    grid = taslm.layout.encode(
        batch["text"], batch["text_lengths"], batch["word_ids"], taslm.eos_id
    )
    labels = grid.text_labels.masked_fill(~grid.base_rows, -1)
    golden_check(labels, golden["extra.text_labels_fixed"], "extra.text_labels_fixed")
    labels = labels[:, : output.text_labels.size(1)]
    logits = taslm.backbone.logits(output.text_states)
    ce = losses.cross_entropy(logits, labels)
    ce = losses.masked_mean(ce, labels != -1)
    golden_check(ce, golden["extra.text_ce_fixed"], "extra.text_ce_fixed")
    if "extra.text_kl_fixed" in golden.tensors:
        base = taslm.backbone.base_logits(taslm.base_states(batch["text"]))
        kl = kl_to_base(logits, base)
        kl = losses.masked_mean(kl, grid.base_rows[:, : base.size(1)])
        golden_check(kl, golden["extra.text_kl_fixed"], "extra.text_kl_fixed")


@pytest.mark.golden("G5[a-g]_*")
def test_published_names_round_trip(golden):
    state = golden.weights("spoken_lm.")
    back = to_reference(from_reference(state))
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)


@pytest.mark.golden("G5h_*")
def test_predicted_codes_reach_the_asr_tokens(golden, golden_check):
    """The code of a word, read at its row, serves every ASR token of the word."""
    quantizer = make_quantizer(golden)
    cases = {
        "audio_unit_embeds": ("taste_indices_pred", "taste_labels"),
        "audio_unit_embeds_from_llm_indices": ("llm_indices", "llm_indices"),
    }
    lengths = golden["asr_token_lengths"].long()
    starts, _ = text_aligned.word_starts(golden["asr_word_ids"].long(), lengths)
    size = golden["asr_token_ids"].size(1)
    words = text_aligned.fill_forward(text_aligned.place_words(starts, size))
    words = words.masked_fill(~length_mask(lengths, size), -1)
    for name, (source, targets) in cases.items():
        mask = golden[targets][..., 0] != -1
        labels = torch.where(mask, mask.cumsum(dim=1) - 1, -1)
        rows, _ = text_aligned.unplace_words(labels)
        index = rows.clamp(min=0)[..., None].expand(-1, -1, golden[source].size(-1))
        vectors = quantizer.decode(golden[source].gather(1, index))
        got = text_aligned.gather_words(vectors, words, torch.zeros(()))
        golden_check(got, golden[name], name)


@pytest.mark.golden("G8b_*")
def test_scoring(golden, golden_case, golden_check):
    """The published score of each utterance alone, from one padded batch of ours."""
    source = golden_case("G5a_taslm_embed")
    if not torch.equal(source["llm_token_ids"], golden["llm_token_ids"]):
        pytest.skip("the codes of this case are not those of G5a_taslm_embed")
    taslm, _ = make_taslm(source)
    batch = batch_of(source)
    single = []
    scores = taslm.scores(batch)
    for row in range(len(batch["text"])):
        alone = taslm.scores(utterance(batch, row))
        single.append(alone.both_mean())
        golden_check(scores.speech_mean[row : row + 1], alone.speech_mean, "padding")
    golden_check(-torch.cat(single), golden["loss_single"], "loss_single")
    text = scores.text.sum() / scores.text_mask.sum()
    speech = scores.speech.sum() / scores.speech_mask.sum()
    golden_check(-0.5 * (text + speech), golden["loss_batch"], "loss_batch")


def utterance(batch, row):
    """One utterance of a batch without padding."""
    length = int(batch["text_lengths"][row])
    words = int(batch["word_ids"][row, :length].max()) + 1
    return {
        "text": batch["text"][row : row + 1, :length],
        "text_lengths": batch["text_lengths"][row : row + 1],
        "word_ids": batch["word_ids"][row : row + 1, :length],
        "codes": batch["codes"][row : row + 1, :words],
    }
