"""Chats with a server on this machine: what is repeated and what is not."""

import json

import pytest
from chat_server import ChatServer

from espnet2_taste.evaluation.chat import (
    ChatEndpoint,
    PassingError,
    read_completion,
)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def endpoint(server, waits, key=None, retries=2):
    return ChatEndpoint(server.base_url, key, 5, retries, waits.append)


def test_an_answer_comes_with_the_model_that_gave_it():
    with ChatServer(lambda body: "fine") as server:
        answer = endpoint(server, [], key="secret").complete({"model": "judge-1"})
    assert (answer.text, answer.model, answer.finish) == (
        "fine",
        "judge-1-pinned",
        "stop",
    )
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions" and body == {"model": "judge-1"}
    assert headers["Authorization"] == "Bearer secret"


def test_without_a_key_none_is_sent():
    with ChatServer(lambda body: "fine") as server:
        endpoint(server, []).complete({"model": "m"})
    assert "Authorization" not in server.requests[0][1]


@pytest.mark.parametrize(
    "bad", [(503, {}, b""), (429, {"Retry-After": 7}, b"slow down"), (200, {}, b'{"ch')]
)
def test_what_may_pass_is_repeated_after_a_wait(bad):
    answers = [bad, bad, "fine"]
    waits = []
    with ChatServer(lambda body: answers.pop(0)) as server:
        assert endpoint(server, waits).complete({"model": "m"}).text == "fine"
    assert waits == ([7, 7] if bad[0] == 429 else [1, 2])


def test_patience_ends():
    with ChatServer(lambda body: (500, {}, b"broken")) as server:
        with pytest.raises(RuntimeError, match="after 3 tries.*broken.*repeat"):
            endpoint(server, []).complete({"model": "m"})
    assert len(server.requests) == 3


def test_a_server_that_is_not_there_is_named():
    with ChatServer(lambda body: "") as server:
        gone = endpoint(server, [], retries=0)
    with pytest.raises(RuntimeError, match="127.0.0.1.*after 1 tries"):
        gone.complete({"model": "m"})


@pytest.mark.parametrize(
    ("status", "remedy"), [(401, "--api_key_env"), (404, "--base_url"), (400, "under")]
)
def test_what_does_not_pass_is_asked_once(status, remedy):
    with ChatServer(lambda body: (status, {}, b"no")) as server:
        with pytest.raises(RuntimeError, match=f"HTTP {status}: no.*{remedy}"):
            endpoint(server, []).complete({"model": "m"})
    assert len(server.requests) == 1


def test_addresses_are_checked():
    with pytest.raises(ValueError, match="--base_url: .*'file:///etc'"):
        ChatEndpoint("file:///etc")


@pytest.mark.parametrize("content", [[], {}, {"choices": []}, {"choices": [{}]}, 3])
def test_other_json_is_no_answer(content):
    with pytest.raises(PassingError, match="expected a chat completion"):
        read_completion(json.dumps(content).encode())


def test_no_content_is_an_empty_answer():
    content = {"choices": [{"message": {"content": None}}]}
    assert read_completion(json.dumps(content).encode()).text == ""
