"""Word times and transcripts from a Whisper model of Hugging Face.

Enters: 16 kHz waveforms of any length, and words. Leaves: ``AlignedUtterance``.

Transcripts are the model's own greedy ones, with its letter case and punctuation, but
without its labels of other sounds (``[Music]``). One that repeats itself, as on noise,
is written again without repeated phrases. Audio beyond the window is cut where it is
quiet.

Word times come from the cross-attention of the model's alignment heads while its
decoder is given the words, by dynamic time warping (Radford et al., 2022, and the code
published with it). Of each token the row that *predicts* it is read, that is the row of
the token before it: rows of the tokens themselves come 0.38 s late and scatter twice as
much. Begins of words read so are late by a constant, which ``offset`` takes away.
The same pass of the decoder scores the words: how likely each token is beside the one
that the model would have written itself. A transcript in another letter case or with
other punctuation loses little by that.
The words of longer audio go to its pieces by comparing them with the transcripts of
the pieces.

Legend: B utterances, S samples, F frames (50 a second), N tokens, W words, A alignment
heads.
"""

import difflib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from transformers.modeling_outputs import BaseModelOutput

from espnet2_taste.align.abs_aligner import AbsAligner, AlignedUtterance
from espnet2_taste.align.windows import cut_at_silences
from espnet2_taste.align.words import (
    BoundaryRule,
    find_sound,
    place_words,
    word_cores,
)
from espnet2_taste.text.normalizers import BasicNormalizer
from espnet2_taste.text.whisper_tokenizer import WhisperTextTokenizer
from espnet2_taste.text.words import cut_tags, tokenize_words

FRAME_RATE = 50.0
FILTER_WIDTH = 7
WORD_RULE = BoundaryRule(offset=-0.1, silence_db=20.0, min_pause=0.2)
"""Chosen with whisper-tiny.en on 1882 words of real speech (86 utterances) with forced
alignments: begins were late by 0.1 s in the median; with that taken away 50 % were
within 0.05 s, 77 % within 0.1 s and 95 % within 0.2 s (49, 75 and 90 % if only what is
40 dB below the loud part counts as silent)."""
LEAST_WORD = 3.0e-5
"""Score below which a word was probably not said. With whisper-tiny.en on 34 utterances
of real speech: 32 of 34 words that were exchanged for others, and 2 of the 1295 words
of their own texts (once as written, once in small letters without punctuation)."""

LOOP_COMPRESSION = 2.4
"""A transcript that zlib makes so many times shorter repeats itself: the limit of
Whisper's published code, which then draws other words at random."""
LOOP_PHRASE = 3
"""Tokens of a phrase that may not come twice when such a piece is written again."""


def is_loop(text: str) -> bool:
    """Whether a transcript repeats itself, as Whisper's do on noise.

    Args:
        text: The transcript.

    Returns:
        True if it is compressed by more than ``LOOP_COMPRESSION``.

    Example:
        >>> is_loop("the cat sat on the mat"), is_loop("as the tide " * 20)
        (False, True)
    """
    plain = text.encode()
    return len(plain) > LOOP_COMPRESSION * len(zlib.compress(plain))


def token_begins(attention: np.ndarray) -> np.ndarray:
    """First frame of each token on the cheapest monotonic path.

    Args:
        attention: How much each token looks at each frame, (A, N, F).

    Returns:
        Frames, (N,), ascending.
    """
    from librosa.sequence import dtw
    from scipy.ndimage import median_filter

    deviation = attention.std(axis=1, keepdims=True) + 1e-9
    scaled = (attention - attention.mean(axis=1, keepdims=True)) / deviation
    smooth = median_filter(scaled, size=(1, 1, FILTER_WIDTH)).mean(axis=0)  # (N, F)
    _, path = dtw(C=-smooth)
    tokens, frames = path[::-1].T
    return frames[np.searchsorted(tokens, np.arange(attention.shape[1]))]


def relative_probability(logits: torch.Tensor, tokens: np.ndarray) -> np.ndarray:
    """How likely given tokens are beside the ones that the model would have written.

    Args:
        logits: The decoder's, with the given tokens as what came before, (N, V).
        tokens: Token ids, (N,).

    Returns:
        Probability of each over that of the likeliest token there, 0 to 1, (N,).
    """
    given = logits.gather(1, torch.from_numpy(tokens)[:, None])[:, 0]
    return (given - logits.amax(dim=1)).exp().numpy()


