"""Time tokenization, unit decoding and continuation against plain loops.

Enters: sizes and a device; models are random. Leaves: a table on the screen and, with
--output, JSON. Every ratio is of two measurements in this run; see the module
``espnet2_taste.evaluation.benchmark`` for what the plain loops do.
"""

import argparse
import logging
import time

from espnet2_taste.bin.command import run_command

_EXAMPLE = """examples:
  python -m espnet2_taste.bin.benchmark --output exp/benchmark.json
  python -m espnet2_taste.bin.benchmark --ngpu 1 --lm_size 1b --dtype bfloat16
"""
MODULE = "espnet2_taste.bin.benchmark"

logger = logging.getLogger("benchmark")


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Time tokenization, unit decoding and continuation",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--words", type=int, nargs="+", default=[8, 32, 64], help="Of each task")
    add("--units", type=int, default=24, help="Units to decode for any of the words")
    add("--vocabulary", type=int, default=128000, help="For the tables of the sampler")
    add("--batch_size", type=int, default=8, help="Of the batched measurements")
    add("--lm_size", default="medium", help="medium or 1b")
    add("--dtype", default="float32", help="Of the language model")
    add("--num_threads", type=int, default=2, help="CPU threads")
    add("--repeat", type=int, default=1, help="The fastest of so many runs counts")
    add("--ngpu", type=int, default=0, help="0 for the CPU")
    add("--output", help="JSON file for the results")
    add("--log_level", default="INFO", help="Level of messages")
    return parser


class Bench:
    """Measures the three tasks on one device.

    Args:
        args: Options.
    """

    def __init__(self, args: argparse.Namespace):
        from espnet2_taste.evaluation.benchmark import Meter

        self.args = args
        self.device = "cuda" if args.ngpu else "cpu"
        self.meter = Meter(self.device)

    def measure(self, work, model):
        """Fastest of several runs, with the largest memory of all and the model's."""
        from espnet2_taste.evaluation.benchmark import model_megabytes

        runs = [self.meter(work) for _ in range(self.args.repeat)]
        fastest = min(runs, key=lambda run: run.seconds)
        peak = max(run.megabytes for run in runs)
        fastest.megabytes = peak + model_megabytes(model)
        return fastest

    def summary(self, task: str, amount: float, plain, one, batch) -> dict:
        """Compare three measurements of a task.

        Args:
            task: Its name.
            amount: Words, units or utterances of one item.
            plain: One item the plain way.
            one: One item our way.
            batch: ``--batch_size`` items our way.

        Returns:
            Amounts a second, ratios and memory.
        """
        speed = {"plain": amount / plain.seconds, "one": amount / one.seconds}
        speed["batch"] = amount * self.args.batch_size / batch.seconds
        ways = {"plain": plain, "one": one, "batch": batch}
        logger.info("%s: plain %.1f s, one %.1f s", task, plain.seconds, one.seconds)
        return {
            "task": task,
            "per_second": speed,
            "speedup": speed["one"] / speed["plain"],
            "batch_speedup": speed["batch"] / speed["one"],
            "megabytes": {name: way.megabytes for name, way in ways.items()},
        }

    def continuation(self) -> list[dict]:
        """Words of TASLM: unmerged and uncached, then ours."""
        import torch

        from espnet2_taste.evaluation import benchmark as parts

        args = self.args
        taslm = parts.make_taslm(
            parts.LM_SIZES[args.lm_size], self.device, getattr(torch, args.dtype)
        )
        prompts = parts.make_prompts(taslm, args.batch_size)
        first, texts, plain = prompts[0], {}, {}
        parts.plain_continuation(parts.make_generator(taslm, 1), first)  # warm
        for words in args.words:
            generator = parts.make_generator(taslm, words)

            def continue_plainly():
                texts[words] = parts.plain_continuation(generator, first)

            plain[words] = self.measure(continue_plainly, taslm)
        taslm.backbone = taslm.backbone.merged()
        results = []
        for words in args.words:
            generator = parts.make_generator(taslm, words)
            found = parts.continue_prompts(generator, [first])[0].text.tolist()
            one = self.measure(
                lambda: parts.continue_prompts(generator, [first]), taslm
            )
            batch = self.measure(
                lambda: parts.continue_prompts(generator, prompts), taslm
            )
            name = f"continuation, {words} words"
            result = self.summary(name, words, plain[words], one, batch)
            results.append(result | {"same_text": found == texts[words]})
        return results

    def unit_decoding(self) -> list[dict]:
        """Units of the unit decoder: uncached, then ours."""
        from espnet2_taste.evaluation import benchmark as parts

        args, results = self.args, []
        decoder, units = parts.make_unit_decoder(self.device), args.units
        for words in args.words:
            single = parts.unit_inputs(1, words, self.device)
            several = parts.unit_inputs(args.batch_size, words, self.device)
            count = len(parts.generate_units(decoder, single, units)[0])
            plain = self.measure(
                lambda: parts.plain_units(decoder, single, count), decoder
            )
            one = self.measure(
                lambda: parts.generate_units(decoder, single, units), decoder
            )
            batch = self.measure(
                lambda: parts.generate_units(decoder, several, units), decoder
            )
            name = f"decoding, {words} words, {count} units"
            results.append(self.summary(name, count, plain, one, batch))
        return results

    def tokenization(self) -> list[dict]:
        """Utterances of the tokenizer: over the padded 30 s, then ours."""
        from espnet2_taste.evaluation import benchmark as parts

        args, results = self.args, []
        padded = parts.make_tokenizer(self.device, full_window=True)
        ours = parts.make_tokenizer(self.device, full_window=False)
        for tokenizer in (padded, ours):
            tokenizer.encode(**parts.speech_inputs(1, args.words[0], self.device))
        for words in args.words:
            single = parts.speech_inputs(1, words, self.device)
            several = parts.speech_inputs(args.batch_size, words, self.device)
            plain = self.measure(lambda: padded.encode(**single), padded)
            one = self.measure(lambda: ours.encode(**single), ours)
            batch = self.measure(lambda: ours.encode(**several), ours)
            seconds = single["speech"].size(1) / 16000
            name = f"tokenization, {words} words ({seconds:g} s)"
            results.append(self.summary(name, 1, plain, one, batch))
        return results

    def sampler_tables(self) -> float:
        """Seconds to prepare the vocabulary's tables: once for all calls."""
        from espnet2_taste.evaluation.benchmark import make_tokens
        from espnet2_taste.slm.vocabulary import vocabulary_masks

        tokenizer = make_tokens(self.args.vocabulary)
        start = time.perf_counter()
        vocabulary_masks(tokenizer)
        return time.perf_counter() - start


