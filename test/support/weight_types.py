"""What an LM reads in each type of weights: time, and agreement with float32.

Enters: a Hugging Face directory and a text. Leaves: a table on the screen: CPU time of
a token on one thread, one after the other with a cache (medians of runs in turns), the
tokens of the text where the likeliest next one is that of float32, and the perplexity.

Example:
    python test/support/weight_types.py /models/SmolLM2-135M README.md
"""

import sys
import time
from pathlib import Path
from statistics import median

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from espnet2_taste.weight_types import WEIGHT_TYPES, convert_weights

RUNS, TOKENS = 5, 24


@torch.inference_mode()
def read(lm, ids: torch.Tensor) -> tuple[float, torch.Tensor]:
    """CPU seconds of a token, and the logits (N, V) after each."""
    cache, rows, start = None, [], time.process_time()
    for token in ids:
        output = lm(token.view(1, 1), past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        rows.append(output.logits[0, -1].float())
    return (time.process_time() - start) / len(ids), torch.stack(rows)


def main(place: str, text: str) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(place)
    ids = tokenizer(Path(text).read_text(encoding="utf-8"), return_tensors="pt")
    ids, lms = ids.input_ids[0], {}
    for name in WEIGHT_TYPES:
        lms[name] = AutoModelForCausalLM.from_pretrained(place, dtype="float32").eval()
        convert_weights(lms[name], name)
    times: dict[str, list[float]] = {name: [] for name in lms}
    for run in range(RUNS):
        for name, lm in lms.items():
            times[name].append(read(lm, ids[run * TOKENS : (run + 1) * TOKENS])[0])
    print("| weights | ms a token | same token | perplexity |\n|---|---|---|---|")
    expected, part = None, ids[: RUNS * TOKENS]
    for name, lm in lms.items():
        logits = read(lm, part)[1]
        expected = logits if expected is None else expected
        same = (logits.argmax(-1) == expected.argmax(-1)).float().mean()
        nats = torch.nn.functional.cross_entropy(logits[:-1], part[1:])
        cells = (
            f"{1000 * median(times[name]):.0f} | {100 * same:.1f} % | {nats.exp():.2f}"
        )
        print(f"| {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
