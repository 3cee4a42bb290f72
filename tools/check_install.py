"""Print the versions that matter and one line for each optional feature missing.

Enters: the running interpreter. Leaves: text on stdout; status 1 if a required
package is absent.
"""

import importlib.metadata
import platform
import sys

REQUIRED = ["espnet", "torch", "torchaudio", "transformers", "peft", "espnet2_taste"]
OPTIONAL = [
    ("espeakng-loader", "synthetic eSpeak corpus", "espeak"),
    ("onnxruntime", "S3 units and speaker embeddings from ONNX files", "onnx"),
    ("vocos", "the renderer vocos", "vocoders"),
    ("pytest", "tests", "test"),
    ("black", "lint", "lint"),
]


def version(package: str) -> str | None:
    """Return the installed version of a distribution, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def main() -> int:
    """Report; return the exit status."""
    print(f"python {platform.python_version()} ({sys.executable})")
    missing = []
    for package in REQUIRED:
        found = version(package)
        print(f"{package} {found or 'MISSING'}")
        if found is None:
            missing.append(package)
    for package, feature, extra in OPTIONAL:
        if version(package) is None:
            print(f"not installed: {feature} (pip install 'espnet2_taste[{extra}]')")
    if missing:
        print(f"missing: {' '.join(missing)}; run: make -C tools", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
