"""Installation of ``espnet2_taste``: ``pip install -e .`` or ``make -C tools``.

Enters: this folder. Leaves: an importable package beside ESPnet; optional features
are extras (``pip install 'espnet2_taste[espeak]'``) imported only where used.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
VERSION = re.search(
    r'^__version__ = "(.+)"$',
    (ROOT / "espnet2_taste" / "__init__.py").read_text(encoding="utf-8"),
    re.MULTILINE,
).group(1)
README = ROOT / "README.md"

REQUIRES = [
    "espnet>=202611",
    "torch>=2.11,<2.12",
    "torchaudio>=2.11,<2.12",
    "transformers>=5.0,<6",
    "peft>=0.18",
    "tokenizers",
    "sentencepiece",
    "safetensors",
    "kaldiio",
    "soundfile",
    "humanfriendly",
    "tensorboard>=1.14",
    "matplotlib",
    "tqdm",
]

EXTRAS = {
    "espeak": ["espeakng-loader"],
    "onnx": ["onnxruntime"],
    "vocoders": ["vocos", "h5py"],
    "metrics": ["pystoi", "speechmos", "librosa", "requests", "onnxruntime"],
    "metrics_compiled": ["pesq", "visqol-python[lattice]"],  # need a C++ compiler
    "utmos": ["utmos-pytorch"],
    "test": [
        *("pytest", "hypothesis", "onnx", "onnxruntime", "espeakng-loader"),
        *("pystoi", "speechmos"),
    ],
    "lint": ["black", "isort", "flake8"],
}

setup(
    name="espnet2_taste",
    version=VERSION,
    description="TASTE speech tokens and text-aligned spoken language models on ESPnet",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=find_packages(include=["espnet2_taste", "espnet2_taste.*"]),
    package_data={"espnet2_taste.evaluation.listening": ["*.html", "*.css", "*.js"]},
    entry_points={"console_scripts": ["espnet2-taste = espnet2_taste.cli.main:main"]},
    python_requires=">=3.12,<3.14",
    install_requires=REQUIRES,
    extras_require=EXTRAS,
    classifiers=[
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Topic :: Multimedia :: Sound/Audio :: Speech",
    ],
)
