"""Order, completeness and results of a page, run by node against slow Python."""

import json
import shutil
import subprocess
from importlib import resources

import pytest

pytestmark = pytest.mark.skipif(
    not shutil.which("node"), reason="no node to run the page's logic (apt: nodejs)"
)
TRIALS = [
    {
        "id": f"t{i}",
        "stimuli": [{"id": f"t{i}s{j}", "src": f"a{i}{j}"} for j in range(4)],
    }
    for i in range(6)
]
STUDY = {"id": "x", "seed": 7, "trials_per_listener": 0, "trials": TRIALS}


def run(expression):
    """Value of a JavaScript expression beside the page's logic."""
    folder = resources.files("espnet2_taste.evaluation.listening")
    script = (folder / "logic.js").read_text(encoding="utf-8")
    script += f"\nconsole.log(JSON.stringify({expression}));"
    command = ["node", "-e", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def hash_slowly(text):
    value = 0x811C9DC5
    for byte in text.encode("utf-8"):
        value = (value ^ byte) * 0x01000193 % 2**32
    return value


def numbers_slowly(text):
    state = hash_slowly(text)
    while True:
        state = (state + 0x6D2B79F5) % 2**32
        mixed = (state ^ (state >> 15)) * (state | 1) % 2**32
        mixed ^= (mixed + (mixed ^ (mixed >> 7)) * (mixed | 61)) % 2**32
        yield ((mixed ^ (mixed >> 14)) % 2**32) / 2**32


def shuffle_slowly(items, numbers):
    result = list(items)
    for last in range(len(result) - 1, 0, -1):
        other = int(next(numbers) * (last + 1))
        result[last], result[other] = result[other], result[last]
    return result


def plan_slowly(study, listener):
    numbers = numbers_slowly(f"{study['seed']}/{listener}")
    trials = shuffle_slowly(study["trials"], numbers)
    trials = trials[: study["trials_per_listener"] or None]
    return [t | {"stimuli": shuffle_slowly(t["stimuli"], numbers)} for t in trials]


def test_orders_follow_from_seed_and_listener():
    people = ["anna", "b.7", "zoë", ""]
    studies = [STUDY, STUDY | {"seed": 8}, STUDY | {"trials_per_listener": 2}]
    wanted = [plan_slowly(study, name) for study in studies for name in people]
    found = run(
        f"{json.dumps(studies)}.flatMap((study) => "
        f"{json.dumps(people)}.map((name) => Logic.plan(study, name)))"
    )
    assert found == wanted
    orders = [[trial["id"] for trial in plan] for plan in found[:8]]
    assert len({tuple(order) for order in orders}) == 8
    assert all(sorted(order) == [f"t{i}" for i in range(6)] for order in orders)


def test_every_place_is_as_likely():
    study = STUDY | {"trials": TRIALS[:3]}
    plans = run(
        f"Array.from({{length: 3000}}, (_, i) => Logic.plan({json.dumps(study)}, "
        "`p${i}`).map((trial) => trial.id))"
    )
    for place in range(3):
        firsts = [plan[place] for plan in plans]
        assert all(900 < firsts.count(f"t{i}") < 1100 for i in range(3))


def test_nothing_is_skipped():
    trial = TRIALS[0] | {"context": "c", "reference": None}
    heard = {f"a0{j}": True for j in range(4)}
    scores = {f"t0s{j}": 0 for j in range(4)}
    states = [
        (heard, scores),
        (heard | {"c": True}, {}),
        (heard | {"c": True}, scores),
    ]
    found = run(
        f"{json.dumps(states)}.map(([heard, scores]) => "
        f"Logic.missing({json.dumps(trial)}, heard, scores))"
    )
    assert found == [
        "Listen to every recording to its end.",
        "Rate every recording.",
        "",  # 0 is a score like any other
    ]


def test_results_hold_every_rating_once():
    state = {"scores": {"t0s1": 3}, "plays": {"a01": 2}, "seconds": {"t0": 4.6}}
    state |= {"started": "s", "finished": "f"}
    plan = [{"id": "t0", "stimuli": [{"id": "t0s1", "src": "a01"}]}]
    args = ", ".join(map(json.dumps, (STUDY, "anna", plan, state)))
    assert run(f"Logic.results({args})") == {
        "study": "x",
        "seed": 7,
        "listener": "anna",
        "started": "s",
        "finished": "f",
        "ratings": [
            {
                "trial": "t0",
                "stimulus": "t0s1",
                "score": 3,
                "place": 0,
                "position": 0,
                "plays": 2,
                "seconds": 5,
            }
        ],
    }
