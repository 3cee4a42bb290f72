"""Let a language model judge continuations, 1 to 5.

Enters: folders of continuations with transcripts, and an OpenAI-compatible endpoint (a
service, or a local server such as vLLM or llama.cpp). Leaves in <output_dir>:
``prompt.txt``, ``<set>/answers.jsonl`` (raw answers; what is in there is not asked
again), ``<set>/scores.tsv`` and ``judge.json`` with means, intervals, parse failures
and settings. The key is read from the environment, never from an option.
"""

import argparse
import os
from pathlib import Path

from espnet2_taste.bin.command import run_command
from espnet2_taste.data.files import read_text

_EXAMPLE = """example:
  python -m espnet2_taste.bin.judge_continuations --sets prompts --dump_dir dump/raw \\
      --continuation_dir exp/taslm_embed/continuation --transcripts text_heard \\
      --base_url http://127.0.0.1:8000/v1 --model Qwen/Qwen2.5-7B-Instruct \\
      --output_dir exp/taslm_embed/judge
"""
MODULE = "espnet2_taste.bin.judge_continuations"


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Let a language model judge continuations, 1 to 5",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--continuation_dir", type=Path, required=True, help="Parent of the sets")
    add("--sets", required=True, help="Names of sets, one string")
    add("--dump_dir", type=Path, default=Path("dump/raw"), help="The prompts' sets")
    add("--prompt_words", type=int, default=4, help="Without a prompt_words table")
    add("--transcripts", default="text_heard", help="Table with what was said")
    add("--transcript_source", help="Who wrote the transcripts, if they do not say")
    add("--model", required=True, help="Id of the judge, with its version")
    add("--base_url", default="https://api.openai.com/v1", help="Of the endpoint")
    add("--api_key_env", default="OPENAI_API_KEY", help="Variable that holds the key")
    add("--prompt_file", type=Path, help="Another prompt; {prompt}, {continuation}")
    add("--max_tokens", type=int, default=512, help="Longest answer")
    add("--nj", type=int, default=1, help="Questions at once")
    add("--timeout", type=float, default=120.0, help="Seconds for one answer")
    add("--retries", type=int, default=6, help="Repetitions of a failed request")
    add("--output_dir", type=Path, required=True, help="Where the results go")
    add("--log_level", default="INFO", help="Level of messages")
    return parser


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
    from espnet2_taste.data.ctm import write_rows
    from espnet2_taste.data.kaldi_dir import read_table, sort_keys
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


def run(args: argparse.Namespace, cmd=None) -> None:
    """Judge every set and write the results."""
    from espnet2_taste.evaluation.chat import ChatEndpoint, Patience
    from espnet2_taste.metrics.tables import provenance, write_json

    rules = build_rules(args)
    patience = Patience(args.timeout, args.retries)
    key = os.environ.get(args.api_key_env)
    endpoint = ChatEndpoint(args.base_url, key, patience)
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
    result = {"study": "judge", **provenance(MODULE, cmd, settings), "sets": sets}
    write_json(args.output_dir / "judge.json", result)


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, lambda args: run(args, cmd), cmd)


if __name__ == "__main__":
    main()
