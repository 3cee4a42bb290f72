"""What ``espnet2-taste continue`` is given to go on from.

Enters: parsed arguments. Leaves: a ``Source`` that can be sent to other processes.
"""

import argparse
from collections.abc import Mapping

from espnet2_taste.cli import sources
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.inference.prompt_sets import sample_names


def prompts_of(args: argparse.Namespace) -> sources.Source:
    """What the arguments say is continued.

    Raises:
        ValueError: Something is missing, or belongs to another kind of prompt.
    """
    if args.prompt_kind in ("audio", "instruct"):
        return sources.source_of(args)
    voice = voice_alone(args)
    if args.prompt_kind == "text":
        texts = texts_of(args, "words to go on from")
    else:
        texts = sample_names(args.num_samples)
    sources.check_recording(voice, "--voice")
    return sources.TextSource(texts, voice=voice)


def texts_of(args: argparse.Namespace, purpose: str) -> Mapping[str, str]:
    """Written words by utterance id.

    Args:
        args: Options of the command.
        purpose: What the words are for, for the error.

    Returns:
        Those of --text_file; of --text under the id "text".

    Raises:
        ValueError: Both options were given, or none.
    """
    if (args.text is None) == (args.text_file is None):
        raise ValueError(f"give one of --text and --text_file: {purpose}")
    return read_table(args.text_file) if args.text_file else {"text": args.text}


def voice_alone(args: argparse.Namespace) -> str:
    """The voice of prompts that nobody speaks.

    Args:
        args: Options of ``continue``.

    Returns:
        A recording.

    Raises:
        ValueError: None is given, or speech to go on from is.
    """
    for name in ("wav", "wav_scp", "codes"):
        if getattr(args, name):
            raise ValueError(
                f"--prompt_kind {args.prompt_kind} does not go on from speech: leave "
                f"--{name} out"
            )
    if not args.voice:
        raise ValueError(
            f"--prompt_kind {args.prompt_kind} has no speaker of its own: give "
            "--voice, a recording of the voice"
        )
    return args.voice
