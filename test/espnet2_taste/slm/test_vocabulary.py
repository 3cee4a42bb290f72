"""Which tokens begin words, end sentences, or cannot be spoken."""

from espnet2_taste.slm.vocabulary import (
    VocabularyMasks,
    token_strings,
    vocabulary_masks,
)

STRINGS = [" dog", "s", ".", " .", "\n", " a\n", "%", " é", "_", "<end>", "'"]


def ids(mask):
    return mask.nonzero()[:, 0].tolist()


def test_our_rules():
    masks = VocabularyMasks.from_strings(STRINGS, special_ids=[9])
    assert ids(masks.word_start) == [0, 3, 5, 7]
    assert ids(masks.sentence_end) == [2, 3]
    assert ids(masks.banned) == [4, 5, 6, 8, 9]


def test_without_spaces_every_token_is_a_word():
    masks = VocabularyMasks.from_strings(["狗", "a"], word_space=False)
    assert masks.word_start.all() and not masks.banned.any()


def test_published_rules_know_ascii_only_and_one_special_token():
    masks = VocabularyMasks.from_reference_rules(STRINGS, special_start=9, eos_id=10)
    assert ids(masks.word_start) == [0, 5, 7, 9, 10]  # " ." is joined
    assert ids(masks.banned) == [4, 5, 6, 7, 8, 10]


def test_rows_beyond_the_tokenizer_are_banned():
    masks = VocabularyMasks.from_strings(STRINGS).resized(13)
    assert len(masks.word_start) == 13 and ids(masks.banned)[-2:] == [11, 12]


def test_a_real_tokenizer(lm_tokenizer_dir):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(lm_tokenizer_dir)
    strings, masks = token_strings(tokenizer), vocabulary_masks(tokenizer)
    assert len(strings) == len(tokenizer) == len(masks.banned)
    for index in tokenizer.encode(" the dog", add_special_tokens=False)[:1]:
        assert masks.word_start[index] and not masks.banned[index]
    assert all(masks.banned[index] for index in tokenizer.all_special_ids)
