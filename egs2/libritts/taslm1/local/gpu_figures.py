"""Speed and memory of the published sizes on one GPU, by one command.

Enters: sizes, random weights, no data; for the first audio of a stream a packed model
and a recording.
Leaves: a table on the screen with the goals beside, and JSON.

- TASLM on an LM of 1B in bfloat16: words a second for 1, 8 and 64 prompts at once; a
  row of all of them against the time that reading the weights once takes; the same with
  the LM compiled (--compile inductor or cudagraphs).
- A step of TASLM's training: share of the operations a second that products of large
  matrices reach on the same device (measured here as well).
- A step of TASTE with 160 s of speech.
- The first audio of a streamed continuation (``benchmark --tasks streaming``).

Examples:
    python local/gpu_figures.py --compile inductor --output exp/gpu_figures.json
    python local/gpu_figures.py --taslm exp/packed/taslm.zip --wav exp/packed/sample.wav
    on a CPU, to see that it runs:
    python local/gpu_figures.py --device cpu --lm_size medium --prompts 1 2 \\
        --taste_config conf/train_taste_vq_debug.yaml --words 2 4 --matrix 64 \\
        --whisper_size 80 16 2 32 2 1500 --training_batch 2 6 --speech_batch 2 1 \\
        --repeat 1
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
import yaml

from espnet2_taste.evaluation import benchmark, opponents
from espnet2_taste.evaluation.training_benchmark import KL_WEIGHT, training_batch
from espnet2_taste.evaluation.training_cost import count_flops
from espnet2_taste.slm.core import SpokenLMCore
from espnet2_taste.slm.sampling import GenerationOptions

COLUMNS = ("what", "value", "unit", "goal", "peak GB")
SAMPLE_RATE, TOKENS_A_SECOND = 16000, 4


def get_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--device", default="cuda")
    add("--lm_size", default="1b", choices=list(benchmark.LM_SIZES))
    add("--prompts", type=int, nargs="+", default=[1, 8, 64], help="At once")
    add("--compile", help="Backend of torch.compile, with which words are timed again")
    add("--words", type=int, nargs=2, default=[8, 40], help="Shorter and longer ones")
    add("--training_batch", type=int, nargs=2, default=[64, 60], help="B and tokens")
    add("--speech_batch", type=int, nargs=2, default=[16, 10], help="B and seconds")
    add("--taste_config", default="conf/train_taste_vq.yaml")
    add("--whisper_size", type=int, nargs=6, default=[128, 1280, 20, 5120, 32, 1500])
    add("--matrix", type=int, default=8192, help="Of the products that set the limit")
    add("--repeat", type=int, default=5, help="The median of so many counts")
    add("--taslm", help="Packed spoken LM that speaks the first audio of a stream")
    add("--wav", help="Recording that is continued in it")
    add("--output", type=Path, help="JSON")
    return parser


class Figures:
    """Measures one thing after the other.

    Args:
        args: Options.
    """

    def __init__(self, args: argparse.Namespace):
        self.args = args
        self.rows: list[tuple] = []

    def seconds(self, work: Callable[[], object]) -> float:
        """Median time of a piece of work after a first one."""
        work()
        return median(self._once(work) for _ in range(self.args.repeat))

    def _once(self, work: Callable[[], object]) -> float:
        self._wait()
        start = time.perf_counter()
        work()
        self._wait()
        return time.perf_counter() - start

    def _wait(self) -> None:
        if self.args.device == "cuda":
            torch.cuda.synchronize()

    def note(self, what: str, value: float, unit: str, goal: str = "") -> None:
        """Keep a figure, with the most memory since the last one."""
        peak = "-"
        if self.args.device == "cuda":
            peak = f"{torch.cuda.max_memory_allocated() / 1e9:.1f}"
            torch.cuda.reset_peak_memory_stats()
        self.rows.append((what, f"{value:.4g}", unit, goal, peak))

    def generation(self) -> None:
        """Words of TASLM, by the difference of two lengths, so without the prompt."""
        args = self.args
        size = benchmark.LM_SIZES[args.lm_size]
        taslm = benchmark.make_taslm(size, args.device, torch.bfloat16)
        taslm.backbone = taslm.backbone.merged()
        limit = opponents.seconds_to_read(opponents.word_weights(taslm))
        self.words(taslm, f"TASLM {args.lm_size}", limit)
        if args.compile:
            GenerationOptions(compile=args.compile).prepare(taslm)
            self.words(taslm, f"TASLM {args.lm_size}, {args.compile}", limit)

    def words(self, taslm: SpokenLMCore, name: str, limit: float) -> None:
        """Words a second, and a row of them against the time that it takes at least."""
        args = self.args
        first, last = (benchmark.make_generator(taslm, n) for n in args.words)
        for count in args.prompts:
            prompts = benchmark.make_prompts(taslm, count)
            whole, part = (
                self.seconds(lambda: benchmark.continue_prompts(generator, prompts))
                for generator in (last, first)
            )
            row = (whole - part) / (args.words[1] - args.words[0])
            what = f"{name}, {count} prompts"
            self.note(what, count / row, "words/s")
            self.note(f"{what}, a row against the limit", row / limit, "x", "2")

    def training(self) -> None:
        """A step of TASLM's training, forward and backward in bfloat16."""
        from espnet2_taste.espnet_spoken_lm_model import ESPnetSpokenLMModel

        args = self.args
        size = benchmark.LM_SIZES[args.lm_size]
        taslm = benchmark.make_taslm(size, args.device, torch.bfloat16).train()
        model = ESPnetSpokenLMModel(taslm, kl_weight=KL_WEIGHT)
        batch = training_batch(taslm, *args.training_batch)
        operations = count_flops(model, batch)
        seconds = self.step("TASLM, a step of training", model, batch)
        share = operations / seconds / self.operations_a_second()
        self.note("TASLM, share of the operations", 100 * share, "%", "40")

    def taste(self) -> None:
        """A step of TASTE's training, forward and backward in bfloat16."""
        utterances, seconds = self.args.speech_batch
        model = build_taste(self.args).to(self.args.device).train()
        batch = speech_batch(model, utterances, seconds, self.args.device)
        name = f"TASTE, a step with {utterances} x {seconds} s"
        self.step(name, model, batch)

    def step(self, name: str, model: torch.nn.Module, batch: dict) -> float:
        """Time of a loss with its gradients."""

        def work() -> None:
            model.zero_grad(set_to_none=True)
            with torch.autocast(self.args.device, torch.bfloat16):
                loss = model(**batch)[0]
            loss.backward()

        seconds = self.seconds(work)
        self.note(name, 1000 * seconds, "ms")
        return seconds

    def operations_a_second(self) -> float:
        """Operations a second of products of large matrices in bfloat16."""
        size, kind = self.args.matrix, torch.bfloat16
        matrix = torch.randn(size, size, dtype=kind, device=self.args.device)
        return 2 * size**3 / self.seconds(lambda: matrix @ matrix)

    def first_audio(self) -> None:
        """Time from a prompt to the first samples of the speech that follows it."""
        from espnet2_taste.evaluation.stream_benchmark import stream_rows

        args = self.args
        lm = (benchmark.LM_SIZES[args.lm_size], args.device, torch.bfloat16)
        (speed,) = stream_rows(args.taslm, None, args.wav, lm, args.repeat)
        name = f"first audio of a stream, LM {args.lm_size}"
        self.note(name, 1000 * speed["first"], "ms", "300")


