"""Unit decoder: padding, cache, batches, dropout of inputs."""

import pytest
import torch

from espnet2_taste.speech_decoder.fusion import WeightedSumFusion
from espnet2_taste.speech_decoder.reading_window import ReadingPlace, ReadingWindow
from espnet2_taste.speech_decoder.unit_condition import condition_words, text_attention
from espnet2_taste.speech_decoder.unit_decoder import UnitDecoder
from espnet2_taste.speech_decoder.unit_sampling import (
    ArgmaxSampler,
    LengthRule,
    TopKSampler,
    UtteranceNoise,
)

TEXT_LENGTHS = torch.tensor([5, 2, 4])
UNITS_LENGTHS = torch.tensor([3, 7, 6])
WORD_IDS = torch.tensor([[0, 0, 1, 2, 3], [0, 1, -1, -1, -1], [0, 1, 1, 2, -1]])
NAMES = ["utt-a", "utt-b", "utt-c"]


def build(**options):
    torch.manual_seed(0)
    sizes = {"embed_size": 6, "hidden_size": 8, "attention_heads": 2}
    depth = {"text_blocks": 1, "taste_blocks": 1, "lm_blocks": 2}
    width = {"linear_units": 16, "taste_linear_units": 16, "taste_attention_heads": 2}
    decoder = UnitDecoder(
        12, 9, 5, 4, WeightedSumFusion(8), **sizes, **depth, **width, **options
    )
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.4 * torch.randn_like(parameter))
    return decoder.eval()


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    text = torch.randint(12, (3, 5), generator=generator)
    units = torch.randint(9, (3, 7), generator=generator)
    text[torch.arange(5) >= TEXT_LENGTHS[:, None]] = -1
    units[torch.arange(7) >= UNITS_LENGTHS[:, None]] = -1
    return {
        "text": text,
        "text_lengths": TEXT_LENGTHS,
        "taste": torch.randn(3, 5, 5, generator=generator),
        "units": units,
        "units_lengths": UNITS_LENGTHS,
        "spembs": torch.randn(3, 4, generator=generator),
    }


def alone(batch, row):
    """The utterance by itself, without padding."""
    cut = {"text": TEXT_LENGTHS, "taste": TEXT_LENGTHS, "units": UNITS_LENGTHS}
    single = {}
    for name, value in batch.items():
        item = value[row : row + 1]
        single[name] = item[:, : cut[name][row]] if name in cut else item
    return single


def conditions(batch):
    return {k: v for k, v in batch.items() if not k.startswith("units")}


@pytest.mark.parametrize("with_taste", [True, False])
def test_padding_changes_nothing(batch, with_taste):
    decoder = build()
    if not with_taste:
        batch = batch | {"taste": None}
    logits = decoder(**batch)
    assert logits.shape == (3, 8, 10)
    for row, length in enumerate(UNITS_LENGTHS.tolist()):
        single = alone(batch | {"taste": batch["taste"]}, row) if with_taste else None
        if single is None:
            full = batch | {"taste": torch.zeros(3, 5, 5)}
            single = alone(full, row) | {"taste": None}
        torch.testing.assert_close(
            logits[row, : length + 1], decoder(**single)[0], atol=1e-5, rtol=1e-5
        )


def test_targets(batch):
    targets = build().targets(batch["units"], UNITS_LENGTHS)
    for row, length in enumerate(UNITS_LENGTHS.tolist()):
        want = batch["units"][row, :length].tolist() + [9] + [-1] * (7 - length)
        assert targets[row].tolist() == want


def uncached(decoder, single, sampler, rule, name):
    """Generate one utterance, everything computed anew at each step."""
    noise = UtteranceNoise.from_ids([name], 7)
    fewest, most = (bound.item() for bound in rule.bounds(single["text_lengths"]))
    units = torch.zeros(1, 0, dtype=torch.long)
    while units.size(1) < most:
        step = units.size(1)
        logits = decoder(
            **conditions(single), units=units, units_lengths=torch.tensor([step])
        )
        log_probs = logits[:, -1].log_softmax(-1)
        unit = sampler(log_probs, torch.tensor([step >= fewest]), noise)
        if unit.item() == decoder.end:
            break
        units = torch.cat([units, unit[None]], dim=1)
    return units[0].tolist()


@pytest.mark.parametrize("sampler", [ArgmaxSampler(), TopKSampler(4)])
def test_batched_cached_generation_equals_uncached_single(batch, sampler):
    decoder, rule = build(), LengthRule(0.5, 6)
    generated = decoder.generate(
        **conditions(batch),
        sampler=sampler,
        noise=UtteranceNoise.from_ids(NAMES, 7),
        length_rule=rule,
    )
    for row, name in enumerate(NAMES):
        want = uncached(decoder, alone(batch, row), sampler, rule, name)
        assert generated[row].tolist() == want


def test_lengths_keep_their_bounds(batch):
    decoder = build()
    for end_bias, ratio in ((50.0, 1.0), (-50.0, 3.0)):
        with torch.no_grad():
            decoder.llm_decoder.bias[-1] = end_bias
        generated = decoder.generate(
            **conditions(batch),
            sampler=TopKSampler(5),
            noise=UtteranceNoise.from_ids(NAMES, 0),
            length_rule=LengthRule(1.0, 3.0),
        )
        lengths = torch.tensor([len(units) for units in generated])
        assert lengths.tolist() == ((TEXT_LENGTHS + 3) * ratio).long().tolist()


