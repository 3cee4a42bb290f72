"""``espnet2-taste demo`` as it is called, and the demo folder of the recipes."""

import subprocess
import sys
from pathlib import Path
from socket import create_server

import pytest

from espnet2_taste.cli.main import main

RECIPES = Path(__file__).parents[3] / "egs2"


@pytest.fixture
def command(packed_models, tmp_path):
    model = packed_models[0] / "taslm.zip"
    return ["demo", "--model", str(model), "--cache_dir", str(tmp_path), "--port"]


def test_the_address_is_printed_and_ctrl_c_ends_it(
    command, wav, tmp_path, monkeypatch, capsys
):
    import uvicorn

    served = []

    def run(self, sockets):
        served.append(sockets[0].getsockname())
        raise KeyboardInterrupt

    monkeypatch.setattr(uvicorn.Server, "run", run)
    (tmp_path / "me.wav").write_bytes(wav())
    main([*command, "0", "--voices", str(tmp_path / "me.wav")])
    ((host, port),) = served
    assert host == "127.0.0.1"
    assert f"http://127.0.0.1:{port}/ " in capsys.readouterr().out


def test_what_is_wrong_is_one_line(command, monkeypatch):
    with create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(SystemExit, match="espnet2-taste demo: .*already in use"):
            main([*command, str(taken.getsockname()[1])])
    with pytest.raises(SystemExit, match="--voices nowhere.wav: the audio file is mi"):
        main([*command, "0", "--voices", "nowhere.wav"])
    taste = [word.replace("taslm.zip", "taste.zip") for word in command]
    with pytest.raises(SystemExit, match="espnet2-taste demo: .*taste.zip"):
        main([*taste, "0"])
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(SystemExit, match=r"pip install .*espnet2_taste\[demo\]"):
        main([*command, "0"])


@pytest.mark.parametrize("recipe", sorted(p.parent for p in RECIPES.glob("*/*/demo")))
def test_recipes_have_it(recipe):
    assert (recipe / "demo/requirements.txt").read_text() == "espnet2_taste[demo]\n"
    call = [sys.executable, "demo/app.py", "--help"]
    done = subprocess.run(call, cwd=recipe, capture_output=True, text=True, check=True)
    assert "espnet2-taste demo" in done.stdout
