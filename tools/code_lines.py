"""Lines of code of Python files, without blanks, comments and docstrings.

Example:
    python tools/code_lines.py espnet2_taste
"""

import ast
import io
import sys
import tokenize
from pathlib import Path

QUIET = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT}
QUIET |= {tokenize.DEDENT, tokenize.ENDMARKER}


def code_lines(source: str) -> int:
    """Count lines that hold a token and belong to no bare string."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in QUIET:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            if isinstance(node.value.value, str):
                lines.difference_update(range(node.lineno, node.end_lineno + 1))
    return len(lines)


def main(roots: list[str]) -> None:
    """Print code lines and modules of each folder, and of its sub-folders."""
    for root in map(Path, roots):
        counts = {p: code_lines(p.read_text()) for p in sorted(root.rglob("*.py"))}
        places = {p: p.relative_to(root).parts[0] for p in counts}
        for place in sorted(set(places.values())):
            own = [count for p, count in counts.items() if places[p] == place]
            print(f"{sum(own):7d} {len(own):4d} {place}")
        print(f"{sum(counts.values()):7d} {len(counts):4d} {root}")


if __name__ == "__main__":
    main(sys.argv[1:])
