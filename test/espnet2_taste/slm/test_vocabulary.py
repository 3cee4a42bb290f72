"""Which tokens begin words, end sentences, or cannot be spoken."""

from hypothesis import given
from hypothesis import strategies as st

from espnet2_taste.slm.vocabulary import (
    PieceRules,
    VocabularyMasks,
    byte_letters,
    byte_pieces,
    continuation_bytes,
    missing_bytes,
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


SIGN, SPEECH = "語", "é"
STREAM = [" dog", "s", " ", *[None] * 5, "<end>"]
PIECES = {3 + n: byte for n, byte in enumerate((SIGN + SPEECH).encode())}


def rules_of(word_space=True):
    """A vocabulary with a space alone, five bytes, and an end."""
    pieces = {index: bytes([byte]) for index, byte in PIECES.items()}
    strings = [text or "\ufffd" for text in STREAM]
    masks = VocabularyMasks.from_strings(strings, [8], word_space, pieces)
    return masks, PieceRules(masks)


def test_a_lone_space_and_bytes_of_letters_may_be_generated():
    masks, _ = rules_of()
    assert ids(masks.banned) == [8] and ids(masks.word_start) == [0, 2]
    unspaced, _ = rules_of(word_space=False)
    assert ids(unspaced.banned) == [2, 8]
    assert ids(unspaced.word_start) == [0, 1, 2, 3, 6, 8]  # no byte inside a letter
    signs = {0: "😀".encode()[:1], 1: "“".encode()[:2], 2: SIGN.encode()[:1]}
    masks = VocabularyMasks.from_strings(["\ufffd"] * 3, pieces=signs)
    assert ids(masks.banned) == [0, 1]


@given(st.lists(st.integers(0, 2**16), min_size=1, max_size=12))
def test_what_is_allowed_is_whole_text_of_words_with_letters(choices):
    masks, rules = rules_of()
    state, written, opened = 0, b"", 0
    for choice in [*choices, *[0] * 4]:
        allowed = ids(~rules.forbidden[state])
        assert allowed  # nothing ends without a way on
        token = allowed[choice % len(allowed)]
        text = STREAM[token]
        written += bytes([PIECES[token]]) if text is None else text.encode()
        opened += bool(masks.word_start[token])
        state = rules.follow(state, token)
        if state == 0:
            words = written.decode().split()  # never half a letter
            assert len(words) >= opened or not written.startswith(b" ")
            assert b"  " not in written
        else:
            assert 8 in ids(rules.forbidden[state])


def test_bytes_of_real_vocabularies_are_found():
    letters = byte_letters()
    assert len(letters) == 256 and sorted(letters.values()) == list(range(256))
    assert letters["\u0120"] == 0x20 and letters["a"] == ord("a")

    class Tokenizer:
        tokens = ["<0x41>", "<0xE8>", "\u0120\u00e8", "dog", "\u00aa\u0140"]

        def convert_ids_to_tokens(self, indices):
            return [self.tokens[index] for index in indices]

    strings = ["A", "\ufffd", " \ufffd", "dog", "\ufffd"]
    found = byte_pieces(Tokenizer(), strings)
    assert found == {1: b"\xe8", 2: b" \xe8", 4: b"\xaa\x9e"}
    assert missing_bytes(b" \xe8") == 2 and continuation_bytes(b"\xaa\x9e") == 2
    assert missing_bytes(b"\xe8\xaa") == 1 and missing_bytes("é".encode()) == 0
