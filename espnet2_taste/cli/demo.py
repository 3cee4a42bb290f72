"""``espnet2-taste demo``: a page in the browser and an HTTP API for a packed model."""

import argparse
import contextlib
import socket
from pathlib import Path

from espnet2_taste.cli import arguments, sources
from espnet2_taste.cli.parts import Outcome
from espnet2_taste.cli.quiet import import_quietly
from espnet2_taste.optional import require

SUMMARY = "a page and an HTTP API: play, edit, continue and say"
EXAMPLE = """examples:
  espnet2-taste demo --model taslm.zip
  with a voice that programs can name, as OpenAI's speech API is called:
  espnet2-taste demo --model taslm.zip --voices me.wav --port 8000
  curl http://127.0.0.1:8000/v1/audio/speech -H "Content-Type: application/json" \\
      -d '{"input": "hello there", "voice": "me"}' | aplay

It needs the extra 'demo': pip install 'espnet2_taste[demo]'.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the sub-command."""
    arguments.add(parser, *arguments.MODEL)
    add = parser.add_argument
    add(
        "--host",
        default="127.0.0.1",
        help="Address; others than the default let other machines in, and nobody is "
        "asked for a password",
    )
    add(
        "--port",
        type=arguments.number(int, 0, 65535),
        default=8000,
        help="0 takes a free one",
    )
    add(
        "--voices",
        nargs="+",
        default=[],
        metavar="FILE",
        help="Recordings by name",
    )


def run(args: argparse.Namespace) -> Outcome:
    """Run the sub-command until Ctrl-C.

    Raises:
        OSError: The address is in use, or none of this machine.
        RuntimeError: The extra is not installed.
        ValueError: A recording cannot be used, or the model cannot speak.
    """
    voices = sources.named_wavs(args.voices)
    for path in voices.values():
        sources.check_recording(path, "--voices")
    for package in ("fastapi", "uvicorn", "python_multipart"):
        require(package, feature="the demo", extra="demo")
    import_quietly()
    from espnet2_taste.demo.requests import Limits
    from espnet2_taste.demo.server import make_server
    from espnet2_taste.demo.service import Service
    from espnet2_taste.inference import SpokenLM, TasteTokenizer

    device = "cuda" if args.ngpu else "cpu"
    with socket.create_server((args.host, args.port)) as listening:
        lm = SpokenLM.from_pretrained(args.model, args.cache_dir, device=device)
        if not isinstance(lm.tokenizer, TasteTokenizer):
            raise ValueError(f"{args.model} writes units: the page needs a TASLM")
        service = Service(lm, voices, Limits())
        host, port = listening.getsockname()
        print(f"http://{host}:{port}/  (Ctrl-C ends it)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            make_server(service, host).run([listening])
    return Outcome(Path(), 1, {})
