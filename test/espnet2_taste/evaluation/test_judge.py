"""Judging: what is asked, kept, parsed and counted."""

import json
import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_taste.evaluation.chat import Completion
from espnet2_taste.evaluation.judge import (
    PROMPT,
    AnswerFile,
    Judgement,
    JudgeRules,
    fingerprint,
    judge_all,
    parse_rating,
    summarize,
)

PROMPTS = {"a": "the red dog", "b": "a cow", "c": "our cook"}


class Judge:
    """Gives the same answer to everything and counts the questions."""

    def __init__(self, answer="I would rate the score as 4"):
        self.answer, self.asked = answer, []

    def __call__(self, request):
        self.asked.append(request["messages"][0]["content"])
        return Completion(self.answer, "judge-1-0613", "stop")


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("Fits well.\nI would rate the score as 4", 4),
        ("I would rate the score as **5**.", 5),
        ("I would RATE the score as: _3_", 3),
        ("I would rate the score as 4/5.", 4),
        ("I would rate the score as 2.0", 2),
        ("'I would rate the score as _' ... I would rate the score as 1", 1),
        ("I would rate the score as 2. No: I would rate the score as 3", 3),
        ("I would rate the score as 3-4", None),
        ("I would rate the score as 3 or 4", None),
        ("I would rate the score as 3.5", None),
        ("I would rate the score as 3,5", None),
        ("I would rate the score as 0", None),
        ("I would rate the score as 10", None),
        ("I would rate the score as _", None),
        ("Four.", None),
        ("", None),
    ],
)
def test_only_a_clear_rating_is_a_score(answer, score):
    found, reason = parse_rating(answer)
    assert found == score and (reason == "judged") == (score is not None)


@given(st.text())
def test_any_answer_is_a_score_or_has_a_reason(answer):
    score, reason = parse_rating(answer)
    assert score in (None, 1, 2, 3, 4, 5) and reason


@given(st.text(), st.text())
def test_texts_stand_in_the_request_as_they_are(prompt, continuation):
    rules = JudgeRules("m", "<{prompt}|{continuation}>")
    body = rules.request(prompt, continuation)
    assert body["messages"] == [
        {"role": "user", "content": f"<{prompt}|{continuation}>"}
    ]
    assert body["temperature"] == 0 and body["model"] == "m"


def test_a_prompt_needs_both_places():
    with pytest.raises(ValueError, match="--prompt_file: .*no {continuation}"):
        JudgeRules("m", "only {prompt}")
    assert "rate the score as _" in PROMPT and len(JudgeRules("m").prompt_hash()) == 64


def test_nothing_is_asked_twice(tmp_path):
    said = {"a": "runs home", "b": "sings"}
    for count in (2, 0):
        judge, answers = Judge(), AnswerFile(tmp_path / "answers.jsonl")
        result = judge_all(JudgeRules("m"), PROMPTS, said, judge, answers)
        assert len(judge.asked) == count
        assert [item.score for item in result] == [4, 4, 1]
        assert [item.reason for item in result] == ["judged", "judged", "empty"]
    judge, answers = Judge(), AnswerFile(tmp_path / "answers.jsonl")
    judge_all(JudgeRules("m"), PROMPTS, said | {"b": "eats"}, judge, answers)
    assert len(judge.asked) == 1 and "eats" in judge.asked[0]
    judge_all(JudgeRules("another"), PROMPTS, said, judge, answers)
    assert len(judge.asked) == 3


def test_what_was_answered_before_an_error_is_kept(tmp_path):
    said = dict.fromkeys("abc", "and so on")
    calls = []

    def fail_at_third(request):
        calls.append(request)
        if len(calls) == 3:
            raise RuntimeError("the server is down")
        return Completion("I would rate the score as 2", "m", "stop")

    path = tmp_path / "answers.jsonl"
    with pytest.raises(RuntimeError, match="down"):
        judge_all(JudgeRules("m"), PROMPTS, said, fail_at_third, AnswerFile(path))
    with open(path, "a", encoding="utf-8") as stream:
        stream.write('{"utt": "c", "req')  # killed while it wrote
    judge = Judge()
    result = judge_all(JudgeRules("m"), PROMPTS, said, judge, AnswerFile(path))
    assert len(judge.asked) == 1 and [item.score for item in result] == [2, 2, 4]
    assert len(path.read_text().splitlines()) == 3


def test_several_questions_at_once_are_kept_whole(tmp_path):
    prompts = {f"u{i}": f"beginning {i}" for i in range(40)}
    gate = threading.Barrier(4, timeout=10)

    def ask(request):
        gate.wait()  # four at a time, or nobody goes on
        return Completion("I would rate the score as 3", "m", "stop")

    path = tmp_path / "answers.jsonl"
    judge_all(JudgeRules("m"), prompts, prompts, ask, AnswerFile(path), workers=4)
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert {record["utt"] for record in records} == set(prompts)


def test_a_damaged_answer_is_named(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text("{}\n")
    with pytest.raises(ValueError, match="line 1: .*remove the line"):
        AnswerFile(path)


def test_failures_are_counted_not_dropped():
    items = [
        Judgement("a", 5, "judged", "m"),
        Judgement("b", 1, "empty"),
        Judgement("c", None, "no rating line in the answer", "m"),
    ]
    result = summarize(items)
    assert (result["prompts"], result["empty"], result["parse_failures"]) == (3, 1, 1)
    assert result["mean"] == 3 and result["mean_failures_lowest"] == pytest.approx(
        7 / 3
    )
    assert 1 <= result["low"] <= result["high"] <= 5
    assert result["counts"] == {1: 1, 2: 0, 3: 0, 4: 0, 5: 1}
    assert result["answered_by"] == ["m"]
    assert math.isnan(summarize([])["mean"])


def test_every_part_of_a_request_counts():
    rules = JudgeRules("m")
    asked = {
        fingerprint(body)
        for body in (
            rules.request("a", "b"),
            rules.request("b", "a"),
            JudgeRules("n").request("a", "b"),
            JudgeRules("m", max_tokens=9).request("a", "b"),
        )
    }
    assert len(asked) == 4
