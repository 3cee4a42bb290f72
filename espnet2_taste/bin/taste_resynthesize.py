"""Speak sets again from TASTE vectors, TASTE codes or true units (stage 9).

Enters: a unit vocoder and, unless the true units are asked for, a TASTE experiment;
sets with ``text``, ``spembs.scp`` and ``wav.scp`` (or codes, or ``units``). Leaves, for
each set, ``audio/`` or ``audio.ark``, ``text``, ``units``, ``ctm`` if the decoder knows
the times of its words, and, last, ``wav.scp``. Finished sets are kept.

Example:
    the experiment's own vectors (text only, without codes, with codes):
      python -m espnet2_taste.bin.taste_resynthesize --taste_exp exp/taste_vq \\
          --unit_vocoder_exp exp/unit_vocoder --dump_dir dump/raw --sets test \\
          --output_dir exp/taste_vq/resynthesis
    stored codes: the same with --codes_dir exp/taste_vq/codes
    true units: --from_units true in place of --taste_exp
    vectors of other words: --exchange_words true and an --output_dir of its own
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser
from espnet2.utils.types import str2bool

from espnet2_taste.bin.command import Command, add_shared, finish
from espnet2_taste.data.ctm import write_ctm
from espnet2_taste.data.kaldi_dir import read_table, write_table
from espnet2_taste.data.parts import join_parts
from espnet2_taste.data.recording_writer import RecordingWriter
from espnet2_taste.inference.loading import load_unit_vocoder
from espnet2_taste.inference.sampling_options import (
    UnitSampling,
    add_unit_sampling_arguments,
)
from espnet2_taste.tasks import fitting


def add_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run`."""
    add = parser.add_argument
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--taste_exp", help="TASTE experiment directory")
    source.add_argument(
        "--from_units", type=str2bool, default=False, help="Speak the true units"
    )
    add("--model_file", help="TASTE checkpoint, default: the best one")
    add("--codes_dir", help="Parent of <set>/codes.scp to speak")
    add("--unit_vocoder_exp", required=True, help="Its experiment")
    add("--output_dir", required=True, help="Parent of the results")
    add(
        "--given_times",
        help="File of each set with word times, e.g. word_times, that take the place "
        "of predicted durations",
    )
    add(
        "--exchange_words",
        type=str2bool,
        default=False,
        help="Give each word the vector of another word of its utterance: what is then "
        "lost, the vectors were worth",
    )
    add_unit_sampling_arguments(parser)
    add_shared(parser, "dump_dir", "sets", "parts_dir", "batch_size", "ngpu", "seed")
    add_shared(parser, "audio_format")


def build_source(args: argparse.Namespace):
    """The source of units that the options ask for.

    Args:
        args: Options.

    Returns:
        An ``AbsUnitSource``.

    Raises:
        ValueError: The experiment is missing or an option is out of range.
    """
    from espnet2_taste.inference import resynthesis
    from espnet2_taste.inference.taste_encoder import TasteEncoder

    if not args.taste_exp:
        return resynthesis.RecordedUnits(args.batch_size)
    encoder = TasteEncoder.from_exp(args.taste_exp, args.model_file, args.device)
    if args.exchange_words and not encoder.model.use_taste:
        raise ValueError(
            f"--exchange_words: {args.taste_exp} was trained on text alone and has no "
            "vectors"
        )
    generator = UnitSampling.from_options(vars(args)).generator(encoder)
    generator = replace(generator, exchange=args.exchange_words)
    options = (generator, args.batch_size, args.given_times)
    if args.codes_dir:
        return resynthesis.UnitsFromCodes(*options, codes_dir=Path(args.codes_dir))
    return resynthesis.UnitsFromSpeech(*options)


def resynthesize_set(
    source, vocoder, folder: Path, output: Path, audio_format: str
) -> int:
    """Speak one set.

    Args:
        source: ``AbsUnitSource``.
        vocoder: ``AbsUnitVocoder``.
        folder: The set.
        output: Where the files go; made when absent.
        audio_format: One of ``recording_writer.FORMATS``.

    Returns:
        Number of utterances.
    """
    from espnet2_taste.inference.resynthesis import speak

    wavs, rows, timings = {}, {}, {}
    texts = read_table(folder / "text")
    with RecordingWriter(output, vocoder.sample_rate, audio_format) as write:
        for batch in source.batches(folder):
            timings |= batch.timings(texts)
            waves = speak(vocoder, batch)
            for name, units, wave in zip(batch.names, batch.units, waves):
                wavs[name] = write(name, wave)
                rows[name] = " ".join(map(str, units.tolist()))
    write_table(output / "text", {name: texts[name] for name in wavs})
    write_table(output / "units", rows)
    if timings:
        write_ctm(output / "ctm", timings)
    write_table(output / "wav.scp", wavs)
    return len(wavs)


def run(args: argparse.Namespace) -> None:
    """Speak the sets that are not done, with one source and one vocoder."""
    if not args.taste_exp and not args.from_units:
        raise ValueError("give --taste_exp or --from_units true")
    output_dir = Path(args.output_dir)

    def work(tools, output: Path) -> str:
        folder = Path(args.dump_dir) / output.relative_to(output_dir)
        count = resynthesize_set(*tools, folder, output, args.audio_format)
        return f"{count} utterances"

    def is_done(folder: Path) -> bool:
        return (folder / "wav.scp").is_file()

    finish(args, is_done, lambda: load_tools(args), work, join_speech, output_dir)


def load_tools(args: argparse.Namespace) -> tuple:
    """Source of units and vocoder that the options name, after a look if they fit."""
    source = build_source(args)
    vocoder = load_unit_vocoder(args.unit_vocoder_exp, args.device)
    if args.taste_exp:
        fitting.check_speakable(
            source.generator.encoder.model.unit_decoder,
            vocoder,
            args.taste_exp,
            args.unit_vocoder_exp,
        )
    return source, vocoder


def join_speech(parts: Sequence[Path], output: Path) -> str:
    """Make the tables of a set of those of its parts, whose audio stays where it is.

    Raises:
        ValueError: A part is not complete.
    """
    timed = [part / "ctm" for part in parts if (part / "ctm").is_file()]
    times = ["ctm"] if timed else []
    return join_parts(parts, output, ["text", "units", *times, "wav.scp"])


main = Command(run, add_options, __doc__)

if __name__ == "__main__":
    main()
