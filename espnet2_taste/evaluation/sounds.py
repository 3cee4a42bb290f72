"""The sounds of a recipe on one page that any browser opens: ``exp/listen.html``.

Enters: the folders that stages 9, 10 and 12 wrote (resynthesis, swaps, continuations).
Leaves: HTML with a table for each of them: some utterances, an audio control for each
recording, and the words. The page links to the recordings where they lie.
"""

import html
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from espnet2_taste.data.audio import as_file
from espnet2_taste.data.ctm import read_rows
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.experiment_files import current

HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Recordings</title>
<style>
body { font: 1rem/1.4 sans-serif; margin: 2rem; }
td, th { padding: .3rem .8rem; text-align: left; vertical-align: top; }
th { border-bottom: 1px solid; }
audio { width: 16rem; }
</style>
</head>
<body>
<h1>Recordings</h1>
"""


@dataclass(frozen=True)
class SoundTable:
    """Recordings of the same utterances, side by side.

    Attributes:
        title: What is compared.
        columns: Folder with ``wav.scp`` by the title of its column.
        texts: Words of each utterance, as its row shows them.
    """

    title: str
    columns: Mapping[str, Path]
    texts: Mapping[str, str]

    def rows(self, count: int) -> list[tuple[str, dict[str, str]]]:
        """Utterances that every column has, evenly drawn, and their recordings.

        Args:
            count: Most utterances.

        Returns:
            Id, and recording by column.
        """
        tables = {
            title: read_table(folder / "wav.scp")
            for title, folder in self.columns.items()
        }
        names = sorted(set.intersection(*(set(table) for table in tables.values())))
        step = max(1, len(names) // count)
        return [
            (name, {title: table[name] for title, table in tables.items()})
            for name in names[::step][:count]
        ]


def find_tables(expdir: Path, dump_dir: Path) -> list[SoundTable]:
    """Everything that can be listened to.

    Args:
        expdir: Where the experiments are.
        dump_dir: Where the sets are.

    Returns:
        Tables in the order of the stages.
    """
    tables = []
    spoken = current(expdir.glob("*/resynthesis/*/wav.scp"), expdir)
    for name in sorted({path.parent.name for path in spoken}):
        original = dump_dir / name
        columns = {"original": original} if (original / "wav.scp").is_file() else {}
        columns |= {p.parts[-4]: p.parent for p in spoken if p.parent.name == name}
        tables.append(SoundTable(f"Resynthesis of {name}", columns, texts_of(original)))
    for path in current(expdir.glob("*/swap*/swapped/wav.scp"), expdir):
        study = path.parents[1]
        columns = {"own codes": study / "own", "codes exchanged": path.parent}
        texts = mark_swaps(study / "words.tsv")
        tables.append(SoundTable(f"{path.parts[-4]}: {study.name}", columns, texts))
    for path in current(expdir.glob("*/continuation/*/full/wav.scp"), expdir):
        folder, design = path.parents[1], path.parts[-5]
        columns = {"prompt": folder / "prompt", "with continuation": path.parent}
        texts = {
            name: f"{texts_of(folder / 'prompt').get(name, '')} … {text}"
            for name, text in texts_of(folder).items()
        }
        tables.append(SoundTable(f"{design}: {folder.name} continued", columns, texts))
    return tables


def texts_of(folder: Path) -> dict[str, str]:
    """Words of each utterance of a folder, empty without ``text``."""
    path = folder / "text"
    return read_table(path) if path.is_file() else {}


def mark_swaps(path: Path) -> dict[str, str]:
    """Words of each reading, those whose codes were exchanged in brackets."""
    texts: dict[str, list[str]] = {}
    for row in read_rows(path):
        word = f"[{row['word']}]" if row["swapped"] == "1" else row["word"]
        texts.setdefault(row["utt"], []).append(word)
    return {name: " ".join(words) for name, words in texts.items()}


def write_page(path: Path, tables: Iterable[SoundTable], count: int = 5) -> None:
    """Write the page.

    Args:
        path: The HTML file; recordings are linked relative to it.
        tables: What is shown; a table without a common utterance is left out.
        count: Utterances of each table.
    """
    parts = [HEAD]
    for table in tables:
        rows = table.rows(count)
        if not rows:
            continue
        header = ["utterance", *map(html.escape, table.columns), "words"]
        parts.append(f"<h2>{html.escape(table.title)}</h2>\n<table>")
        parts.append(_cells("th", header))
        parts += [_row(table, name, sounds, path.parent) for name, sounds in rows]
        parts.append("</table>")
    parts.append("</body>\n</html>\n")
    path.write_text("\n".join(parts), encoding="utf-8")


def _row(table: SoundTable, name: str, sounds: Mapping[str, str], folder: Path) -> str:
    """One utterance."""
    controls = []
    for title, sound in sounds.items():
        label = html.escape(f"{name}, {title}")
        file = as_file(sound, folder / "listen" / title / f"{name}.wav")
        link = html.escape(quote(os.path.relpath(file, folder)))
        controls.append(
            f'<audio controls preload="none" aria-label="{label}" src="{link}"></audio>'
        )
    text = html.escape(table.texts.get(name, ""))
    return _cells("td", [html.escape(name), *controls, text])


def _cells(tag: str, cells: Sequence[str]) -> str:
    """A row of a table."""
    return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"
