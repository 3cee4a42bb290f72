"""G4, G5, G8b: input rows, labels, predictions, losses and gradients of TASLM."""

import pytest
import torch
import word_places
from slow_losses import kl_to_base
from word_cores import grid_batch, inventory, utterance, word_core

from espnet2_taste.masks import length_mask
from espnet2_taste.reference import names
from espnet2_taste.slm import heads, input_fusion, losses
from espnet2_taste.slm.backbone import FullBackbone, LoraBackbone
from espnet2_taste.slm.layouts import text_aligned
from espnet2_taste.slm.scoring import utterance_scores
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


def from_reference(state):
    """Weights below ``spoken_lm.`` under the names of ``Taslm``."""
    ours = names.taslm_from_published(names.under(state, names.SPOKEN_LM))
    return names.below(ours, names.TASLM)


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
    layout = LAYOUTS[spoken["delay_level"]]
    written = golden.tensors.get("llm_token_ids", torch.zeros(0)).unique().tolist()
    end_id = next(i for i in range(1, backbone.vocab_size) if i not in written)
    taslm = word_core(
        backbone,
        quantizer,
        layout(inventory(backbone.vocab_size, end_id), spoken["delay"], True),
        CODE_EMBEDDINGS[spoken["audio_embed_conv_mode"]](quantizer),
        FUSIONS[spoken["in_llm_module"]](size, quantizer.dim),
        head,
        spoken["sos_id"],
    )
    load(taslm, weights_for(golden, spoken))
    return taslm.eval(), spoken


def load(taslm, state):
    """Strict about everything but the tied embedding and the published leftovers."""
    missing, unexpected = taslm.load_state_dict(state, strict=False)
    base = ("embedding.quantizer.", "backbone.frozen_base.")
    own = [name for name in missing if not name.startswith(base)]
    assert all(name.endswith("lm_head.weight") for name in own), own
    assert set(unexpected) <= {"code_head.logvar"}, unexpected
    taslm.backbone.causal_lm.tie_weights()
    if isinstance(taslm.backbone, FullBackbone):
        trained = taslm.backbone.lm.state_dict()
        taslm.backbone.frozen_base.load_state_dict(trained)


def utterances_of(golden):
    """Inputs of a case, words with codes."""
    text, lengths = golden["llm_token_ids"], golden["llm_token_lengths"].long()
    word_ids = golden["llm_word_ids"].long()
    starts, _ = word_places.word_starts(word_ids, lengths)
    index = starts.clamp(min=0)[..., None]
    indices = golden["llm_indices"]
    codes = indices.gather(1, index.expand(-1, -1, indices.size(-1)))
    return [
        utterance(ids[:count], words[:count], own[: int(words[:count].max()) + 1])
        for ids, words, own, count in zip(text, word_ids, codes, lengths.tolist())
    ]


def batch_of(golden, layout):
    """The same in rows."""
    return grid_batch(layout, utterances_of(golden))


def to_rows(labels, rows):
    """Labels (B, T, ...) of as many rows as published, -1 behind them."""
    more = labels.new_full((len(labels), 1, *labels.shape[2:]), -1)
    return torch.cat([labels, more], dim=1)[:, :rows]


def check_inputs(golden, golden_check, taslm):
    batch = batch_of(golden, taslm.layout)
    rows = taslm.rows(batch["grid"])
    num_rows = golden["inputs_embeds"].size(1)
    extra = rows.size(1) - num_rows
    assert extra == 2 * (taslm.layout.delay == 0), "published: no row behind the text"
    lengths = batch["grid_lengths"] + 1 - extra
    mask = length_mask(lengths, num_rows)
    inputs = rows[:, :num_rows] * mask[..., None]
    golden_check(inputs, golden["inputs_embeds"], "inputs_embeds")
    golden_check(lengths, golden["output_lengths"], "output_lengths")
    labels = to_rows(batch["grid"][..., 1:], num_rows)
    golden_check(labels, golden["taste_labels"], "taste_labels")
    if "attention_mask" in golden.tensors:
        golden_check(mask, golden["attention_mask"], "attention_mask")
    return batch


