"""Training model: stats, masks, gradients of each step, cached encoder states."""

import math

import pytest
import torch
from operation_counts import repeated, step_operations

from espnet2_taste.espnet_taste_model import (
    ESPnetTasteModel,
    unit_accuracies,
    unit_changes,
    unit_cross_entropy,
)
from espnet2_taste.speech_decoder.fusion import WeightedSumFusion
from espnet2_taste.speech_decoder.unit_decoder import UnitDecoder
from espnet2_taste.tokenizer.aggregator import EspnetAggregator
from espnet2_taste.tokenizer.encoders.whisper import (
    WhisperSpeechEncoder,
    random_encoder,
)
from espnet2_taste.tokenizer.quantizers.rvq import ResidualQuantizer
from espnet2_taste.tokenizer.taste_tokenizer import TasteTokenizer

STEPS = {
    "text_only": {"use_taste": False, "quantize": False},
    "no_vq": {"use_taste": True, "quantize": False},
    "vq": {"use_taste": True, "quantize": True},
}
UTTERANCES = ["a", "b"]


def build(step, project=True, **options):
    torch.manual_seed(0)
    sizes = {"num_mel_bins": 16, "d_model": 8, "encoder_layers": 2}
    sizes |= {"encoder_attention_heads": 2, "encoder_ffn_dim": 12}
    encoder = WhisperSpeechEncoder(
        random_encoder(sizes), value_layer=1, full_window=False
    )
    aggregator = EspnetAggregator(
        *(20, 8, 8), size=8, num_heads=2, linear_units=12, trainable_layers=[1]
    )
    quantizer = ResidualQuantizer(8, 2, 4, 6, quantize_dropout=False)
    tokenizer = TasteTokenizer(encoder, aggregator, quantizer, project)
    decoder = UnitDecoder(
        *(20, 5, 8, 3, WeightedSumFusion(8)),
        **{"embed_size": 8, "hidden_size": 8, "linear_units": 12},
        **{"text_blocks": 1, "taste_blocks": 1, "lm_blocks": 1, "attention_heads": 2},
        **{"taste_attention_heads": 2, "taste_linear_units": 12, "dropout_rate": 0.0},
    )
    return ESPnetTasteModel(tokenizer, decoder, **STEPS[step], **options)


def batch(pad=0):
    torch.manual_seed(1)
    word_ids = torch.tensor([[0, 0, 1, 1], [0, 1, -1, -1]])
    text = torch.tensor([[3, 4, 5, 6], [7, 8, -1, -1]])
    units = torch.tensor([[0, 0, 1, 2, 2], [3, 4, 4, -1, -1]])
    speech = torch.randn(2, 8000)
    speech[1, 5000:] = 0.0
    fill = torch.nn.functional.pad
    return {
        "speech": fill(speech, (0, 640 * pad), value=9.0),
        "speech_lengths": torch.tensor([8000, 5000]),
        "text": fill(text, (0, pad), value=-1),
        "text_lengths": torch.tensor([4, 2]),
        "word_ids": fill(word_ids, (0, pad), value=-1),
        "word_ids_lengths": torch.tensor([4, 2]),
        "units": fill(units, (0, pad), value=-1),
        "units_lengths": torch.tensor([5, 3]),
        "spembs": torch.randn(2, 3),
    }


@pytest.mark.parametrize("step", STEPS)
def test_padding_changes_nothing(step):
    model = build(step).eval()
    loss, stats, weight = model(**batch(), utt_id=UTTERANCES)
    padded, other, _ = model(**batch(3), utt_id=UTTERANCES)
    assert weight == 2
    assert torch.allclose(loss, padded, atol=1e-5)
    for name in stats:
        assert torch.allclose(stats[name], other[name], atol=1e-5), name


def test_stats_have_the_same_names_in_every_step():
    names = [set(build(step)(**batch())[1]) for step in STEPS]
    assert names[0] == names[1] == names[2]
    assert {"loss", "loss_ce", "loss_commit", "acc", "acc_change"} <= names[0]


TRAINED = {
    "text_only": (),
    "no_vq": ("aggregator.blocks.1.", "aggregator.norm.", "quantizer.project_"),
    "vq": ("aggregator.blocks.1.", "aggregator.norm.", "quantizer.project_"),
}


@pytest.mark.parametrize("step", STEPS)
def test_gradients_reach_what_trains_and_nothing_else(step):
    model = build(step).train()
    model(**batch())[0].backward()
    moved = {n for n, p in model.named_parameters() if p.grad is not None}
    wanted = tuple(f"tokenizer.{name}" for name in TRAINED[step])
    tokenizer = {n for n in moved if n.startswith("tokenizer.")}
    assert all(n.startswith(wanted) for n in tokenizer)
    assert bool(tokenizer) == bool(wanted)
    assert tokenizer == {
        n
        for n, p in model.named_parameters()
        if n.startswith("tokenizer.") and p.requires_grad
    }
    audio = {n for n in moved if n.startswith("unit_decoder.audio_")}
    assert bool(audio) == STEPS[step]["use_taste"]


def test_without_projections_the_quantizer_rests():
    model = build("no_vq", project=False).train()
    model(**batch())[0].backward()
    assert all(p.grad is None for p in model.tokenizer.quantizer.parameters())


def test_text_only_needs_no_encoder(monkeypatch):
    model = build("text_only")
    monkeypatch.setattr(model.tokenizer.encoder, "forward", None)
    model(**batch(), utt_id=UTTERANCES)


