"""Measure F0 of every utterance of data directories once, for the unit vocoder.

Enters: ``wav.scp``. Leaves: ``pitch.ark`` and ``pitch.scp``, one float vector (P,) an
utterance, Hz every 10 ms, 0 where unvoiced. A complete ``pitch.scp`` is kept.

Example:
    python -m espnet2_taste.bin.extract_pitch --nj 2 \\
        --data_dir dump/raw/train dump/raw/dev
"""

import argparse
import contextlib
import multiprocessing
import os
from pathlib import Path

from espnet2_taste.bin.command import run_command
from espnet2_taste.data.kaldi_dir import read_table


def get_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data_dir", required=True, nargs="+", help="Directories with wav.scp."
    )
    parser.add_argument("--fmin", type=float, default=60.0, help="Lowest F0, Hz.")
    parser.add_argument("--fmax", type=float, default=500.0, help="Highest F0, Hz.")
    parser.add_argument("--nj", type=int, default=1, help="Processes.")
    return parser


def read_ids(path: Path) -> list[str]:
    """First fields of a Kaldi file, [] when it does not exist."""
    if not path.is_file():
        return []
    return list(read_table(path))


def measure(job: tuple[str, str, float, float]) -> tuple:
    """F0 of one utterance.

    Args:
        job: Utterance id, path of its audio, lowest and highest F0.

    Returns:
        The id and F0 in Hz every 10 ms, (P,) float32.

    Raises:
        ValueError: The audio cannot be read.
    """
    from espnet2_taste.data.audio import read_audio
    from espnet2_taste.metrics.pitch import track_pitch

    utterance, path, fmin, fmax = job
    try:
        speech, rate = read_audio(path)
    except ValueError as error:
        raise ValueError(
            f"utterance {utterance}: {error}; run stage 2 again"
        ) from error
    return utterance, track_pitch(speech, rate, fmin=fmin, fmax=fmax).astype("float32")


def extract(data_dir: Path, fmin: float, fmax: float, pool) -> int:
    """Write ``pitch.ark`` and, last, ``pitch.scp``.

    Args:
        data_dir: Directory with wav.scp.
        fmin: Lowest F0, Hz.
        fmax: Highest F0, Hz.
        pool: Processes, or None.

    Returns:
        Utterances measured, 0 when the result was already there.

    Raises:
        RuntimeError: There is no wav.scp, or audio cannot be read.
    """
    import kaldiio
    import tqdm

    if not (data_dir / "wav.scp").is_file():
        raise RuntimeError(f"{data_dir / 'wav.scp'} is missing; run stage 2 first")
    entries = list(read_table(data_dir / "wav.scp").items())
    done = data_dir / "pitch.scp"
    if read_ids(done) == [utterance for utterance, _ in entries]:
        return 0
    jobs = [(utterance, path, fmin, fmax) for utterance, path in entries]
    results = pool.imap(measure, jobs, chunksize=16) if pool else map(measure, jobs)
    part = data_dir / "pitch.scp.part"
    with kaldiio.WriteHelper(f"ark,scp:{data_dir / 'pitch.ark'},{part}") as writer:
        for utterance, pitch in tqdm.tqdm(results, total=len(jobs), desc="pitch"):
            writer(utterance, pitch)
    os.replace(part, done)
    return len(jobs)


def run(args: argparse.Namespace) -> None:
    """Measure the folders that lack F0."""
    with contextlib.ExitStack() as stack:
        pool = None
        if args.nj > 1:
            spawn = multiprocessing.get_context("spawn")
            pool = stack.enter_context(spawn.Pool(args.nj))
        for folder in map(Path, args.data_dir):
            count = extract(folder, args.fmin, args.fmax, pool)
            print(f"{folder / 'pitch.scp'}: {count or 'nothing new'} measured")


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
