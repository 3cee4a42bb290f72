"""Lengths of a training's utterances, without its network: ESPnet's shape files.

Enters: the tables that a training reads, each named as ESPnet's ``--*_data_path_and_
name_and_type`` does (``path,name,type``). Leaves: the number of samples or tokens of
each utterance, for ESPnet's batch samplers (``<name>_shape``), after a check that all
tables speak of the same utterances.

``collect_stats`` of an ESPnet task finds the same numbers by running every utterance
through the model, and statistics of features that no model here needs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet2_taste.data.arks import ArkTable
from espnet2_taste.data.kaldi_dir import read_table

NUM_SAMPLES = "utt2num_samples"


@dataclass(frozen=True)
class DataTable:
    """One table of a training.

    Attributes:
        path: File with one line an utterance.
        name: What the model calls it.
        type: ESPnet's type, for example ``sound`` or ``text``.
    """

    path: Path
    name: str
    type: str

    @classmethod
    def parse(cls, triple: str) -> "DataTable":
        """Read ``path,name,type``.

        Raises:
            ValueError: It has another form.
        """
        parts = triple.rsplit(",", 2)
        if len(parts) != 3:
            raise ValueError(f"expected 'path,name,type', found '{triple}'")
        return cls(Path(parts[0]), parts[1], parts[2])


def measure_lengths(
    tables: Sequence[DataTable], name: str, count_tokens: Callable[[str], int]
) -> dict[str, int]:
    """Length of each utterance of a training in one of its tables.

    Args:
        tables: All tables that the training reads.
        name: The one that is measured, of type ``sound``, ``text`` or ``kaldi_ark``.
        count_tokens: Number of tokens of a transcript.

    Returns:
        Samples (``sound``), tokens (``text``) or rows (``kaldi_ark``) by utterance.

    Raises:
        ValueError: There is no such table, it cannot be measured, is empty, or the
            tables speak of different utterances.
    """
    content = {table.name: read_table(table.path) for table in tables}
    chosen = next((table for table in tables if table.name == name), None)
    measures = {
        "sound": lambda: _samples(chosen.path, content[name]),
        "text": lambda: {k: count_tokens(v) for k, v in content[name].items()},
        "kaldi_ark": lambda: _rows(chosen.path, content[name]),
    }
    if chosen is None or chosen.type not in measures:
        raise ValueError(
            f"--shape {name}: expected a table of type {', '.join(measures)}, found "
            + (f"'{chosen.type}'" if chosen else "none of this name")
        )
    if not content[name]:
        raise ValueError(f"{chosen.path}: no utterances; run the stage that makes it")
    for table in tables:
        _check_same(chosen.path, content[name], table.path, content[table.name])
    return measures[chosen.type]()


def _check_same(path: Path, ids: dict, other_path: Path, others: dict) -> None:
    """Refuse tables over different utterances."""
    different = sorted(ids.keys() ^ others.keys())
    if different:
        raise ValueError(
            f"{path} and {other_path} differ at '{different[0]}' ({len(different)} "
            f"utterances in all, {len(ids)} and {len(others)} lines); expected the "
            "same ids in both: repeat the stage that makes the shorter one"
        )


def _rows(scp: Path, entries: dict[str, str]) -> dict[str, int]:
    """Rows of each array, from the headers; of recordings in arks, their samples."""
    if scp.name == "wav.scp":
        return _samples(scp, entries)
    table = ArkTable(scp)
    return {name: table.length(name) for name in table}


def _samples(wav_scp: Path, wavs: dict[str, str]) -> dict[str, int]:
    """Samples of each recording, from the table of stage 2 or the files' headers."""
    table = wav_scp.with_name(NUM_SAMPLES)
    known = read_table(table) if table.is_file() else {}
    if known.keys() == wavs.keys():
        return {name: int(known[name]) for name in wavs}
    from espnet2_taste.data.audio import read_header

    try:
        return {name: read_header(path).frames for name, path in wavs.items()}
    except ValueError as error:
        raise ValueError(f"{wav_scp}: {error}; run stage 2 again") from error