def test_cached_states_give_the_same_loss_without_the_encoder(monkeypatch):
    model = build("vq", encoder_cache_mb=10).eval()
    first = model(**batch(), utt_id=UTTERANCES)[0]
    monkeypatch.setattr(model.tokenizer.encoder, "forward", None)
    assert torch.allclose(model(**batch(), utt_id=UTTERANCES)[0], first, atol=1e-6)
    swapped = {name: x.flip(0) for name, x in batch().items()}
    model(**swapped, utt_id=UTTERANCES[::-1])
    assert not any("cache" in name for name in model.state_dict())


def test_change_weight_and_accuracies():
    targets = torch.tensor([[1, 1, 2, 3, -1]])
    assert unit_changes(targets).tolist() == [[True, False, True, True, False]]
    logits = torch.full((1, 5, 8), -9.0)
    for place, unit in enumerate([1, 1, 2, 0]):
        logits[0, place, unit] = 9.0
    stats = unit_accuracies(logits, targets)
    assert stats["acc"] == 0.75 and torch.allclose(
        stats["acc_change"], torch.tensor(2 / 3)
    )
    losses = torch.nn.functional.cross_entropy(
        logits[0, :4], targets[0, :4], reduction="none"
    )
    weights = torch.tensor([3.0, 1.0, 3.0, 3.0])
    want = (losses * weights).sum() / weights.sum()
    assert torch.allclose(unit_cross_entropy(logits, targets, 3.0), want)
    plain = unit_cross_entropy(logits, targets, 1.0)
    assert torch.allclose(plain, losses.mean())


TIMES = torch.tensor([[[0.0, 0.2], [0.2, 0.5]], [[0.0, 0.1], [0.1, 0.3]]])


@pytest.mark.parametrize("step", STEPS)
def test_guided_attention_reaches_queries_and_keys(step):
    model = build(step, alignment_weight=0.5).train()
    guided = model(**batch(), word_times=TIMES)
    assert guided[1]["loss_align"] > 0
    plain = build(step).train()(**batch())
    assert set(guided[1]) == set(plain[1])
    for _ in range(3):
        optimizer = torch.optim.SGD(
            [x for x in model.parameters() if x.requires_grad], lr=0.5
        )
        optimizer.zero_grad()
        model(**batch(), word_times=TIMES)[0].backward()
        optimizer.step()
    assert model(**batch(), word_times=TIMES)[1]["loss_align"] < guided[1]["loss_align"]


def test_padding_does_not_change_guided_attention():
    model = build("no_vq", alignment_weight=0.5).eval()
    alone = model(**batch(), word_times=TIMES)[1]["loss_align"]
    times = torch.nn.functional.pad(TIMES, (0, 0, 0, 2))
    padded = model(**batch(3), word_times=times)[1]["loss_align"]
    assert torch.allclose(alone, padded, atol=1e-5)


def test_guided_attention_needs_word_times():
    with pytest.raises(ValueError, match="word_times"):
        build("no_vq", alignment_weight=0.5)(**batch())


def evaluated(model, data):
    """Loss and statistics after a training step has filled the codebooks; vectors."""
    model.train()(**data)[0].backward()
    head = model.speaker_head or model.duration_head
    assert head.linear.weight.grad.abs().sum() > 0
    with torch.no_grad():
        loss, stats, _ = model.eval()(**data)
        text = data["text"].clamp(min=0)
        taste = model.taste(
            *(data["speech"], data["speech_lengths"], text),
            *(data["text_lengths"], data["word_ids"]),
        ).quantized
    return float(loss), {name: float(v) for name, v in stats.items()}, taste


def test_every_word_tells_the_voice():
    model, data = build("vq", speaker_weight=0.5), batch()
    loss, stats, taste = evaluated(model, data)
    predicted = model.speaker_head.linear(taste).detach()
    words = [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]
    cosines = [
        torch.cosine_similarity(predicted[b, n], data["spembs"][b], dim=0)
        for b, n in words
    ]
    expected = 1 - sum(map(float, cosines)) / len(words)
    assert stats["loss_speaker"] == pytest.approx(expected, abs=1e-5)
    rest = stats["loss_ce"] + stats["loss_commit"]
    assert loss == pytest.approx(rest + 0.5 * expected, abs=1e-5)


def test_every_word_tells_its_duration():
    model, data = build("vq", duration_weight=2.0), batch()
    message = "duration_weight is above 0.*guided_attention"
    with pytest.raises(ValueError, match=message):
        model(**data)
    data["word_times"] = torch.tensor(
        [[[0.0, 0.1], [0.1, 0.5]], [[0.0, 0.3], [0.0, 0.0]]]  # one is unknown
    )
    loss, stats, taste = evaluated(model, data)
    predicted = model.duration_head.predict(taste, data["text"].clamp(min=0)).detach()
    seconds = {(0, 0): 0.1, (0, 1): 0.1, (0, 2): 0.4, (0, 3): 0.4, (1, 0): 0.3}
    errors = [(float(predicted[at]) - math.log(s)) ** 2 for at, s in seconds.items()]
    expected = sum(errors) / len(errors)
    assert stats["loss_duration"] == pytest.approx(expected, abs=1e-5)
    rest = stats["loss_ce"] + stats["loss_commit"]
    assert loss == pytest.approx(rest + 2 * expected, abs=1e-5)
    data["word_times"] = torch.zeros(2, 2, 2)
    with torch.no_grad():
        assert float(model(**data)[1]["loss_duration"]) == 0


def test_without_their_weights_there_are_no_heads():
    assert not any("_head" in name for name in build("vq").state_dict())


@pytest.mark.parametrize("step", STEPS)
def test_a_step_calls_nothing_for_each_utterance(step):
    model = build(step).train()
    few, many = batch() | {"utt_id": UTTERANCES}, repeated(batch(), 4)
    step_operations(model, few)  # starts the codebooks
    found = step_operations(model, many | {"utt_id": UTTERANCES * 4})
    assert found == step_operations(model, few)
