"""Write the speech units and speaker embeddings of sets (stage 5).

Enters: a unit directory and sets with ``wav.scp``. Leaves in each set: ``units`` (one
line an utterance, ESPnet's ``text_int``) and ``spembs.ark``/``spembs.scp`` (one vector
an utterance, ESPnet's ``kaldi_ark``). Finished sets are kept unless the unit directory
is newer.
"""

import argparse
from pathlib import Path

from espnet2_taste.bin.command import run_command
from espnet2_taste.data.parts import (
    add_parts_argument,
    find_parts,
    join_parts,
    set_names,
)

_EXAMPLE = """example:
  python -m espnet2_taste.bin.extract_units --units_dir exp/units \\
      --dump_dir dump/raw --sets "train dev test"
"""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Write the speech units and speaker embeddings of sets",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--units_dir", required=True, help="From fit_units")
    parser.add_argument("--dump_dir", default="dump/raw", help="Where the sets are")
    parser.add_argument(
        "--sets", type=set_names, required=True, help="Names of sets, one string"
    )
    add_parts_argument(parser)
    parser.add_argument("--batch_size", type=int, default=16, help="Utterances at once")
    parser.add_argument("--ngpu", type=int, default=0, help="0 for the CPU")
    parser.add_argument("--log_level", default="INFO", help="Level of messages")
    return parser


def is_done(folder: Path, units_dir: Path) -> bool:
    """Whether a set holds units and embeddings of exactly its utterances."""
    from espnet2_taste.data.kaldi_dir import read_table

    made = units_dir / "config.yaml"
    names = sorted(read_table(folder / "wav.scp"))
    for path in (folder / "units", folder / "spembs.scp"):
        if not path.is_file() or path.stat().st_mtime < made.stat().st_mtime:
            return False
        if sorted(read_table(path)) != names:
            return False
    return True


def extract_set(extractor, embedder, folder: Path, batch_size: int, device: str):
    """Write units and embeddings of one set.

    Args:
        extractor: ``AbsUnitExtractor``.
        embedder: ``AbsSpeakerEmbedder`` for the same sample rate.
        folder: The set.
        batch_size: Utterances at once.
        device: Where the networks are.

    Returns:
        Number of utterances.

    Raises:
        ValueError: Audio cannot be read, or the two want different sample rates.
    """
    import torch

    from espnet2_taste.data.arks import write_ark
    from espnet2_taste.data.kaldi_dir import read_table, write_table
    from espnet2_taste.units.batches import speech_batches

    if extractor.sample_rate != embedder.sample_rate:
        raise ValueError(
            f"the units want {extractor.sample_rate} Hz, the speaker embeddings "
            f"{embedder.sample_rate} Hz; set sample_rate in speaker_embedder_conf"
        )
    wavs = read_table(folder / "wav.scp")
    rows, vectors = {}, {}
    with torch.no_grad():
        for batch in speech_batches(
            wavs, extractor.sample_rate, batch_size, folder.name, device
        ):
            units, lengths = run_named(extractor, batch)
            spembs = run_named(embedder, batch).cpu().numpy()
            for row, name in enumerate(batch.names):
                kept = units[row, : int(lengths[row])].tolist()
                rows[name] = " ".join(map(str, kept))
                vectors[name] = spembs[row]
    write_ark(folder, "spembs", vectors)
    write_table(folder / "units", rows)
    return len(rows)


def run_named(network, batch):
    """Run a network so that its errors name the utterance.

    Args:
        network: ``AbsUnitExtractor`` or ``AbsSpeakerEmbedder``.
        batch: ``SpeechBatch``.

    Returns:
        What the network makes of the batch.

    Raises:
        ValueError: An utterance cannot be used, e.g. is longer than the network takes.
    """
    try:
        return network(batch.speech, batch.lengths)
    except ValueError as error:
        if len(batch.names) == 1:
            raise ValueError(f"utterance {batch.names[0]}: {error}") from error
        for single in batch.singles():
            run_named(network, single)
        raise


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


def run(args: argparse.Namespace) -> None:
    """Extract every set with the same networks, loaded only if a set needs them."""
    units_dir = Path(args.units_dir)
    if not (units_dir / "config.yaml").is_file():
        raise ValueError(
            f"{units_dir / 'config.yaml'} not found: run fit_units (stage 5) first"
        )
    from espnet2_taste.data.set_loop import finish_sets

    def load():
        from espnet2_taste.units import unit_exp

        if args.parts_dir:
            return None
        device = "cuda" if args.ngpu else "cpu"
        extractor = unit_exp.load_unit_extractor(units_dir).to(device)
        return extractor, unit_exp.load_speaker_embedder(units_dir).to(device), device

    def work(tools, folder: Path) -> str:
        if args.parts_dir:
            parts = find_parts(args.parts_dir, folder.name)
            join_parts(parts, folder, ["spembs.scp", "units"])
            return "units and embeddings joined"
        extractor, embedder, device = tools
        count = extract_set(extractor, embedder, folder, args.batch_size, device)
        return f"units and embeddings of {count} utterances"

    finish_sets(
        "extract_units",
        [Path(args.dump_dir) / name for name in args.sets.split()],
        lambda folder: is_done(folder, units_dir),
        load,
        work,
    )


if __name__ == "__main__":
    main()
