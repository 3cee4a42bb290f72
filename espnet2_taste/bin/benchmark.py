"""Time tokenization, unit decoding, continuation and training against others' ways.

Enters: sizes and a device; models are random. Leaves: a table on the screen and, with
--output, JSON. Every ratio is of two measurements in this run. Each row names its
opponent, which is what a user would run instead (``evaluation/opponents.py``), and the
time against the limit: where rows are made one after the other, reading the weights
once a row; for tokenization, the products of the speech encoder. The plain loops
compute everything again, as ``espnet2_taste.evaluation.benchmark`` says.

Examples:
    python -m espnet2_taste.bin.benchmark --output exp/benchmark.json
    python -m espnet2_taste.bin.benchmark --ngpu 1 --lm_size 1b --dtype bfloat16
    python -m espnet2_taste.bin.benchmark --tasks training --repeat 5 --num_threads 1
    python -m espnet2_taste.bin.benchmark --tasks start --model exp/packed/taste.zip
    python -m espnet2_taste.bin.benchmark --tasks profile --exp exp/taste_vq --steps 20
    python -m espnet2_taste.bin.benchmark --tasks memory --lm_size 135m
    python -m espnet2_taste.bin.benchmark --tasks lm_sizes
    python -m espnet2_taste.bin.benchmark --tasks states --whisper large --windows 1
    python -m espnet2_taste.bin.benchmark --tasks streaming --ngpu 1 --lm_size 1b \\
        --dtype bfloat16 --model exp/packed/taslm.zip --wav exp/packed/sample.wav
"""

import argparse
import logging
import time
from functools import partial
from importlib import import_module

from espnet2.utils.config_argparse import ArgumentParser

from espnet2_taste.bin.command import Command, add_shared, save_study
from espnet2_taste.metrics.tables import markdown_table

WAYS = ("opponent", "plain", "one", "batch")
COMPARED = ("tokenization", "unit_decoding", "continuation")
OTHER_TASKS = ("streaming", "start", "profile", "alignment", "memory", "lm_sizes")
OTHER_TASKS = ("training", *OTHER_TASKS, "states")


