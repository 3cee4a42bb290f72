"""What ``espnet2-taste continue`` is given to go on from, one class a kind.

Enters: parsed arguments. Leaves: prompts that can be sent to other processes and are
made when they are asked for. Legend: B utterances, E speaker features.
"""

import argparse
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from espnet2_taste.cli import arguments, sources
from espnet2_taste.data.kaldi_dir import read_table


class Prompts(ABC):
    """Beginnings by utterance id."""

    @classmethod
    @abstractmethod
    def from_args(cls, args: argparse.Namespace) -> "Prompts":
        """The prompts that the arguments name.

        Raises:
            ValueError: Something is missing, or belongs to another kind.
        """

    @property
    @abstractmethod
    def inputs(self) -> dict[str, str]:
        """Digest of what each utterance is made from, by its id."""

    @abstractmethod
    def beginnings(self, tokenizer, names: Sequence[str]) -> list:
        """``PromptSpec`` of utterances."""

    @abstractmethod
    def voices(self, tokenizer, names: Sequence[str]):
        """Who speaks, (B, E)."""


@dataclass(frozen=True)
class SpokenPrompts(Prompts):
    """Speech that stops.

    Attributes:
        source: The speech.
    """

    source: sources.Source

    @classmethod
    def from_args(cls, args):
        """See :meth:`Prompts.from_args`."""
        return cls(sources.source_of(args))

    @property
    def inputs(self):
        """See :attr:`Prompts.inputs`."""
        return self.source.inputs

    def beginnings(self, tokenizer, names):
        """See :meth:`Prompts.beginnings`."""
        from espnet2_taste.slm.prompt_specs import SpokenPrompt

        return [SpokenPrompt(item) for item in self.source.tokens(tokenizer, names)]

    def voices(self, tokenizer, names):
        """See :meth:`Prompts.voices`."""
        return self.source.voices(tokenizer, names)


@dataclass(frozen=True)
class TurnPrompts(SpokenPrompts):
    """Spoken turns of a dialogue, to be answered.

    Attributes:
        source: The speech.
        frame: See ``SpokenTurn``.
    """

    frame: tuple[str, str] | None = None

    @classmethod
    def from_args(cls, args):
        """See :meth:`Prompts.from_args`."""
        frame = tuple(args.turn_frame) if args.turn_frame else None
        return cls(sources.source_of(args), frame)

    def beginnings(self, tokenizer, names):
        """See :meth:`Prompts.beginnings`."""
        from espnet2_taste.slm.prompt_specs import SpokenTurn

        tokens = self.source.tokens(tokenizer, names)
        return [SpokenTurn(item, self.frame) for item in tokens]


@dataclass(frozen=True)
class WrittenPrompts(Prompts):
    """Words that nobody spoke.

    Attributes:
        texts: Words by utterance id.
        voice: Recording of who goes on.
    """

    texts: Mapping[str, str]
    voice: str

    @classmethod
    def from_args(cls, args):
        """See :meth:`Prompts.from_args`."""
        voice = voice_alone(args)
        table = texts_of(args, "words to go on from")
        sources.check_recording(voice, "--voice")
        return cls(table, voice)

    @property
    def inputs(self):
        """See :attr:`Prompts.inputs`."""
        return {n: arguments.digest_values(text) for n, text in self.texts.items()}

    def beginnings(self, tokenizer, names):
        """See :meth:`Prompts.beginnings`."""
        from espnet2_taste.slm.prompt_specs import WrittenPrompt

        return [WrittenPrompt(tuple(self.texts[name].split())) for name in names]

    def voices(self, tokenizer, names):
        """See :meth:`Prompts.voices`."""
        return sources.repeated_voice(self.voice, tokenizer, len(names))


@dataclass(frozen=True)
class NoPrompts(Prompts):
    """Nothing, some times.

    Attributes:
        count: How often.
        voice: Recording of who speaks.
    """

    count: int
    voice: str

    @classmethod
    def from_args(cls, args):
        """See :meth:`Prompts.from_args`."""
        voice = voice_alone(args)
        sources.check_recording(voice, "--voice")
        return cls(args.num_samples, voice)

    @property
    def inputs(self):
        """See :attr:`Prompts.inputs`."""
        return {f"sample{index:04d}": "" for index in range(self.count)}

    def beginnings(self, tokenizer, names):
        """See :meth:`Prompts.beginnings`."""
        from espnet2_taste.slm.prompt_specs import EmptyPrompt

        return [EmptyPrompt() for _ in names]

    def voices(self, tokenizer, names):
        """See :meth:`Prompts.voices`."""
        return sources.repeated_voice(self.voice, tokenizer, len(names))


PROMPT_KINDS: dict[str, type[Prompts]] = {
    "audio": SpokenPrompts,
    "text": WrittenPrompts,
    "unconditional": NoPrompts,
    "instruct": TurnPrompts,
}


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


def add_prompt_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the kind of prompts and what some kinds need."""
    add = parser.add_argument
    add(
        "--prompt_kind",
        choices=list(PROMPT_KINDS),
        default="audio",
        help="audio: speech; text: words of --text or --text_file in writing; "
        "unconditional: nothing; instruct: spoken turns that are answered",
    )
    add(
        "--num_samples",
        type=arguments.COUNT,
        default=8,
        help="Samples of --prompt_kind unconditional",
    )
    add(
        "--turn_frame",
        nargs=2,
        metavar=("BEFORE", "AFTER"),
        help="Text around a turn of --prompt_kind instruct (default: the chat template "
        "of the text LM's tokenizer)",
    )
