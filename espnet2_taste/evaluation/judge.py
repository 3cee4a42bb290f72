"""Continuations judged by a language model: 1 (nonsense) to 5 (very likely).

Enters: texts of prompts and of what followed them, and something that answers chats.
Leaves: for every prompt a score, or the reason why there is none, and their mean with
an interval. Raw answers are kept in a file of JSON lines and are parsed from there:
nothing is asked twice, and no number exists without the words it was read from.

The measure is that of Align-SLM and of section 4.2 of the paper; the wording of the
built-in prompt is this package's own, so scores compare with published ones only when
the published prompt is given as a file. An empty continuation scores 1 unasked.
"""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from espnet2_taste.data.files import read_text
from espnet2_taste.data.kaldi_dir import write_lines
from espnet2_taste.evaluation.chat import Completion
from espnet2_taste.metrics.statistics import mean, mean_interval
from espnet2_taste.text.normalizers import has_letter_or_digit

LOWEST, HIGHEST = 1, 5
PROMPT = """\
Below is the beginning of what somebody said, and how a system went on speaking.

Beginning: "{prompt}"
Continuation: "{continuation}"

Ask yourself three things. Does the continuation keep to what the beginning is about?
Is it a likely way to go on? Does it make sense? Both texts are transcripts of speech:
missing capitals, missing punctuation and an unfinished last sentence do not count.

Answer with a whole number from 1 to 5:
1 - unrelated to the beginning, or without meaning
2 - unlikely, and related only loosely
3 - possible, and related in part
4 - likely and related
5 - very likely, clearly related, and it makes sense

Explain your choice in one or two sentences. Then close with this line, the number in
place of the underscore:
I would rate the score as _
"""
_PLACES = re.compile(r"\{(prompt|continuation)\}")
_RATING = re.compile(
    r"rate\s+the\s+score\s+as[\s:*_\"'`\[({<]*"
    r"(?P<number>\d+(?:[.,]\d+)?)(?P<range>\s*(?:-|–|to\b|or\b)\s*\d)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Judgement:
    """One continuation's score.

    Attributes:
        utterance: Its id.
        score: 1 to 5, or None.
        reason: ``judged``, ``empty``, or why there is no score.
        model: Who answered, as the server gives it; empty if nobody was asked.
    """

    utterance: str
    score: int | None
    reason: str
    model: str = ""


@dataclass(frozen=True)
class JudgeRules:
    """What every request has in common.

    Attributes:
        model: Id of the judge.
        prompt: Text with ``{prompt}`` and ``{continuation}`` in it.
        max_tokens: Longest answer.
        temperature: Of the judge; 0 takes the likeliest answer.
    """

    model: str
    prompt: str = PROMPT
    max_tokens: int = 512
    temperature: float = 0.0

    def __post_init__(self):
        missing = {"prompt", "continuation"} - set(_PLACES.findall(self.prompt))
        if missing:
            raise ValueError(
                f"--prompt_file: expected the places {{prompt}} and {{continuation}}, "
                f"found no {{{sorted(missing)[0]}}}; write it where the text belongs"
            )

    def prompt_hash(self) -> str:
        """SHA-256 of the prompt's text, by which results are compared."""
        return hashlib.sha256(self.prompt.encode("utf-8")).hexdigest()

    def request(self, prompt: str, continuation: str) -> dict:
        """Body of the request for one continuation."""
        texts = {"prompt": prompt, "continuation": continuation}
        content = _PLACES.sub(lambda place: texts[place[1]], self.prompt)
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }


def fingerprint(request: Mapping) -> str:
    """Hash of everything that was asked; another question has another one."""
    text = json.dumps(request, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]


def parse_rating(answer: str) -> tuple[int | None, str]:
    """Read the score from an answer.

    The last rating line counts: a judge may quote the instruction before.

    Args:
        answer: Raw text of the judge.

    Returns:
        The score and ``judged``, or None and why there is none.

    Example:
        >>> parse_rating("They fit. I would rate the score as **4**.")
        (4, 'judged')
        >>> parse_rating("I would rate the score as 3-4")
        (None, "a range, not a number: '3-4'")
    """
    found = list(_RATING.finditer(answer))
    if not found:
        return None, "no rating line in the answer" if answer else "an empty answer"
    number = found[-1]["number"].replace(",", ".")
    if found[-1]["range"]:
        return None, f"a range, not a number: '{number}{found[-1]['range']}'"
    if float(number) not in range(LOWEST, HIGHEST + 1):
        return None, f"expected a whole number from 1 to 5, found {number}"
    return int(float(number)), "judged"


