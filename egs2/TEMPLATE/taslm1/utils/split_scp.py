#!/usr/bin/env python3
"""Split a Kaldi list into parts of equal size: split_scp.py in.scp out.1 out.2 ...

Enters: a text file, one utterance a line. Leaves: the parts, in order; sizes differ
by at most one line.
"""

import sys
from pathlib import Path


def main(arguments: list[str]) -> None:
    """Write the parts.

    Raises:
        SystemExit: Wrong usage, or fewer lines than parts.
    """
    if len(arguments) < 2:
        sys.exit("Usage: split_scp.py <in.scp> <out.1> [<out.2> ...]")
    source, *parts = arguments
    lines = Path(source).read_text(encoding="utf-8").splitlines(keepends=True)
    if len(lines) < len(parts):
        sys.exit(f"{source}: {len(lines)} lines cannot make {len(parts)} parts")
    for index, part in enumerate(parts):
        first = index * len(lines) // len(parts)
        last = (index + 1) * len(lines) // len(parts)
        Path(part).write_text("".join(lines[first:last]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
