"""A study of two systems and a reference over three utterances, 0.2 s each."""

import numpy as np
import pytest

from espnet2_taste.data.audio import write_audio
from espnet2_taste.data.kaldi_dir import write_table

SYSTEMS = {"good": 300, "bad": 200, "reference": 400, "context": 150}


@pytest.fixture
def systems(tmp_path):
    """Folders with ``wav.scp``; every system hums at another pitch."""
    time = np.arange(3200) / 16000
    folders = {}
    for system, pitch in SYSTEMS.items():
        folders[system] = tmp_path / "systems" / system
        folders[system].mkdir(parents=True)
        wavs = {
            name: str(folders[system] / f"{name}.wav") for name in ("u1", "u2", "u3")
        }
        for path in wavs.values():
            write_audio(path, 0.5 * np.sin(2 * np.pi * pitch * time), 16000)
        write_table(folders[system] / "wav.scp", wavs)
    return folders
