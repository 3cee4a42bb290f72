"""Measure F0 of every utterance of sets once, for the unit vocoder (stage 8).

Enters: ``wav.scp``. Leaves: ``pitch.ark`` and ``pitch.scp``, one float vector (P,) an
utterance, Hz every 10 ms, 0 where unvoiced. A complete ``pitch.scp`` is kept.
"""

import argparse
import os
from pathlib import Path

from espnet2_taste.bin.command import run_command
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.data.parts import (
    add_parts_argument,
    find_parts,
    join_parts,
    set_names,
)

_EXAMPLE = """example:
  python -m espnet2_taste.bin.extract_pitch --dump_dir dump/raw --sets "train dev"
"""


def get_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        description="Measure F0 of every utterance of sets",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--dump_dir", type=Path, default="dump/raw", help="Where the sets are")
    add("--sets", type=set_names, required=True, help="Names of sets, one string")
    add_parts_argument(parser)
    add("--fmin", type=float, default=60.0, help="Lowest F0, Hz.")
    add("--fmax", type=float, default=500.0, help="Highest F0, Hz.")
    return parser


def is_done(folder: Path) -> bool:
    """Whether F0 of exactly the utterances of a set is there.

    Raises:
        ValueError: There is no ``wav.scp``.
    """
    if not (folder / "wav.scp").is_file():
        raise ValueError(f"{folder / 'wav.scp'} is missing; run stage 2 first")
    done = folder / "pitch.scp"
    return done.is_file() and list(read_table(done)) == list(
        read_table(folder / "wav.scp")
    )


def extract(folder: Path, fmin: float, fmax: float) -> int:
    """Write ``pitch.ark`` and, last, ``pitch.scp``.

    Args:
        folder: Set with wav.scp.
        fmin: Lowest F0, Hz.
        fmax: Highest F0, Hz.

    Returns:
        Utterances measured.

    Raises:
        ValueError: Audio cannot be read.
    """
    import kaldiio
    import tqdm

    from espnet2_taste.data.audio import read_audio
    from espnet2_taste.metrics.pitch import track_pitch

    wavs, part = read_table(folder / "wav.scp"), folder / "pitch.scp.part"
    with kaldiio.WriteHelper(f"ark,scp:{folder / 'pitch.ark'},{part}") as writer:
        for utterance, path in tqdm.tqdm(wavs.items(), desc="pitch"):
            try:
                speech, rate = read_audio(path)
            except ValueError as error:
                raise ValueError(
                    f"utterance {utterance}: {error}; run stage 2 again"
                ) from error
            pitch = track_pitch(speech, rate, fmin=fmin, fmax=fmax)
            writer(utterance, pitch.astype("float32"))
    os.replace(part, folder / "pitch.scp")
    return len(wavs)


def run(args: argparse.Namespace) -> None:
    """Measure the sets that lack F0."""
    from espnet2_taste.data.set_loop import finish_sets

    def work(_, folder: Path) -> str:
        if args.parts_dir:
            parts = find_parts(args.parts_dir, folder.name)
            join_parts(parts, folder, ["pitch.scp"])
            return f"F0 of {len(parts)} parts joined"
        return f"F0 of {extract(folder, args.fmin, args.fmax)} utterances"

    folders = [args.dump_dir / name for name in args.sets.split()]
    finish_sets("extract_pitch", folders, is_done, lambda: None, work)


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
