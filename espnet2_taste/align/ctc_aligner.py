"""Word times from the CTC head of an ESPnet ASR model.

Enters: waveforms, words, and the model of an ASR experiment directory. Leaves:
``AlignedUtterance``: word times by ``ctc`` and ``words``, and the greedy transcript.
Utterances go through the encoder one by one, since the convolutions of a Conformer
let padding leak into the last frames and an alignment must not depend on its
neighbours; the lattice is run for the whole batch.

Legend: B utterances, S samples, F frames, V token list size, N tokens, W words.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from espnet2_taste.align.abs_aligner import AbsAligner, AlignedUtterance
from espnet2_taste.align.ctc import align_tokens, greedy_tokens, required_frames
from espnet2_taste.align.words import (
    BoundaryRule,
    find_sound,
    place_words,
    word_cores,
)
from espnet2_taste.text.tokenizers import AbsTextTokenizer, build_text_tokenizer
from espnet2_taste.text.words import TokenizedWords, tokenize_words
from espnet2_taste.tokenizer.encoders.espnet_asr import load_asr_model

DEFAULT_RULE = BoundaryRule()


class CtcAligner(AbsAligner):
    """Forced alignment and greedy recognition with one pass of the encoder."""

    def __init__(
        self,
        model: torch.nn.Module,
        tokenizer: AbsTextTokenizer,
        sample_rate: int = 16000,
        rule: BoundaryRule = DEFAULT_RULE,
        blank_penalty: float = 0.0,
        sharpness: float = 1.0,
    ) -> None:
        """Hold the parts.

        Args:
            model: ESPnet ASR model (``encode`` and ``ctc``).
            tokenizer: Text side of the model.
            sample_rate: Samples a second the model was trained on.
            rule: How token times become word times.
            blank_penalty: See ``ctc.align_tokens``.
            sharpness: See ``ctc.align_tokens``.
        """
        self.model = model.eval()
        self.tokenizer = tokenizer
        self._sample_rate = sample_rate
        self.rule = rule
        self.blank_penalty = blank_penalty
        self.sharpness = sharpness
        self.blank = tokenizer.special_id("blank")
        self.frame_seconds = self._measure_frame_seconds()

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
            ValueError: The directory lacks a file, or the model has no CTC head.
        """
        model, args = load_asr_model(asr_exp, model_file)
        if getattr(model, "ctc", None) is None:
            raise ValueError(f"--asr_exp {asr_exp}: no CTC head (ctc_weight is 0)")
        tokenizer = build_text_tokenizer(
            args.token_type, args.token_list, args.bpemodel
        )
        sample_rate = (args.frontend_conf or {}).get("fs", 16000)
        return cls(model.to(device), tokenizer, _hertz(sample_rate), **options)

    @property
    def sample_rate(self) -> int:
        """See :attr:`AbsAligner.sample_rate`."""
        return self._sample_rate

    @torch.no_grad()
    def log_probs(self, speech: np.ndarray) -> torch.Tensor:
        """Log-probabilities of the tokens in every frame.

        Args:
            speech: Waveform, (S,).

        Returns:
            (F, V) on the CPU.
        """
        device = next(self.model.parameters()).device
        wave = torch.as_tensor(speech, dtype=torch.float32, device=device)[None]
        lengths = torch.tensor([wave.size(1)], device=device)
        encoded = self.model.encode(wave, lengths)[0]
        encoded = encoded[0] if isinstance(encoded, tuple) else encoded
        return self.model.ctc.log_softmax(encoded)[0].cpu()

    def align(
        self, speech: Sequence[np.ndarray], words: Sequence[Sequence[str]]
    ) -> list[AlignedUtterance]:
        """See :meth:`AbsAligner.align`."""
        tokens = [tokenize_words(w, self.tokenizer) for w in words]
        scores = [self.log_probs(wave) for wave in speech]
        problems = [_problem(s, t) for s, t in zip(scores, tokens, strict=True)]
        fitting = [row for row, problem in enumerate(problems) if not problem]
        spans = iter(
            self._spans([scores[r] for r in fitting], [tokens[r] for r in fitting])
        )
        results = []
        for row, problem in enumerate(problems):
            heard = tuple(self._hear(scores[row]))
            timed = ()
            if not problem:
                cores = word_cores(next(spans), tokens[row].word_ids)
                sound = find_sound(speech[row], self.sample_rate, self.rule.silence_db)
                timed = tuple(place_words(list(words[row]), cores, sound, self.rule))
            results.append(AlignedUtterance(timed, heard, problem))
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
        seconds = spans.numpy() * self.frame_seconds
        return [row[: len(t)] for row, t in zip(seconds, targets)]

    def _hear(self, scores: torch.Tensor) -> list[str]:
        """Greedy transcript of one utterance."""
        ids = greedy_tokens(scores[None], torch.tensor([len(scores)]), self.blank)[0]
        return self.tokenizer.decode(ids).split()

    def _measure_frame_seconds(self) -> float:
        """Seconds a frame, from how many more frames a longer recording gives."""
        short, seconds = 2, 8
        rate = self.sample_rate
        silence = np.zeros((short + seconds) * rate, dtype=np.float32)
        few = len(self.log_probs(silence[: short * rate]))
        more = len(self.log_probs(silence))
        return seconds / (more - few)


def _problem(scores: torch.Tensor, tokens: TokenizedWords) -> str:
    """Why a transcript does not fit its recording; empty if it does."""
    if not len(tokens.ids):
        return "the transcript has no words"
    lengths = torch.tensor([len(tokens.ids)])
    needed = int(required_frames(torch.from_numpy(tokens.ids)[None], lengths))
    if len(scores) < needed:
        return f"{len(scores)} frames are too few for {needed} tokens"
    return ""


def _hertz(value: int | str) -> int:
    """Sample rate of a frontend configuration, which may be written as ``16k``."""
    import humanfriendly

    return humanfriendly.parse_size(value) if isinstance(value, str) else int(value)
