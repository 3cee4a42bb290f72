"""Arguments that sub-commands share, and the utterances that they name.

Enters: parsed arguments. Leaves: a ``Source`` of tokenized speech that can be sent to
other processes. Legend: W words, Q codebooks, E speaker features, B utterances.
"""

import argparse
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the model, the output and how the work is divided."""
    add = parser.add_argument
    add("--model", required=True, help="Archive, unpacked directory or hub name")
    add("--cache_dir", help="Where archives are unpacked; default: ESPnet's cache")
    add("--output", required=True, help="Folder of the results")
    add("--batch_size", type=int, default=8, help="Utterances at once")
    add("--nj", type=int, default=1, help="Processes")
    add("--ngpu", type=int, default=0, help="GPUs the processes share; 0: the CPU")
    add("--part_size", type=int, default=64, help="Utterances kept after a stop")
    add("--log_level", default="WARNING", help="Level of messages")


def add_wav_arguments(parser: argparse.ArgumentParser) -> None:
    """Add single recordings and lists of them."""
    add = parser.add_argument
    add("--wav", nargs="+", metavar="FILE", help="Recordings; their names are the ids")
    add("--wav_scp", metavar="FILE", help="List: 'id path' lines")
    add("--text", help="Transcript of a single --wav; recognised when not given")
    add("--text_file", metavar="FILE", help="Transcripts: 'id word word ...' lines")


def add_codes_arguments(parser: argparse.ArgumentParser) -> None:
    """Add tokenized speech and who speaks."""
    parser.add_argument(
        "--codes", metavar="DIR", help="Tokenized speech, instead of recordings"
    )


def add_voice_arguments(parser: argparse.ArgumentParser) -> None:
    """Add who speaks, and how units are drawn."""
    add = parser.add_argument
    add("--voice", metavar="FILE", help="Recording of the voice; default: their own")
    add("--seed", type=int, default=0, help="Of everything that is drawn")
    add("--top_k", type=int, default=25, help="Candidates of a speech unit")
    add("--max_unit_ratio", type=float, default=20.0, help="Most units a text token")


class Source(ABC):
    """Tokenized speech by utterance id."""

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """Utterance ids."""

    @abstractmethod
    def tokens(self, tokenizer, names: Sequence[str]) -> list:
        """``SpeechTokens`` of utterances."""

    @abstractmethod
    def voices(self, tokenizer, names: Sequence[str]):
        """Their speakers, (B, E)."""


@dataclass(frozen=True)
class WavSource(Source):
    """Recordings, tokenized when they are asked for.

    Attributes:
        wavs: Audio path by utterance id.
        texts: Transcript by utterance id; None to recognise them.
    """

    wavs: Mapping[str, str]
    texts: Mapping[str, str] | None

    @property
    def names(self) -> list[str]:
        """See ``Source.names``."""
        return list(self.wavs)

    def waves(self, tokenizer, names: Sequence[str]) -> list:
        """Samples (S,) of utterances at the tokenizer's rate."""
        from espnet2_taste.data.audio import load_speech

        found = []
        for name in names:
            try:
                found.append(load_speech(self.wavs[name], tokenizer.sample_rate))
            except ValueError as error:
                raise ValueError(f"utterance '{name}': {error}") from error
        return found

    def tokens(self, tokenizer, names: Sequence[str]) -> list:
        """See ``Source.tokens``."""
        texts = None if self.texts is None else [self.texts[name] for name in names]
        return tokenizer.encode_batch(self.waves(tokenizer, names), texts, names)

    def voices(self, tokenizer, names: Sequence[str]):
        """See ``Source.voices``."""
        import numpy as np

        waves = self.waves(tokenizer, names)
        return np.stack([tokenizer.embed_speaker(wave) for wave in waves])


@dataclass(frozen=True)
class FolderSource(Source):
    """A folder that ``tokenize`` or stage 9 wrote.

    Attributes:
        folder: With ``codes.scp`` and ``words``.
    """

    folder: str

    @property
    def names(self) -> list[str]:
        """See ``Source.names``."""
        from espnet2_taste.data.kaldi_dir import read_table

        return list(read_table(Path(self.folder) / "words"))

    def tokens(self, tokenizer, names: Sequence[str]) -> list:
        """See ``Source.tokens``."""
        from espnet2_taste.slm.inference import read_spoken_words

        table = read_spoken_words(Path(self.folder))
        return [table[name] for name in names]

    def voices(self, tokenizer, names: Sequence[str]):
        """See ``Source.voices``."""
        import kaldiio
        import numpy as np

        path = Path(self.folder) / "spembs.scp"
        if not path.is_file():
            raise ValueError(
                f"{path} not found: give --voice, a recording of the voice"
            )
        table = kaldiio.load_scp(str(path))
        return np.stack([table[name] for name in names])


@dataclass(frozen=True)
class VoicedSource(Source):
    """A source that is spoken by one other voice.

    Attributes:
        source: Gives the tokens.
        voice: Recording of the voice.
    """

    source: Source
    voice: str

    @property
    def names(self) -> list[str]:
        """See ``Source.names``."""
        return self.source.names

    def tokens(self, tokenizer, names: Sequence[str]) -> list:
        """See ``Source.tokens``."""
        return self.source.tokens(tokenizer, names)

    def voices(self, tokenizer, names: Sequence[str]):
        """See ``Source.voices``."""
        return repeated_voice(self.voice, tokenizer, len(names))


def repeated_voice(voice: str, tokenizer, count: int):
    """One speaker for B utterances, (B, E).

    Args:
        voice: Recording.
        tokenizer: A ``TasteTokenizer``.
        count: B.
    """
    import numpy as np

    vector = WavSource({"voice": voice}, None).voices(tokenizer, ["voice"])
    return np.repeat(vector, count, axis=0)


def source_of(args: argparse.Namespace) -> Source:
    """The utterances that the arguments name.

    Args:
        args: Of ``add_wav_arguments`` and, if the command has them, the others.

    Returns:
        The source.

    Raises:
        ValueError: None or more than one way to name them was used, or ids differ.
    """
    codes, voice = getattr(args, "codes", None), getattr(args, "voice", None)
    given = [name for name in ("wav", "wav_scp") if getattr(args, name)]
    given += ["codes"] if codes else []
    if len(given) != 1:
        wanted = "--wav, --wav_scp" + (" or --codes" if hasattr(args, "codes") else "")
        raise ValueError(f"give one of {wanted}, found {len(given)} of them")
    source = FolderSource(codes) if codes else _recordings(args)
    return VoicedSource(source, voice) if voice else source


def _recordings(args: argparse.Namespace) -> WavSource:
    from espnet2_taste.data.kaldi_dir import read_table

    if args.wav_scp:
        wavs = read_table(args.wav_scp)
    else:
        wavs = {Path(path).stem: path for path in args.wav}
        if len(wavs) < len(args.wav):
            raise ValueError("--wav: two files have the same name; give --wav_scp")
    texts = read_table(args.text_file) if args.text_file else None
    if args.text is not None:
        if len(wavs) != 1 or texts is not None:
            raise ValueError("--text is for a single --wav; give --text_file for more")
        texts = {name: args.text for name in wavs}
    missing = [] if texts is None else [name for name in wavs if name not in texts]
    if missing:
        raise ValueError(
            f"{args.text_file} lacks '{missing[0]}' ({len(missing)} in all); leave "
            "--text_file out to have the speech recognised"
        )
    return WavSource(wavs, texts)
