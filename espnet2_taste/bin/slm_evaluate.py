"""Scores of spoken language models: of a recipe, and of a comparison's designs."""

import argparse
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser

from espnet2_taste.bin.command import Command, Program, add_shared, save_study
from espnet2_taste.data.ctm import read_rows
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.evaluation.systems_report import systems_points
from espnet2_taste.experiment_files import current
from espnet2_taste.metrics.plots import plot_designs
from espnet2_taste.recognizers.options import LazyAligner, add_recognizer_arguments
from espnet2_taste.tasks.arguments import add_word_arguments, word_options


def models_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_models`."""
    add = parser.add_argument
    add("--expdir", default="exp", help="Where the experiments are")
    add("--test_sets", default="test", help="Sets for perplexity")
    add("--pair_sets", default="", help="Sets with pairs.tsv")
    add(
        "--prompt_sets", default="", help="Sets that were continued, default: test_sets"
    )
    add_recognizer_arguments(parser, required=True)
    add(
        "--pair_score",
        default="both_mean",
        help="Column of scores.tsv that decides a pair",
    )
    add_shared(parser, "dump_dir", "ngpu")


def evaluate(exp: Path, args: argparse.Namespace, aligner) -> dict:
    """Scores of one model.

    Args:
        exp: Its experiment directory.
        args: Options.
        aligner: Function that gives the aligner.

    Returns:
        ``perplexity``, ``rate`` and ``continuation`` of the first set of each kind,
        ``pairs`` by set, and ``pairs_by_reduction`` with every column.
    """
    from espnet2_taste.evaluation import slm

    dump, test = Path(args.dump_dir), args.test_sets.split()[0]
    scores = slm.read_scores(exp / "likelihood" / test / "scores.tsv")
    result = {"perplexity": slm.compare_perplexity(scores), "pairs": {}}
    result["pairs_by_reduction"] = {}
    for name in args.pair_sets.split():
        by_column = slm.score_pair_set(exp / "likelihood", dump, name)
        if args.pair_score not in by_column:
            raise ValueError(
                f"--pair_score {args.pair_score}: scores.tsv has {', '.join(by_column)}"
            )
        result["pairs"][name] = by_column[args.pair_score]
        result["pairs_by_reduction"][name] = by_column
    prompts = (args.prompt_sets or args.test_sets).split()[0]
    continued = exp / "continuation" / prompts
    result["rate"] = slm.score_rates(dump / prompts, continued, aligner)
    result["continuation"] = slm.score_words(continued, aligner)
    return result


def run_models(args: argparse.Namespace) -> None:
    """Score the spoken language models of a recipe (stage 13).

    Enters: likelihoods and continuations that stage 12 made for every ``taslm_*``
    experiment. Leaves <expdir>/taslm_scores/scores.json: text perplexity against the
    base LM, pair accuracies with intervals, and how the tempo follows the prompt.

    Example:
        python -m espnet2_taste.bin.slm_evaluate models --expdir exp \\
            --dump_dir dump/raw \\
            --test_sets test --pair_sets "pairs_style pairs_voice pairs_coherent" \\
            --prompt_sets prompts --recognizer exp/asr
    """
    expdir = Path(args.expdir)
    exps = [p.parent for p in current(expdir.glob("taslm_*/likelihood"), expdir)]
    if not exps:
        raise ValueError(f"no taslm_*/likelihood below {expdir}: run stage 12 first")
    aligner = LazyAligner.from_args(args)
    models = {exp.name: evaluate(exp, args, aligner) for exp in exps}
    settings = {"pair_score": args.pair_score, "aligner": args.recognizer}
    output = expdir / "taslm_scores" / "scores.json"
    save_study(args, output, "slm", settings, models=models)
    print(f"{output} written")


def designs_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_designs`."""
    add = parser.add_argument
    add("--expdirs", default="exp", help="Parents of the experiments, one a seed")
    add("--names", required=True, help="Designs below --expdirs, one string")
    add("--study", default="systems", help="Its name in RESULTS.md")
    add("--prompt_set", default="prompts", help="Set that was continued")
    add("--pair_sets", default="", help="Sets with pairs.tsv, one string")
    add("--question_set", default="", help="Set with answers.tsv that was continued")
    add("--lm", required=True, help="Text LM that reads what is recognized")
    other_lms = "LMs that took no part, one string: each gives a further perplexity. "
    other_lms += "Hugging Face directory or hub name, or pocketsphinx: the US English "
    other_lms += "3-gram LM of that package (extra ngram)"
    add("--other_lms", default="", help=other_lms)
    add_recognizer_arguments(parser, required=True)
    add("--budgets", help="Table of tables budget, shown beside the scores")
    add("--output_dir", required=True, help="Receives scores.json")
    add_word_arguments(parser)
    add_shared(parser, "dump_dir", "ngpu")


def score_runs(args: argparse.Namespace) -> dict[str, dict]:
    """Scores of each design over the seeds.

    Args:
        args: Options.

    Returns:
        What ``merge_seeds`` gives, by design.

    Raises:
        ValueError: None of the designs was found.
    """
    from espnet2_taste.evaluation import systems
    from espnet2_taste.evaluation.continuation_reader import load_reader

    dump = Path(args.dump_dir)
    aligner = LazyAligner.from_args(args)
    options = word_options(args)
    other_lms = {lm: load_reader(lm, **options) for lm in args.other_lms.split()}
    reader = load_reader(args.lm, **options)
    found: dict[str, list[dict]] = {}
    for name in args.names.split():
        for parent in args.expdirs.split():
            exp = Path(parent) / name
            continued = exp / "continuation" / args.prompt_set
            if not (continued / "wav.scp").is_file():
                continue
            prompts = dump / args.prompt_set
            scores = systems.score_continuations(
                continued, prompts, aligner, args.recognizer, reader, other_lms
            )
            scores["pairs"] = systems.score_pair_sets(
                exp / "likelihood", dump, args.pair_sets.split()
            )
            asked = exp / "continuation" / args.question_set
            if args.question_set and (asked / "wav.scp").is_file():
                recognized = systems.recognize_continuations(
                    asked, aligner, args.recognizer
                )
                scores["answers"] = systems.answer_questions(
                    recognized, dump / args.question_set
                )
            found.setdefault(Path(name).name, []).append(scores)
    if not found:
        raise ValueError(
            f"no continuation/{args.prompt_set} of {args.names} below {args.expdirs}: "
            "run stage 12 for TASLM and stage 16 for the other designs"
        )
    return {name: systems.merge_seeds(runs) for name, runs in found.items()}


def run_designs(args: argparse.Namespace) -> None:
    """Score every design of a comparison by the same measures (stage 16).

    Enters: experiment directories, one a seed, each with the continuations and
    likelihoods of the designs. Leaves <output_dir>/scores.json: for each design pair
    accuracies, perplexity and tempo of its recognized continuations, and answers to
    spoken questions, over the seeds; and a picture of them. A design that lacks
    something is shown without it.

    Example:
        python -m espnet2_taste.bin.slm_evaluate designs --expdirs "exp exp_seed1" \\
            --names "taslm_embed gslm moshi cascade" --lm exp/llm_base \\
            --recognizer exp/asr \\
            --prompt_set prompts --pair_sets "pairs_style pairs_voice pairs_coherent" \\
            --output_dir exp/systems_scores
    """
    settings = {
        "asr": args.recognizer,
        "text_lm": args.lm,
        "other_lms": args.other_lms,
        "pair_score": "both_mean",
        "seeds": len(args.expdirs.split()),
    }
    result = {"designs": score_runs(args)}
    if args.budgets:
        result["budgets"] = {row["design"]: row for row in read_rows(args.budgets)}
    output = Path(args.output_dir) / "scores.json"
    save_study(args, output, args.study, settings, **result)
    points = systems_points(result["designs"])
    plot_designs(output.parent / "images" / "designs.png", points)
    print(f"{output} written: {', '.join(result['designs'])}")


def answers_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_answers`."""
    add = parser.add_argument
    add("--expdir", type=Path, required=True, help="Parent of the models' answers")
    add("--names", required=True, help="Models below --expdir, one string")
    add("--question_set", default="questions", help="Set with answers.tsv")
    add_recognizer_arguments(parser, required=True)
    add_shared(parser, "dump_dir", "ngpu")


