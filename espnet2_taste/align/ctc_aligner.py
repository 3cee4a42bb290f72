"""Word times and transcripts from a CTC head.

Enters: waveforms, words, and an encoder with a CTC head. Leaves: ``AlignedUtterance``:
word times by ``ctc`` and ``words``, and the greedy transcript. Encoder and lattice run
for the whole batch: the encoders keep the padding of other utterances out, so that an
alignment does not depend on its neighbours. Audio longer than the window is cut where
it is quiet; all its words are aligned to the joined frames at once.

Legend: B utterances, S samples, F frames, V token list size, N tokens, W words.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from espnet2_taste.align.abs_aligner import AbsAligner, AlignedUtterance
from espnet2_taste.align.ctc import (
    align_tokens,
    greedy_tokens,
    required_frames,
    token_confidence,
)
from espnet2_taste.align.windows import cut_at_silences, fit_frames
from espnet2_taste.align.words import (
    BoundaryRule,
    find_sound,
    place_words,
    word_cores,
)
from espnet2_taste.text.abs_tokenizer import AbsTextTokenizer
from espnet2_taste.text.words import TokenizedWords, tokenize_words
from espnet2_taste.tokenizer.encoders.abs_encoder import AbsSpeechEncoder

DEFAULT_RULE = BoundaryRule()
LEAST_WORD = 1.0e-3
"""Score below which a word was probably not said. With the recognizer of mini_espeak on
40 test utterances: all 40 words exchanged for others, and 1 of 320 right ones."""
LEAST_RECOGNIZED = 0.83
"""Score below which recognized words may be noise. A CTC head is sure of what it reads
in speech (mini_espeak, 80 utterances: .85 to 1) and less so in noise (40: 0 to .81)."""
FEWEST_FRAMES = 4  # a recording of fewer may leave nothing after subsampling


class CtcScorer(torch.nn.Module):
    """Encoder and CTC head of a recognizer.

    Args:
        encoder: The encoder.
        head: Its final states (B, F, D) -> scores of the tokens (B, F, V).
    """

    def __init__(self, encoder: AbsSpeechEncoder, head: torch.nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.sample_rate = encoder.sample_rate
        self.frame_rate = encoder.frame_rate

    def forward(
        self, speech: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities of the tokens in every frame.

        Args:
            speech: (B, S).
            lengths: Valid samples, (B,).

        Returns:
            (B, F, V), and the valid frames (B,).
        """
        _, encoded, frames = self.encoder.layer_states(speech, lengths, [])
        return self.head(encoded).log_softmax(dim=-1), frames


