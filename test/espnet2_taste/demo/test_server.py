"""The HTTP API: results of the Python API, limits, errors of one line, a full house."""

import base64
import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.request import Request, urlopen

import numpy as np
import pytest
import soundfile

from espnet2_taste.data.audio import pcm16
from espnet2_taste.inference.results import SpeechTokens


@pytest.fixture(scope="module")
def client(service):
    from fastapi.testclient import TestClient

    from espnet2_taste.demo.server import LOCAL, make_app

    app = make_app(service, LOCAL)
    options = {"base_url": "http://127.0.0.1", "raise_server_exceptions": False}
    with TestClient(app, **options) as found:
        yield found


@pytest.fixture(scope="module")
def recording(client, wav):
    form = {"files": {"file": wav()}, "data": {"text": "The red dog"}}
    reply = client.post("/tokenize", **form)
    assert reply.status_code == 200, reply.text
    return reply.json()


def item_of(tokens):
    return SpeechTokens(tuple(tokens["words"]), np.array(tokens["codes"]))


def test_a_recording_becomes_what_the_api_gives(service, recording, client, wav):
    wave, rate = soundfile.read(io.BytesIO(wav()), dtype="float32")
    item = service.taste(wave, "the red dog")
    tokens = recording["tokens"]
    assert tokens["words"] == list(item.words) and tokens["model"] == service.lm.digest
    np.testing.assert_array_equal(tokens["codes"], item.codes)
    assert [t["word"] for t in recording["timings"]] == tokens["words"]
    starts = [timing.start for timing in item.timings]
    assert [t["start"] for t in recording["timings"]] == pytest.approx(starts, abs=1e-4)
    np.testing.assert_allclose(recording["voice"], service.taste.embed_speaker(wave))
    assert recording["seconds"] == 1.0 and 98 <= len(recording["pitch"]) <= 101
    recognised = client.post("/tokenize", files={"file": wav()}, data={"text": " "})
    assert recognised.status_code == 200 and recognised.json()["tokens"]["words"]


def test_codes_are_spoken_when_it_is_asked_for(service, recording, client):
    request = {key: recording[key] for key in ("tokens", "voice")}
    found = client.post("/speak", json=request).json()
    wave, rate = soundfile.read(io.BytesIO(base64.b64decode(found["audio"])))
    item = item_of(recording["tokens"])
    spoken = service.taste.decode(item, np.array(recording["voice"]), "0")
    np.testing.assert_array_equal(wave * 32768, pcm16(spoken.wave))
    assert rate == spoken.sample_rate and found["seconds"] == len(wave) / rate
    times = [{"start": 0.4 * i, "duration": 0.2} for i in range(3)]
    slow = client.post("/speak", json={**request, "timings": times}).json()
    assert slow["timings"][2]["start"] == pytest.approx(0.8, abs=0.021)
    wrong = client.post("/speak", json={**request, "timings": times * 2})
    assert wrong.status_code == 400 and "3 words with 6 times" in message(wrong)


def test_words_lie_between_two_readings(recording, client, wav):
    request = {key: recording[key] for key in ("tokens", "voice")}
    tokens = request["tokens"]
    other = {**tokens, "codes": [*tokens["codes"][1:], tokens["codes"][0]]}
    ask = {**request, "other": other, "weights": [0, 1, 0.5]}
    found = client.post("/speak", json=ask).json()
    assert found["codes"][0] == tokens["codes"][0]
    assert found["codes"][1] == other["codes"][1]
    mixed = {**tokens, "codes": found["codes"]}
    same = client.post("/speak", json={**request, "tokens": mixed}).json()
    assert same == found
    for change, status, expected in (
        ({"weights": None}, 422, "expected other and weights"),
        ({"weights": [0, 1]}, 400, "found 3, 3 and 2"),
        ({"weights": [0, 1, 2]}, 422, "less than or equal to 1"),
        ({"other": {**other, "codes": [[9, 9]] * 3}}, 400, "'0': "),
    ):
        reply = client.post("/speak", json={**ask, **change})
        assert reply.status_code == status and expected in message(reply)


def message(reply):
    text = reply.json()["error"]["message"]
    assert text and "\n" not in text
    return text


def lines(reply):
    assert reply.status_code == 200, reply.text
    return [json.loads(line) for line in reply.text.splitlines()]