def run_answers(args: argparse.Namespace) -> None:
    """Score spoken answers to spoken questions (stage 16, --sft_sets).

    Enters: <expdir>/<name>/continuation/<question_set> of each model. Leaves
    <expdir>/answers.json: the share of right answers, and by chance, in the words that
    are recognized and in those that the model wrote.

    Example:
        python -m espnet2_taste.bin.slm_evaluate answers --expdir exp/instruct \\
            --names "taslm_embed taslm_sft" --recognizer exp/asr
    """
    from espnet2_taste.evaluation import systems

    questions = Path(args.dump_dir) / args.question_set
    aligner, models = LazyAligner.from_args(args), {}
    for name in args.names.split():
        asked = args.expdir / name / "continuation" / args.question_set
        said = systems.recognize_continuations(asked, aligner, args.recognizer)
        models[name] = {
            "recognized": systems.answer_questions(said, questions),
            "written": systems.answer_questions(read_table(asked / "text"), questions),
        }
        print(f"{name}: {models[name]}")
    path, settings = args.expdir / "answers.json", {"asr": args.recognizer}
    save_study(args, path, "answers", settings, models=models)


main = Program(
    __doc__,
    models=Command(run_models, models_options),
    designs=Command(run_designs, designs_options),
    answers=Command(run_answers, answers_options),
)

if __name__ == "__main__":
    main()
