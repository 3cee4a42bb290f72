"""What the page and the HTTP API do with the model.

Enters: recordings as bytes, checked requests. Leaves: what is sent back as JSON, and
pieces of speech while they are made.

Legend: W words, Q codebooks, E speaker features, S samples.
"""

import base64
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import numpy as np
import soundfile

from espnet2_taste.data.audio import conform, pcm16, read_audio_stream, wav_header
from espnet2_taste.demo.requests import (
    ContinueRequest,
    Limits,
    SpeakRequest,
    SpeechRequest,
)
from espnet2_taste.inference import SpokenLM
from espnet2_taste.inference.inputs import check_codes
from espnet2_taste.inference.results import SpeechPiece
from espnet2_taste.metrics.pitch import track_pitch
from espnet2_taste.metrics.word_pitch import word_mean_f0
from espnet2_taste.structures import WordTiming

SHORTEST = 0.1  # seconds
MEDIA_TYPES = {"wav": "audio/wav", "pcm": "audio/pcm", "jsonl": "application/jsonl"}


class Service:
    """A model and the voices that are known by name.

    Args:
        lm: A packed model with a tokenizer that can speak.
        voices: Recordings by name.
        limits: Of a request.

    Raises:
        ValueError: The model cannot speak, or a recording cannot be used.
    """

    def __init__(self, lm: SpokenLM, voices: Mapping[str, str], limits: Limits):
        taste = lm.tokenizer
        if taste is None or taste.vocoder is None or taste.embedder is None:
            raise ValueError(
                "the model has no unit vocoder or no speaker embedder: pack it with "
                "--unit_vocoder_exp and --units_dir"
            )
        self.lm, self.taste, self.limits = lm, taste, limits
        self.voices = {name: taste.embed_speaker(p) for name, p in voices.items()}
        self.rate = taste.vocoder.sample_rate
        _ = lm.continuer, taste.aligner  # loaded now, not by the first request

    def about(self) -> dict:
        """What the page must know."""
        return {
            "sample_rate": self.rate,
            "voices": sorted(self.voices),
            "max_seconds": self.limits.seconds,
            "max_bytes": self.limits.size,
            "digest": self.taste.digest,
        }

    def tokenize(self, data: bytes, text: str | None) -> dict:
        """Words with codes, times, F0 and the voice of a recording.

        Args:
            data: An audio file.
            text: Its transcript; recognised when None or empty.

        Returns:
            ``described``, and ``tokens`` and ``voice`` as other requests take them.

        Raises:
            ValueError: The recording or the text cannot be used.
        """
        wave, rate = read_audio_stream(io.BytesIO(data), self.limits.seconds)
        taste = self.taste
        wave = conform(wave, rate, taste.sample_rate, SHORTEST, self.limits.seconds)
        item = taste(wave, text if text and text.strip() else None, "recording")
        tokens = {
            "words": item.words,
            "codes": item.codes.tolist(),
            "model": item.model,
        }
        voice = taste.embed_speaker(wave).tolist()
        found = described(wave, taste.sample_rate, item.timings)
        known = None if math.isnan(item.alignment) else item.alignment
        return {"tokens": tokens, "voice": voice, "alignment": known, **found}

    def speak(self, request: SpeakRequest) -> dict:
        """Speech of words with codes, perhaps between two readings.

        Returns:
            ``audio`` (wav, base64), ``codes`` (W, Q) that are said, and ``described``.
        """
        item, name = request.tokens.item(), str(request.seed)
        voice = self.voice(request.voice)
        if request.other is not None:
            other = request.other.item()
            for tokens in (item, other):
                check_codes(name, tokens, self.taste.encoder.model.tokenizer.quantizer)
            item = self.taste.mix(item, other, request.weights)
        spoken = self.taste.decode(item, voice, name, request.times())
        file = io.BytesIO()
        soundfile.write(file, pcm16(spoken.wave), spoken.sample_rate, format="WAV")
        audio = base64.b64encode(file.getvalue()).decode()
        found = described(spoken.wave, spoken.sample_rate, spoken.timings)
        return {"audio": audio, "codes": item.codes.tolist(), **found}

    def continue_(self, request: ContinueRequest) -> Iterator[bytes]:
        """Continue words with codes; see ``encoded``."""
        name, prompt = str(request.seed), request.tokens.item()
        words = islice(self.lm.stream_words(prompt, name), request.max_words)
        pieces = self.taste.stream(words, self.voice(request.voice), name)
        return self.encoded(pieces, request.response_format)

    def say(self, request: SpeechRequest) -> Iterator[bytes]:
        """Say a text; see ``encoded``."""
        name, taste = str(request.seed), self.taste
        if request.speed != 1.0:
            taste = taste.with_sampling(tempo=taste.sampling.tempo * request.speed)
        style = request.style.item() if request.style else None
        words = self.lm.stream_codes(request.input, style, name)
        pieces = taste.stream(words, self.voice(request.voice), name)
        return self.encoded(pieces, request.response_format)

    def voice(self, given: str | list[float]) -> np.ndarray:
        """A speaker, (E,).

        Raises:
            ValueError: No voice has this name.
        """
        if not isinstance(given, str):
            return np.array(given, dtype=np.float32)
        if given not in self.voices:
            known = ", ".join(sorted(self.voices)) or "none, start it with --voices"
            raise ValueError(f"voice '{given[:64]}' is unknown; there are: {known}")
        return self.voices[given]

    def encoded(self, pieces: Iterable[SpeechPiece], kind: str) -> Iterator[bytes]:
        """Pieces of speech as they are sent.

        Args:
            pieces: The speech.
            kind: A key of ``MEDIA_TYPES``.
        """
        header = wav_header(self.rate) if kind == "wav" else b""
        for piece in pieces:
            samples = pcm16(piece.wave).tobytes()
            sent = _line(piece, samples) if kind == "jsonl" else header + samples
            if sent:
                yield sent
                header = b""


def _line(piece: SpeechPiece, samples: bytes) -> bytes:
    """A piece as a line of JSON."""
    content = {
        "words": [word.word for word in piece.words],
        "codes": [word.codes.tolist() for word in piece.words],
        "timings": [_time(timing) for timing in piece.timings],
        "sample_rate": piece.sample_rate,
        "pcm": base64.b64encode(samples).decode(),
    }
    return json.dumps(content).encode() + b"\n"


def _time(timing: WordTiming) -> dict:
    return {
        "word": timing.word,
        "start": round(timing.start, 4),
        "duration": round(timing.duration, 4),
    }


def described(wave: np.ndarray, rate: int, timings: Iterable[WordTiming]) -> dict:
    """What a picture of speech shows.

    Args:
        wave: (S,).
        rate: Samples a second.
        timings: Its words, perhaps none.

    Returns:
        ``seconds``; ``timings`` with the mean ``f0`` of each word in Hz (None where it
        is unvoiced); ``pitch``, Hz every 10 ms, 0 where unvoiced.
    """
    timings = list(timings)
    pitch = track_pitch(wave, rate)
    means = word_mean_f0(pitch, timings)
    rows = [
        {**_time(timing), "f0": round(float(mean), 1) if mean == mean else None}
        for timing, mean in zip(timings, means)
    ]
    track = [round(float(value), 1) for value in pitch]
    return {"seconds": len(wave) / rate, "timings": rows, "pitch": track}
