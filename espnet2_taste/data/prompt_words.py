"""How many words of each utterance of a set are its prompt.

Enters: a set, perhaps with the table ``prompt_words`` (``utt``, ``n_words``). Leaves:
numbers of words by utterance id.
"""

from pathlib import Path

from espnet2_taste.data.ctm import read_rows

TABLE = "prompt_words"


def read_prompt_words(folder: Path) -> dict[str, int] | None:
    """Words of each prompt; the table also says which utterances are prompts.

    Args:
        folder: The set.

    Returns:
        By utterance id; None if the set has no such table.
    """
    if not (folder / TABLE).is_file():
        return None
    rows = read_rows(folder / TABLE, {"utt": str, "n_words": int})
    return {row["utt"]: row["n_words"] for row in rows}
