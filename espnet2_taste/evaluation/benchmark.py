"""Speed and memory against plain loops that compute everything again.

Enters: sizes of random models. Leaves: seconds and peak memory of continuation and
tokenization (units: ``unit_benchmark.py``), each by a plain way and by ours, measured
in one run, so that their ratio holds on any machine. The plain ways:

- Continuation, as the published system has it: one prompt, no cache. Every token runs
  the LM with unmerged adapters over the whole history, and text logits over the whole
  vocabulary, the TASTE head and the search of codes in all rows; all hidden states are
  returned. Only the new row is embedded and fused, because the published loop appends
  it too.
- Tokenization, as published: the audio is padded to 30 s, all frames are attended.

Legend: W words, Q codebooks.
"""

import ctypes
import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from espnet2_taste.slm.backbone import AbsBackbone, BackboneOutput, LoraBackbone
from espnet2_taste.slm.core import SpokenLMCore
from espnet2_taste.slm.generator import Generator
from espnet2_taste.slm.grid_heads import LinearGridHead
from espnet2_taste.slm.heads import ContinueLatentLinearLastHead
from espnet2_taste.slm.input_fusion import FillForwardEmbedding, WeightedSumFusion
from espnet2_taste.slm.layouts.streams import Inventory, TextVocabulary
from espnet2_taste.slm.layouts.text_aligned import WordDelayLayout
from espnet2_taste.slm.layouts.utterance import Utterance
from espnet2_taste.slm.layouts.word_grammar import WordGrammar
from espnet2_taste.slm.limits import Limits
from espnet2_taste.slm.prompts import PromptRows, spoken_prompt
from espnet2_taste.slm.sampling import GenerationOptions, UniformStreams
from espnet2_taste.slm.tail_heads import NoTail
from espnet2_taste.slm.vocabulary import VocabularyMasks
from espnet2_taste.slm.word_embedding import WordEmbedding
from espnet2_taste.tokenizer.aggregator import WhisperAggregator
from espnet2_taste.tokenizer.encoders.whisper import (
    WhisperSpeechEncoder,
    random_encoder,
)
from espnet2_taste.tokenizer.quantizers.rvq import ResidualQuantizer
from espnet2_taste.tokenizer.taste_tokenizer import TasteTokenizer

EOS = 1
PROMPT_WORDS = 20
SAMPLES_A_WORD = 5000
"""At 16 kHz: 3.2 words a second, so that 32 words take 10 s."""
TOKENS_A_WORD = 1.5
MEGABYTE = 2**20


@dataclass(frozen=True)
class LmSize:
    """Sizes of a random Llama, as ``LlamaConfig`` names them.

    The default is the medium model of the benchmark.
    """

    vocab_size: int = 8192
    hidden_size: int = 512
    intermediate_size: int = 1376
    num_hidden_layers: int = 8
    num_attention_heads: int = 8
    num_key_value_heads: int = 8
    tie_word_embeddings: bool = True


LM_SIZES = {
    "medium": LmSize(),
    "135m": LmSize(49152, 576, 1536, 30, 9, 3),
    "1b": LmSize(128256, 2048, 8192, 16, 32, 8),
    "7b": LmSize(32000, 4096, 11008, 32, 32, 32, tie_word_embeddings=False),
}
"""Of SmolLM2-135M, Llama-3.2-1B and Llama-2-7B, beside the benchmark's own."""


@dataclass(frozen=True)
class Measure:
    """Time and peak memory of one piece of work.

    Attributes:
        seconds: Wall clock.
        megabytes: Peak memory: the model's weights and what was needed above what was
            in use at the start.
    """

    seconds: float
    megabytes: float


