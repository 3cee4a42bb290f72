"""Serve the packed model of the recipe: ``python demo/app.py``, from its directory."""

import sys

from espnet2_taste.cli.main import main

main(["demo", *(sys.argv[1:] or ["--model", "exp/packed/taslm.zip"])])
