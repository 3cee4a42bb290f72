"""Aggregator: padding, gradients, initialisation, attention maps."""

from dataclasses import replace

import pytest
import torch

from espnet2_taste.structures import EncoderStates
from espnet2_taste.tokenizer.aggregator import (
    EspnetAggregator,
    WhisperAggregator,
    sinusoidal_positions,
)
from espnet2_taste.tokenizer.transformer import MultiHeadAttention

SIZES = {"vocab_size": 20, "key_size": 8, "value_size": 8, "size": 8, "num_heads": 2}
SIZES |= {"linear_units": 12, "num_layers": 2}
WORD_IDS = torch.tensor([[0, 0, 1, 2, 2, 2], [0, 1, 1, -1, -1, -1]])
LENGTHS = torch.tensor([6, 3])
FRAMES = torch.tensor([11, 7])


def states(frames=FRAMES):
    torch.manual_seed(3)
    keys, values = torch.randn(2, 11, 8), torch.randn(2, 11, 8)
    return EncoderStates(keys, values, frames)


def build(kind, **options):
    torch.manual_seed(0)
    return kind(**SIZES | options, prefix=(19, 3)).eval()


@pytest.mark.parametrize("kind", [EspnetAggregator, WhisperAggregator])
def test_padding_changes_nothing(kind):
    model, whole = build(kind), states()
    text = torch.randint(0, 20, (2, 6))
    together = model(text, LENGTHS, WORD_IDS, whole)
    assert together.shape == (2, 6, model.output_size)
    alone = EncoderStates(whole.keys[1:, :7], whole.values[1:, :7], FRAMES[1:])
    single = model(text[1:, :3], LENGTHS[1:], WORD_IDS[1:, :3], alone)
    assert torch.allclose(together[1, :3], single[0], atol=1e-6)


def test_tokens_of_a_word_share_a_vector_only_at_word_level():
    text = torch.randint(0, 20, (2, 6))
    pooled = build(EspnetAggregator)(text, LENGTHS, WORD_IDS, states())
    assert torch.allclose(pooled[0, 3], pooled[0, 5])
    free = build(EspnetAggregator, word_level=False)
    free = free(text, LENGTHS, WORD_IDS, states())
    assert not torch.allclose(free[0, 3], free[0, 5])
    assert torch.allclose(free[0, 3:6].mean(0), pooled[0, 4], atol=1e-6)


def test_only_chosen_parts_train():
    model = build(EspnetAggregator, trainable_layers=[1])
    text = torch.randint(0, 20, (2, 6))
    model(text, LENGTHS, WORD_IDS, states()).square().sum().backward()
    moved = {n for n, p in model.named_parameters() if p.grad is not None}
    assert moved and all(n.startswith(("blocks.1.", "norm.")) for n in moved)
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert moved == trained


def test_values_start_as_the_identity():
    model = build(WhisperAggregator, identity_values=True)
    for block in model.blocks:
        assert torch.equal(block.encoder_attn.v_proj.weight, torch.eye(8))
    with pytest.raises(ValueError, match="aggregator_conf.size to 9"):
        build(WhisperAggregator, identity_values=True) and WhisperAggregator(
            **{**SIZES, "value_size": 9}, identity_values=True
        )


def test_attention_rows_sum_to_one_over_valid_frames():
    model = build(EspnetAggregator)
    maps = model.attention(torch.randint(0, 20, (2, 6)), states())
    assert maps.shape == (2, 2, 2, 6, 11)
    assert torch.allclose(maps.sum(-1), torch.ones(2, 2, 2, 6), atol=1e-6)
    assert not maps[1, ..., 7:].any()


def test_watching_changes_nothing_and_ends():
    model = build(EspnetAggregator)
    inputs = (torch.randint(0, 20, (2, 6)), LENGTHS, WORD_IDS, states())
    with model.watched() as maps:
        seen = model(*inputs)
    assert torch.equal(seen, model(*inputs))
    assert torch.equal(torch.stack(maps, 1), model.attention(inputs[0], inputs[3]))
    assert len(maps) == 2


def test_values_are_read_at_all():
    model, whole = build(EspnetAggregator), states()
    text = torch.randint(0, 20, (2, 6))
    other = EncoderStates(whole.keys, whole.values + 1.0, whole.lengths)
    assert not torch.allclose(
        model(text, LENGTHS, WORD_IDS, whole), model(text, LENGTHS, WORD_IDS, other)
    )


def test_initialisation_names_what_does_not_fit():
    model = build(EspnetAggregator)
    state = model.state_dict()
    state["norm.weight"] = torch.ones(9)
    state["extra"] = state.pop("embed.weight")
    with pytest.raises(ValueError) as error:
        model.load_decoder_state(state)
    for word in ("embed.weight", "extra", "norm.weight: (9,) given, (8,) wanted"):
        assert word in str(error.value)


def test_espnet_decoder_gives_the_same_hidden_states(tiny_asr_exp):
    from espnet2_taste.tokenizer.encoders.espnet_asr import (
        EspnetAsrEncoder,
        load_asr_model,
    )

    encoder = EspnetAsrEncoder(str(tiny_asr_exp))
    decoder = load_asr_model(tiny_asr_exp)[0].decoder
    vocabulary = len(encoder.token_list())
    sizes = {"size": 16, "num_heads": 2, "linear_units": 24, "num_layers": 2}
    model = EspnetAggregator(vocabulary, 16, 16, **sizes).eval()
    model.load_decoder_state(encoder.decoder_state())
    memory, ids = torch.randn(1, 9, 16), torch.randint(0, vocabulary, (1, 5))
    lengths = torch.tensor([9]), torch.tensor([5])
    with torch.no_grad():
        _, _, want = _with_hidden(decoder, memory, lengths, ids)
        got = model.decode(ids, EncoderStates(memory, memory, lengths[0]))
    assert torch.allclose(got, want, atol=1e-5)


