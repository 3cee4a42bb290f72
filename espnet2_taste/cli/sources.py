"""The utterances that arguments name.

Enters: parsed arguments. Leaves: a ``Source`` of tokenized speech that can be sent to
other processes. Legend: W words, Q codebooks, E speaker features, B utterances.
"""

import argparse
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from espnet2_taste.cli.arguments import digest_files, digest_values
from espnet2_taste.data.arks import ArkTable
from espnet2_taste.data.audio import LOWEST_RATE, load_speech
from espnet2_taste.data.checks import UNUSABLE_NAME, find_audio
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.data.spoken_sets import SpokenSet

SHORTEST = 0.1  # seconds of a voice


@dataclass(frozen=True)
class Source(ABC):
    """What is spoken, written or continued, by utterance id.

    Attributes:
        voice: Recording of who speaks; None for the speaker of each utterance.
    """

    voice: str | None = field(default=None, kw_only=True)

    @property
    @abstractmethod
    def inputs(self) -> dict[str, str]:
        """Digest of what each utterance is made from, by its id."""

    @abstractmethod
    def items(self, tokenizer, names: Sequence[str]) -> list:
        """``SpeechTokens`` of utterances, or their texts."""

    def voices(self, tokenizer, names: Sequence[str]):
        """Who speaks, (B, E)."""
        import numpy as np

        if self.voice is None:
            return self.own_voices(tokenizer, names)
        vector = WavSource({"voice": self.voice}, None).own_voices(tokenizer, ["voice"])
        return np.repeat(vector, len(names), axis=0)

    def own_voices(self, tokenizer, names: Sequence[str]):
        """The speakers of utterances, (B, E), if they have some."""
        raise NotImplementedError


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
    def inputs(self) -> dict[str, str]:
        """See ``Source.inputs``."""
        texts = self.texts or {}
        return {
            name: digest_values(digest_files(path), texts.get(name))
            for name, path in self.wavs.items()
        }

    def waves(self, tokenizer, names: Sequence[str]) -> list:
        """Samples (S,) of utterances at the tokenizer's rate."""
        found = []
        for name in names:
            if self.wavs[name].endswith("|"):
                raise ValueError(
                    f"utterance '{name}': --wav_scp holds a command "
                    f"('{self.wavs[name][:60]}'), which is not run for safety; write "
                    "its output to a file"
                )
            try:
                found.append(load_speech(self.wavs[name], tokenizer.sample_rate))
            except ValueError as error:
                raise ValueError(f"utterance '{name}': {error}") from error
        return found

    def items(self, tokenizer, names):
        """See ``Source.items``."""
        texts = None if self.texts is None else [self._text(name) for name in names]
        return tokenizer.encode_batch(self.waves(tokenizer, names), texts, names)

    def own_voices(self, tokenizer, names):
        """See ``Source.own_voices``."""
        import numpy as np

        waves = self.waves(tokenizer, names)
        return np.stack([tokenizer.embed_speaker(wave) for wave in waves])

    def _text(self, name: str) -> str:
        if not self.texts.get(name):
            raise ValueError(
                f"utterance '{name}': --text_file has no words for it; leave the "
                "option out to have the speech recognised"
            )
        return self.texts[name]


