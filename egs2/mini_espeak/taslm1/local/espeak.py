"""eSpeak NG through ctypes: text with style marks in, samples and word starts out.

Enters: phrases, each a string with its own rate and pitch, and a voice. Leaves: mono
float32 samples (S,) at the rate of the library (22,050 Hz) and, from the word events
of the synthesizer, the first sample of every word, (W,).

A process holds one synthesizer. Some of its state (the phase of the glottal source,
the noise generator) lives on between calls, also those for phones, so callers who want
the same samples every time run a fixed list of utterances in a fresh process (see
``make_corpus``).
"""

import ctypes
from dataclasses import dataclass

import numpy as np

from espnet2_taste.text.espeak import CHARS_UTF8, open_espeak, set_voice

POSITION_CHARACTER = 1
EVENT_END_OF_LIST = 0
EVENT_WORD = 1
PARAMETER_RATE = 1
PARAMETER_VOLUME = 2
PARAMETER_PITCH = 3
PARAMETER_RANGE = 4
VOLUME = 65


class Event(ctypes.Structure):
    """``espeak_EVENT`` of ``speak_lib.h``."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    ]


CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event)
)


@dataclass(frozen=True)
class Phrase:
    """Words said in one style.

    Attributes:
        words: The words, without punctuation.
        rate: Words a minute asked of the synthesizer (80 to 450).
        pitch: Base pitch asked of the synthesizer (0 to 99).
    """

    words: tuple[str, ...]
    rate: int
    pitch: int

    def marked(self) -> str:
        """Text with the synthesizer's own style marks in front."""
        return f"\x01{self.rate}S\x01{self.pitch}P{' '.join(self.words)}"


class Synthesizer:
    """The library, opened once per process.

    Example:
        >>> samples, starts = Synthesizer().speak([Phrase(("hello",), 160, 50)], "en")
    """

    def __init__(self):
        self._library, self.sample_rate = open_espeak()
        self._samples: list[np.ndarray] = []
        self._starts: list[int] = []
        self._callback = CALLBACK(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(
        self, phrases: list[Phrase], voice: str, pitch_range: int = 50
    ) -> tuple[np.ndarray, np.ndarray]:
        """Say phrases as one clause.

        Args:
            phrases: What to say, in order.
            voice: eSpeak voice with its variant, e.g. ``"en-gb+f2"``.
            pitch_range: Liveliness of the melody, 0 to 100.

        Returns:
            Samples (S,) float32 in [-1, 1) and the first sample of each word, (W,).

        Raises:
            ValueError: The voice is unknown.
            RuntimeError: The synthesizer did not report every word.
        """
        set_voice(self._library, voice)
        self._library.espeak_SetParameter(PARAMETER_RATE, phrases[0].rate, 0)
        self._library.espeak_SetParameter(PARAMETER_VOLUME, VOLUME, 0)
        self._library.espeak_SetParameter(PARAMETER_PITCH, phrases[0].pitch, 0)
        self._library.espeak_SetParameter(PARAMETER_RANGE, pitch_range, 0)
        self._samples.clear()
        self._starts.clear()
        text = " ".join(phrase.marked() for phrase in phrases).encode()
        self._library.espeak_Synth(
            text, len(text) + 1, 0, POSITION_CHARACTER, 0, CHARS_UTF8, None, None
        )
        expected = [word for phrase in phrases for word in phrase.words]
        if len(self._starts) != len(expected):
            raise RuntimeError(
                f"eSpeak reported {len(self._starts)} words for the {len(expected)} of "
                f"'{' '.join(expected)}': it says some pairs (such as 'in the') as one "
                "word. Choose other words"
            )
        samples = np.concatenate(self._samples).astype(np.float32) / 32768
        return samples, np.array(self._starts)

    def _receive(self, wave, count: int, events) -> int:
        """Collect one block of samples and the word events in it."""
        if count > 0:
            self._samples.append(np.ctypeslib.as_array(wave, (count,)).copy())
        index = 0
        while events[index].type != EVENT_END_OF_LIST:
            if events[index].type == EVENT_WORD:
                self._starts.append(events[index].sample)
            index += 1
        return 0
