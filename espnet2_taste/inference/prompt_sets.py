"""Prompts of several kinds, and those of a recipe's sets.

Enters: a set's folder and its codes. Leaves: what is to be continued, who speaks, and
which parts of the result are written. Heavy packages are imported where they are used,
so that a command can list the kinds at once.

Legend: E speaker features.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.data.prompt_words import TABLE, read_prompt_words
from espnet2_taste.data.spoken_sets import read_spoken_words

CONTINUATION = "."
"""Folder of the continuations alone."""
PROMPT_KINDS: dict[str, tuple[str, ...]] = {
    "audio": ("prompt", "full", CONTINUATION),
    "text": (CONTINUATION,),
    "unconditional": (CONTINUATION,),
    "instruct": ("prompt", CONTINUATION),
}
"""Folders of the results; the continuations come last, to mark the set as done."""
AUDIO_WORDS = 4
"""First words of an utterance that are its prompt unless something else is said."""


def add_prompt_arguments(
    parser: argparse.ArgumentParser,
    written: str = "lines of the set's text",
    count: Callable[[str], int] = int,
) -> None:
    """Add the kind of prompts and what some kinds need.

    Args:
        parser: Gets the options.
        written: Where written words come from.
        count: Type of ``--num_samples``.
    """
    add = parser.add_argument
    add(
        "--prompt_kind",
        choices=list(PROMPT_KINDS),
        default="audio",
        help=f"audio: spoken words; text: {written}; unconditional: nothing; instruct: "
        "spoken turns that are answered",
    )
    add("--num_samples", type=count, default=8, help="Of --prompt_kind unconditional")
    add(
        "--turn_frame",
        nargs=2,
        metavar=("BEFORE", "AFTER"),
        help="Text around a turn of --prompt_kind instruct (default: the chat template "
        "of the text LM's tokenizer)",
    )


def prompt_specs(
    kind: str, items: Mapping[str, Any], frame: Sequence[str] | None
) -> dict:
    """What is continued.

    Args:
        kind: One of ``PROMPT_KINDS``.
        items: ``WordCodes``, or texts, by utterance id.
        frame: See ``SpokenTurn``.

    Returns:
        ``PromptSpec`` by utterance id.
    """
    from espnet2_taste.slm import prompt_specs as specs

    make = {
        "audio": specs.SpokenPrompt,
        "text": lambda text: specs.WrittenPrompt(tuple(text.split())),
        "unconditional": lambda _: specs.EmptyPrompt(),
        "instruct": partial(specs.SpokenTurn, frame=tuple(frame) if frame else None),
    }[kind]
    return {name: make(item) for name, item in items.items()}


def sample_names(count: int) -> dict[str, str]:
    """Utterances without a prompt: empty texts by utterance id."""
    return {f"sample{index:04d}": "" for index in range(count)}


class PromptSet:
    """Reads prompts of one kind.

    Args:
        kind: audio: first words of the utterances, as they were spoken; text: written
            words of the table ``text``; unconditional: nothing, some times, as the set
            only lends its speakers; instruct: utterances as turns of a dialogue, whose
            continuations are the answers.
        words: First words of an utterance that are its prompt, where the set has no
            table ``prompt_words``; None for ``AUDIO_WORDS`` or all, 0 for all.
        num_samples: Prompts of a kind that needs no utterances.
        frame: See ``SpokenTurn``.
    """

    def __init__(
        self,
        kind: str,
        words: int | None = None,
        num_samples: int = 8,
        frame: Sequence[str] | None = None,
    ):
        default = AUDIO_WORDS if kind == "audio" else 0
        self.kind, self.folders = kind, PROMPT_KINDS[kind]
        self.words = default if words is None else words
        self.num_samples = num_samples
        self.frame = frame

    def read(self, folder: Path, codes_dir: Path) -> dict:
        """Prompts of a set.

        Args:
            folder: The set.
            codes_dir: Its codes.

        Returns:
            ``PromptSpec`` by utterance id.

        Raises:
            ValueError: A file is missing, or a prompt is longer than its utterance.
        """
        if self.kind == "unconditional":
            return prompt_specs(self.kind, sample_names(self.num_samples), None)
        written = self.kind == "text"
        items = read_table(folder / "text") if written else read_spoken_words(codes_dir)
        return cut(prompt_specs(self.kind, items, self.frame), folder, self.words)

    def voices(self, folder: Path, names: Sequence[str]) -> Mapping:
        """Speaker embeddings (E,) by utterance id.

        They are the utterances' own; what nobody spoke gets those of the set in turn.

        Args:
            folder: The set.
            names: Utterance ids.
        """
        from espnet2_taste.inference.resynthesis import read_spembs

        table = read_spembs(folder)
        spoken = self.kind in ("audio", "instruct")
        return table if spoken else voices_in_turn(table, names)

    def parts(self, given: Sequence, added: Sequence) -> list[Sequence]:
        """What is spoken into each of :attr:`folders`.

        Args:
            given: Beginnings.
            added: Their continuations, ``WordCodes``.

        Returns:
            ``WordCodes`` of each folder.
        """
        if self.folders == (CONTINUATION,):
            return [added]
        spoken = [item.spoken for item in given]
        whole = [before + after for before, after in zip(spoken, added)]
        parts = {"prompt": spoken, "full": whole, CONTINUATION: added}
        return [parts[folder] for folder in self.folders]


def voices_in_turn(table: Mapping, names: Sequence[str]) -> dict:
    """Give every utterance a voice.

    Args:
        table: Speaker embeddings (E,) by utterance id, at least one.
        names: Utterance ids; those that the table lacks get its voices in turn.

    Returns:
        (E,) by utterance id.
    """
    known = sorted(table)
    others = [name for name in names if name not in table]
    chosen = dict(zip(others, cycle(known)))
    return {name: table[chosen.get(name, name)] for name in names}


def cut(items: dict, folder: Path, words: int) -> dict:
    """Leave the first words of utterances.

    Args:
        items: By utterance id, each with ``words`` and ``first``.
        folder: The set, perhaps with the table ``prompt_words`` (``utt``,
            ``n_words``), which also says which utterances are prompts.
        words: Words of a prompt without that table, 0 for all.

    Returns:
        The beginnings, of the same class, by utterance id.

    Raises:
        ValueError: A prompt is longer than its utterance, or unknown.
    """
    counts = read_prompt_words(folder)
    if counts is None:
        return {
            name: item.first(min(words, len(item.words))) if words else item
            for name, item in items.items()
        }
    prompts = {}
    for name, count in counts.items():
        found = len(items[name].words) if name in items else 0
        if not 1 <= count <= found:
            raise ValueError(
                f"{folder / TABLE}: '{name}' asks for {count} words, expected 1 to "
                f"{found}, as it has; correct the table or tokenize the set (stage 9)"
            )
        prompts[name] = items[name].first(count)
    return prompts
