"""The same work on several sets: what is finished is kept, the network loaded once.

Enters: folders, and functions that say whether one is finished, load what the work
needs, and do it. Leaves: every folder finished, one line a folder on the screen.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

Tool = TypeVar("Tool")


def finish_sets(
    command: str,
    folders: Iterable[Path],
    is_done: Callable[[Path], bool],
    load: Callable[[], Tool],
    work: Callable[[Tool, Path], str],
) -> None:
    """Do the work on every folder that is not finished.

    Args:
        command: Name for the message that all is done.
        folders: Where each set is, or its results.
        is_done: Whether a folder is finished.
        load: Gives what the work needs; called once, and only if there is work.
        work: Does it and says in a few words what was done.
    """
    waiting = [folder for folder in folders if not is_done(folder)]
    if not waiting:
        print(f"{command}: all sets are done")
        return
    tool = load()
    for folder in waiting:
        print(f"{folder}: {work(tool, folder)}")


def length_batches(items: Mapping[str, Any], size: int) -> list[list[str]]:
    """Group utterances of similar length.

    Args:
        items: With ``words``, or fields with ``text``, by utterance id.
        size: Most utterances in a batch.

    Returns:
        Batches of ids; every id once.
    """

    def length(name: str) -> int:
        item = items[name]
        return len(item["text"] if isinstance(item, Mapping) else item.words)

    order = sorted(items, key=lambda name: (-length(name), name))
    return [order[start : start + size] for start in range(0, len(order), size)]
