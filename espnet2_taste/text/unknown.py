"""How much of a text a vocabulary cannot write.

Enters: sentences and a tokenizer. Leaves: how many tokens are unknown and in which
words; or a ``ValueError`` where there are so many that the vocabulary is a wrong one.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from espnet2_taste.data.ctm import write_rows
from espnet2_taste.text.abs_tokenizer import AbsTextTokenizer

TABLE = "unknown_words.tsv"


@dataclass(frozen=True)
class UnknownTokens:
    """What of a set a vocabulary does not know.

    Attributes:
        tokens: Tokens of the text.
        unknown: How many of them are unknown.
        words: How often each word with an unknown token occurs.
    """

    tokens: int
    unknown: int
    words: dict[str, int]

    @property
    def share(self) -> float:
        """Unknown tokens by all tokens; 0 for an empty text."""
        return self.unknown / self.tokens if self.tokens else 0.0


def find_unknown(
    sentences: Iterable[str], tokenizer: AbsTextTokenizer, word_space: bool = True
) -> UnknownTokens:
    """Encode sentences and count what the vocabulary does not know.

    Args:
        sentences: Words separated by spaces.
        tokenizer: The vocabulary.
        word_space: Words are marked by a space.

    Returns:
        The counts.
    """
    tokens = unknown = 0
    words: Counter[str] = Counter()
    for word, times in Counter(w for s in sentences for w in s.split()).items():
        ids = tokenizer.encode_word(word, first=not word_space)
        missing = tokenizer.count_unknown(ids) if ids else 1
        tokens += times * max(len(ids), 1)
        unknown += times * missing
        if missing:
            words[word] = times
    return UnknownTokens(tokens, unknown, dict(words.most_common()))


def report_unknown(
    folder: Path, found: UnknownTokens, largest_share: float = 0.05
) -> str:
    """List the words with unknown tokens of a set in ``unknown_words.tsv``.

    Args:
        folder: The set.
        found: What is unknown.
        largest_share: Largest share of unknown tokens that is accepted.

    Returns:
        The share in words.

    Raises:
        ValueError: More tokens are unknown than are accepted.
    """
    (folder / TABLE).unlink(missing_ok=True)
    if found.words:
        write_rows(folder / TABLE, ("word", "times"), found.words.items())
    examples = ", ".join(f"'{word}'" for word in list(found.words)[:3])
    text = (
        f"{found.unknown} of {found.tokens} tokens ({100 * found.share:.2f} %) are "
        "<unk>"
    )
    if found.words:
        text += f", e.g. of {examples} ({folder / TABLE})"
    if found.share > largest_share:
        raise ValueError(
            f"{folder}: {text}; at most {100 * largest_share:g} % are accepted. Choose "
            "a recognizer of this language, or a --normalizer that writes what it "
            "knows; --max_unknown accepts more"
        )
    return text
