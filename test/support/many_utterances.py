"""A set of many utterances of tiny audio, hard links to a few files of gliding tones.

Enters: a folder, a number and, for word times, the word "ctm". Leaves: ``many`` and
``few`` (100 utterances) as Kaldi-style sets, to measure time and memory of the data
stages.

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
from espnet2_taste.data.ctm import write_ctm
from espnet2_taste.data.kaldi_dir import KaldiDir, write_kaldi_dir
from espnet2_taste.structures import WordTiming

RATE, SECONDS, TONES = 16000, 0.4, 40
WORDS = "one two three four five six seven eight nine ten red blue dog cat".split()
LINKS = 30000
"""Links to a file; file systems allow no more than 65,000."""


def write_tone(path: Path, number: int) -> None:
    """Write a tone that glides by a third of its F0, up or down."""
    places = np.arange(int(RATE * SECONDS)) / RATE
    f0 = (90 + 4 * number) * (1 + (-1) ** number * places / 3)
    phase = 2 * np.pi * np.cumsum(f0) / RATE
    tone = 0.1 * sum(np.sin(k * phase) / k for k in (1, 2, 3))
    write_audio(path, tone.astype(np.float32), RATE)


def write_set(folder: Path, count: int, audio: Path, timed: bool) -> None:
    """Write a set with links in folders of 1000, with word times if asked for."""
    rng, first = np.random.default_rng(0), {}
    tables, times = KaldiDir({}, {}, {}), {}
    for number in range(count):
        name = f"utt{number:08d}"
        path = audio / f"{number // 1000:05d}" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        tone = (number % TONES, number // (TONES * LINKS))
        if tone not in first:
            first[tone] = path
            write_tone(path, tone[0])
        elif not path.exists():
            os.link(first[tone], path)
        words = rng.choice(WORDS, size=6)
        tables.wav[name], tables.utt2spk[name] = str(path), name[:6]
        tables.text[name] = " ".join(words)
        times[name] = [WordTiming(w, i / 15, 1 / 15) for i, w in enumerate(words)]
    write_kaldi_dir(folder, tables)
    if timed:
        write_ctm(folder / "ctm", times)


if __name__ == "__main__":
    root = Path(sys.argv[1]).absolute()
    for name, count in (("many", int(sys.argv[2])), ("few", 100)):
        write_set(root / name, count, root / "audio" / name, "ctm" in sys.argv)