def table(results: list[dict], batch_size: int) -> str:
    """Set the results.

    Args:
        results: Of :class:`Bench`.
        batch_size: Items of the batched measurements.

    Returns:
        Markdown; speeds are words, units or utterances a second.
    """
    from espnet2_taste.metrics.tables import markdown_table

    header = ("task", "plain /s", "one /s", "one x plain", f"{batch_size} at once /s")
    header += ("batch x one", "MB plain", "MB one", "MB batch")
    rows = [
        (
            result["task"],
            result["per_second"]["plain"],
            result["per_second"]["one"],
            result["speedup"],
            result["per_second"]["batch"],
            result["batch_speedup"],
            *result["megabytes"].values(),
        )
        for result in results
    ]
    return markdown_table(header, rows)


def run(args: argparse.Namespace, cmd=None) -> None:
    """Measure, print, write."""
    from espnet2_taste.evaluation.benchmark import LM_SIZES
    from espnet2_taste.metrics.tables import provenance, write_json

    if args.lm_size not in LM_SIZES:
        raise ValueError(f"--lm_size {args.lm_size}: expected one of {list(LM_SIZES)}")
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(args.num_threads)
    bench = Bench(args)
    results = bench.tokenization() + bench.unit_decoding() + bench.continuation()
    print(table(results, args.batch_size))
    tables = bench.sampler_tables()
    print(
        f"tables of the sampler for {args.vocabulary} tokens: {tables:.2f} s once, "
        "nothing a call"
    )
    if args.output:
        switches = {name: getattr(args, name) for name in ("lm_size", "dtype", "ngpu")}
        study = {"study": "benchmark", **provenance(MODULE, cmd, switches)}
        study |= {"results": results, "sampler_tables_seconds": tables}
        write_json(args.output, study)


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, lambda args: run(args, cmd), cmd)


if __name__ == "__main__":
    main()
