"""Scores of recognized continuations: a judge's, and answers to questions."""

import argparse
import os
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser

from espnet2_taste.bin.command import Command, Program, add_shared, save_study
from espnet2_taste.data.ctm import write_rows
from espnet2_taste.data.files import read_text
from espnet2_taste.data.kaldi_dir import read_table, sort_keys
from espnet2_taste.evaluation.chat import ChatEndpoint
from espnet2_taste.evaluation.transcripts import read_transcripts


def judge_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_judge`."""
    add = parser.add_argument
    add("--dump_dir", type=Path, default=Path("dump/raw"), help="The prompts' sets")
    add("--prompt_words", type=int, default=4, help="Without a prompt_words table")
    add("--model", required=True, help="Id of the judge, with its version")
    add("--base_url", default="https://api.openai.com/v1", help="Of the endpoint")
    add("--api_key_env", default="OPENAI_API_KEY", help="Variable that holds the key")
    add("--prompt_file", type=Path, help="Another prompt; {prompt}, {continuation}")
    add("--max_tokens", type=int, default=512, help="Longest answer")
    add("--nj", type=int, default=1, help="Questions at once")
    add("--timeout", type=float, default=120.0, help="Seconds for one answer")
    add("--retries", type=int, default=6, help="Repetitions of a failed request")
    add("--output_dir", type=Path, required=True, help="Where the results go")
    add_shared(parser, "sets", "continuation_dir", "transcripts", "transcript_source")


def build_rules(args: argparse.Namespace):
    """Model and prompt.

    Raises:
        ValueError: The prompt file is missing or has no places for the texts.
    """
    from espnet2_taste.evaluation.judge import PROMPT, JudgeRules

    prompt = PROMPT
    if args.prompt_file:
        if not args.prompt_file.is_file():
            raise ValueError(f"--prompt_file: no such file: '{args.prompt_file}'")
        prompt = read_text(args.prompt_file)
    return JudgeRules(args.model, prompt, args.max_tokens)


def judge_set(name: str, rules, endpoint, args: argparse.Namespace) -> dict:
    """Judge one set.

    Args:
        name: Of the set.
        rules: ``JudgeRules``.
        endpoint: ``ChatEndpoint``.
        args: Options.

    Returns:
        The summary.

    Raises:
        ValueError: A file is missing.
    """
    from espnet2_taste.evaluation import judge, transcripts

    continued, output = args.continuation_dir / name, args.output_dir / name
    said = transcripts.read_transcripts(
        continued, args.transcripts, args.transcript_source
    )
    given = transcripts.read_prompts(continued, args.dump_dir / name, args.prompt_words)
    spoken = read_table(continued / "wav.scp")
    prompts = {utt: given[utt] for utt in sort_keys(given) if utt in spoken}
    if not prompts:
        raise ValueError(f"{continued / 'wav.scp'}: no prompt of {name} was continued")
    output.mkdir(parents=True, exist_ok=True)
    answers = judge.AnswerFile(output / "answers.jsonl")
    results = judge.judge_all(
        rules, prompts, said.texts, endpoint.complete, answers, args.nj
    )
    rows = [(item.utterance, item.score or "-", item.reason) for item in results]
    write_rows(output / "scores.tsv", ("utt", "score", "reason"), rows)
    summary = judge.summarize(results) | {"not_continued": len(given) - len(prompts)}
    return summary | {"transcripts": said.source}


def run_judge(args: argparse.Namespace) -> None:
    """Let a language model judge continuations, 1 to 5.

    Enters: folders of continuations with transcripts, and an OpenAI-compatible endpoint
    (a service, or a local server such as vLLM or llama.cpp). Leaves in <output_dir>:
    ``prompt.txt``, ``<set>/answers.jsonl`` (raw answers; what is in there is not asked
    again), ``<set>/scores.tsv`` and ``judge.json`` with means, intervals, parse
    failures and settings. The key is read from the environment, never from an option.

    Example:
        python -m espnet2_taste.bin.continuations judge --sets prompts \\
            --dump_dir dump/raw \\
            --continuation_dir exp/taslm_embed/continuation \\
            --transcripts text_recognized \\
            --base_url http://127.0.0.1:8000/v1 --model Qwen/Qwen2.5-7B-Instruct \\
            --output_dir exp/taslm_embed/judge
    """
    rules = build_rules(args)
    key = os.environ.get(args.api_key_env)
    endpoint = ChatEndpoint(args.base_url, key, args.timeout, args.retries)
    args.output_dir.mkdir(parents=True, exist_ok=True)
    (args.output_dir / "prompt.txt").write_text(rules.prompt, encoding="utf-8")
    sets = {}
    for name in args.sets.split():
        sets[name] = judge_set(name, rules, endpoint, args)
        print(
            f"{args.output_dir / name}: {sets[name]['mean']:.2f} "
            f"({sets[name]['low']:.2f} to {sets[name]['high']:.2f}) over "
            f"{sets[name]['prompts']} prompts, {sets[name]['empty']} empty, "
            f"{sets[name]['parse_failures']} answers without a score"
        )
    settings = {
        "model": rules.model,
        "endpoint": args.base_url,
        "temperature": rules.temperature,
        "max_tokens": rules.max_tokens,
        "prompt_sha256": rules.prompt_hash(),
    }
    save_study(args, args.output_dir / "judge.json", "judge", settings, sets=sets)


def answers_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_answers`."""
    add = parser.add_argument
    add("--data_dir", type=Path, default=Path("data"), help="Has <set>/answers.tsv")
    add("--output_dir", type=Path, required=True, help="Where the results go")
    add_shared(parser, "sets", "continuation_dir", "transcripts", "transcript_source")


def score_set(name: str, args: argparse.Namespace) -> dict:
    """Score one set.

    Args:
        name: Of the set.
        args: Options.

    Returns:
        What ``score_answers`` gives, and who wrote the transcripts.

    Raises:
        ValueError: A file is missing, or nothing was said to any question.
    """
    from espnet2_taste.evaluation.questions import read_answers, score_answers

    folder = args.continuation_dir / name
    said = read_transcripts(folder, args.transcripts, args.transcript_source)
    answers = read_answers(args.data_dir / name / "answers.tsv")
    if not answers.keys() & said.texts.keys():
        raise ValueError(
            f"{folder / args.transcripts}: it knows no question of "
            f"{args.data_dir / name}, e.g. '{next(iter(answers), '')}'; check --sets"
        )
    score, right = score_answers(answers, said.texts)
    rows = [
        (utt, " | ".join(answers[utt]), said.texts.get(utt, ""), int(is_right))
        for utt, is_right in right.items()
    ]
    args.output_dir.mkdir(parents=True, exist_ok=True)
    header = ("utt", "answers", "said", "right")
    write_rows(args.output_dir / f"{name}.tsv", header, rows)
    return score | {"transcripts": said.source}


def run_answers(args: argparse.Namespace) -> None:
    """Score spoken question answering: is an accepted answer said after the question?

    Enters: ``answers.tsv`` of a set of questions and transcripts of what a system said
    after them. Leaves in <output_dir>: ``<set>.tsv`` (each question, what was said,
    right or not) and ``answers.json`` with accuracy, 95 % interval and the share that
    another question's answers reach.

    Example:
        python -m espnet2_taste.bin.continuations answers --data_dir data \\
            --sets questions \\
            --continuation_dir exp/taslm_embed/continuation \\
            --transcripts text_recognized \\
            --output_dir exp/taslm_embed/answers
    """
    sets = {name: score_set(name, args) for name in args.sets.split()}
    for name, score in sets.items():
        print(
            f"{name}: {100 * score['accuracy']:.1f} % "
            f"({100 * score['low']:.1f} to {100 * score['high']:.1f}) of "
            f"{score['questions']} questions, by chance "
            f"{100 * score['by_chance']:.1f} %"
        )
    settings = {
        "match": "answer's words side by side, lower case, no punctuation or articles"
    }
    save_study(args, args.output_dir / "answers.json", "answers", settings, sets=sets)


main = Program(
    __doc__,
    judge=Command(run_judge, judge_options),
    answers=Command(run_answers, answers_options),
)

if __name__ == "__main__":
    main()
