"""Train the two vocabularies of a recipe from its own text.

Enters: sentences (words separated by one space). Leaves: a directory, complete or not
there at all (it is written under another name and renamed).
"""

import io
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

BOS, EOS, PAD = "<|begin_of_text|>", "<|end_of_text|>", "<|pad|>"


def write_directory(path: Path, fill: Callable[[Path], None]) -> None:
    """Fill a directory under a temporary name, then put it in place.

    Args:
        path: Final place; what is there is replaced.
        fill: Called with the temporary directory, which exists and is empty.
    """
    partial = path.with_name(path.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    fill(partial)
    shutil.rmtree(path, ignore_errors=True)
    partial.rename(path)


def train_sentencepiece(
    sentences: Sequence[str],
    output_dir: str | Path,
    vocab_size: int,
) -> None:
    """Train sentencepiece and write ESPnet's token list.

    The list is ``<blank>``, ``<unk>``, the pieces, ``<sos/eos>``; at most
    ``vocab_size`` pieces, fewer when the text has no more to offer.

    Args:
        sentences: Training text.
        output_dir: Receives ``bpe.model``, ``tokens.txt`` and ``token_type``.
        vocab_size: Number of pieces wanted.

    Raises:
        ValueError: There is no text, or fewer pieces are asked than characters exist.
    """
    import sentencepiece

    _check_num_pieces(sentences, vocab_size)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        vocab_size=vocab_size,
        character_coverage=1.0,
        normalization_rule_name="identity",
        unk_id=0,
        bos_id=-1,
        eos_id=-1,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [processor.id_to_piece(i) for i in range(1, processor.vocab_size())]
    tokens = ["<blank>", "<unk>", *pieces, "<sos/eos>"]

    def fill(directory: Path) -> None:
        (directory / "bpe.model").write_bytes(model.getvalue())
        write_tokens(directory, tokens, "bpe")

    write_directory(Path(output_dir), fill)


def _check_num_pieces(sentences: Sequence[str], vocab_size: int) -> None:
    """Raise unless there is text and a piece for each of its characters."""
    if not sentences:
        raise ValueError("no text to train sentencepiece on; check the training set")
    alphabet = {char for sentence in sentences for char in sentence if char != " "}
    needed = len(alphabet) + 2  # the word mark and <unk>
    if vocab_size < needed:
        raise ValueError(
            f"--nbpe {vocab_size} is below the {needed} pieces that the "
            f"{len(alphabet)} characters of the text need; raise it"
        )


def write_tokens(directory: Path, tokens: Sequence[str], token_type: str) -> None:
    """Write a token list and its kind.

    Args:
        directory: Receives ``tokens.txt`` and ``token_type``.
        tokens: ESPnet's token list.
        token_type: "bpe" or "char".
    """
    text = "".join(f"{token}\n" for token in tokens)
    (directory / "tokens.txt").write_text(text, encoding="utf-8")
    (directory / "token_type").write_text(token_type + "\n", encoding="utf-8")


def train_lm_tokenizer(
    sentences: Sequence[str], output_dir: str | Path, vocab_size: int
) -> None:
    """Train a byte-level BPE in the manner of Llama 3.

    Every byte has a token, so no word is unknown; a leading space is part of a word's
    first token; ``tokenizer(text)`` begins with the beginning-of-text token.

    Args:
        sentences: Training text.
        output_dir: Receives a Hugging Face tokenizer.
        vocab_size: Number of tokens wanted, at least 256 bytes + 3 special.

    Raises:
        ValueError: There is no text, or ``vocab_size`` is below 259.
    """
    smallest = 256 + 3
    if vocab_size < smallest or not sentences:
        raise ValueError(
            f"the language model's tokenizer needs text (found {len(sentences)} "
            f"sentences) and --lm_vocab_size of {smallest} or more (got {vocab_size})"
        )
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[BOS, EOS, PAD],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((" " + line for line in sentences), trainer)
    tokenizer.post_processor = TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=PAD
    )
    write_directory(Path(output_dir), lambda place: wrapped.save_pretrained(place))
