"""Words and their token ids: the index both text vocabularies share.

Enters: a raw transcript, or its W words and a tokenizer. Leaves: normalised words, and
N token ids with the word index of each. Every word is tokenised separately, so the
speech side's and the language model's token sequences differ in N but agree in W
(paper, section 3.1).

Legend: N text tokens, W words.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from espnet2_taste.text.abs_tokenizer import AbsTextTokenizer
from espnet2_taste.text.normalizers import AbsNormalizer, has_letter_or_digit
from espnet2_taste.text.segmenters import AbsSegmenter

_SOUNDS = (
    "breath breathing breathes cough coughs coughing laugh laughs laughter laughing "
    "noise noises music applause sigh sighs sniff sniffs silence pause inaudible "
    "unintelligible indistinct crosstalk clears_throat lipsmack lip_smack click tsk"
)
_TAG = re.compile(
    r"<[^<>\s]+>|\[[^\[\]]+\]|\{[^{}\s]+\}|\((?:%s)\)" % "|".join(_SOUNDS.split()),
    re.IGNORECASE,
)


@dataclass(frozen=True)
class NormalizedText:
    """A transcript after normalisation.

    Attributes:
        words: Words that can be spoken, W of them.
        removed: Pieces of the raw transcript of which nothing was left.
    """

    words: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True)
class TokenizedWords:
    """Token ids of an utterance.

    Attributes:
        ids: Token ids, (N,) int64.
        word_ids: Index of the word each token belongs to, (N,) int64, from 0.
    """

    ids: np.ndarray
    word_ids: np.ndarray


def words_of_tokens(
    spelled: Sequence[bytes], ids: Iterable[int], word_ids: Iterable[int], count: int
) -> list[str]:
    """Words as their tokens spell them, and empty ones behind them.

    Args:
        spelled: What each token of the vocabulary writes, in UTF-8.
        ids: Tokens of a text, (N,).
        word_ids: Word of each, -1 at padding, (N,).
        count: Words that are wanted.
    """
    words = [b""] * count
    for token, word in zip(ids, word_ids):
        if word >= 0:
            words[word] += spelled[token]
    return [word.decode(errors="replace") for word in words]


def cut_tags(text: str, symbols: Iterable[str] = ()) -> tuple[str, list[str]]:
    """Take what is not spoken out of a transcript.

    Tags are whatever stands in angle, square or curly brackets (``<COMMA>``, ``<unk>``,
    ``<|en|>``, ``[noise]``), and sounds in round ones (``(breath)``): other words in
    round brackets are read aloud.

    Args:
        text: Raw transcript of one utterance.
        symbols: Further words that are not spoken, e.g. ``%hesitation``.

    Returns:
        The transcript without them, and what was taken out.

    Example:
        >>> cut_tags("yes <COMMA> (breath) %uh (no)", ["%uh"])
        ('yes       (no)', ['<COMMA>', '(breath)', '%uh'])
    """
    known = [rf"(?<!\S){re.escape(symbol)}(?!\S)" for symbol in symbols]
    pattern = re.compile("|".join([_TAG.pattern, *known]), re.IGNORECASE)
    return pattern.sub(" ", text), pattern.findall(text)


def normalize_text(
    text: str,
    normalizer: AbsNormalizer,
    segmenter: AbsSegmenter,
    symbols: Iterable[str] = (),
) -> NormalizedText:
    """Turn a raw transcript into words.

    Args:
        text: Raw transcript of one utterance.
        normalizer: Cleans each whitespace-separated piece.
        segmenter: Cuts the cleaned piece into words.
        symbols: Words of the transcript that are not spoken, beside tags.

    Returns:
        The words; the tags, and the pieces of which no word was left.

    Example:
        >>> from espnet2_taste.text.normalizers import BasicNormalizer
        >>> from espnet2_taste.text.segmenters import WhitespaceSegmenter
        >>> normalize_text("Yes -- no!", BasicNormalizer(), WhitespaceSegmenter())
        NormalizedText(words=('yes', 'no'), removed=('--',))
    """
    words: list[str] = []
    spoken, removed = cut_tags(text, symbols)
    for piece in spoken.split():
        found = [w for w in segmenter(normalizer(piece)) if has_letter_or_digit(w)]
        words.extend(found)
        if not found:
            removed.append(piece)
    return NormalizedText(tuple(words), tuple(removed))


def tokenize_words(
    words: Sequence[str],
    tokenizer: AbsTextTokenizer,
    first_word_space: bool = True,
    word_space: bool = True,
) -> TokenizedWords:
    """Tokenise word by word.

    Args:
        words: The W words of an utterance.
        tokenizer: Vocabulary to use.
        first_word_space: Mark the beginning of the first word like every other. The
            published preprocessor does, its training data did not (hence the option).
        word_space: Mark the beginning of words at all; False for languages written
            without spaces.

    Returns:
        Token ids and word ids, both (N,).

    Raises:
        ValueError: A word gives no token.
    """
    ids: list[int] = []
    lengths: list[int] = []
    for index, word in enumerate(words):
        space = word_space and (first_word_space or index > 0)
        pieces = tokenizer.encode_word(word, first=not space)
        if not pieces:
            raise ValueError(
                f"word {index} ('{word}') gives no token of the vocabulary; remove it "
                "when the text is normalised or use a vocabulary that knows it"
            )
        ids.extend(pieces)
        lengths.append(len(pieces))
    word_ids = np.repeat(np.arange(len(words), dtype=np.int64), lengths)
    return TokenizedWords(np.asarray(ids, dtype=np.int64), word_ids)  # (N,), (N,)