def test_unit_dropout_hides_history_in_training_only(batch):
    decoder = build(unit_dropout=1.0, dropout_rate=0.0)
    other = batch | {"units": batch["units"].roll(1, 0).clamp(min=0)}
    assert not torch.allclose(decoder(**batch), decoder(**other))
    decoder.train()
    full = torch.full((3,), 7)
    torch.testing.assert_close(
        decoder(**batch | {"units_lengths": full}),
        decoder(**other | {"units_lengths": full}),
    )


def test_unit_dropout_rate_and_its_spread():
    history = torch.ones(400, 50, 8)
    for spread in (0.0, 0.4):
        decoder = build(unit_dropout=0.4, unit_dropout_spread=spread).train()
        hidden = (decoder._drop_units(history)[..., 0] != 1).float()
        assert abs(hidden.mean() - 0.4) < 0.05
        assert (hidden.mean(1).std() > 0.15) == (spread > 0)


def test_spembs_dropout_hides_the_speaker_in_training_only(batch):
    decoder = build(spembs_dropout=1.0, dropout_rate=0.0)
    other = batch | {"spembs": batch["spembs"].flip(1)}
    assert not torch.allclose(decoder(**batch), decoder(**other))
    decoder.train()
    torch.testing.assert_close(decoder(**batch), decoder(**other))


def test_gradients_reach_every_part(batch):
    decoder = build(unit_dropout=0.5).train()
    logits = decoder(**batch)
    targets = decoder.targets(batch["units"], UNITS_LENGTHS)
    torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=-1
    ).backward()
    without = [n for n, p in decoder.named_parameters() if p.grad is None]
    assert without == []


def test_attention_over_text_is_found_in_each_utterance(batch):
    """Watched in a batch and in each utterance alone: the same, next unit by unit."""
    decoder = build().eval()
    names = ("text", "text_lengths", "taste", "units", "units_lengths", "spembs")

    def watch(data):
        with decoder.llm.watched(0) as maps:
            decoder(*(data[name] for name in names))
        tokens = data["text"].size(1)
        return text_attention(maps, data["text_lengths"], tokens)

    together = watch(batch)  # (B, L, U, N)
    assert not decoder.llm.encoders[0].self_attn._forward_pre_hooks
    for row, (units, tokens) in enumerate(
        zip(batch["units_lengths"].tolist(), batch["text_lengths"].tolist())
    ):
        single = watch(alone(batch, row))
        assert single.shape[2:] == (units, tokens)
        part = together[row : row + 1, :, :units, :tokens]
        assert torch.allclose(part, single, atol=1e-5)


def read(decoder, inputs, names, word_ids, window=ReadingWindow(0, 1)):
    return decoder.generate(
        **inputs,
        sampler=ArgmaxSampler(),
        noise=UtteranceNoise.from_ids(names, 0),
        length_rule=LengthRule(0.5, 6),
        place=ReadingPlace(window, condition_words(word_ids, inputs["text_lengths"])),
    )


def test_a_batch_reads_as_its_utterances_do(batch):
    decoder = build()
    together = read(decoder, conditions(batch), NAMES, WORD_IDS)
    for row, name in enumerate(NAMES):
        ids = WORD_IDS[row : row + 1, : TEXT_LENGTHS[row]]
        single = read(decoder, conditions(alone(batch, row)), [name], ids)
        assert together[row].tolist() == single[0].tolist()


def test_the_condition_knows_its_words():
    words = condition_words(WORD_IDS, TEXT_LENGTHS)
    assert words.tolist() == [
        [-1, -1, 0, 0, 1, 2, 3, -1],
        [-1, -1, -1, -1, -1, 0, 1, -1],
        [-1, -1, -1, 0, 1, 1, 2, -1],
    ]
    place = ReadingPlace(ReadingWindow(), words)
    assert (place.last - place.row).tolist() == [3, 1, 2]


def test_a_window_over_everything_changes_only_the_end(batch):
    """With all words in sight and the end far away, reading is free."""
    decoder = build()
    with torch.no_grad():
        decoder.llm_decoder.bias[-1] = -50.0
    free = decoder.generate(
        **conditions(batch),
        sampler=ArgmaxSampler(),
        noise=UtteranceNoise.from_ids(NAMES, 0),
        length_rule=LengthRule(0.5, 6),
    )
    wide = read(decoder, conditions(batch), NAMES, WORD_IDS, ReadingWindow(9, 9))
    assert [row.tolist() for row in wide] == [row.tolist() for row in free]


def test_hidden_words_change_what_the_guided_head_gives(batch):
    decoder = build()
    narrow = read(decoder, conditions(batch), NAMES, WORD_IDS, ReadingWindow(0, 1))
    wide = read(decoder, conditions(batch), NAMES, WORD_IDS, ReadingWindow(9, 9))
    assert [row.tolist() for row in narrow] != [row.tolist() for row in wide]