def _with_hidden(decoder, memory, lengths, ids):
    logits, out_lengths = decoder(memory, lengths[0], ids, lengths[1])
    seen = []
    hook = decoder.after_norm.register_forward_hook(lambda m, a, out: seen.append(out))
    decoder(memory, lengths[0], ids, lengths[1])
    hook.remove()
    return logits, out_lengths, seen[0]


def test_position_table_is_a_table_of_sines():
    table = sinusoidal_positions(4, 6)
    assert torch.allclose(table[3, 0], torch.sin(torch.tensor(3.0)))
    assert torch.allclose(table[3, 5], torch.cos(torch.tensor(3.0 * 10000 ** (-4 / 6))))


def test_too_long_text_for_learned_positions():
    model = build(WhisperAggregator, max_positions=7)
    with pytest.raises(ValueError, match="8 tokens with the prefix"):
        model(torch.zeros(2, 6, dtype=torch.long), LENGTHS, WORD_IDS, states())


def test_a_shallower_aggregator_takes_the_first_blocks_of_a_decoder():
    deep = build(WhisperAggregator)
    shallow = WhisperAggregator(**SIZES | {"num_layers": 1})
    shallow.load_decoder_state(deep.state_dict())
    for name, tensor in shallow.state_dict().items():
        assert torch.equal(tensor, deep.state_dict()[name])
    with pytest.raises(ValueError, match="blocks.1"):
        deep.load_decoder_state(shallow.state_dict())


def test_weights_drop_out_in_training_alone():
    attention = MultiHeadAttention(8, 2, dropout=0.5)
    x = torch.randn(2, 6, 8)
    assert not torch.equal(attention(x, x, x), attention(x, x, x))
    attention.eval()
    assert torch.equal(attention(x, x, x), attention(x, x, x))


def timed_states(spans):
    return replace(states(), word_frames=torch.tensor([spans, spans]))


@pytest.mark.parametrize("kind", [EspnetAggregator, WhisperAggregator])
def test_timed_words_are_what_their_own_frames_make_of_them(kind):
    """Other frames change no vector of a word but those of words of unknown time."""
    model = build(kind, timed_words=True, num_layers=1)
    torch.nn.init.normal_(model.word_lengths.proj.weight)
    text = torch.randint(0, 20, (2, 6))
    given = timed_states([[0.0, 3.0], [5.0, 6.0], [0.0, 0.0]])
    values = given.values.clone()
    values[:, 5] += 1.0
    changed = replace(given, values=values)
    moved = model(text, LENGTHS, WORD_IDS, given) - model(
        text, LENGTHS, WORD_IDS, changed
    )
    moved = moved.abs().amax(-1) > 1e-6  # (B, N)
    assert moved[0].tolist() == [False, False, True, True, True, True]
    longer = timed_states([[0.0, 3.4], [5.0, 6.0], [0.0, 0.0]])  # of the same frames
    moved = model(text, LENGTHS, WORD_IDS, given) - model(
        text, LENGTHS, WORD_IDS, longer
    )
    assert (moved[0].abs().amax(-1) > 1e-6).tolist() == [True] * 2 + [False] * 4


def test_words_that_are_timed_start_from_a_decoder_that_times_none():
    model = build(EspnetAggregator, timed_words=True)
    model.load_decoder_state(build(EspnetAggregator).state_dict())
    maps = model.attention(
        torch.randint(0, 20, (2, 6)),
        timed_states([[0.0, 2.0], [5.0, 6.0], [6.0, 7.0]]),
        WORD_IDS,
    )
    assert maps[0, ..., 0, 4:].max() == 0


@pytest.mark.parametrize("kind", [EspnetAggregator, WhisperAggregator])
def test_vectors_are_brought_to_one_scale_behind_the_decoder(kind):
    model = build(kind, standardize=True)
    state = build(kind).state_dict()
    state["norm.bias"] = torch.full((8,), 40.0)  # as far from zero as Whisper's
    model.load_decoder_state(state)
    text = torch.randint(0, 20, (2, 6))
    far = model(text, LENGTHS, WORD_IDS, states())
    assert far[WORD_IDS >= 0].mean() > 30
    for _ in range(3):
        model.train()(text, LENGTHS, WORD_IDS, states())
    near = model.eval()(text, LENGTHS, WORD_IDS, states())
    assert near[WORD_IDS >= 0].mean().abs() < 1


def test_parts_of_words_need_words_with_times():
    with pytest.raises(ValueError, match="word_parts 3 needs words with times"):
        build(EspnetAggregator, word_parts=3)
    model = build(EspnetAggregator, word_parts=3, timed_words=True)
    given = timed_states([[0.0, 3.0], [5.0, 8.0], [8.0, 11.0]])
    text = torch.randint(0, 20, (2, 6))
    before = model(text, LENGTHS, WORD_IDS, given)
    torch.nn.init.normal_(model.word_lengths.proj.weight)
    assert not torch.allclose(model(text, LENGTHS, WORD_IDS, given), before)
