"""The judge's command against a server on this machine."""

import json

import pytest
from chat_server import ChatServer

from espnet2_taste.bin import continuations
from espnet2_taste.data.ctm import read_rows, write_rows
from espnet2_taste.data.kaldi_dir import write_table
from espnet2_taste.metrics.tables import write_json

TEXTS = {"a": "the red dog runs home", "b": "a cow eats", "c": "our cook sings"}


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Continuations of three prompts; nothing is heard in one of them."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    prompts, continued = tmp_path / "dump" / "prompts", tmp_path / "cont" / "prompts"
    prompts.mkdir(parents=True)
    continued.mkdir(parents=True)
    write_table(prompts / "text", TEXTS)
    rows = [(name, 2) for name in TEXTS]
    write_rows(prompts / "prompt_words", ("utt", "n_words"), rows)
    write_table(continued / "wav.scp", {name: f"{name}.wav" for name in TEXTS})
    write_table(continued / "text", {"a": "runs away", "b": "", "c": "and dances"})
    found = {"a": "runs a way", "b": "", "c": "and dances"}
    write_table(continued / "text_recognized", found)
    write_json(continued / "text_recognized.json", {"recognizer": "exp/asr"})
    return tmp_path


def judge(server, *more):
    continuations.main(
        [
            "judge",
            "--continuation_dir",
            "cont",
            "--sets",
            "prompts",
            "--dump_dir",
            "dump",
        ]
        + ["--base_url", server.base_url, "--model", "judge-1", "--output_dir", "out"]
        + ["--retries", "0", *more]
    )
    return json.loads(open("out/judge.json", encoding="utf-8").read())


def test_scores_and_everything_they_depend_on(recipe, capsys):
    def reply(body):
        said = body["messages"][0]["content"]
        return "I would rate the score as 5" if "runs a way" in said else "Hmm."

    with ChatServer(reply) as server:
        result = judge(server)
        again = judge(server)
    assert len(server.requests) == 2 and again["sets"] == result["sets"]
    scores = result["sets"]["prompts"]
    assert (scores["prompts"], scores["empty"], scores["parse_failures"]) == (3, 1, 1)
    assert scores["mean"] == 3 and scores["answered_by"] == ["judge-1-pinned"]
    assert scores["transcripts"] == "recognized by exp/asr"
    assert result["settings"]["model"] == "judge-1"
    assert result["settings"]["temperature"] == 0
    assert len(result["settings"]["prompt_sha256"]) == 64
    rows = {row["utt"]: row for row in read_rows("out/prompts/scores.tsv")}
    assert (rows["a"]["score"], rows["b"]["reason"]) == ("5", "empty")
    assert rows["c"]["reason"] == "no rating line in the answer"
    assert 'Beginning: "the red"' in server.requests[0][2]["messages"][0]["content"]
    assert "1 answers without a score" in capsys.readouterr().out


def test_the_key_comes_from_the_environment(recipe, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "k-123")
    with ChatServer(lambda body: "I would rate the score as 2") as server:
        judge(server, "--api_key_env", "JUDGE_KEY", "--transcripts", "text")
    assert server.requests[0][1]["Authorization"] == "Bearer k-123"
    everything = "".join(p.read_text() for p in (recipe / "out").rglob("*.*"))
    assert "k-123" not in everything and "not recognized" in everything


def test_another_prompt_is_asked_anew(recipe):
    (recipe / "prompt").write_text("{prompt} / {continuation}?")
    with ChatServer(lambda body: "I would rate the score as 2") as server:
        judge(server)
        judge(server, "--prompt_file", "prompt")
    assert len(server.requests) == 4
    assert server.requests[2][2]["messages"][0]["content"] == "the red / runs a way?"
    assert (recipe / "out" / "prompt.txt").read_text() == "{prompt} / {continuation}?"


def test_errors_name_the_remedy(recipe):
    with ChatServer(lambda body: (401, {}, b"who are you")) as server:
        with pytest.raises(SystemExit, match="who are you.*--api_key_env"):
            judge(server)
        with pytest.raises(SystemExit, match="text_x: .*--transcripts"):
            judge(server, "--transcripts", "text_x")
        with pytest.raises(SystemExit, match="--prompt_file: no such file"):
            judge(server, "--prompt_file", "none")
        (recipe / "cont" / "prompts" / "text_recognized").unlink()
        with pytest.raises(SystemExit, match="espnet2_taste.bin.recognize transcribe"):
            judge(server)