@pytest.mark.golden("G4a_*", "G4b_*/*")
def test_input_rows(golden, golden_check):
    taslm, _ = make_taslm(golden)
    batch = check_inputs(golden, golden_check, taslm)
    if "audio_embeds_0" not in golden.tensors:
        return
    codes = batch["grid"][..., 1:]
    speech = taslm.embedding.code_embedding(codes, taslm.quantizer)
    for row, length in enumerate(batch["grid_lengths"].tolist()):
        want = golden[f"audio_embeds_{row}"]
        golden_check(speech[row, :length], want, f"audio_embeds_{row}")


@pytest.mark.golden("G4a_*")
def test_codes_move_from_asr_tokens_to_text_tokens(golden, golden_check):
    """A word's code lies at its first ASR token and goes to its first text token."""
    lengths = golden["asr_token_lengths"].long()
    starts, _ = word_places.word_starts(golden["asr_word_ids"].long(), lengths)
    index = starts.clamp(min=0)[..., None].expand(-1, -1, golden["asr_indices"].size(2))
    codes = golden["asr_indices"].gather(1, index)
    text_lengths = golden["llm_token_lengths"].long()
    first, _ = word_places.word_starts(golden["llm_word_ids"].long(), text_lengths)
    placed = word_places.place_words(first, golden["llm_token_ids"].size(1))
    moved = word_places.gather_words(codes, placed, -1)
    golden_check(moved, golden["llm_indices"], "llm_indices")


def noise_of(golden, batch):
    """Recorded noise at the rows that predict words."""
    if "eps" not in golden.tensors:
        return None
    arrives = (batch["grid"][..., 1:] >= 0).any(dim=-1)
    return golden["eps"][:, : arrives.size(1)][arrives]


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
    head = taslm.code_head
    states = [hidden.states[layer] for layer in head.layers]
    prediction = head(states, golden.tensors.get("eps"))
    if "mu" in golden.tensors:
        golden_check(prediction.mu[mask], golden["mu"][mask], "mu")
        golden_check(prediction.z[mask], golden["z"][mask], "z")
        golden_check(prediction.logvar, golden["logvar"], "logvar")
        codes = head.codes(prediction, taslm.quantizer)
        golden_check(codes[mask], golden["taste_indices_pred"][mask], "codes")
    if "agg_code" in golden.tensors:
        expected = head.expected_latent(prediction, taslm.quantizer)
        golden_check(expected[mask], golden["agg_code"][mask], "agg_code")
    code_logits = head.code_logits(prediction, taslm.quantizer)
    golden_check(code_logits[mask], golden["taste_logits"][mask], "taste_logits")


def text_terms(golden, golden_check, taslm, cells):
    logits = taslm.logits(0, cells.states)
    ce = losses.cross_entropy(logits, cells.labels)
    ce = losses.masked_mean(ce, cells.labels != -1)
    golden_check(ce, golden["loss.text_ce"], "loss.text_ce")
    if "loss.text_kl" not in golden.tensors:
        return ce
    base = taslm.base_logits(taslm.base_states(cells.text))
    golden_check(base, golden["ref_logits"], "ref_logits")
    rows = cells.is_text[:, : base.size(1)]
    kl = losses.masked_mean(kl_to_base(logits[:, : base.size(1)], base), rows)
    golden_check(kl, golden["loss.text_kl"], "loss.text_kl")
    return 0.9 * kl + 0.1 * ce


def taste_terms(golden, golden_check, taslm, prediction, codes):
    result = taslm.code_head.loss(prediction, codes, taslm.quantizer)
    taste = result.per_word.mean()
    golden_check(taste, golden["loss.taste"], "loss.taste")
    if "loss.taste_ce_layers" in golden.tensors:
        layers, want = (
            result.parts["code_ce"].mean(dim=0),
            golden["loss.taste_ce_layers"],
        )
        golden_check(layers, want, "loss.taste_ce_layers")
    if "latent_mse" in result.parts:
        mse = result.parts["latent_mse"].mean()
        golden_check(mse, golden["loss.taste_mse_part"], "loss.taste_mse_part")
    return taste