def build_taste(args: argparse.Namespace) -> torch.nn.Module:
    """TASTE of a configuration with random weights, its Whisper included."""
    from espnet2_taste.espnet_taste_model import ESPnetTasteModel
    from espnet2_taste.tasks import choices
    from espnet2_taste.tasks.parts import build_part
    from espnet2_taste.tokenizer.encoders import whisper
    from espnet2_taste.tokenizer.taste_tokenizer import TasteTokenizer

    conf = argparse.Namespace(**yaml.safe_load(Path(args.taste_config).read_text()))
    size, vocabulary = args.whisper_size[1], 51866
    names = ("num_mel_bins", "d_model", "encoder_attention_heads", "encoder_ffn_dim")
    names += ("encoder_layers", "max_source_positions")
    backbone = whisper.random_encoder(dict(zip(names, args.whisper_size)))
    layer = conf.speech_encoder_conf["value_layer"]
    encoder = whisper.WhisperSpeechEncoder(backbone, layer)
    source = choices.states_source_choices.get_class("separate")(size, size, 1)
    aggregator = build_part(
        choices.aggregator_choices,
        conf,
        vocab_size=vocabulary,
        prefix=[50258, 50259, 50360, 50364],
        **{"key_size": size, "value_size": size, "states_source": source},
    )
    quantizer = build_part(choices.quantizer_choices, conf, dim=aggregator.output_size)
    hidden = conf.unit_decoder_conf["hidden_size"]
    decoder = build_part(
        choices.unit_decoder_choices,
        conf,
        vocab_size=vocabulary,
        taste_size=aggregator.output_size,
        fusion=build_part(choices.fusion_choices, conf, size=hidden),
    )
    tokenizer = TasteTokenizer(encoder, aggregator, quantizer)
    return ESPnetTasteModel(tokenizer, decoder, **conf.model_conf)


def speech_batch(model, utterances: int, seconds: int, device: str) -> dict:
    """Noise with random text (a token a word) and units, as the training reads them."""
    tokens, samples = TOKENS_A_SECOND * seconds, SAMPLE_RATE * seconds
    units, decoder = 50 * seconds, model.unit_decoder
    batch = {
        "speech": 0.1 * torch.randn(utterances, samples),
        "text": torch.randint(5, 50000, (utterances, tokens)),
        "units": torch.randint(0, decoder.num_units, (utterances, units)),
    }
    lengths = {
        f"{name}_lengths": torch.full((utterances,), x.size(1))
        for name, x in batch.items()
    }
    words = torch.arange(tokens).expand(utterances, -1)
    spembs = torch.randn(utterances, decoder.spembs_size)
    batch |= {**lengths, "word_ids": words, "spembs": spembs}
    return {name: x.to(device) for name, x in batch.items()}


def main(cmd=None) -> None:
    """Measure, print, write."""
    args = get_parser().parse_args(cmd)
    torch.manual_seed(0)
    figures = Figures(args)
    figures.generation()
    figures.training()
    figures.taste()
    if args.taslm:
        figures.first_audio()
    for row in (COLUMNS, ["---"] * len(COLUMNS), *figures.rows):
        print(f"| {' | '.join(row)} |")
    if args.output:
        rows = [dict(zip(COLUMNS, row)) for row in figures.rows]
        options = {name: str(value) for name, value in vars(args).items()}
        content = json.dumps({"options": options, "figures": rows}, indent=1)
        args.output.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
