"""A set of many utterances of tiny audio, hard links to a few files of a tone.

Enters: a folder and a number. Leaves: ``many`` and ``few`` (100 utterances) as
Kaldi-style sets, to measure time and memory of the data stages.

Example:
    python test/support/many_utterances.py /tmp/corpus 10000
    cd egs2/mini_an4/taslm1 && ./run.sh --data_dir /tmp/corpus --train_set many \\
        --valid_set few --test_sets few --stop_stage 3
"""

import os
import sys
from pathlib import Path

import numpy as np

from espnet2_taste.data.audio import write_audio
from espnet2_taste.data.kaldi_dir import KaldiDir, write_kaldi_dir

RATE, SECONDS = 16000, 0.4
WORDS = "one two three four five six seven eight nine ten red blue dog cat".split()
LINKS = 30000
"""Links to a file; file systems allow no more than 65,000."""


def write_set(folder: Path, count: int, audio: Path) -> None:
    """Write a set with links in folders of 1000."""
    rng, wav, text = np.random.default_rng(0), {}, {}
    for number in range(count):
        name = f"utt{number:08d}"
        path = audio / f"{number // 1000:05d}" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % LINKS == 0:
            first = path
            tone = 0.1 * np.sin(0.08 * np.arange(int(RATE * SECONDS)))
            write_audio(first, tone.astype(np.float32), RATE)
        elif not path.exists():
            os.link(first, path)
        wav[name] = str(path)
        text[name] = " ".join(rng.choice(WORDS, size=6))
    write_kaldi_dir(folder, KaldiDir(wav, text, {name: name[:6] for name in wav}))


if __name__ == "__main__":
    root = Path(sys.argv[1]).absolute()
    for name, count in (("many", int(sys.argv[2])), ("few", 100)):
        write_set(root / name, count, root / "audio" / name)
