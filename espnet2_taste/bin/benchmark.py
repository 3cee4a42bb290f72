"""Time tokenization, unit decoding and continuation against plain loops.

Enters: sizes and a device; models are random. Leaves: a table on the screen and, with
--output, JSON. Every ratio is of two measurements in this run; see the module
``espnet2_taste.evaluation.benchmark`` for what the plain loops do.
"""

import argparse
import sys

_EXAMPLE = """examples:
  python -m espnet2_taste.bin.benchmark --output exp/benchmark.json
  python -m espnet2_taste.bin.benchmark --ngpu 1 --lm_size 1b --dtype bfloat16
"""
MODULE = "espnet2_taste.bin.benchmark"


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Time tokenization, unit decoding and continuation",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--words", type=int, nargs="+", default=[8, 32, 64], help="Of continuations")
    add("--units", type=int, default=100, help="Units to decode")
    add("--seconds", type=float, default=10.0, help="Speech to tokenize")
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

    def measure(self, work):
        """Fastest of several runs, with the largest memory of all."""
        runs = [self.meter(work) for _ in range(self.args.repeat)]
        fastest = min(runs, key=lambda run: run.seconds)
        fastest.megabytes = max(run.megabytes for run in runs)
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
        generators = {n: parts.make_generator(taslm, n) for n in args.words}
        texts: dict[int, list[int]] = {}
        plain = {}
        for words, generator in generators.items():
            texts[words] = parts.plain_continuation(generator, prompts[0])  # warm
            plain[words] = self.measure(
                lambda g=generator: parts.plain_continuation(g, prompts[0])
            )
        taslm.backbone = taslm.backbone.merged()
        results = []
        for words, generator in generators.items():
            found = parts.continue_prompts(generator, prompts[:1])[0].text.tolist()
            one = self.measure(
                lambda g=generator: parts.continue_prompts(g, prompts[:1])
            )
            batch = self.measure(lambda g=generator: parts.continue_prompts(g, prompts))
            name = f"continuation, {words} words"
            result = self.summary(name, words, plain[words], one, batch)
            results.append(result | {"same_text": found == texts[words]})
        return results

    def unit_decoding(self) -> list[dict]:
        """Units of the unit decoder: uncached, then ours."""
        from espnet2_taste.evaluation import benchmark as parts

        args, tokens = self.args, 30
        decoder = parts.make_unit_decoder(self.device)
        single = parts.unit_inputs(1, tokens, self.device)
        several = parts.unit_inputs(args.batch_size, tokens, self.device)
        count = len(parts.generate_units(decoder, single, args.units)[0])
        plain = self.measure(lambda: parts.plain_units(decoder, single, count))
        one = self.measure(lambda: parts.generate_units(decoder, single, args.units))
        batch = self.measure(lambda: parts.generate_units(decoder, several, args.units))
        return [self.summary(f"decoding, {count} units", count, plain, one, batch)]

    def tokenization(self) -> list[dict]:
        """Utterances of the tokenizer: over the padded 30 s, then ours."""
        from espnet2_taste.evaluation import benchmark as parts

        args = self.args
        padded = parts.make_tokenizer(self.device, full_window=True)
        ours = parts.make_tokenizer(self.device, full_window=False)
        single = parts.speech_inputs(1, args.seconds, self.device)
        several = parts.speech_inputs(args.batch_size, args.seconds, self.device)
        for tokenizer in (padded, ours):
            tokenizer.encode(**single)  # warm
        plain = self.measure(lambda: padded.encode(**single))
        one = self.measure(lambda: ours.encode(**single))
        batch = self.measure(lambda: ours.encode(**several))
        name = f"tokenization, {args.seconds:g} s"
        return [self.summary(name, 1, plain, one, batch)]


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

    torch.set_num_threads(args.num_threads)
    bench = Bench(args)
    results = bench.tokenization() + bench.unit_decoding() + bench.continuation()
    print(table(results, args.batch_size))
    if args.output:
        switches = {name: getattr(args, name) for name in ("lm_size", "dtype", "ngpu")}
        made = provenance(MODULE, cmd, switches)
        write_json(args.output, {"study": "benchmark", **made, "results": results})


def main(cmd=None) -> None:
    """Run the command."""
    args = get_parser().parse_args(cmd)
    import logging

    logging.basicConfig(level=args.log_level)
    try:
        run(args, cmd)
    except (ValueError, RuntimeError) as error:
        sys.exit(f"benchmark: {error}")


if __name__ == "__main__":
    main()