def test_a_continuation_is_streamed_in_three_forms(service, recording, client):
    request = {key: recording[key] for key in ("tokens", "voice")} | {"seed": 3}
    item = item_of(recording["tokens"])
    expected = service.lm.continue_(item, "3")
    found = lines(
        client.post("/continue", json={**request, "response_format": "jsonl"})
    )
    words = [word for piece in found for word in piece["words"]]
    assert tuple(words) == expected.words
    codes = [row for piece in found for row in piece["codes"]]
    np.testing.assert_array_equal(codes, expected.codes)
    samples = b"".join(base64.b64decode(piece["pcm"]) for piece in found)
    bare = client.post("/continue", json={**request, "response_format": "pcm"})
    assert bare.content == samples and bare.headers["content-type"] == "audio/pcm"
    whole = client.post("/continue", json=request)
    wave, rate = soundfile.read(io.BytesIO(whole.content), dtype="int16")
    np.testing.assert_array_equal(wave, np.frombuffer(samples, "<i2"))
    assert rate == service.rate and whole.headers["content-type"] == "audio/wav"
    one = {**request, "max_words": 1, "response_format": "jsonl"}
    assert sum((p["words"] for p in lines(client.post("/continue", json=one))), []) == (
        list(expected.words[:1])
    )


def test_a_text_is_said_in_openai_s_form(service, recording, client):
    request = {"model": "any", "input": "a small bird", "voice": "me"}
    path, jsonl = "/v1/audio/speech", {"response_format": "jsonl"}
    reply = client.post(path, json=request)
    wave, _ = soundfile.read(io.BytesIO(reply.content))
    _, spoken = service.lm.say("a small bird", service.voices["me"], name="0")
    assert len(wave) == len(spoken.wave)
    style = {"style": recording["tokens"], **jsonl}
    found = lines(client.post(path, json={**request, **style}))
    said, _ = service.lm.say(
        "a small bird", service.voices["me"], item_of(recording["tokens"]), "0"
    )
    codes = [row for piece in found for row in piece["codes"]]
    np.testing.assert_array_equal(codes, said.codes)
    slow = lines(client.post(path, json={**request, "speed": 0.25, **jsonl}))
    assert sum(len(piece["pcm"]) for piece in slow) > 2 * len(reply.content)


@pytest.mark.parametrize(
    "change, status, expected",
    [
        ({"voice": "alloy"}, 400, "voice 'alloy' is unknown; there are: me"),
        ({"input": "!"}, 400, "no word in '!'"),
        ({"input": ""}, 422, "body.input: "),
        ({"input": "\ud800"}, 422, "body.input: "),
        ({"speed": 9}, 422, "body.speed: "),
        ({"response_format": "mp3"}, 422, "'wav', 'pcm' or 'jsonl'"),
        ({"voice": [1.0]}, 400, "expected speaker embeddings of shape (1, 4)"),
        ({"pitch": 1}, 422, "body.pitch: "),
    ],
)
def test_what_cannot_be_said_is_one_line(change, status, expected, client):
    request = {"input": "dog", "voice": "me", **change}
    reply = client.post(
        "/v1/audio/speech",
        content=json.dumps(request),
        headers={"Content-Type": "application/json"},
    )
    assert reply.status_code == status and expected in message(reply)


def test_recordings_beyond_the_limits_are_refused(client, wav):
    def post(data):
        return client.post("/tokenize", files={"file": data}, data={"text": "dog"})

    assert "cannot be read" in message(post(b"RIFF nothing"))
    long = post(wav(4.0))
    assert long.status_code == 400 and "lasts 4.00 s, expected at most 3" in message(
        long
    )
    assert "lasts 0.01 s" in message(post(wav(0.01)))
    large = post(b"0" * 600_000)
    assert large.status_code == 413 and "expected at most 500000" in message(large)
    chunks = client.post("/tokenize", content=iter([b"a", b"b"]))
    assert chunks.status_code == 411
    assert client.get("/nowhere").status_code == 404
    foreign = client.get("/about", headers={"Host": "example.org"})
    assert foreign.status_code == 400


def test_a_full_line_refuses_and_goes_on(service, client, monkeypatch):
    from espnet2_taste.demo.server import LOCAL, make_app

    begun, go = threading.Event(), threading.Event()

    def wait(request):
        begun.set()
        go.wait()
        return {}

    from fastapi.testclient import TestClient

    monkeypatch.setattr(service, "speak", wait)
    monkeypatch.setattr(service, "limits", service.limits.__class__(queue=1))
    tokens = {"words": ["dog"], "codes": [[0, 0]]}
    request = {"json": {"tokens": tokens, "voice": "me"}}
    with TestClient(make_app(service, LOCAL), base_url="http://127.0.0.1") as narrow:
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(narrow.post, "/speak", **request)
            begun.wait()
            refused = narrow.post("/speak", **request)
            go.set()
        assert first.result().status_code == 200
        assert refused.status_code == 429 and "1 requests are" in message(refused)
        assert narrow.post("/speak", **request).status_code == 200


