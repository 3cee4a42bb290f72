"""What reads and speaks for a spoken LM, whatever its words carry: codes or units.

Enters: recordings and texts. Leaves: words with their times, speakers. Legend: B
utterances, S samples, W words, E speaker features.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from espnet2_taste.align.abs_aligner import AbsAligner, AlignedUtterance
from espnet2_taste.inference import long_audio
from espnet2_taste.inference.inputs import (
    DOUBTFUL,
    Speech,
    check_alignment,
    normal_text,
    waveform,
)
from espnet2_taste.inference.results import DecodedSpeech, utterance_names
from espnet2_taste.inference.settings import InferenceSettings
from espnet2_taste.structures import WordTiming
from espnet2_taste.text.abs_tokenizer import AbsTextTokenizer
from espnet2_taste.vocoder.abs_vocoder import AbsUnitVocoder


class AbsSpeechTokenizer(ABC):
    """Speech and text <-> what a spoken LM reads and writes.

    Attributes:
        settings: Of the package.
        text_tokenizer: Whose vocabulary must be able to write all words.
        aligner: Times words and recognises speech.
        vocoder: Speaks units, None where nothing is spoken.
        embedder: Of speakers, None where they must be given.
        window: Longest audio, in seconds, that a network reads at once.
        min_alignment: Utterances that are aligned worse are refused.
    """

    settings: InferenceSettings
    text_tokenizer: AbsTextTokenizer
    aligner: AbsAligner
    vocoder: AbsUnitVocoder | None = None
    embedder = None
    window = 30.0
    min_alignment = 0.0

    @property
    @abstractmethod
    def sample_rate(self) -> int:
        """Rate of the waveforms that enter, Hz."""

    @abstractmethod
    def encode_batch(
        self,
        speech: Sequence[Speech],
        texts: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
    ) -> list:
        """Read utterances; each gets what it would get alone.

        Args:
            speech: B waveforms (S,) at ``sample_rate``, audio files, or pairs of
                samples and their rate.
            texts: Their transcripts, as they are written; recognised when None.
            names: Utterance ids for errors; "0", "1", ... by default.

        Raises:
            ValueError: A waveform or text cannot be used.
        """

    @abstractmethod
    def decode_batch(
        self,
        items: Sequence,
        spembs: np.ndarray,
        names: Sequence[str] | None = None,
    ) -> list[DecodedSpeech]:
        """Speak utterances; each gets what it would get alone.

        Args:
            items: B utterances, of :meth:`encode_batch` or of a spoken LM.
            spembs: Their speakers, (B, E).
            names: Utterance ids, on which the random numbers depend.

        Raises:
            ValueError: Utterances or speakers are none of this model.
        """

    def __call__(self, speech: Speech, text: str | None = None, name: str = "0"):
        """Read one utterance; see :meth:`encode_batch`."""
        return self.encode_batch([speech], None if text is None else [text], [name])[0]

    def normalize(self, text: str, name: str = "0") -> str:
        """Raw text as words that the model knows; see ``inputs.normal_text``."""
        return normal_text(name, text, self.settings.text, self.text_tokenizer)

    def _read(
        self,
        speech: Sequence[Speech],
        texts: Sequence[str] | None,
        names: Sequence[str],
    ) -> tuple[list[np.ndarray], list[str], float]:
        """Waveforms and words, and below which alignment they are doubtful."""
        rate, doubtful = self.sample_rate, DOUBTFUL
        waves = [waveform(name, wave, rate) for name, wave in zip(names, speech)]
        if texts is None:
            texts = self.transcribe(waves, names)
            doubtful = self.aligner.doubtful_recognized
        texts = [self.normalize(text, name) for name, text in zip(names, texts)]
        return waves, texts, doubtful

    def transcribe(
        self, speech: Sequence[np.ndarray], names: Sequence[str] | None = None
    ) -> list[str]:
        """Recognise speech.

        Args:
            speech: B waveforms (S,) at ``sample_rate``.
            names: Utterance ids, for errors.

        Returns:
            Words separated by spaces, of each utterance.

        Raises:
            ValueError: Nothing was recognised.
        """
        names = utterance_names(names, len(speech))
        found = self.aligner.transcribe(speech)
        for name, words in zip(names, found):
            if not words:
                raise ValueError(
                    f"utterance '{name}': the recognizer found no word; give its text"
                )
        return [" ".join(words) for words in found]

    def time_words(
        self,
        speech: Sequence[np.ndarray],
        texts: Sequence[str],
        names: Sequence[str] | None = None,
    ) -> list[tuple[WordTiming, ...]]:
        """Find the words of transcripts in the audio.

        Args:
            speech: B waveforms (S,) at ``sample_rate``.
            texts: Their transcripts.
            names: Utterance ids, for errors.

        Returns:
            One timing a word, of each utterance.

        Raises:
            ValueError: Words do not fit their audio.
        """
        names = utterance_names(names, len(speech))
        return [tuple(item.words) for item in self._align(speech, texts, names)]

    def _align(
        self,
        speech: Sequence[np.ndarray],
        texts: Sequence[str],
        names: Sequence[str],
        doubtful: float = DOUBTFUL,
    ) -> list[AlignedUtterance]:
        """Words of transcripts in the audio; what does not belong to it is logged."""
        aligned = self.aligner.time_words(speech, [text.split() for text in texts])
        for name, item in zip(names, aligned):
            check_alignment(name, item, self.min_alignment, doubtful)
        return aligned

    def embed_speaker(self, speech: Speech) -> np.ndarray:
        """Speaker embedding of a recording; of a long one, the mean of its pieces'.

        Args:
            speech: (S,) at ``sample_rate``, an audio file, or samples and their rate.

        Returns:
            (E,) float32, of length one.

        Raises:
            RuntimeError: The model was loaded without ``units_config``.
        """
        if self.embedder is None:
            raise RuntimeError("no speaker embedder is loaded: give units_config")
        wave = waveform("voice", speech, self.sample_rate)
        return long_audio.embed_long(self.embedder, wave, self.window).cpu().numpy()

    def decode(self, tokens, spembs: np.ndarray, name: str = "0") -> DecodedSpeech:
        """Speak one utterance, its speaker (E,); see :meth:`decode_batch`."""
        return self.decode_batch([tokens], np.asarray(spembs)[None], [name])[0]

    def _check_vocoder(self) -> None:
        if self.vocoder is None:
            raise RuntimeError("no unit vocoder is loaded: give unit_vocoder_config")
