"""The same work on several sets: what is finished is kept, the network loaded once.

Enters: folders, and functions that say whether one is finished, load what the work
needs, and do it, or join what jobs did. Leaves: every folder finished, one line a
folder on the screen.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from espnet2_taste.data.parts import find_parts

Tool = TypeVar("Tool")


def finish_sets(
    command: str,
    folders: Iterable[Path],
    is_done: Callable[[Path], bool],
    load: Callable[[], Tool],
    work: Callable[[Tool, Path], str],
    parts_dir: Path | None = None,
    join: Callable[[Sequence[Path], Path], str] | None = None,
) -> None:
    """Do the work on every folder that is not finished, or join what jobs did.

    Args:
        command: Name for the message that all is done.
        folders: Where each set is, or its results.
        is_done: Whether a folder is finished.
        load: Gives what the work needs; called once, and only if there is work.
        work: Does it and says in a few words what was done.
        parts_dir: Where jobs did the work on parts of the sets; None: do it here.
        join: Makes a folder of what is in its parts, in order, and says likewise; for
            work that is done by jobs.

    Raises:
        ValueError: A set has no parts there.
    """
    waiting = [folder for folder in folders if not is_done(folder)]
    if not waiting:
        print(f"{command}: all sets are done")
        return
    tool = load() if parts_dir is None else None
    for folder in waiting:
        if parts_dir is None:
            done = work(tool, folder)
        else:
            done = join(find_parts(parts_dir, folder.name), folder)
        print(f"{folder}: {done}")


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
