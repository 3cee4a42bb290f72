"""A packed model goes to a hub and comes back: same codes, no recipe, no other network.

A process of its own uploads to a server in this test and loads from it, because the
address of the hub is read when ``huggingface_hub`` is imported.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hub_server import Hub

ROUND_TRIP = """
import json, socket, sys
import numpy as np

archive, repo, url, cache = sys.argv[1:5]
connect = socket.socket.connect

def local_only(self, address):
    assert address[0] in ("127.0.0.1", "localhost"), f"the network: {address}"
    return connect(self, address)

socket.socket.connect = local_only
from espnet2_taste.bin import exports
exports.main(["hub", "--archive", archive, "--hf_repo", repo, "--tag", "v1"])

from espnet2_taste.inference import TasteTokenizer
noise = np.random.default_rng(0)
wave = 0.1 * noise.standard_normal(9600).astype("float32")
found = {}
for name in (repo, url):
    tokenizer = TasteTokenizer.from_pretrained(name, cache_dir=cache)
    items = tokenizer.encode_batch([wave], ["the red dog"], timings=False)
    found[name] = items[0].codes.tolist()
print(json.dumps(found))
"""


@pytest.fixture()
def hub(packed_models):
    server = Hub(packed_models[0])
    yield server
    server.shutdown()


def test_upload_download_and_identical_codes(packed_models, hub, tmp_path):
    folder, expected, _ = packed_models
    address = f"{hub.url}/files/taste.zip"
    code = ["-c", ROUND_TRIP, str(folder / "taste.zip"), "tester/mini_taste", address]
    environment = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_TOKEN": "hf_test",
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, *code, str(tmp_path / "cache")],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.strip().splitlines()
    assert any(line.startswith(f"{hub.url}/tester/") for line in lines)
    for codes in json.loads(lines[-1]).values():
        np.testing.assert_array_equal(codes, expected[0][0])
    files = hub.repos["tester/mini_taste"]
    assert {"meta.yaml", "README.md", "LICENSE", "RESULTS.md"} <= set(files)
    assert files["README.md"].startswith(b"---\ntags:\n- espnet")
    assert hub.tags == [("tester/mini_taste", "v1")]


@pytest.mark.parametrize(
    "repo, archive, message",
    [
        ("name", "taste.zip", "--hf_repo is 'name', expected user/name"),
        ("user/name", "none.zip", "none.zip not found: pack the model first"),
    ],
)
def test_what_cannot_be_uploaded_is_one_line(repo, archive, message, packed_models):
    from espnet2_taste.bin import exports

    command = ["--archive", str(packed_models[0] / archive), "--hf_repo", repo]
    with pytest.raises(SystemExit, match=f"exports hub: .*{message}"):
        exports.main(["hub", *command])
