"""Word times from the CTC head of an ESPnet ASR model.

Enters: waveforms, words, and the model of an ASR experiment directory. Leaves:
``AlignedUtterance``: word times by ``ctc`` and ``words``, and the greedy transcript.
Encoder and lattice run for the whole batch: ``EspnetStack`` keeps the padding of other
utterances out, so that an alignment does not depend on its neighbours.

Legend: B utterances, S samples, F frames, V token list size, N tokens, W words.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from espnet2_taste.align.abs_aligner import AbsAligner, AlignedUtterance
from espnet2_taste.align.ctc import (
    align_tokens,
    greedy_tokens,
    required_frames,
    token_confidence,
)
from espnet2_taste.align.words import (
    BoundaryRule,
    find_sound,
    place_words,
    word_cores,
)
from espnet2_taste.text.tokenizers import AbsTextTokenizer, build_text_tokenizer
from espnet2_taste.text.words import TokenizedWords, tokenize_words
from espnet2_taste.tokenizer.encoders.espnet_asr import load_asr_model, sample_rate_of
from espnet2_taste.tokenizer.encoders.espnet_stack import EspnetStack

DEFAULT_RULE = BoundaryRule()
FEWEST_FRAMES = 4  # a recording of fewer may leave nothing after subsampling


class CtcScorer(torch.nn.Module):
    """Encoder and CTC head of an ESPnet ASR model.

    Args:
        stack: Frontend, normalization and encoder of the model.
        ctc: Its CTC head.
    """

    def __init__(self, stack: EspnetStack, ctc: torch.nn.Module) -> None:
        super().__init__()
        self.stack = stack
        self.ctc = ctc
        self.sample_rate = stack.sample_rate
        self.frame_rate = stack.frame_rate

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
        _, encoded, frames = self.stack.layer_states(speech, lengths, [])
        return self.ctc.log_softmax(encoded), frames


class CtcAligner(AbsAligner):
    """Forced alignment and greedy recognition with one pass of the encoder."""

    def __init__(
        self,
        scorer: torch.nn.Module,
        tokenizer: AbsTextTokenizer,
        rule: BoundaryRule = DEFAULT_RULE,
        blank_penalty: float = 0.0,
        sharpness: float = 1.0,
    ) -> None:
        """Hold the parts.

        Args:
            scorer: ``CtcScorer``, or what else has its members.
            tokenizer: Text side of the model.
            rule: How token times become word times.
            blank_penalty: See ``ctc.align_tokens``.
            sharpness: See ``ctc.align_tokens``.
        """
        self.scorer = scorer.eval()
        self.tokenizer = tokenizer
        self.rule = rule
        self.blank_penalty = blank_penalty
        self.sharpness = sharpness
        self.blank = tokenizer.special_id("blank")

    @classmethod
    def from_exp(
        cls,
        asr_exp: str | Path,
        model_file: str | None = None,
        device: str = "cpu",
        **options,
    ) -> "CtcAligner":
        """Build from an ASR experiment directory.

        Args:
            asr_exp: Directory with ``config.yaml`` and the model.
            model_file: Checkpoint; the usual one of the directory by default.
            device: Torch device.
            options: Further arguments of the constructor.

        Returns:
            The aligner.

        Raises:
            ValueError: The directory lacks a file, or the model has no CTC head or a
                part that ``EspnetStack`` does not know.
        """
        model, args = load_asr_model(asr_exp, model_file)
        if getattr(model, "ctc", None) is None:
            raise ValueError(f"--asr_exp {asr_exp}: no CTC head (ctc_weight is 0)")
        tokenizer = build_text_tokenizer(
            args.token_type, args.token_list, args.bpemodel
        )
        stack = EspnetStack(
            model.frontend,
            model.normalize,
            model.encoder,
            sample_rate_of(args),
            preencoder=getattr(model, "preencoder", None),
        )
        return cls(CtcScorer(stack, model.ctc).to(device), tokenizer, **options)

    @property
    def sample_rate(self) -> int:
        """See :attr:`AbsAligner.sample_rate`."""
        return self.scorer.sample_rate

    @torch.no_grad()
    def log_probs(self, speech: Sequence[np.ndarray]) -> list[torch.Tensor]:
        """Log-probabilities of the tokens in every frame.

        Args:
            speech: Waveforms, B arrays of (S,).

        Returns:
            B tensors of (F, V) on the CPU; F is 0 for what is too short to be encoded.
        """
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

    def align(
        self, speech: Sequence[np.ndarray], words: Sequence[Sequence[str]]
    ) -> list[AlignedUtterance]:
        """See :meth:`AbsAligner.align`."""
        tokens = [tokenize_words(w, self.tokenizer) for w in words]
        scores = self.log_probs(speech)
        problems = [_problem(s, t) for s, t in zip(scores, tokens, strict=True)]
        fitting = [row for row, problem in enumerate(problems) if not problem]
        spans = iter(
            self._spans([scores[r] for r in fitting], [tokens[r] for r in fitting])
        )
        results = []
        for row, problem in enumerate(problems):
            heard = tuple(self._hear(scores[row])) if len(scores[row]) else ()
            timed, fit = (), float("nan")
            if not problem:
                placed = next(spans)
                cores = word_cores(placed, tokens[row].word_ids)
                sound = find_sound(speech[row], self.sample_rate, self.rule.silence_db)
                timed = tuple(place_words(list(words[row]), cores, sound, self.rule))
                frames = placed * self.scorer.frame_rate
                fit = token_confidence(scores[row], tokens[row].ids, frames)
            results.append(AlignedUtterance(timed, heard, problem, fit))
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
            self.blank_penalty,
            self.sharpness,
        )
        seconds = spans.numpy() / self.scorer.frame_rate
        return [row[: len(t)] for row, t in zip(seconds, targets)]

    def _hear(self, scores: torch.Tensor) -> list[str]:
        """Greedy transcript of one utterance."""
        ids = greedy_tokens(scores[None], torch.tensor([len(scores)]), self.blank)[0]
        return self.tokenizer.decode(ids).split()


def _problem(scores: torch.Tensor, tokens: TokenizedWords) -> str:
    """Why a transcript does not fit its recording; empty if it does."""
    if not len(tokens.ids):
        return "the transcript has no words"
    lengths = torch.tensor([len(tokens.ids)])
    needed = int(required_frames(torch.from_numpy(tokens.ids)[None], lengths))
    if len(scores) < needed:
        return f"{len(scores)} frames are too few for {needed} tokens"
    return ""
