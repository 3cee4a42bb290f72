"""Turn sets of speech and transcripts into word-level TASTE codes (stage 9).

Enters: a trained TASTE experiment and sets with ``wav.scp`` and ``text``. Leaves, for
each set, ``codes.scp`` and ``codes.ark`` (words x codebooks, float32 as Kaldi has no
integer matrices), ``words`` (the words of the rows) and ``codes.json`` (how many codes
are used). Finished sets are kept.

Example:
    python -m espnet2_taste.bin.taste_tokenize --taste_exp exp/taste_vq \\
        --dump_dir dump/raw --sets "train dev test" --output_dir exp/taste_vq/codes
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser

from espnet2_taste.bin.command import Command, add_shared, finish
from espnet2_taste.data.arks import ArkTable, write_ark
from espnet2_taste.data.files import read_json
from espnet2_taste.data.kaldi_dir import read_table, write_table
from espnet2_taste.data.parts import join_parts
from espnet2_taste.metrics.tables import write_json


def add_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run`."""
    add = parser.add_argument
    add("--taste_exp", required=True, help="TASTE experiment directory")
    add("--output_dir", required=True, help="Parent of the results")
    add_shared(
        parser, "dump_dir", "sets", "parts_dir", "batch_size", "ngpu", "model_file"
    )


def tokenize_set(encoder, folder: Path, batch_size: int) -> dict:
    """Codes of every utterance of a set.

    Args:
        encoder: ``TasteEncoder``.
        folder: The set.
        batch_size: Utterances at once.

    Returns:
        ``WordCodes`` by utterance id.

    Raises:
        ValueError: A table is missing, names differ, or an utterance cannot be read.
    """
    from espnet2_taste.units.batches import speech_batches

    wavs, texts = read_table(folder / "wav.scp"), read_table(folder / "text")
    different = sorted(set(wavs) ^ set(texts))
    if different:
        raise ValueError(
            f"{folder}: '{different[0]}' and {len(different) - 1} more are in only one "
            "of wav.scp and text: run stages 2 and 3 again"
        )
    result = {}
    for batch in speech_batches(wavs, encoder.sample_rate, batch_size, folder.name):
        found = encoder(batch, [texts[name] for name in batch.names])
        result.update(zip(batch.names, found))
    return result


def write_codes(folder: Path, codes: dict, codebook_size: int) -> None:
    """Write the codes of a set; ``codes.json`` last, which marks the set as done.

    Args:
        folder: Where the files go; made when absent.
        codes: ``WordCodes`` by utterance id.
        codebook_size: K, for the statistics.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_ark(folder, "codes", {name: item.codes for name, item in codes.items()})
    write_table(folder / "words", {n: " ".join(c.words) for n, c in codes.items()})
    write_summary(folder, codebook_size)


def join_codes(parts: Sequence[Path], folder: Path) -> str:
    """Make the codes of a set of those of its parts, whose arks stay where they are.

    Args:
        parts: Folders of the parts, in order.
        folder: Gets what :func:`write_codes` writes, but the ark.

    Returns:
        What was done.

    Raises:
        ValueError: A part is not complete.
    """
    join_parts(parts, folder, ["words", "codes.scp"])
    size = read_json(parts[0] / "codes.json")["codebook_size"]
    return f"{write_summary(folder, size)} utterances joined"


def write_summary(folder: Path, codebook_size: int) -> int:
    """Write ``codes.json``: how many of the codes in ``codes.scp`` are used.

    Args:
        folder: Of the codes.
        codebook_size: K.

    Returns:
        Number of utterances.
    """
    import torch

    from espnet2_taste.tokenizer.quantizers.abs_quantizer import code_statistics

    codes = ArkTable(folder / "codes.scp")
    rows = torch.cat([torch.from_numpy(codes[name]) for name in codes]).long()
    used, perplexity = code_statistics(rows, codebook_size)
    summary = {"utterances": len(codes), "words": len(rows)}
    summary |= {"used": used.tolist(), "perplexity": perplexity.tolist()}
    write_json(folder / "codes.json", summary | {"codebook_size": codebook_size})
    return len(codes)


def run(args: argparse.Namespace) -> None:
    """Tokenize the sets that are not done, with one model."""
    output_dir = Path(args.output_dir)

    def load():
        from espnet2_taste.inference.taste_encoder import TasteEncoder

        return TasteEncoder.from_exp(args.taste_exp, args.model_file, args.device)

    def work(encoder, output: Path) -> str:
        source = args.dump_dir / output.relative_to(output_dir)
        codes = tokenize_set(encoder, source, args.batch_size)
        write_codes(output, codes, encoder.model.tokenizer.quantizer.codebook_size)
        return f"{len(codes)} utterances"

    def is_done(folder: Path) -> bool:
        return (folder / "codes.json").is_file()

    finish(args, is_done, load, work, join_codes, output_dir)


main = Command(run, add_options, __doc__)

if __name__ == "__main__":
    main()
