"""Recordings of a set on disk: a file each, or one ark for all of them.

Enters: samples by utterance. Leaves: entries of ``wav.scp``. An ark is what ESPnet's
``format_wav_scp.py --audio_format flac.ark`` writes, audio files behind each other,
which ESPnet's trainings read as ``kaldi_ark`` and this package by ``read_audio``.
"""

from pathlib import Path

import numpy as np

from espnet2_taste.data.audio import check_finite, pcm16, write_audio
from espnet2_taste.data.checks import check_name

FORMATS = ("wav", "flac", "wav.ark", "flac.ark")
ARK = "audio.ark"


class RecordingWriter:
    """Writes mono PCM of 16 bit and says where it is.

    Args:
        folder: Of the set; files go to its ``audio``, of an ark format to
            ``audio.ark``, which is written anew.
        sample_rate: Samples a second.
        audio_format: One of ``FORMATS``.
        shown: The folder as entries name it, where it is renamed at the end.
    """

    def __init__(
        self,
        folder: Path,
        sample_rate: int,
        audio_format: str = "wav",
        shown: Path | None = None,
    ):
        self.kind, _, ark = audio_format.partition(".")
        self.sample_rate = sample_rate
        self.folder = folder if ark else folder / "audio"
        self.shown = (shown or folder) if ark else (shown or folder) / "audio"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._ark = open(self.folder / ARK, "wb") if ark else None

    def __enter__(self) -> "RecordingWriter":
        return self

    def __exit__(self, *_) -> None:
        if self._ark:
            self._ark.close()

    def kept(self, name: str) -> Path | None:
        """The file of an utterance that an earlier run wrote."""
        file = self.folder / f"{name}.{self.kind}"
        return file if not self._ark and file.is_file() else None

    def entry(self, name: str) -> str:
        """How ``wav.scp`` names the file of an utterance."""
        return str(self.shown / f"{name}.{self.kind}")

    def __call__(self, name: str, speech: np.ndarray) -> str:
        """Write an utterance.

        Args:
            name: Its id.
            speech: Samples (S,).

        Returns:
            Its entry in ``wav.scp``.

        Raises:
            ValueError: A sample is no number, or the id cannot name a file.
        """
        check_name(name)
        if not self._ark:
            write_audio(self.folder / f"{name}.{self.kind}", speech, self.sample_rate)
            return self.entry(name)
        import kaldiio

        check_finite(name, speech)
        offset = self._ark.tell() + len(f"{name} ".encode())
        kaldiio.save_ark(
            self._ark,
            {name: (pcm16(speech), self.sample_rate)},
            write_function="soundfile",
            write_kwargs={"format": self.kind, "subtype": "PCM_16"},
        )
        return f"{self.shown / ARK}:{offset}"
