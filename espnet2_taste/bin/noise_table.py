"""Collect scores of clean and noisy sets into one table by signal-to-noise ratio.

Enters: ``scores.json`` files of taste_score and audio_score. Leaves in --output_dir:
``scores.json`` of the study ``noise``, which write_results shows, and ``noise.tsv``.
"""

import argparse
from pathlib import Path

from espnet2_taste.bin.command import run_command

_EXAMPLE = """example:
  python -m espnet2_taste.bin.noise_table --dump_dir dump/raw \\
      --scores "exp/taste_vq/scores/scores.json exp/taste_vq/noise/tokenizer/scores.json" \\
      --output_dir exp/taste_vq/noise
"""  # noqa: E501
MODULE = "espnet2_taste.bin.noise_table"


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Collect scores by signal-to-noise ratio",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--scores", required=True, help="scores.json files, one string")
    add("--dump_dir", default="dump/raw", help="Where the sets are")
    add("--output_dir", required=True, help="Directory of the table")
    return parser


def run(args: argparse.Namespace, cmd) -> None:
    """Collect, write and print."""
    from espnet2_taste.data.ctm import write_rows
    from espnet2_taste.data.files import read_json
    from espnet2_taste.evaluation.audio_report import noise_tables
    from espnet2_taste.evaluation.noise_table import collect_noise
    from espnet2_taste.metrics.tables import provenance, write_json

    studies = [read_json(path) for path in args.scores.split()]
    groups = collect_noise(studies, Path(args.dump_dir))
    settings = {
        "ratio": "ITU-T P.56 active speech level to noise power",
        "reference": "clean recordings",
        "text": "the sets' transcripts, not recognised in noise",
    }
    result = {"study": "noise", **provenance(MODULE, cmd, settings), "groups": groups}
    output = Path(args.output_dir)
    write_json(output / "scores.json", result)
    columns = list(dict.fromkeys(c for group in groups for c in group["columns"]))
    rows = [
        (group["source"], group["noise"], row["snr"], row["rendition"])
        + tuple(row.get(column, "-") for column in columns)
        for group in groups
        for row in group["rows"]
    ]
    header = ("set", "noise", "snr", "rendition", *columns)
    write_rows(output / "noise.tsv", header, rows)
    print("\n\n".join(noise_tables(result)))
    print(f"{output / 'scores.json'} written")


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, lambda args: run(args, cmd), cmd)


if __name__ == "__main__":
    main()