class AnswerFile:
    """Raw answers as JSON lines, each written as soon as it is there.

    Args:
        path: The file; a last line that a killed run left unfinished is removed.

    Raises:
        ValueError: Another line is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.answers: dict[tuple[str, str], dict] = {}
        content = read_text(path) if path.is_file() else ""
        lines = content.split("\n")
        if lines.pop():
            write_lines(path, lines)
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
                self.answers[record["utt"], record["request"]] = record
            except (ValueError, LookupError, TypeError) as error:
                raise ValueError(
                    f"{path}, line {number}: expected an answer in JSON ({error}); "
                    "remove the line, and it is asked for again"
                ) from error

    def find(self, utterance: str, request: Mapping) -> dict | None:
        """Record of the answer to a request, or None if it was not asked."""
        return self.answers.get((utterance, fingerprint(request)))

    def add(self, utterance: str, request: Mapping, reply: Completion) -> None:
        """Keep an answer; safe from several threads."""
        record = {
            "utt": utterance,
            "request": fingerprint(request),
            "model": reply.model,
            "finish": reply.finish,
            "answer": reply.text,
        }
        with self.lock:
            self.answers[utterance, record["request"]] = record
            with open(self.path, "a", encoding="utf-8", newline="\n") as stream:
                stream.write(json.dumps(record, ensure_ascii=False) + "\n")


def judge_all(
    rules: JudgeRules,
    prompts: Mapping[str, str],
    continuations: Mapping[str, str],
    ask: Callable[[Mapping], Completion],
    answers: AnswerFile,
    workers: int = 1,
) -> list[Judgement]:
    """Judge every continuation; what was answered before is not asked again.

    Args:
        rules: Model and prompt.
        prompts: Text before each continuation.
        continuations: Their texts; absent or empty ones score 1.
        ask: Answers one request.
        answers: Where raw answers are kept.
        workers: Questions at once.

    Returns:
        One judgement a prompt, in the order of ``prompts``.

    Raises:
        RuntimeError: The judge does not answer.
    """
    requests = {
        name: rules.request(prompt, continuations[name])
        for name, prompt in prompts.items()
        if has_letter_or_digit(continuations.get(name, ""))
    }
    waiting = [n for n, body in requests.items() if answers.find(n, body) is None]

    def ask_and_keep(name: str) -> None:
        answers.add(name, requests[name], ask(requests[name]))

    _for_each(ask_and_keep, waiting, workers)
    judged = {}
    for name, body in requests.items():
        record = answers.find(name, body)
        rating = parse_rating(record["answer"])
        judged[name] = Judgement(name, *rating, record["model"])
    return [judged.get(name, Judgement(name, LOWEST, "empty")) for name in prompts]


def _for_each(work: Callable[[str], None], names: Sequence[str], workers: int) -> None:
    """Do the work for every name, ``workers`` at once; the first error ends it."""
    from tqdm import tqdm

    with ThreadPoolExecutor(max(workers, 1)) as pool:
        futures = [pool.submit(work, name) for name in names]
        try:
            for future in tqdm(
                as_completed(futures), "judge", len(futures), disable=None
            ):
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def summarize(judgements: Iterable[Judgement], seed: int = 0) -> dict:
    """Mean score of a set.

    Args:
        judgements: Of all its prompts.
        seed: Seed of the bootstrap.

    Returns:
        ``prompts``, ``empty``, ``parse_failures``, ``mean`` over the scores there are
        with ``low`` and ``high`` (95 %), ``mean_failures_lowest`` (failures count 1),
        how often each score was given, and which models answered.
    """
    judgements = list(judgements)
    scores = [item.score for item in judgements if item.score is not None]
    failures = len(judgements) - len(scores)
    failed = [LOWEST] * failures
    ends = mean_interval(scores, seed)
    return {
        "prompts": len(judgements),
        "empty": sum(item.reason == "empty" for item in judgements),
        "parse_failures": failures,
        **{key: ends[key] for key in ("mean", "low", "high")},
        "mean_failures_lowest": mean(scores + failed),
        "counts": {s: scores.count(s) for s in range(LOWEST, HIGHEST + 1)},
        "answered_by": sorted({item.model for item in judgements if item.model}),
    }