def add_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run`."""
    add = parser.add_argument
    tasks = dict(default=[*COMPARED, "training"], choices=[*COMPARED, *OTHER_TASKS])
    add("--tasks", nargs="+", **tasks, help="What to measure")
    several = dict(type=int, nargs="+")
    add("--words", **several, default=[8, 32, 64], help="Of each task")
    add("--units", type=int, default=24, help="Units to decode for any of the words")
    add("--vocabulary", type=int, default=128000, help="For the tables of the sampler")
    add("--batch_size", type=int, default=8, help="Of the batched measurements")
    add("--lm_size", default="medium", help="medium, 135m, 1b or 7b")
    add("--dtype", default="float32", help="Of the language model")
    add("--num_threads", type=int, default=2, help="CPU threads")
    add("--repeat", type=int, default=5, help="Turns of the ways; medians count")
    vocabularies = "Of the LMs that are trained"
    add("--training_vocabularies", **several, default=[8192, 49152], help=vocabularies)
    batch = "Utterances of a step, and tokens of each"
    add("--training_batch", type=int, nargs=2, default=[16, 60], help=batch)
    model = "streaming: packed TASLM, whose other parts speak; start: it is loaded"
    add("--model", help=model)
    add("--exp", help="profile: experiment whose training is looked at")
    add("--exp_task", default="taste", help="profile: taste, spoken_lm or text_lm")
    add("--steps", type=int, default=20, help="profile: of the training")
    minutes = dict(type=float, nargs="+", default=[0.5, 5, 60])
    add("--minutes", **minutes, help="alignment: of the recordings")
    add("--whisper", default="large", help="states: tiny or large")
    add("--windows", type=int, default=1, help="states: of 30 s, at once")
    add("--cache_dir", help="Folder for unpacked archives (default: ESPnet's cache)")
    add("--wav", help="streaming: recording of who speaks")
    add("--output", help="JSON file for the results")
    add_shared(parser, "ngpu")


class Bench:
    """Compares ways to do the same on one device.

    Args:
        args: Options.
    """

    def __init__(self, args: argparse.Namespace):
        from espnet2_taste.evaluation.benchmark import measure

        self.args = args
        self.device = "cuda" if args.ngpu else "cpu"
        self.meter = partial(measure, device=self.device)

    def measure(self, **works: tuple) -> dict:
        """Measure some ways in turns, so that other load falls on all of them.

        Args:
            **works: What to do, and the model that does it.

        Returns:
            By way: median seconds, and the largest memory with the model's.
        """
        from statistics import median

        from espnet2_taste.evaluation.benchmark import Measure, model_megabytes

        turns = [
            {name: self.meter(work) for name, (work, _) in works.items()}
            for _ in range(self.args.repeat)
        ]
        return {
            name: Measure(
                median(turn[name].seconds for turn in turns),
                max(turn[name].megabytes for turn in turns) + model_megabytes(model),
            )
            for name, (_, model) in works.items()
        }

    def summary(
        self, task: str, amount: float, opponent: str, ways: dict, limit=None
    ) -> dict:
        """Compare the measurements of a task.

        Args:
            task: Its name.
            amount: Words, units or utterances of one item.
            opponent: What ``ways["opponent"]`` is.
            ways: Measures by name: one item by the "opponent", the "plain" way and
                ours ("one"), and ``--batch_size`` items our way ("batch"); the plain
                way and the batch may be missing.
            limit: Seconds below which one item cannot be made; None if unknown.

        Returns:
            A row: words, units or utterances a second, ratios and memory.
        """
        logging.info("%s: %s", task, {n: f"{w.seconds:.4f} s" for n, w in ways.items()})
        speed = {n: amount / ways[n].seconds if n in ways else None for n in WAYS}
        one, batch = speed["one"], speed.pop("batch")
        together = batch and batch * self.args.batch_size
        row = {"task": task, "opponent": opponent}
        row |= {f"{name} /s": value for name, value in speed.items()}
        row[f"{self.args.batch_size} at once /s"] = together
        row["limit /s"] = amount / limit if limit else None
        row["one x opponent"] = one / speed["opponent"]
        row["time x limit"] = ways["one"].seconds / limit if limit else None
        row["batch x one"] = together and together / one
        return row | {f"MB {n}": ways[n].megabytes if n in ways else None for n in WAYS}

    def continuation(self) -> list[dict]:
        """Words of TASLM: unmerged and uncached, with a static cache, and ours."""
        from copy import deepcopy

        import torch

        from espnet2_taste.evaluation import benchmark as parts
        from espnet2_taste.evaluation import opponents

        args, results = self.args, []
        taslm = parts.make_taslm(
            parts.LM_SIZES[args.lm_size], self.device, getattr(torch, args.dtype)
        )
        merged = deepcopy(taslm)
        merged.backbone = merged.backbone.merged()
        prompts = parts.make_prompts(taslm, args.batch_size)
        read = opponents.reading(opponents.word_weights(merged))
        ours, plain = parts.continue_prompts, parts.plain_continuation
        static = opponents.static_cache_words
        for words in args.words:
            whole = parts.make_generator(taslm, words)
            generator = parts.make_generator(merged, words)
            short = parts.make_generator(merged, 1)
            found = ours(generator, prompts[:1])[0].text.tolist()  # warm as well
            ways = self.measure(
                opponent=(lambda: static(generator, prompts[0]), merged),
                plain=(lambda: plain(whole, prompts[0]), taslm),
                one=(lambda: ours(generator, prompts[:1]), merged),
                batch=(lambda: ours(generator, prompts), merged),
                short=(lambda: ours(short, prompts[:1]), merged),
                opponent_short=(lambda: static(short, prompts[0]), merged),
                limit=(lambda: [read() for _ in range(words)], merged),
            )
            name, kind = f"continuation, {words} words", "static cache, the same heads"
            limit = ways["limit"].seconds / words
            result = self.summary(name, words, kind, ways, limit * (words + 1))
            texts = plain(whole, prompts[0]), static(generator, prompts[0])
            results.append(result | {"same_text": all(x == found for x in texts)})
            next_word = {
                "opponent": parts.further(
                    ways, "opponent", "opponent_short", words - 1
                ),
                "one": parts.further(ways, "one", "short", words - 1),
            }
            name = f"a further word of {words}"
            results.append(self.summary(name, 1, kind, next_word, limit))
        return results

    def unit_decoding(self) -> list[dict]:
        """Units of both decoders against the published loop, and without a cache."""
        from espnet2_taste.evaluation.unit_benchmark import UnitWorks, unit_rows

        args, works, results = self.args, UnitWorks(self.device), []
        for words in args.words:
            ways = works.ways(words, args.units, args.batch_size)
            for row in unit_rows(words, args.units, self.measure(**ways)):
                results.append(self.summary(**row))
        return results

    def tokenization(self) -> list[dict]:
        """Utterances of the tokenizer: over the padded 30 s, then ours."""
        from espnet2_taste.evaluation import benchmark as parts
        from espnet2_taste.evaluation import opponents

        args, results = self.args, []
        padded = parts.make_tokenizer(self.device, full_window=True)
        ours = parts.make_tokenizer(self.device, full_window=False)
        for tokenizer in (padded, ours):
            tokenizer.encode(**parts.speech_inputs(1, args.words[0], self.device))
        for words in args.words:
            single = parts.speech_inputs(1, words, self.device)
            several = parts.speech_inputs(args.batch_size, words, self.device)
            seconds = single["speech"].size(1) / 16000
            frames = int(seconds * ours.encoder.frame_rate)
            weights = opponents.matrices(list(ours.encoder.modules()))
            ways = self.measure(
                plain=(lambda: padded.encode(**single), padded),
                one=(lambda: ours.encode(**single), ours),
                batch=(lambda: ours.encode(**several), ours),
                limit=(opponents.products(weights, frames), ours),
            )
            ways["opponent"], limit = ways["plain"], ways["limit"].seconds
            name = f"tokenization, {words} words ({seconds:g} s)"
            kind = "30 s window, as published"
            results.append(self.summary(name, 1, kind, ways, limit))
        return results


def other_rows(task: str, args: argparse.Namespace) -> list[dict]:
    """Rows of one of ``OTHER_TASKS``, as the function says that measures it."""
    import torch

    from espnet2_taste.evaluation.benchmark import LM_SIZES

    device, batch = "cuda" if args.ngpu else "cpu", tuple(args.training_batch)
    size, repeat, model = LM_SIZES[args.lm_size], args.repeat, args.model
    lm = (size, device, getattr(torch, args.dtype))
    sizes = args.training_vocabularies
    place, *given = {
        "training": ("training_benchmark.training_rows", sizes, device, batch, repeat),
        "streaming": (
            *("stream_benchmark.stream_rows", model, args.cache_dir, args.wav),
            *(lm, repeat),
        ),
        "start": ("start_benchmark.start_rows", model, args.cache_dir, repeat),
        "profile": (
            "training_profile.profile_rows",
            args.exp_task,
            args.exp,
            args.steps,
        ),
        "alignment": ("alignment_benchmark.alignment_rows", args.minutes),
        "memory": ("memory.memory_rows", args.lm_size, size, batch, device),
        "lm_sizes": ("memory.computed_rows",),
        "states": ("memory.state_rows", args.whisper, args.windows, device),
    }[task]
    module, function = place.split(".")
    found = import_module(f"espnet2_taste.evaluation.{module}")
    return getattr(found, function)(*given)


def sampler_tables(vocabulary: int) -> float:
    """Seconds to prepare the vocabulary's tables: once for all calls."""
    from espnet2_taste.evaluation.benchmark import make_tokens
    from espnet2_taste.slm.vocabulary import vocabulary_masks

    tokenizer = make_tokens(vocabulary)
    start = time.perf_counter()
    vocabulary_masks(tokenizer)
    return time.perf_counter() - start


def show(rows: list[dict]) -> None:
    """Print the columns that all rows have, if there are rows."""
    if rows:
        columns = [name for name in rows[0] if all(name in row for row in rows)]
        cells = [[row[name] for name in columns] for row in rows]
        print(markdown_table(columns, cells))


def run(args: argparse.Namespace) -> None:
    """Measure, print, write."""
    from espnet2_taste.evaluation.benchmark import LM_SIZES

    if args.lm_size not in LM_SIZES:
        raise ValueError(f"--lm_size {args.lm_size}: expected one of {list(LM_SIZES)}")
    if "streaming" in args.tasks and not (args.model and args.wav):
        raise ValueError("--tasks streaming needs --model and --wav")
    if "profile" in args.tasks and not args.exp:
        raise ValueError("--tasks profile needs --exp")
    if "unit_decoding" in args.tasks and args.units <= 2:
        raise ValueError("a further unit needs --units above 2")
    if "continuation" in args.tasks and min(args.words) < 2:
        raise ValueError("a further word needs --words above 1")
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(args.num_threads)
    bench, results, seconds = Bench(args), [], None
    other: dict[str, list[dict]] = {name: [] for name in OTHER_TASKS}
    for task in args.tasks:
        if task in other:
            other[task] = other_rows(task, args)
        else:
            results += getattr(bench, task)()
    for rows in (results, *other.values()):
        show(rows)
    if "continuation" in args.tasks:
        seconds = sampler_tables(args.vocabulary)
        print(
            f"tables of the sampler for {args.vocabulary} tokens: {seconds:.2f} s "
            "once, nothing a call"
        )
    if args.output:
        settings = {name: getattr(args, name) for name in ("lm_size", "dtype", "ngpu")}
        numbers = {"results": results, "sampler_tables_seconds": seconds}
        save_study(args, args.output, "benchmark", settings, **numbers, **other)


main = Command(run, add_options, __doc__)

if __name__ == "__main__":
    main()
