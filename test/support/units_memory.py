"""What a training process holds of units: read by utterance, and as text.

Enters: how many utterances of 500 units. Leaves: growth of the resident memory in MiB,
of new processes that read every seventh utterance as ESPnet's trainings do.

Example:
    python test/support/units_memory.py 20000
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

TABLES = {"units.scp": "kaldi_ark", "units": "text_int"}


def write_units(folder: Path, count: int) -> None:
    """Write the same units as an ark with its table and as text."""
    from espnet2_taste.data.arks import write_numbers
    from espnet2_taste.data.kaldi_dir import write_table

    rng = np.random.default_rng(0)
    drawn = (rng.integers(0, 4096, 500) for _ in range(count))
    rows = {f"utt{n:08d}": " ".join(map(str, row)) for n, row in enumerate(drawn)}
    write_table(folder / "units", rows)
    write_numbers(folder, "units", rows, np.int32)


def resident_mib() -> float:
    """Resident memory of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(x.split()[1]) / 1024 for x in lines if x.startswith("VmRSS"))


def read_units(folder: Path, table: str, count: int) -> float:
    """Read every seventh utterance; growth of the memory in MiB."""
    from espnet2.train.dataset import ESPnetDataset

    before = resident_mib()
    dataset = ESPnetDataset([(str(folder / table), "units", TABLES[table])])
    for number in range(0, count, 7):
        dataset[f"utt{number:08d}"]
    return resident_mib() - before


if __name__ == "__main__":
    if len(sys.argv) == 4:
        print(f"{read_units(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])):.1f}")
    else:
        with tempfile.TemporaryDirectory() as root:
            write_units(Path(root), int(sys.argv[1]))
            for name in TABLES:
                command = [sys.executable, __file__, root, name, sys.argv[1]]
                print(name, subprocess.check_output(command, text=True).strip(), "MiB")