def test_fifty_at_once_lose_none(address, recording):
    """Every request gets the answer that it gets alone."""
    request = {key: recording[key] for key in ("tokens", "voice")} | {"max_words": 1}

    def ask(seed):
        content = json.dumps({**request, "seed": seed % 5}).encode()
        headers = {"Content-Type": "application/json"}
        with urlopen(Request(address + "continue", content, headers)) as reply:
            return reply.status, reply.read()

    alone = [ask(seed) for seed in range(5)]
    with ThreadPoolExecutor(50) as pool:
        together = list(pool.map(ask, range(50)))
    assert together == alone * 10 and alone[0][0] == 200


def test_who_leaves_stops_the_model_and_who_reads_slowly_does_not(recording):
    import asyncio

    from espnet2_taste.demo.worker import Worker

    made, worker = [], Worker(4)
    hold = threading.Event()

    def pieces():
        for number in range(1000):
            if number == 2:
                hold.wait()
            made.append(number)
            yield number

    async def leave():
        stream = await worker.stream(pieces)
        assert await anext(stream) == 0
        await stream.aclose()
        hold.set()
        return await worker.run(lambda: len(made))

    assert asyncio.run(leave()) < 5 and worker.waiting == 0

    def breaks():
        raise ValueError("nothing")
        yield

    with pytest.raises(ValueError, match="nothing"):
        asyncio.run(worker.stream(breaks))


VALUES = [None, True, -1, 0, 1.5, 10**30, 1e308, float("nan"), float("inf"), "", "dog"]
VALUES += ["\ud800", "a" * 5000, "../x", "a b", [], [[]], [[0, 0]], [None], {}, {"": 0}]


def spoil(rng, value):
    """A JSON value with something exchanged, somewhere in it."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(sorted(value))
        if rng.random() < 0.15:
            return {k: v for k, v in value.items() if k != key}
        return {**value, str(key): spoil(rng, value[str(key)])}
    if isinstance(value, list) and value and rng.random() < 0.7:
        place = int(rng.integers(len(value)))
        if rng.random() < 0.2:
            return value + value[place:]
        return [*value[:place], spoil(rng, value[place]), *value[place + 1 :]]
    return VALUES[rng.integers(len(VALUES))]


def test_a_thousand_malformed_requests_are_never_an_error_of_ours(
    client, recording, wav
):
    rng = np.random.default_rng(0)
    voiced = {key: recording[key] for key in ("tokens", "voice")}
    times = [{"start": 0.2 * i, "duration": 0.2} for i in range(3)]
    between = {"other": recording["tokens"], "weights": [0.0, 0.5, 1.0]}
    said = {"input": "dog", "voice": "me", "style": recording["tokens"], "speed": 1.0}
    good = {
        "/speak": {**voiced, "seed": 0, "timings": times, **between},
        "/continue": {**voiced, "max_words": 1, "response_format": "jsonl"},
        "/v1/audio/speech": {**said, "response_format": "pcm"},
    }
    kinds = ["application/json", "text/plain", "multipart/form-data; boundary=b", ""]
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    form += wav(0.2) + b"\r\n--b--\r\n"
    found = {}
    for number in range(1000):
        path = [*good, "/tokenize"][number % 4]
        kind = kinds[0 if rng.random() < 0.9 else rng.integers(4)]
        if path == "/tokenize":
            kind, content = kinds[2], bytearray(form)
            for place in rng.integers(len(content), size=rng.integers(1, 20)):
                content[place if rng.random() < 0.5 else place % 120] = rng.integers(
                    256
                )
            content = bytes(content[: rng.integers(len(content))])
        else:
            content = json.dumps(spoil(rng, good[path])).encode()
            if rng.random() < 0.1:
                content = content[: rng.integers(len(content))]
        reply = client.post(path, content=content, headers={"Content-Type": kind})
        found[reply.status_code] = found.get(reply.status_code, 0) + 1
        assert reply.status_code < 500, (path, content[:500], reply.text)
        if reply.status_code >= 400:
            message(reply)
    assert found[400] > 50 and found[422] > 300, found
