"""What generation must know of a text vocabulary, found out once a tokenizer.

Enters: the text of every token. Leaves: three masks over the vocabulary: tokens that
begin a word, tokens that may end a sentence, tokens that cannot be spoken. Some tokens
leave a word unfinished: a space alone, and bytes of a character that others complete.
What may follow them is in :class:`PieceRules`.

Legend: V text vocabulary.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch.nn import functional

SENTENCE_END = "."
SPOKEN = re.compile(r"[^\W_]|[.,']")
BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
SPACE = " "
NOT_LETTERS = frozenset((0xC2, 0xE2, 0xEF, *range(0xF0, 0xF8)))
"""First bytes of UTF-8 behind which mostly signs are found: punctuation, emoji."""
REFERENCE_SPOKEN = re.compile(r"[.,'a-zA-Z0-9]")
REFERENCE_JOINED = re.compile(r" ([.?!,]|n't|'m|'s|'ve|'re)")


@dataclass(frozen=True)
class VocabularyMasks:
    """Properties of each token.

    Attributes:
        word_start: Begins a word, (V,) bool.
        sentence_end: Holds a full stop, (V,) bool.
        banned: Must not be generated, (V,) bool; special tokens are among them.
        pieces: Tokens that hold bytes of a character, by id.
        spaces: Tokens that are a space alone and begin a word.
    """

    word_start: torch.Tensor
    sentence_end: torch.Tensor
    banned: torch.Tensor
    pieces: Mapping[int, bytes] = field(default_factory=dict)
    spaces: frozenset[int] = frozenset()

    @classmethod
    def from_strings(
        cls,
        strings: Sequence[str],
        special_ids: Collection[int] = (),
        word_space: bool = True,
        pieces: Mapping[int, bytes] | None = None,
    ) -> "VocabularyMasks":
        """Sort the tokens by their text.

        Args:
            strings: Text of each token alone, V of them.
            special_ids: Tokens that are no text.
            word_space: A leading space marks a word; without it every token is one.
            pieces: Bytes of the tokens that are no whole characters, by id.

        Returns:
            The masks.
        """
        special, pieces = set(special_ids), dict(pieces or {})
        starts, banned = [], []
        for index, text in enumerate(strings):
            piece = pieces.get(index, b"")
            inside = bool(piece) and continuation_bytes(piece) > 0
            starts.append(text.startswith(SPACE) if word_space else not inside)
            written = may_be_letter(piece) if piece else bool(SPOKEN.search(text))
            alone = word_space and text == SPACE
            usable = (written or alone) and "\n" not in text
            banned.append(index in special or not usable)
        spaces = {i for i, text in enumerate(strings) if word_space and text == SPACE}
        return cls(
            word_start=torch.tensor(starts),
            sentence_end=_sentence_ends(strings),
            banned=torch.tensor(banned),
            pieces=pieces,
            spaces=frozenset(spaces - special),
        )

    @classmethod
    def from_reference_rules(
        cls, strings: Sequence[str], special_start: int, eos_id: int
    ) -> "VocabularyMasks":
        """Sort the tokens as the published system does.

        Its special tokens other than the end begin words and are not banned; its
        decoder joins punctuation and contractions to the word before, so that " ."
        begins none.

        Args:
            strings: Text of each token alone.
            special_start: First special id.
            eos_id: The end, which is banned.

        Returns:
            The masks.
        """
        strings = [joined(text) for text in strings]
        starts = [
            index >= special_start or text.startswith(" ")
            for index, text in enumerate(strings)
        ]
        banned = [
            index == eos_id
            or (text != SENTENCE_END and not _plain(REFERENCE_SPOKEN, text))
            for index, text in enumerate(strings)
        ]
        return cls(torch.tensor(starts), _sentence_ends(strings), torch.tensor(banned))

    def resized(self, size: int) -> "VocabularyMasks":
        """Masks for a model whose output has more rows than the tokenizer has tokens.

        Args:
            size: Rows of the output.

        Returns:
            Masks of (size,); the added tokens are banned.
        """
        extra = (0, size - len(self.banned))
        return VocabularyMasks(
            functional.pad(self.word_start, extra),
            functional.pad(self.sentence_end, extra),
            functional.pad(self.banned, extra, value=True),
            self.pieces,
            self.spaces,
        )


WORD_OPEN = -1
"""A space alone was written: the word has no letter yet."""


class PieceRules:
    """What may follow a token that leaves a word or a character unfinished.

    The state of an utterance is a number: 0 where nothing is unfinished,
    :data:`WORD_OPEN`, or the bytes that a character lacks.

    Args:
        masks: Of the vocabulary.

    Attributes:
        forbidden: Tokens that must not follow, (V,) bool, for each state.
    """

    def __init__(self, masks: VocabularyMasks):
        self.spaces = masks.spaces
        self.lacking = {i: missing_bytes(piece) for i, piece in masks.pieces.items()}
        leading = torch.zeros(len(masks.banned), dtype=torch.int64)
        whole = torch.ones(len(masks.banned), dtype=torch.bool)
        for index, piece in masks.pieces.items():
            leading[index] = continuation_bytes(piece)
            whole[index] = leading[index] < len(piece)
        self.leading = {i: int(leading[i]) for i in masks.pieces}
        self.forbidden = {
            state: (leading != state) & (whole | (leading > state) | (leading == 0))
            for state in (1, 2, 3)
        }
        self.forbidden[0] = leading > 0
        alone = torch.zeros_like(whole)
        alone[list(self.spaces)] = True
        self.forbidden[WORD_OPEN] = masks.word_start | (leading > 0) | alone
        for state in self.forbidden:
            self.forbidden[state] |= masks.banned

    def follow(self, state: int, token: int) -> int:
        """The state after a token.

        Args:
            state: Before it.
            token: Text id that was allowed.
        """
        if token in self.spaces:
            return WORD_OPEN
        if token not in self.lacking:
            return 0
        if self.leading[token] and not self.lacking[token]:
            return max(state - self.leading[token], 0)
        return self.lacking[token]


def continuation_bytes(piece: bytes) -> int:
    """Bytes at the beginning that go on with a character.

    Example:
        >>> continuation_bytes("語".encode()[1:])
        2
    """
    return next((i for i, b in enumerate(piece) if b >> 6 != 0b10), len(piece))


def missing_bytes(piece: bytes) -> int:
    """Bytes that the last character lacks.

    Example:
        >>> missing_bytes("語".encode()[:1])
        2
    """
    for place, byte in enumerate(reversed(piece), 1):
        if byte >> 6 != 0b10:
            size = next(
                (n for n in (2, 3, 4) if byte >> (7 - n) == 2 ** (n + 1) - 2), 1
            )
            return max(size - place, 0)
    return 0


def may_be_letter(piece: bytes) -> bool:
    """Whether bytes may be part of a letter or digit, as far as they show."""
    tail = piece[continuation_bytes(piece) :]
    text = tail.decode("utf-8", errors="ignore")
    if text.strip() and not SPOKEN.search(text):
        return False
    leads = [byte for byte in tail if byte >= 0xC0]
    return not leads or leads[-1] not in NOT_LETTERS


def joined(text: str) -> str:
    """Text of a token after the published decoder's cleaning of spaces."""
    return REFERENCE_JOINED.sub(r"\1", text)


