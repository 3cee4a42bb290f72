"""TASTE tokenizer: speech and its transcript -> one quantized vector for each token.

Enters: waveforms (B, S), text ids (B, N), word ids (B, N). Leaves: vectors
(B, N, D) and codes (B, N, Q). Legend: B utterances, S samples, N text tokens, W
words, Q codebooks, D features.
"""

from dataclasses import replace

import torch
from torch import nn

from espnet2_taste.masks import length_mask
from espnet2_taste.structures import EncoderStates, QuantizerOutput
from espnet2_taste.tokenizer.aggregator import AbsAggregator
from espnet2_taste.tokenizer.encoders.abs_encoder import AbsSpeechEncoder
from espnet2_taste.tokenizer.quantizers.abs_quantizer import AbsQuantizer
from espnet2_taste.tokenizer.word_pooling import word_codes
from espnet2_taste.tokenizer.word_timer import AbsWordTimer


class TasteTokenizer(nn.Module):
    """Encoder, aggregator and quantizer composed (paper, section 3.1).

    Args:
        encoder: Frozen speech encoder.
        aggregator: Text-aligned pooling.
        quantizer: Residual quantizer of the aggregator's size.
        project_without_codes: When codes are off, still pass the quantizer's
            projections, so that codebooks later start in a trained space. The
            published system passes vectors on untouched.
        word_timer: Times the words for an aggregator that attends to the frames of its
            word alone.

    Raises:
        ValueError: Aggregator and quantizer differ in size.
    """

    def __init__(
        self,
        encoder: AbsSpeechEncoder,
        aggregator: AbsAggregator,
        quantizer: AbsQuantizer,
        project_without_codes: bool = False,
        word_timer: AbsWordTimer | None = None,
    ):
        super().__init__()
        if aggregator.output_size != quantizer.dim:
            raise ValueError(
                f"the aggregator gives {aggregator.output_size} features, the "
                f"quantizer takes {quantizer.dim}: set quantizer_conf.dim to "
                f"{aggregator.output_size}"
            )
        self.encoder = encoder
        self.aggregator = aggregator
        self.quantizer = quantizer
        self.project_without_codes = project_without_codes
        self.word_timer = word_timer

    def forward(
        self,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        word_ids: torch.Tensor,
        quantize: bool = True,
    ) -> QuantizerOutput:
        """Text-aligned vectors.

        Args:
            speech: (B, S).
            speech_lengths: Valid samples, (B,).
            text: Token ids, (B, N), 0 at padding.
            text_lengths: Valid tokens, (B,).
            word_ids: (B, N), -1 at padding.
            quantize: False passes continuous vectors on; codes are then all -1.

        Returns:
            Vectors (B, N, D), codes (B, N, Q), commitment loss.
        """
        states = self.states(speech, speech_lengths, text, word_ids)
        return self.from_states(states, text, text_lengths, word_ids, quantize)

    def states(
        self,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        text: torch.Tensor,
        word_ids: torch.Tensor,
        word_times: torch.Tensor | None = None,
    ) -> EncoderStates:
        """What the aggregator attends to.

        Args:
            speech: (B, S).
            speech_lengths: (B,).
            text: (B, N), 0 at padding.
            word_ids: (B, N), -1 at padding.
            word_times: See :meth:`timed`.

        Returns:
            Keys and values (B, F, D), with the frames of the words where the tokenizer
            has a ``word_timer``.
        """
        states = self.encoder(speech, speech_lengths)
        return self.timed(states, speech, speech_lengths, text, word_ids, word_times)

    def timed(
        self,
        states: EncoderStates,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        text: torch.Tensor,
        word_ids: torch.Tensor,
        word_times: torch.Tensor | None = None,
    ) -> EncoderStates:
        """Encoder states with the frames of the words, if there is a ``word_timer``.

        Args:
            states: Of the encoder.
            speech: See :meth:`states`, and so the next three.
            speech_lengths: (B,).
            text: (B, N).
            word_ids: (B, N).
            word_times: What the timer would give, where that is known: begin and end in
                seconds, (B, W, 2).

        Returns:
            The states, otherwise as they were.
        """
        if self.word_timer is None:
            return states
        if word_times is None:
            word_times = self.word_timer(speech, speech_lengths, text, word_ids)
        rate = states.lengths * (self.encoder.sample_rate / speech_lengths)
        return replace(states, word_frames=word_times * rate[:, None, None])

    def from_states(
        self,
        states: EncoderStates,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        word_ids: torch.Tensor,
        quantize: bool = True,
    ) -> QuantizerOutput:
        """``forward`` behind the encoder.

        Args:
            states: Keys and values of the speech encoder.
            text: (B, N), 0 at padding.
            text_lengths: (B,).
            word_ids: (B, N), -1 at padding.
            quantize: As ``forward``.

        Returns:
            As ``forward``.
        """
        features = self.aggregator(text, text_lengths, word_ids, states)
        if quantize:
            return self.quantizer(features, length_mask(text_lengths, text.size(1)))
        if self.project_without_codes:
            features = self.quantizer.project(features)
        codes = word_ids.new_full((*text.shape, self.quantizer.num_codebooks), -1)
        return QuantizerOutput(features, codes, features.new_zeros(()))

    @torch.no_grad()
    def encode(
        self,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        word_ids: torch.Tensor,
        word_times: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Word-level codes.

        Args:
            As ``forward``; word_times as :meth:`timed`.

        Returns:
            Codes (B, W, Q), -1 at padding, and words per utterance (B,).

        Raises:
            RuntimeError: The tokenizer is in training mode or has no codes.
        """
        states = self.states(speech, speech_lengths, text, word_ids, word_times)
        features = self.aggregator(text, text_lengths, word_ids, states)
        codes = self.quantizer.encode(features, length_mask(text_lengths, text.size(1)))
        return word_codes(codes, word_ids)