def share_words(
    words: Sequence[str], transcripts: Sequence[Sequence[str]]
) -> list[range]:
    """Give each piece of a recording its part of the recording's words.

    Args:
        words: Of the whole recording, W of them.
        transcripts: What was recognized in each piece.

    Returns:
        Indices of words of each piece: every word once and in order.
    """
    plain = BasicNormalizer()
    found = [plain(word) for piece in transcripts for word in piece]
    given = [plain(word) for word in words]
    matcher = difflib.SequenceMatcher(None, found, given, autojunk=False)
    cuts, position = [0], 0
    for piece in transcripts[:-1]:
        position += len(piece)
        cut = cuts[-1]
        for _, low, high, first, last in matcher.get_opcodes():
            if low < position:  # words of this stretch that lie before the cut
                share = min(1.0, (position - low) / max(high - low, 1))
                cut = max(cut, first + round(share * (last - first)))
        cuts.append(cut)
    return [range(a, b) for a, b in zip(cuts, [*cuts[1:], len(words)])]


@dataclass(frozen=True)
class EncodedPiece:
    """A part of a recording that fits the window.

    Attributes:
        begin: First sample.
        end: One past its last sample.
        states: The encoder's output, (1500, D).
    """

    begin: int
    end: int
    states: torch.Tensor


