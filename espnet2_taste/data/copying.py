"""Sets of any folder as sets of a recipe: tables that hold from anywhere.

Enters: a Kaldi-style set. Leaves: a copy of its tables; audio stays where it is.
"""

from pathlib import Path

from espnet2_taste.data import checks, finished, formatting, kaldi_dir, recordings
from espnet2_taste.data.recordings import find_recording, is_command

_RECORD = "copy.json"


def _hold_anywhere(entry: str, source: Path) -> str:
    """An entry of ``wav.scp`` that holds from any folder; unknown ones stay."""
    found = find_recording(entry, source)
    if found is None or is_command(found):
        return found or entry
    return str(Path(found).absolute())


def copy_set(source: Path, target: Path) -> bool:
    """Copy the tables of one set, unless that is done.

    Args:
        source: The set's folder.
        target: The folder to make.

    Returns:
        Whether anything was written.

    Raises:
        ValueError: The set is missing or malformed.
    """
    if not source.is_dir():
        there = sorted(path.parent.name for path in source.parent.glob("*/wav.scp"))
        raise ValueError(
            f"{source}: no such set; {source.parent} holds: {' '.join(there) or 'none'}"
        )
    files = [source / name for name in formatting.SOURCE_TABLES]
    record = {"tables": finished.digest(files, contents=True)}
    if finished.is_finished(target, _RECORD, record):
        return False
    tables, segments = recordings.read_set(source)
    for name in (*tables.wav, *tables.text):
        checks.check_name(name)
    folder = finished.start_folder(target, _RECORD, record)
    wav = {name: _hold_anywhere(entry, source) for name, entry in tables.wav.items()}
    kaldi_dir.write_table(folder / "wav.scp", wav)
    kaldi_dir.write_table(folder / "text", tables.text)
    kaldi_dir.write_table(folder / "utt2spk", tables.utt2spk)
    spk2utt = kaldi_dir.speakers_to_utterances(tables.utt2spk)
    kaldi_dir.write_table(folder / "spk2utt", spk2utt)
    formatting.copy_study_tables(source, folder, set())
    if segments.times:  # wav.scp names the recording of each utterance now
        lines = {name: f"{name} {a} {b}" for name, (a, b) in segments.times.items()}
        lines |= dict.fromkeys(segments.dropped, "")
        kaldi_dir.write_table(folder / "segments", lines)
    finished.finish_folder(folder, target)
    return True