@pytest.mark.golden("G5[a-g]_*")
def test_taslm(golden, golden_check):
    taslm, spoken = make_taslm(golden)
    taslm.train(bool(golden.config["case"].get("train_mode", False)))
    batch = check_inputs(golden, golden_check, taslm)
    check_rows(golden, golden_check, taslm, spoken)
    found = taslm.read(batch["grid"])
    cells = taslm.text_cells(batch, found)
    wanted = golden["text_labels"]
    golden_check(to_rows(cells.labels, wanted.size(1)), wanted, "text_labels")
    text = text_terms(golden, golden_check, taslm, cells)
    golden_check(text, golden["loss.text"], "loss.text")
    noise = noise_of(golden, batch)
    prediction, codes, _ = taslm.predicted_codes(batch, found, noise)
    taste = taste_terms(golden, golden_check, taslm, prediction, codes)
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
    compat = taslm.layout
    taslm.layout = type(compat)(compat.inventory, compat.delay)
    batch = batch_of(golden, taslm.layout)
    cells = taslm.text_cells(batch, taslm.read(batch["grid"]))
    labels = cells.labels.masked_fill(~cells.is_text, -1)
    wanted = golden["extra.text_labels_fixed"]
    fixed = to_rows(labels, wanted.size(1))
    golden_check(fixed, wanted, "extra.text_labels_fixed")
    logits = taslm.logits(0, cells.states)
    ce = losses.cross_entropy(logits, labels)
    ce = losses.masked_mean(ce, labels != -1)
    golden_check(ce, golden["extra.text_ce_fixed"], "extra.text_ce_fixed")
    if "extra.text_kl_fixed" in golden.tensors:
        base = taslm.base_logits(taslm.base_states(cells.text))
        kl = kl_to_base(logits[:, : base.size(1)], base)
        kl = losses.masked_mean(kl, cells.is_text[:, : base.size(1)])
        golden_check(kl, golden["extra.text_kl_fixed"], "extra.text_kl_fixed")


@pytest.mark.golden("G5[a-g]_*")
def test_published_names_round_trip(golden):
    state = names.under(golden.weights("spoken_lm."), names.SPOKEN_LM)
    back = names.taslm_to_published(names.taslm_from_published(state))
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
    starts, _ = word_places.word_starts(golden["asr_word_ids"].long(), lengths)
    size = golden["asr_token_ids"].size(1)
    words = word_places.fill_forward(word_places.place_words(starts, size))
    words = words.masked_fill(~length_mask(lengths, size), -1)
    for name, (source, targets) in cases.items():
        mask = golden[targets][..., 0] != -1
        labels = torch.where(mask, mask.cumsum(dim=1) - 1, -1)
        rows, _ = word_places.unplace_words(labels)
        index = rows.clamp(min=0)[..., None].expand(-1, -1, golden[source].size(-1))
        vectors = quantizer.decode(golden[source].gather(1, index))
        got = word_places.gather_words(vectors, words, torch.zeros(()))
        golden_check(got, golden[name], name)


@pytest.mark.golden("G8b_*")
def test_scoring(golden, golden_case, golden_check):
    """The published score of each utterance alone, from one padded batch of ours."""
    source = golden_case("G5a_taslm_embed")
    if not torch.equal(source["llm_token_ids"], golden["llm_token_ids"]):
        pytest.skip("the codes of this case are not those of G5a_taslm_embed")
    taslm, _ = make_taslm(source)
    single = []
    scores = utterance_scores(taslm, batch_of(source, taslm.layout))
    for row, item in enumerate(utterances_of(source)):
        alone = utterance_scores(taslm, grid_batch(taslm.layout, [item]))
        single.append(alone.both_mean())
        golden_check(scores.speech_mean[row : row + 1], alone.speech_mean, "padding")
    golden_check(-torch.cat(single), golden["loss_single"], "loss_single")
    text = scores.text.sum() / scores.text_mask.sum()
    speech = scores.speech.sum() / scores.speech_mask.sum()
    golden_check(-0.5 * (text + speech), golden["loss_batch"], "loss_batch")