class WhisperAligner(AbsAligner):
    """Recognizes and places words with one Whisper model.

    Args:
        model: ``WhisperForConditionalGeneration``.
        extractor: Its feature extractor.
        tokenizer: Its vocabulary; language and task are those of its prefix.
        rule: How token times become word times.
        window: Longest audio, in seconds, that is encoded at once, at most 30.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        extractor,
        tokenizer: WhisperTextTokenizer,
        rule: BoundaryRule = WORD_RULE,
        window: float = 30.0,
    ) -> None:
        self.model = model.eval()
        self.extractor = extractor
        self.tokenizer = tokenizer
        self.rule = rule
        self.window = min(window, float(extractor.chunk_length))
        heads = getattr(model.generation_config, "alignment_heads", None)
        if heads is None:  # OpenAI's rule: all heads of the later half of the layers
            layers = range(model.config.decoder_layers)[
                model.config.decoder_layers // 2 :
            ]
            count = model.config.decoder_attention_heads
            heads = [(layer, head) for layer in layers for head in range(count)]
        self.heads = [(int(layer), int(head)) for layer, head in heads]

    @property
    def sample_rate(self) -> int:
        """See :attr:`AbsAligner.sample_rate`."""
        return self.extractor.sampling_rate

    def transcribe(self, speech: Sequence[np.ndarray]) -> list[tuple[str, ...]]:
        """See :meth:`AbsAligner.transcribe`."""
        return self._transcripts(self._encode(speech))

    def time_words(self, speech, words):
        """See :meth:`AbsAligner.time_words`."""
        return self._all_timed(speech, words, self._encode(speech))

    def align(self, speech, words):
        """See :meth:`AbsAligner.align`; the encoder runs once."""
        encoded = self._encode(speech)
        timed = self._all_timed(speech, words, encoded)
        recognized = self._transcripts(encoded)
        return [replace(item, recognized=text) for item, text in zip(timed, recognized)]

    @torch.no_grad()
    def _encode(self, speech: Sequence[np.ndarray]) -> list[list[EncodedPiece]]:
        """Cut recordings where it is quiet and encode the pieces of each."""
        self.model.set_attn_implementation("sdpa")
        cuts = [cut_at_silences(w, self.sample_rate, self.window) for w in speech]
        pieces = [w[a:b] for w, rows in zip(speech, cuts) for a, b in rows if b > a]
        size, states = len(speech), []  # as many at once as the caller has chosen
        for start in range(0, len(pieces), size):
            given = self.extractor(
                pieces[start : start + size],
                sampling_rate=self.sample_rate,
                return_tensors="pt",
            ).to(self.model.device)
            encoder = self.model.get_encoder()
            states += list(encoder(given["input_features"]).last_hidden_state)
        found = iter(states)
        return [
            [EncodedPiece(a, b, next(found)) for a, b in rows if b > a] for rows in cuts
        ]

    @torch.no_grad()
    def _transcripts(
        self, encoded: Sequence[Sequence[EncodedPiece]]
    ) -> list[tuple[str, ...]]:
        """Words of each recording, from its pieces."""
        states = [piece.states for pieces in encoded for piece in pieces]
        size, texts = max(1, len(encoded)), []
        for start in range(0, len(states), size):
            texts += self._written(states[start : start + size])
        for row, text in enumerate(texts):
            if is_loop(text):
                (texts[row],) = self._written(
                    [states[row]], no_repeat_ngram_size=LOOP_PHRASE
                )
        found = (cut_tags(text)[0].split() for text in texts)
        return [
            tuple(word for _ in pieces for word in next(found)) for pieces in encoded
        ]

    def _written(self, states: Sequence[torch.Tensor], **options) -> list[str]:
        """What the decoder writes of some pieces."""
        ids = self.model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=torch.stack(states)),
            **self.tokenizer.generation_options(),
            **options,
        )
        return self.tokenizer.tokenizer.batch_decode(ids, skip_special_tokens=True)

    def _all_timed(
        self,
        speech: Sequence[np.ndarray],
        words: Sequence[Sequence[str]],
        encoded: Sequence[Sequence[EncodedPiece]],
    ) -> list[AlignedUtterance]:
        """Word times of recordings."""
        rows = zip(speech, words, encoded, strict=True)
        return [self._timed(wave, list(text), pieces) for wave, text, pieces in rows]

    def _timed(
        self, speech: np.ndarray, words: list[str], pieces: Sequence[EncodedPiece]
    ) -> AlignedUtterance:
        """Word times of one recording."""
        if not words or not pieces:
            what = "transcript has no words" if not words else "recording is empty"
            return AlignedUtterance((), problem=f"the {what}")
        parts = [range(len(words))]
        if len(pieces) > 1:
            parts = share_words(words, self._transcripts([[p] for p in pieces]))
        cores, scores, word_ids = [], [], []
        for piece, part in zip(pieces, parts):
            if not part:
                continue
            tokens = tokenize_words([words[i] for i in part], self.tokenizer)
            if problem := self._problem(piece, len(tokens.ids)):
                return AlignedUtterance((), problem=problem)
            times, fit = self._tokens(piece, tokens.ids)
            found = word_cores(times, tokens.word_ids)
            cores.append(found + piece.begin / self.sample_rate)
            scores.append(fit)
            word_ids.append(part.start + tokens.word_ids)
        sound = find_sound(speech, self.sample_rate, self.rule.silence_db)
        times = np.concatenate(cores)
        # the path begins at frame 0: where the first word begins, the sound must say
        times[0, 0] = min(sound.edges()[0] - self.rule.offset, times[0, 1])
        timed = place_words(words, times, sound, self.rule)
        joined = np.concatenate(scores), np.concatenate(word_ids)
        return AlignedUtterance.scored(timed, *joined, LEAST_WORD)

    def _frames(self, piece: EncodedPiece) -> int:
        return int((piece.end - piece.begin) / self.sample_rate * FRAME_RATE)

    def _problem(self, piece: EncodedPiece, count: int) -> str:
        """Why so many tokens cannot be those of a piece; empty if they can."""
        frames, limit = self._frames(piece), self.model.config.max_target_positions
        most = limit - len(self.tokenizer.decoder_prefix()) - 1
        if count <= min(most, frames):
            return ""
        return (
            f"{count} tokens do not fit: there are {frames} frames and the decoder has "
            f"{limit} positions"
        )

    @torch.no_grad()
    def _tokens(
        self, piece: EncodedPiece, tokens: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Begin and end of the tokens of a piece, (N, 2), and their scores, (N,)."""
        prefix, frames = self.tokenizer.decoder_prefix(), self._frames(piece)
        ids = [*prefix, *tokens.tolist(), self.tokenizer.special_id("eos")]
        self.model.set_attn_implementation("eager")  # the other kinds hide the weights
        output = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=piece.states[None]),
            decoder_input_ids=torch.tensor([ids], device=self.model.device),
            output_attentions=True,
            use_cache=False,
        )
        rows = slice(len(prefix) - 1, len(ids) - 1)  # those that predict text and end
        maps = [
            output.cross_attentions[layer][0, head, rows, :frames]
            for layer, head in self.heads
        ]
        begins = token_begins(torch.stack(maps).float().cpu().numpy()) / FRAME_RATE
        fit = relative_probability(output.logits[0, rows][:-1].float().cpu(), tokens)
        return np.stack([begins[:-1], begins[1:]], axis=1), fit