class CtcAligner(AbsAligner):
    """Forced alignment and greedy recognition with one pass of the encoder."""

    doubtful_recognized = LEAST_RECOGNIZED

    def __init__(
        self,
        scorer: torch.nn.Module,
        tokenizer: AbsTextTokenizer,
        rule: BoundaryRule = DEFAULT_RULE,
        window: float = 30.0,
    ) -> None:
        """Hold the parts.

        Args:
            scorer: ``CtcScorer``, or what else has its members.
            tokenizer: Text side of the model.
            rule: How token times become word times.
            window: Longest audio, in seconds, that is encoded at once.
        """
        self.scorer = scorer.eval()
        self.tokenizer = tokenizer
        self.rule = rule
        self.window = window
        self.blank = tokenizer.special_id("blank")

    @property
    def sample_rate(self) -> int:
        """See :attr:`AbsAligner.sample_rate`."""
        return self.scorer.sample_rate

    def log_probs(self, speech: Sequence[np.ndarray]) -> list[torch.Tensor]:
        """Log-probabilities of the tokens in every frame.

        Args:
            speech: Waveforms, B arrays of (S,).

        Returns:
            B tensors of (F, V) on the CPU; F is 0 for what is too short to be encoded.
            Frames of the pieces of long audio follow each other.
        """
        cuts = [cut_at_silences(w, self.sample_rate, self.window) for w in speech]
        pieces = [w[a:b] for w, rows in zip(speech, cuts) for a, b in rows]
        size, scores = len(speech), []  # as many at once as the caller has chosen
        for start in range(0, len(pieces), size):
            scores += self._piece_log_probs(pieces[start : start + size])
        rate = self.scorer.frame_rate / self.sample_rate
        rows, result = iter(scores), []
        for spans in cuts:
            found = [next(rows) for _ in spans]
            if len(found) > 1:  # a piece must fill its time, or later words move
                frames = np.diff([round(rate * end) for _, end in spans], prepend=0)
                found = [fit_frames(f, int(n)) for f, n in zip(found, frames)]
            result.append(torch.cat(found))
        return result

    @torch.no_grad()
    def _piece_log_probs(self, speech: Sequence[np.ndarray]) -> list[torch.Tensor]:
        """The same of pieces that fit the window."""
        device = next(self.scorer.parameters()).device
        shortest = FEWEST_FRAMES * self.sample_rate / self.scorer.frame_rate
        waves = [torch.as_tensor(wave, dtype=torch.float32) for wave in speech]
        usable = [wave for wave in waves if len(wave) >= shortest]
        if not usable:
            return [torch.zeros(0, 1) for _ in waves]
        padded = torch.nn.utils.rnn.pad_sequence(usable, batch_first=True)  # (B, S)
        lengths = torch.tensor([len(wave) for wave in usable], device=device)
        scores, frames = self.scorer(padded.to(device), lengths)
        found = iter(row[:n].cpu() for row, n in zip(scores, frames.tolist()))
        empty = torch.zeros(0, scores.size(2))
        return [next(found) if len(wave) >= shortest else empty for wave in waves]

    def transcribe(self, speech: Sequence[np.ndarray]) -> list[tuple[str, ...]]:
        """See :meth:`AbsAligner.transcribe`; the best token of every frame."""
        return [self._greedy(scores) for scores in self.log_probs(speech)]

    def time_words(self, speech, words):
        """See :meth:`AbsAligner.time_words`."""
        return self._timed(speech, words, self.log_probs(speech))

    def align(self, speech, words):
        """See :meth:`AbsAligner.align`; the encoder runs once."""
        scores = self.log_probs(speech)
        timed = self._timed(speech, words, scores)
        return [
            replace(item, recognized=self._greedy(row))
            for item, row in zip(timed, scores)
        ]

    def _timed(
        self,
        speech: Sequence[np.ndarray],
        words: Sequence[Sequence[str]],
        scores: list[torch.Tensor],
    ) -> list[AlignedUtterance]:
        """Word times from the scores of the frames."""
        tokens = [tokenize_words(w, self.tokenizer) for w in words]
        problems = [_problem(s, t) for s, t in zip(scores, tokens, strict=True)]
        fitting = [row for row, problem in enumerate(problems) if not problem]
        spans = iter(
            self._spans([scores[r] for r in fitting], [tokens[r] for r in fitting])
        )
        results = []
        for row, problem in enumerate(problems):
            if problem:
                results.append(AlignedUtterance((), problem=problem))
                continue
            placed, word_ids = next(spans), tokens[row].word_ids
            cores = word_cores(placed, word_ids)
            sound = find_sound(speech[row], self.sample_rate, self.rule.silence_db)
            timed = place_words(list(words[row]), cores, sound, self.rule)
            frames = placed * self.scorer.frame_rate
            fit = token_confidence(scores[row], tokens[row].ids, frames)
            results.append(AlignedUtterance.scored(timed, fit, word_ids, LEAST_WORD))
        return results

    def _spans(
        self, scores: list[torch.Tensor], tokens: list[TokenizedWords]
    ) -> list[np.ndarray]:
        """Begin and end of each token in seconds, B arrays of (N, 2)."""
        if not scores:
            return []
        targets = [torch.from_numpy(t.ids) for t in tokens]
        spans = align_tokens(
            torch.nn.utils.rnn.pad_sequence(scores, batch_first=True),  # (B, F, V)
            torch.tensor([len(s) for s in scores]),
            torch.nn.utils.rnn.pad_sequence(targets, batch_first=True),  # (B, N)
            torch.tensor([len(t) for t in targets]),
            self.blank,
        )
        seconds = spans.numpy() / self.scorer.frame_rate
        return [row[: len(t)] for row, t in zip(seconds, targets)]

    def _greedy(self, scores: torch.Tensor) -> tuple[str, ...]:
        """Words of the best tokens of one utterance."""
        if not len(scores):
            return ()
        ids = greedy_tokens(scores[None], torch.tensor([len(scores)]), self.blank)[0]
        return tuple(self.tokenizer.decode(ids).split())


def _problem(scores: torch.Tensor, tokens: TokenizedWords) -> str:
    """Why a transcript does not fit its recording; empty if it does."""
    if not len(tokens.ids):
        return "the transcript has no words"
    lengths = torch.tensor([len(tokens.ids)])
    needed = int(required_frames(torch.from_numpy(tokens.ids)[None], lengths))
    if len(scores) < needed:
        return f"{len(scores)} frames are too few for {needed} tokens"
    return ""