def measure(work: Callable[[], object], device: str = "cpu") -> Measure:
    """Do some work once.

    Args:
        work: What to measure.
        device: "cpu" (of Linux, which keeps the peak of a process) or "cuda".

    Returns:
        Its time and memory.
    """
    cuda = device == "cuda"
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    else:
        release_memory()
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before = process_bytes("VmRSS")
    start = time.perf_counter()
    work()
    if cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    peak = torch.cuda.max_memory_allocated() if cuda else process_bytes("VmHWM")
    return Measure(seconds, max(0, peak - before) / MEGABYTE)


def further(ways: dict[str, Measure], long: str, short: str, steps: int) -> Measure:
    """What each of the steps costs by which one work is longer than another."""
    seconds = (ways[long].seconds - ways[short].seconds) / steps
    return Measure(seconds, ways[long].megabytes)


def release_memory() -> None:
    """Give freed memory back, so that the next peak shows what is used again."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # the GNU C library has it
        trim(0)


def process_bytes(name: str) -> int:
    """Memory of this process in use now (VmRSS), or the most it had (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(row.split()[1]) for row in lines if row.startswith(name))


def model_megabytes(model: torch.nn.Module) -> float:
    """Memory of weights and buffers; shared ones count once.

    Args:
        model: Any module.

    Returns:
        Megabytes.
    """
    tensors = [*model.parameters(), *model.buffers()]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage() for t in tensors}
    return sum(storage.nbytes() for storage in storages.values()) / MEGABYTE


def make_tokens(size: int):
    """A ``transformers`` tokenizer of so many words, for the tables of the sampler."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {f"w{index}": index for index in range(size)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def make_taslm(
    size: LmSize,
    device: str,
    dtype: torch.dtype,
    adapt: Callable[[torch.nn.Module], AbsBackbone] = LoraBackbone,
) -> SpokenLMCore:
    """A random embedding-variant TASLM, with unmerged adapters of rank 64."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(**asdict(size))
    lm = AutoModelForCausalLM.from_config(config, dtype=dtype)
    backbone = adapt(lm.to(device))
    quantizer = ResidualQuantizer(1280)
    width = backbone.hidden_size
    embedding = WordEmbedding(
        quantizer,
        FillForwardEmbedding(quantizer),
        WeightedSumFusion(width, quantizer.dim),
        end_id=EOS,
    )
    core = SpokenLMCore(
        backbone=backbone,
        layout=WordDelayLayout(Inventory(every_token_a_word(backbone), units=0)),
        embedding=embedding,
        head=LinearGridHead(width, 1),
        tail_head=NoTail(width, 0),
        bos_id=0,
        code_head=ContinueLatentLinearLastHead(width, backbone.num_states, quantizer),
    )
    return core.to(device).eval()


def every_token_a_word(backbone: AbsBackbone) -> TextVocabulary:
    """A vocabulary in which every token is a word."""
    rows = backbone.vocab_size
    with torch.device("cpu"):
        no = torch.zeros(rows, dtype=torch.bool)
        masks = VocabularyMasks(word_start=~no, sentence_end=no, banned=no)
        return TextVocabulary.of(masks, (), EOS)


def make_generator(core: SpokenLMCore, words: int) -> Generator:
    """Greedy generation of so many words."""
    grammar = WordGrammar(core.layout, core.layout.inventory.text)
    limits = Limits(words, words)
    return Generator(core, GenerationOptions(), limits, grammar=grammar)


@torch.inference_mode()
def make_prompts(core: SpokenLMCore, count: int) -> list[PromptRows]:
    """Random prompts of 20 words, lengths differing by their tokens."""
    generator = torch.Generator().manual_seed(0)
    return [
        spoken_prompt(
            core,
            random_words(
                core,
                torch.randint(1, 3, (PROMPT_WORDS,), generator=generator).tolist(),
                generator,
            ),
        )
        for _ in range(count)
    ]


