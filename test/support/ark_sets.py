"""Sets whose audio lies in an ark, for tests of what reads audio."""

from pathlib import Path

from espnet2_taste.data.audio import read_audio
from espnet2_taste.data.kaldi_dir import read_table, write_table
from espnet2_taste.data.recording_writer import RecordingWriter


def pack_audio(folder: Path) -> None:
    """Put the recordings of a set into ``audio.ark``, and remove their files.

    Args:
        folder: With ``wav.scp``.
    """
    wavs = read_table(folder / "wav.scp")
    audio = {name: read_audio(path) for name, path in wavs.items()}
    (rate,) = {rate for _, rate in audio.values()}
    with RecordingWriter(folder, rate, "wav.ark") as write:
        entries = {name: write(name, speech) for name, (speech, _) in audio.items()}
    write_table(folder / "wav.scp", entries)
    for path in wavs.values():
        Path(path).unlink()