@dataclass(frozen=True)
class FolderSource(Source):
    """A folder that ``tokenize`` or stage 9 wrote.

    Attributes:
        folder: With ``codes.scp`` and ``words``.
    """

    folder: str

    @property
    def inputs(self) -> dict[str, str]:
        """See ``Source.inputs``."""
        return {name: self._digest(name) for name in self.spoken}

    def _digest(self, name: str) -> str:
        try:
            item, speakers = self.spoken[name], self.speakers
            voice = speakers[name].tobytes() if name in speakers else b""
        except ValueError as error:  # it is left out when its turn comes
            return f"unusable: {error}"
        return digest_values(item.words, item.codes.tobytes(), voice)

    @cached_property
    def spoken(self):
        """Words and codes by utterance id."""
        return SpokenSet(Path(self.folder))

    @cached_property
    def models(self) -> Mapping[str, str]:
        """Which model made the codes, by utterance id; empty if that is unknown."""
        path = Path(self.folder) / "model"
        return read_table(path) if path.is_file() else {}

    @property
    def _spembs(self) -> Path:
        return Path(self.folder) / "spembs.scp"

    @cached_property
    def speakers(self) -> Mapping:
        """Speaker embeddings (E,) by utterance id; empty where the folder has none."""
        return ArkTable(self._spembs) if self._spembs.is_file() else {}

    def items(self, tokenizer, names):
        """See ``Source.items``."""
        from espnet2_taste.inference.results import SpeechTokens

        items = [(self.spoken[name], self.models.get(name, "")) for name in names]
        return [SpeechTokens(i.words, i.codes, model=model) for i, model in items]

    def own_voices(self, tokenizer, names):
        """See ``Source.own_voices``."""
        import numpy as np

        from espnet2_taste.inference.resynthesis import look_up

        return np.stack(look_up(self.speakers, names, self._spembs))


@dataclass(frozen=True)
class TextSource(Source):
    """Words that nobody spoke.

    Attributes:
        texts: Words by utterance id.
    """

    texts: Mapping[str, str]

    @property
    def inputs(self) -> dict[str, str]:
        """See ``Source.inputs``."""
        return {name: digest_values(text) for name, text in self.texts.items()}

    def items(self, tokenizer, names):
        """See ``Source.items``."""
        return [self.texts[name] for name in names]


def source_of(args: argparse.Namespace) -> Source:
    """The utterances that the arguments name.

    Args:
        args: Options with ``WAVS`` and, if the command has them, the others.

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
    if voice:
        check_recording(voice, "--voice")
    source = FolderSource(codes, voice=voice) if codes else _recordings(args, voice)
    if codes and hasattr(args, "voice") and not voice and not source.speakers:
        raise ValueError(
            f"{codes} has no speaker embeddings (spembs.scp): give --voice, a "
            "recording of the voice"
        )
    return source


def check_recording(path: str, option: str) -> None:
    """Refuse what is no recording, before a model is loaded.

    Args:
        path: Audio file.
        option: That names it, for the error.

    Raises:
        ValueError: It cannot be read, is too short or silent.
    """
    try:
        load_speech(path, LOWEST_RATE, SHORTEST)
    except ValueError as error:
        raise ValueError(f"{option} {path}: {error}") from error


def _recordings(args: argparse.Namespace, voice: str | None) -> WavSource:
    wavs = listed_wavs(args.wav_scp) if args.wav_scp else named_wavs(args.wav)
    texts = read_table(args.text_file) if args.text_file else None
    if args.text is not None:
        if len(wavs) != 1 or texts is not None:
            raise ValueError("--text is for a single --wav; give --text_file for more")
        texts = {name: args.text for name in wavs}
    return WavSource(wavs, texts, voice=voice)


def listed_wavs(wav_scp: str) -> dict[str, str]:
    """Audio path by utterance id.

    Args:
        wav_scp: Lines 'id path'; paths begin at the current folder, that of the list or
            one above it. What cannot be found stays as it is and is refused when it is
            read.
    """
    parent = Path(wav_scp).parent
    return {
        name: str(find_audio(value, parent) or value)
        for name, value in read_table(wav_scp).items()
    }


def named_wavs(paths: Sequence[str]) -> dict[str, str]:
    """Audio path by utterance id, which is the name of the file.

    Args:
        paths: Recordings; what cannot stand in an id becomes '_'.

    Raises:
        ValueError: Two files have the same name.
    """
    wavs = {UNUSABLE_NAME.sub("_", Path(path).stem): path for path in paths}
    if len(wavs) < len(paths):
        raise ValueError("--wav: two files have the same name; give --wav_scp")
    return wavs