def random_words(
    core: SpokenLMCore, tokens: Sequence[int], generator: torch.Generator
) -> Utterance:
    """Random words with codes, given the tokens of each."""
    quantizer = core.quantizer
    shape = (len(tokens), quantizer.num_codebooks)
    vocabulary = core.backbone.causal_lm.get_input_embeddings().weight.size(0)
    text = torch.randint(2, vocabulary, (sum(tokens),), generator=generator)
    codes = torch.randint(0, quantizer.codebook_size, shape, generator=generator)
    words = text.split(list(tokens))
    return Utterance(
        words=tuple(tuple(word.tolist()) for word in words),
        codes=tuple(map(tuple, codes.tolist())),
    )


def plain_continuation(generator: Generator, prompt: PromptRows) -> list[int]:
    """Continue one prompt as the published system does: no cache, all outputs.

    Args:
        generator: Gives model and rules.
        prompt: What to continue.

    Returns:
        Text ids.
    """
    backbone, history = generator.core.backbone, []

    def read(rows: torch.Tensor) -> BackboneOutput:
        history.append(rows)
        return backbone(torch.cat(history, dim=1), layers=range(backbone.num_states))

    return simple_continuation(generator, prompt, read)


@torch.no_grad()
def simple_continuation(
    generator: Generator,
    prompt: PromptRows,
    read: Callable[[torch.Tensor], BackboneOutput],
) -> list[int]:
    """Continue one prompt row by row, the likeliest text and codes each time.

    Args:
        generator: Gives model and rules.
        prompt: What to continue.
        read: The states of all layers after more rows (1, R, H).

    Returns:
        Text ids.
    """
    core, grammar, rows = generator.core, generator.grammar, prompt.inputs[None]
    embedding, head = core.embedding, core.code_head
    state, text, most = prompt.state, [], generator.keeper.limits.max_words
    while True:
        output = read(rows)
        states = dict(zip(range(core.backbone.num_states), output.states))
        logits = core.backbone.logits(output.last)[0, -1]
        prediction = head([states[layer] for layer in head.layers])
        codes = head.code_logits(prediction, core.quantizer).argmax(dim=-1)
        if len(text) == most:
            return text
        logits[core.eos_id] = -torch.inf
        token = logits.argmax()
        text.append(int(token))
        state = grammar.advance(state, text[-1:])
        due = grammar.due(state)
        arriving = prompt.pending[due] if due < 0 else codes[0, -1]
        speech = embedding.code_embedding.embed(arriving, core.quantizer)
        rows = embedding.fuse(core.backbone.embed(token), speech)[None, None]


def continue_prompts(generator: Generator, prompts: list[PromptRows]):
    """Continue prompts together with cached keys and values."""
    names = [str(index) for index in range(len(prompts))]
    return generator(prompts, UniformStreams.from_ids(names, 0))


def make_tokenizer(device: str, full_window: bool) -> TasteTokenizer:
    """A random TASTE tokenizer on a Whisper of 512 features and 6 layers."""
    torch.manual_seed(0)
    sizes = {"d_model": 512, "encoder_layers": 6}
    sizes |= {"encoder_attention_heads": 8, "encoder_ffn_dim": 2048}
    encoder = WhisperSpeechEncoder(random_encoder(sizes), 3, full_window)
    aggregator = WhisperAggregator(
        51866, 512, 512, size=512, num_heads=8, linear_units=2048, prefix=(1, 2, 3, 4)
    )
    tokenizer = TasteTokenizer(encoder, aggregator, ResidualQuantizer(512))
    return tokenizer.to(device).eval()


def speech_inputs(batch: int, words: int, device: str) -> dict[str, torch.Tensor]:
    """Noise, as long as so many words take, one text token a word."""
    generator = torch.Generator().manual_seed(0)
    samples = SAMPLES_A_WORD * words
    inputs = {
        "speech": 0.1 * torch.randn(batch, samples, generator=generator),
        "speech_lengths": torch.full((batch,), samples),
        "text": torch.randint(5, 50000, (batch, words), generator=generator),
        "text_lengths": torch.full((batch,), words),
        "word_ids": torch.arange(words).expand(batch, -1),
    }
    return {name: tensor.to(device) for name, tensor in inputs.items()}
