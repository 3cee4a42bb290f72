"""The pictures of a recipe, on the page of its results.

Enters: PNG files below ``images`` folders. Leaves: Markdown that shows them, each kind
with what it means; links of a page for another place.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

CAPTIONS = {
    "attention": "Where each subword (rows) looks in the recording (columns): mean "
    "weight over the aggregator's blocks and heads; lines are word boundaries.",
    "durations": "Seconds of each word, original against rendition. Values beyond the "
    "axes are counted in the title.",
    "f0_tracks": "F0 of one utterance in every rendition; single frames beyond the "
    "axes, mostly octave errors, are not shown.",
    "f0": "Mean F0 of each word in Hz, original against rendition; r within speakers.",
    "swap": "Milliseconds of each word before and after codes change places. Orange: "
    "codes exchanged. Hatched: kept its codes, and yet changed by more than a quarter. "
    "The unit decoder writes each unit after those of the words before, which "
    "the swap changes, and a boundary that the aligner moves changes both neighbours.",
    "designs": "Mean of each design over seeds; lines from the least to the most.",
    "losses": "Losses by part, training and validation.",
}
"""What a picture shows, by the beginning of its file name."""


def picture_section(pictures: Iterable[Path], page: Path) -> str:
    """Show pictures.

    Args:
        pictures: PNG files.
        page: Folder of the page, which the links begin at.

    Returns:
        Markdown, empty without pictures.
    """
    parts = []
    for kind, caption in CAPTIONS.items():
        found = [path for path in pictures if kind_of(path) == kind]
        if found:
            parts += [f"### {kind.replace('_', ' ')}", caption]
        for path in found:
            owner = os.path.relpath(path.parents[1], page)
            link = os.path.relpath(path, page)
            title = path.stem.replace("_", " ")
            parts.append(f"`{owner}`, {title}:\n\n![{title}]({link})")
    return "\n\n".join(["\n## Pictures", *parts]) + "\n" if parts else ""


def kind_of(picture: Path) -> str | None:
    """Which of ``CAPTIONS`` a picture belongs to; the first that fits."""
    return next((kind for kind in CAPTIONS if picture.stem.startswith(kind)), None)


def pictures_of(page: str) -> list[str]:
    """Links of the pictures that a page, Markdown, shows."""
    return re.findall(r"!\[[^]]*\]\(([^)]+)\)", page)


def with_links(page: str, places: Mapping[str, str]) -> str:
    """A page whose pictures lie elsewhere.

    Args:
        page: Markdown.
        places: Link on the page -> link that holds now.
    """
    for link, place in places.items():
        page = page.replace(f"]({link})", f"]({place})")
    return page
