"""eSpeak NG through ctypes: how a word is said, in the IPA.

Enters: a word and a language. Leaves: its phones. The library comes with the package
espeakng-loader (extra ``espeak``).

A process holds one library with one voice at a time, which is not made for threads:
whoever calls it holds ``LOCK``. Phones do not depend on what was asked before.
"""

import ctypes
import os
import re
import tempfile
import threading
from functools import cache

from espnet2_taste.optional import require

AUDIO_OUTPUT_SYNCHRONOUS = 2
CHARS_UTF8 = 1
PHONES_AS_IPA = 2
DATA_PATH_LIMIT = 140
LANGUAGE_MARK = re.compile(r"\([a-z-]+\)")
"""``(en)`` before phones that eSpeak takes from another language."""

LOCK = threading.RLock()


def open_espeak() -> tuple[ctypes.CDLL, int]:
    """Open the library, once per process.

    Returns:
        The library and its samples a second.

    Raises:
        RuntimeError: espeakng-loader is not installed, or its data cannot be read.
    """
    loader = require("espeakng_loader", feature="eSpeak NG", extra="espeak")
    with LOCK:
        return _opened(loader.get_library_path(), loader.get_data_path())


@cache
def _opened(library_path: str, data_path: str) -> tuple[ctypes.CDLL, int]:
    library = ctypes.CDLL(library_path)
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    data = _short_path(data_path).encode()
    sample_rate = library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, data, 0)
    if sample_rate <= 0:
        raise RuntimeError(
            f"eSpeak NG did not start with its data at '{data_path}'. "
            "Reinstall it with: pip install --force-reinstall espeakng-loader"
        )
    return library, sample_rate


def set_voice(library: ctypes.CDLL, voice: str) -> None:
    """Choose the voice of the next calls; needs ``LOCK``.

    Args:
        library: As opened.
        voice: A language, with a variant where wanted, e.g. ``"en-gb+f2"``.

    Raises:
        ValueError: There is none of this name.
    """
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise ValueError(
            f"eSpeak has no voice '{voice}'. Take one of those that "
            "`espeak-ng --voices` prints, such as en-us, de or cmn"
        )


def phones_of(word: str, language: str) -> str:
    """How a word is said when it stands alone.

    Args:
        word: Without whitespace.
        language: One of eSpeak's, e.g. ``"en-us"``.

    Returns:
        Its phones in the IPA, with stress and length marks; nothing where eSpeak
        says nothing (punctuation). A number of several words has no spaces.

    Raises:
        RuntimeError: eSpeak is not installed.
        ValueError: It does not know the language.

    Example:
        >>> phones_of("hello", "en-us")
        'həlˈoʊ'
    """
    library, _ = open_espeak()
    clauses, rest = [], ctypes.c_char_p(word.encode())
    with LOCK:
        set_voice(library, language)
        while rest.value is not None:  # moved behind each clause
            clauses.append(
                library.espeak_TextToPhonemes(
                    ctypes.byref(rest), CHARS_UTF8, PHONES_AS_IPA
                )
            )
    return "".join(LANGUAGE_MARK.sub("", b" ".join(clauses).decode()).split())


def _short_path(path: str) -> str:
    """Give a path that fits eSpeak's fixed buffer, through a link where needed."""
    if len(path) < DATA_PATH_LIMIT:
        return path
    link = os.path.join(tempfile.mkdtemp(prefix="espeak-"), "espeak-ng-data")
    os.symlink(path, link)
    return link