def _plain(pattern: re.Pattern, text: str) -> bool:
    return bool(pattern.search(text)) and "\n" not in text


def _sentence_ends(strings: Sequence[str]) -> torch.Tensor:
    return torch.tensor([SENTENCE_END in text for text in strings])


def token_strings(tokenizer) -> list[str]:
    """Text of every token alone, with its leading space.

    Args:
        tokenizer: A ``transformers`` tokenizer.

    Returns:
        V strings.
    """
    size = len(tokenizer)
    tokens = tokenizer.convert_ids_to_tokens(list(range(size)))
    texts = tokenizer.batch_decode(
        [[index] for index in range(size)], clean_up_tokenization_spaces=False
    )
    return [
        " " + text.lstrip() if str(token).startswith("\u2581") else text
        for token, text in zip(tokens, texts)
    ]


def byte_pieces(tokenizer, strings: Sequence[str]) -> dict[int, bytes]:
    """Bytes of the tokens that are no whole characters.

    Args:
        tokenizer: A ``transformers`` tokenizer, with byte-level tokens or with a token
            ``<0xHH>`` for each byte.
        strings: Text of each token alone.

    Returns:
        Bytes by id.
    """
    found, letters = {}, byte_letters()
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(strings))))
    for index, (token, text) in enumerate(zip(tokens, strings)):
        byte = BYTE_PIECE.fullmatch(str(token))
        if byte and int(byte[1], 16) >= 0x80:
            found[index] = bytes.fromhex(byte[1])
        elif "\ufffd" in text and all(letter in letters for letter in token):
            found[index] = bytes(letters[letter] for letter in token)
    return found


def byte_letters() -> dict[str, int]:
    """The letter that stands for each byte in byte-level vocabularies, inverted."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    letters = {chr(byte): byte for byte in shown}
    return letters | {chr(256 + n): byte for n, byte in enumerate(hidden)}


def vocabulary_masks(tokenizer, word_space: bool = True) -> VocabularyMasks:
    """Masks of a tokenizer.

    Args:
        tokenizer: A ``transformers`` tokenizer.
        word_space: Words begin with a space.

    Returns:
        The masks.
    """
    strings = token_strings(tokenizer)
    pieces = byte_pieces(tokenizer, strings)
    special = tokenizer.all_special_ids
    return VocabularyMasks.from_strings(strings, special, word_space, pieces)


def reference_masks(tokenizer, eos_id: int) -> VocabularyMasks:
    """Masks of a tokenizer by the published rules; added tokens come last in it.

    Args:
        tokenizer: A ``transformers`` tokenizer.
        eos_id: Text id that ends speech.

    Returns:
        The masks.
    """
    return VocabularyMasks.from_reference_rules(
        token_strings(tokenizer), tokenizer.vocab_size, eos_id
    )
