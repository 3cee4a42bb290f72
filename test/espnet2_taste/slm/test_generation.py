"""Cached batches against a plain loop over one prompt, and against training's rows."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from slow_guidance import base_logits, slow_mix
from word_cores import grid_batch, inventory, utterance, word_core

from espnet2_taste.slm.backbone import FullBackbone, LoraBackbone
from espnet2_taste.slm.generator import Generator
from espnet2_taste.slm.heads import (
    ContinueLatentLinearLastHead,
    LinearLastHead,
    WeightedLayerHead,
)
from espnet2_taste.slm.input_fusion import (
    ArrivalEmbedding,
    FillForwardEmbedding,
    WeightedSumFusion,
)
from espnet2_taste.slm.layouts.streams import TextVocabulary
from espnet2_taste.slm.layouts.text_aligned import TokenDelayLayout, WordDelayLayout
from espnet2_taste.slm.layouts.utterance import Turn, Utterance
from espnet2_taste.slm.layouts.word_grammar import WordGrammar
from espnet2_taste.slm.limits import Limits
from espnet2_taste.slm.prompts import (
    empty_prompt,
    spoken_prompt,
    turn_prompt,
    written_prompt,
)
from espnet2_taste.slm.sampling import GenerationOptions, UniformStreams
from espnet2_taste.slm.vocabulary import VocabularyMasks

BOS, EOS, VOCABULARY = 0, 1, 40
SAMPLED = GenerationOptions(
    text_top_p=0.95, text_temperature=1.5, repetition_penalty=1.2, speech_top_p=0.9
)
GUIDED = GenerationOptions(text_top_p=0.95, text_temperature=1.5, guidance=0.7)
RULES = Limits(min_words=2, max_words=6)


@pytest.fixture
def make_taslm(tiny_lm, quantizer):
    def make(layout, embedding=FillForwardEmbedding, head=LinearLastHead, lora=False):
        torch.manual_seed(3)
        backbone = LoraBackbone(tiny_lm, 2, 4) if lora else FullBackbone(tiny_lm)
        parts = (
            embedding(quantizer),
            WeightedSumFusion(16, quantizer.dim, 0.0, 0.0),
            head(16, backbone.num_states, quantizer),
        )
        taslm = word_core(backbone, quantizer, layout, *parts, BOS)
        with torch.no_grad():
            for parameter in in_former_order(taslm):
                if parameter.dim() > 1 or not parameter.abs().sum():
                    parameter.copy_(0.5 * torch.randn_like(parameter))
        return taslm.eval()

    return make


def in_former_order(core):
    """Parameters as they stood when the frozen tokens were made."""
    rows = core.embedding
    parts = (core.backbone, rows.quantizer, rows.code_embedding, rows.input_fusion)
    return [
        rows.pad_text,
        *(p for part in (*parts, core.code_head) for p in part.parameters()),
    ]


def make_masks():
    index = torch.arange(VOCABULARY)
    banned = (index < 3) | (index == 17)
    return VocabularyMasks(index % 2 == 0, index % 11 == 5, banned)


def make_generator(taslm, options=GenerationOptions(), masks=None):
    text = TextVocabulary.of(masks or make_masks(), range(3), EOS)
    grammar = WordGrammar(taslm.layout, text)
    return Generator(taslm, options, RULES, grammar=grammar)


def audio(seed, words):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 4, (words,), generator=generator)
    word_ids = torch.repeat_interleave(torch.arange(words), lengths)
    text = torch.randint(3, VOCABULARY, (len(word_ids),), generator=generator)
    codes = torch.randint(0, 7, (words, 3), generator=generator)
    return utterance(text, word_ids, codes)


def prompts(taslm):
    return [
        spoken_prompt(taslm, audio(0, 5)),
        empty_prompt(taslm),
        spoken_prompt(taslm, audio(1, 1)),
        written_prompt(taslm, (5, 9, 12)),
        turn_prompt(taslm, Turn(audio(2, 3), (BOS, 5, 9, 12), (7,))),
        spoken_prompt(taslm, audio(3, 2)),
    ]


def spoken(taslm, count):
    return [spoken_prompt(taslm, audio(seed, 2)) for seed in range(count)]


def streams(names):
    return UniformStreams.from_ids([f"utt{name}" for name in names], seed=5)


def plain_loop(generator, prompt, name):
    """One prompt, everything computed again for every token."""
    taslm, numbers = generator.core, streams([name])
    rows = prompt
    inputs, current, embedding = rows.inputs, rows.current, taslm.embedding
    seen = torch.zeros(1, VOCABULARY, dtype=torch.bool)
    seen[0, rows.text] = True
    starts, text, codes, waiting = [], [], [], None
    while waiting is None or waiting > 0:
        output = taslm.backbone(inputs[None], layers=taslm.layers)
        logits = taslm.backbone.logits(output.last[:, -1])[0].clone()
        if generator.mixture.share:
            known = [i for i in rows.text.tolist() if i != BOS] + text
            base = base_logits(taslm.backbone, BOS, known)
            share = generator.mixture.share
            logits = slow_mix(logits, base, VOCABULARY, EOS, share)
        for token in range(VOCABULARY):
            inner = token % 2 and token != EOS
            inner = inner and not starts and "inside" not in rows.state.opening
            if (make_masks().banned[token] and token != EOS) or inner:
                logits[token] = float("-inf")
        if sum(starts) < RULES.min_words:
            logits[EOS] = float("-inf")
        everyone = torch.tensor([True])
        token = int(generator.text_sampler(logits[None], seen, numbers, everyone))
        seen[0, token] = True
        begins = token % 2 == 0 or not starts
        full = begins and sum(starts[: len(text)]) >= RULES.max_words
        endless = len(starts) >= RULES.max_tokens
        if waiting is None and (token == EOS or full or endless):
            waiting = taslm.layout.delay
        ends = waiting is not None
        starts.append(begins or ends)
        if ends:
            waiting -= 1
        else:
            text.append(token)
        due = taslm.layout.due(starts)
        new = rows.pending[due] if due is not None and due < 0 else None
        if due is not None and due >= 0:
            states = [state[:, -1] for state in output.states]
            head = taslm.code_head
            logits = head.code_logits(head(states), taslm.quantizer)
            new = generator.speech_sampler(logits, numbers, everyone)[0]
            codes.append(new)
        fresh = new is not None and bool((new >= 0).any())
        current = new if fresh else current
        heard = embedding.code_embedding.embed(current, taslm.quantizer)
        if not fresh:
            heard = embedding.code_embedding.hold(heard)
        if not (current >= 0).any():
            heard = embedding.code_embedding.pad
        word = embedding.pad_text if ends else taslm.backbone.embed(torch.tensor(token))
        inputs = torch.cat([inputs, embedding.fuse(word, heard)[None]])
    return text, torch.stack(codes)


def word_delay(delay):
    return WordDelayLayout(inventory(VOCABULARY, EOS), delay)


def token_delay(delay):
    return TokenDelayLayout(inventory(VOCABULARY, EOS), delay)


CASES = [
    (word_delay(1), FillForwardEmbedding, ContinueLatentLinearLastHead),
    (word_delay(3), ArrivalEmbedding, LinearLastHead),
    (token_delay(2), ArrivalEmbedding, WeightedLayerHead),
    (token_delay(1), FillForwardEmbedding, LinearLastHead),
]


@pytest.mark.parametrize("layout, embedding, head", CASES)
@pytest.mark.parametrize("options", [GenerationOptions(), SAMPLED, GUIDED])
@torch.no_grad()
def test_a_cached_batch_equals_the_plain_loop(
    make_taslm, layout, embedding, head, options
):
    taslm = make_taslm(layout, embedding, head)
    generator = make_generator(taslm, options)
    together = generator(prompts(taslm), streams(range(6)))
    for name, (prompt, found) in enumerate(zip(prompts(taslm), together)):
        text, codes = plain_loop(generator, prompt, name)
        assert found.text.tolist() == text
        assert torch.equal(found.codes, codes)
        assert len(found.codes) == int(found.word_ids[-1]) + 1


def joined(prompt, words, codes):
    """A prompt and what was added to it."""
    codes = tuple(map(tuple, codes.tolist()))
    return Utterance(prompt.words + words, codes=prompt.codes + codes)


def saying(prompt, item):
    words = utterance(item.text, item.word_ids, item.codes).words
    return prompt.with_text(words, EOS)


@pytest.mark.parametrize("layout, embedding, head", CASES)
@pytest.mark.parametrize(
    "options", [GenerationOptions(), replace(SAMPLED, text_top_p=0.0)]
)
@torch.no_grad()
def test_the_text_that_was_generated_gets_the_same_codes_when_it_is_given(
    make_taslm, layout, embedding, head, options
):
    taslm = make_taslm(layout, embedding, head)
    generator = make_generator(taslm, options)
    free = generator(prompts(taslm), streams(range(6)))
    given = [saying(*pair) for pair in zip(prompts(taslm), free)]
    for wanted, found in zip(free, generator(given, streams(range(6)))):
        assert torch.equal(found.text, wanted.text)
        assert torch.equal(found.word_ids, wanted.word_ids)
        assert torch.equal(found.codes, wanted.codes)


@pytest.mark.parametrize("layout, embedding, head", CASES)
@torch.no_grad()
def test_codes_of_a_given_text_are_those_of_training_s_rows(
    make_taslm, layout, embedding, head
):
    taslm, prompt, said = make_taslm(layout, embedding, head), audio(0, 2), audio(4, 9)
    generator = make_generator(taslm)
    given = spoken_prompt(taslm, prompt).with_text(said.words, EOS)
    (found,) = generator([given], streams([0]))
    assert tuple(found.text.tolist()) == said.tokens and len(found.codes) == 9
    batch = grid_batch(taslm.layout, [joined(prompt, said.words, found.codes)])
    prediction, codes, _ = taslm.predicted_codes(batch, taslm.read(batch["grid"]))
    logits = taslm.code_head.code_logits(prediction, taslm.quantizer)
    assert torch.equal(logits.argmax(dim=-1)[2:], found.codes)
    assert torch.equal(codes[2:], found.codes)


def test_a_text_longer_than_the_positions_is_refused_before_it_is_read(make_taslm):
    taslm = make_taslm(word_delay(1))
    rows = taslm.backbone.causal_lm.config.max_position_embeddings
    generator = make_generator(taslm)
    given = empty_prompt(taslm).with_text([[4]] * rows, EOS)
    with pytest.raises(ValueError, match=f"language model has {rows} positions"):
        generator([given], streams([0]))


@pytest.mark.parametrize("layout, embedding, head", CASES)
@pytest.mark.parametrize("words", [1, 2, 5])
@torch.no_grad()
def test_generation_reads_the_rows_that_training_reads(
    make_taslm, layout, embedding, head, words
):
    taslm = make_taslm(layout, embedding, head)
    generator = make_generator(taslm, SAMPLED)
    prompt = audio(words, words)
    rows = [spoken_prompt(taslm, prompt)]
    heard, due = [], []
    for batch in generator.trace(rows, streams([words])):
        heard.append(batch.inputs)
        due.append(generator.grammar.due(batch.items[0].state))
    found = generator(rows, streams([words]))[0]
    said = utterance(found.text, found.word_ids, found.codes)
    batch = grid_batch(taslm.layout, [joined(prompt, said.words, found.codes)])
    wanted = taslm.rows(batch["grid"])[0, len(prompt.tokens) : -1]
    heard = torch.cat(heard)
    torch.testing.assert_close(heard, wanted, atol=1e-5, rtol=1e-5)
    arrives = (batch["grid"][0, :, 1:] >= 0).any(dim=-1)
    labels = torch.where(arrives, arrives.cumsum(dim=0) - 1 - words, -1)
    sampled = [-1 if d is None or d < 0 else d for d in due]
    assert sampled == labels[len(prompt.tokens) :].clamp(min=-1).tolist()


@torch.no_grad()
def test_without_delay_every_word_gets_its_code(make_taslm):
    taslm = make_taslm(word_delay(0))
    generator = make_generator(taslm, SAMPLED)
    for found in generator(prompts(taslm), streams(range(6))):
        assert len(found.codes) == int(found.word_ids[-1]) + 1


@torch.no_grad()
def test_merged_adapters_generate_the_same(make_taslm):
    taslm = make_taslm(word_delay(1), lora=True)
    before = make_generator(taslm)(prompts(taslm), streams(range(6)))
    taslm.backbone = taslm.backbone.merged()
    assert not any("lora" in name for name, _ in taslm.named_parameters())
    after = make_generator(taslm)(prompts(taslm), streams(range(6)))
    for first, second in zip(before, after):
        assert torch.equal(first.text, second.text)
        assert torch.equal(first.codes, second.codes)


def test_a_compiled_lm_generates_the_same(make_taslm):
    """Traced by the compiler and run without what it would generate, which is slow."""
    found, made = [], make_taslm(word_delay(1), lora=True)
    for backend in (None, "eager"):
        taslm, chosen = deepcopy(made), replace(SAMPLED, compile=backend)
        chosen.prepare(taslm)
        generator = make_generator(taslm, chosen)
        found.append(generator(prompts(taslm), streams(range(6))))
    for first, second in zip(*found, strict=True):
        assert torch.equal(first.text, second.text)
        assert torch.equal(first.codes, second.codes)


def test_a_backend_that_there_is_not_is_refused(make_taslm):
    options = GenerationOptions(compile="nothing")
    with pytest.raises(ValueError, match="compile is 'nothing'.*inductor"):
        options.prepare(make_taslm(word_delay(1)))


def test_int8_is_not_compiled(make_taslm):
    options = GenerationOptions(compile="inductor", dtype="int8")
    with pytest.raises(
        ValueError, match="compile: inductor does nothing for dtype: in"
    ):
        options.prepare(make_taslm(word_delay(1)))


@torch.no_grad()
def test_banned_tokens_never_come_and_limits_hold(make_taslm):
    taslm = make_taslm(word_delay(1))
    generator = make_generator(taslm, SAMPLED)
    banned = set(make_masks().banned.nonzero()[:, 0].tolist())
    for found in generator(spoken(taslm, 12), streams(range(12))):
        assert not banned & set(found.text.tolist())
        assert RULES.min_words <= len(found.codes) <= RULES.max_words
        assert int(found.text[0]) % 2 == 0  # a new word, not the prompt's last


def test_words_and_codes_of_a_prompt_must_agree(make_taslm):
    prompt = audio(0, 3)
    taslm, short = make_taslm(word_delay(1)), replace(prompt, codes=prompt.codes[:2])
    with pytest.raises(ValueError, match="the codes of 3 words, found 2"):
        spoken_prompt(taslm, short)


@torch.no_grad()
def test_the_text_around_a_turn_is_read_as_text_is_in_training(make_taslm):
    taslm = make_taslm(word_delay(1))
    spoken = spoken_prompt(taslm, audio(2, 3))
    turn = Turn(audio(2, 3), (BOS, 5, 9), (7, 12))
    rows = turn_prompt(taslm, turn).inputs
    written = written_prompt(taslm, (5, 9, 7, 12)).inputs
    torch.testing.assert_close(rows[:3], written[:3])
    torch.testing.assert_close(rows[-2:], written[-2:])
    own = spoken.inputs[1:]
    torch.testing.assert_close(rows[3 : 3 + len(own)], own)
    assert len(rows) == 3 + len(own) + 1 + 2  # one row takes in the last code
    bare = turn_prompt(taslm, turn, reference_compat=True)
    embedded = taslm.backbone.embed(torch.tensor([7, 12]))
    torch.testing.assert_close(bare.inputs[-2:], embedded)


@torch.no_grad()
def test_letters_of_several_tokens_are_written_whole(make_taslm):
    taslm, letter = make_taslm(word_delay(1)), {11: b"\xe8", 13: b"\xaa\x9e"}
    index = torch.arange(VOCABULARY)
    banned = (index < 3) | (index == 17)
    masks = VocabularyMasks(
        index % 2 == 0, index < 0, banned, letter, spaces=frozenset([20])
    )
    generator = make_generator(taslm, SAMPLED, masks)
    found = generator(spoken(taslm, 24), streams(range(24)))
    texts = [item.text.tolist() for item in found]
    pairs = [pair for text in texts for pair in zip(text, [*text[1:], EOS])]
    assert {11, 13, 20} <= {first for first, _ in pairs}
    for first, second in pairs:
        assert (first == 11) == (second == 13)  # the one completes the other
        assert first != 20 or (second % 2 == 1 and second not in (EOS, 13))


FROZEN = [
    [
        ([38, 9, 9, 30, 37, 37, 37], [3, 2, 0, 1, 3, 2]),
        ([38, 38], [5, 2, 2, 6, 1, 1]),
        (
            [38, 28, 6, 37, 9, 9, 12, 12, 12],
            [1, 2, 3, 1, 1, 6, 4, 3, 3, 1, 2, 3, 5, 2, 5, 5, 2, 5],
        ),
        ([38, 38, 26, 25], [5, 2, 5, 1, 1, 0, 1, 1, 0]),
        (
            [20, 4, 38, 28, 21, 23, 23, 26, 27, 27, 27, 32, 27, 27, 27, 27, 27, 27, 5],
            [1, 2, 3, 1, 2, 3, 5, 2, 5, 1, 3, 2, 0, 1, 0, 5, 5, 5],
        ),
    ],
    [
        ([16, 12, 13], [4, 2, 4, 1, 3, 4]),
        ([10, 5, 24, 14, 9, 25], [5, 2, 4, 1, 1, 0, 0, 3, 0]),
        (
            [36, 12, 18, 7, 25, 9, 38, 21, 21, 21, 10, 38],
            [0, 2, 5, 0, 5, 5, 5, 4, 1, 1, 6, 1, 5, 2, 5, 1, 3, 3],
        ),
        ([38, 39, 38], [3, 2, 5, 2, 1, 0]),
        (
            [24, 28, 13, 22, 35, 12, 32, 8, 15, 5],
            [0, 2, 3, 2, 3, 2, 3, 5, 5, 5, 5, 6, 3, 6, 0, 1, 1, 1],
        ),
    ],
]
"""Text ids and codes that these prompts gave before designs shared their sampling."""


@pytest.mark.parametrize("options, wanted", zip([GenerationOptions(), SAMPLED], FROZEN))
@torch.no_grad()
def test_tokens_stay_what_they_were(make_taslm, options, wanted):
    taslm = make_taslm(word_delay(1))
    generator = make_generator(taslm, options)
    given = prompts(taslm)
    given.pop(4)  # the turn
    found = generator(given, streams(range(len(given))))
    for item, (text, codes) in zip(found, wanted, strict=True):
        assert (item.text.tolist(), item.codes.flatten().tolist()) == (text, codes)
