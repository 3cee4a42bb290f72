"""A tiny packed model behind the demo's API, and the same on a socket."""

import io
import threading
from socket import create_server

import numpy as np
import pytest
import soundfile


def wav_bytes(seconds=1.0, seed=0, rate=16000):
    """A file of noise."""
    noise = 0.1 * np.random.default_rng(seed).standard_normal(int(rate * seconds))
    file = io.BytesIO()
    soundfile.write(file, noise, rate, format="WAV")
    return file.getvalue()


@pytest.fixture(scope="package")
def wav():
    return wav_bytes


@pytest.fixture(scope="package")
def service(packed_models, tmp_path_factory):
    from espnet2_taste.demo.requests import Limits
    from espnet2_taste.demo.service import Service
    from espnet2_taste.inference import SpokenLM

    root = tmp_path_factory.mktemp("demo")
    (root / "me.wav").write_bytes(wav_bytes())
    lm = SpokenLM.from_pretrained(
        packed_models[0] / "taslm.zip",
        root,
        sampling={"max_unit_ratio": 3.0},
        max_words=4,
    )
    limits = Limits(size=500_000, seconds=3.0)
    return Service(lm, {"me": str(root / "me.wav")}, limits)


@pytest.fixture(scope="package")
def address(service):
    """Of the page, while it is served."""
    from espnet2_taste.demo.server import make_server

    with create_server(("127.0.0.1", 0)) as listening:
        server = make_server(service, "127.0.0.1")
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        yield "http://127.0.0.1:%d/" % listening.getsockname()[1]
        server.should_exit = True
        thread.join()
