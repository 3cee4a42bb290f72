"""Every tokenizer adapter encodes words, decodes them and names special ids."""

import pickle

import pytest

from espnet2_taste.text.huggingface_tokenizer import load_tokenizer
from espnet2_taste.text.token_list_tokenizers import read_token_list
from espnet2_taste.text.tokenizers import build_text_tokenizer, token_type_choices

CHARACTERS = [
    "<blank>",
    "<unk>",
    "<space>",
    *"abcdefghijklmnopqrstuvwxyz'",
    "<sos/eos>",
]


@pytest.fixture
def options(bpe_dir, lm_tokenizer_dir, whisper_dir):
    return {
        "char": {"token_list": CHARACTERS},
        "bpe": {
            "token_list": str(bpe_dir / "tokens.txt"),
            "bpemodel": str(bpe_dir / "bpe.model"),
        },
        "hf": {"tokenizer_path": str(lm_tokenizer_dir)},
        "whisper": {"tokenizer_path": str(whisper_dir)},
    }


@pytest.fixture(scope="session")
def whisper_dir(tmp_path_factory, lm_tokenizer_dir):
    """A byte-level vocabulary with Whisper's special tokens."""
    tokenizer = load_tokenizer(lm_tokenizer_dir)
    names = ["startoftranscript", "en", "transcribe", "notimestamps"]
    tokenizer.add_special_tokens(
        {"additional_special_tokens": [f"<|{name}|>" for name in names]}
    )
    path = tmp_path_factory.mktemp("whisper")
    tokenizer.save_pretrained(path)
    return path


@pytest.mark.parametrize("token_type", sorted(token_type_choices.classes))
def test_words_come_back(token_type, options):
    tokenizer = build_text_tokenizer(token_type, **options[token_type])
    words = ["the", "red", "doesn't"]
    ids = [index for word in words for index in tokenizer.encode_word(word)]
    assert tokenizer.decode(ids) == "the red doesn't"
    assert all(0 <= index < tokenizer.vocab_size for index in ids)
    assert 0 <= tokenizer.special_id("eos") < tokenizer.vocab_size
    with pytest.raises(ValueError, match="no 'mask' token"):
        tokenizer.special_id("mask")
    copy = pickle.loads(pickle.dumps(tokenizer))  # data loader workers need this
    assert copy.encode_word("red") == tokenizer.encode_word("red")


@pytest.mark.parametrize("token_type", sorted(token_type_choices.classes))
def test_missing_option_is_named(token_type):
    with pytest.raises(ValueError, match=f"--token_type .*{token_type}.* needs --"):
        build_text_tokenizer(token_type)


def test_first_word_without_space(options):
    for token_type in ("char", "hf"):
        tokenizer = build_text_tokenizer(token_type, **options[token_type])
        assert tokenizer.encode_word("red", first=True) != tokenizer.encode_word("red")


def test_returned_ids_are_the_callers_own(options):
    tokenizer = build_text_tokenizer("char", **options["char"])
    tokenizer.encode_word("red").append(99)
    assert 99 not in tokenizer.encode_word("red")


def test_espnet_order_of_tokens(bpe_dir):
    tokens = read_token_list(bpe_dir / "tokens.txt")
    assert tokens[:2] == ["<blank>", "<unk>"] and tokens[-1] == "<sos/eos>"


def test_unknown_character_is_unk(options):
    tokenizer = build_text_tokenizer("char", **options["char"])
    assert tokenizer.encode_word("я", first=True) == [tokenizer.special_id("unk")]


def test_any_file_of_the_directory_names_it(lm_tokenizer_dir):
    by_file = load_tokenizer(lm_tokenizer_dir / "tokenizer.json")
    assert len(by_file) == len(load_tokenizer(lm_tokenizer_dir))


def test_directory_without_tokenizer(tmp_path):
    with pytest.raises(ValueError, match="no Hugging Face tokenizer"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("tokens", [[], ["a", "b"], ["<unk>", "a", "a"]])
def test_bad_token_list(tokens):
    with pytest.raises(ValueError, match="distinct tokens"):
        read_token_list(tokens)


def test_bpe_model_must_exist():
    with pytest.raises(ValueError, match="no such file"):
        build_text_tokenizer("bpe", token_list=CHARACTERS, bpemodel="absent.model")


def test_what_a_decoder_begins_with(options):
    def prefix(token_type, **changes):
        chosen = options[token_type] | changes
        return build_text_tokenizer(token_type, **chosen).decoder_prefix()

    assert prefix("char") is None
    assert len(prefix("whisper")) == 4  # start, English, transcribe, no timestamps
    owsm = ["<blank>", "<unk>", "<eng>", "<asr>", "<notimestamps>", "a", "<sos>"]
    assert prefix("char", token_list=owsm) == [6, 2, 3, 4]
    bos = build_text_tokenizer("hf", **options["hf"]).special_id("bos")
    assert prefix("hf") == [bos]


@pytest.mark.parametrize("token_type", sorted(token_type_choices.classes))
def test_letters_of_the_tokens_spell_the_word(token_type, options):
    tokenizer = build_text_tokenizer(token_type, **options[token_type])
    letters = tokenizer.token_bytes()
    assert len(letters) == tokenizer.vocab_size
    for word in ("the", "red", "doesn't"):
        spelled = b"".join(letters[index] for index in tokenizer.encode_word(word))
        assert spelled == word.encode()
    assert letters[tokenizer.special_id("eos")] == b""


def test_letters_of_other_scripts_are_bytes(lm_tokenizer_dir):
    tokenizer = build_text_tokenizer("hf", tokenizer_path=str(lm_tokenizer_dir))
    letters = tokenizer.token_bytes()
    spelled = b"".join(letters[index] for index in tokenizer.encode_word("\u732b"))
    assert spelled == "\u732b".encode()


def test_bytes_and_marks_of_sentencepiece():
    tokens = ["<unk>", "<0xE7>", "\u2581the", "\u2581", "<sos/eos>", "e"]
    letters = build_text_tokenizer("char", token_list=tokens).token_bytes()
    assert letters == [b"", b"\xe7", b"the", b"", b"", b"e"]


def test_only_line_feeds_end_a_token(tmp_path):
    tokens = ["<unk>", "\u2028", "\x85", "\x1c", "a\u2029b", "a"]
    (tmp_path / "tokens.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    assert read_token_list(tmp_path / "tokens.txt") == tokens


def test_a_large_list_is_looked_at_once():
    class Counted(str):
        compared = 0
        __hash__ = str.__hash__

        def __eq__(self, other):
            Counted.compared += 1
            return str.__eq__(self, other)

    tokens = [Counted(index) for index in range(50_000)] + [Counted("<unk>")]
    read_token_list(tokens)
    assert Counted.compared < 10 * len(tokens)
