"""Unit vocoders around the flow: units to log-mel by flow matching, then a renderer.

``FlowHiFT`` is the published voice generator (parameters ``flow.*`` and ``hift.*``);
``FlowVocoder`` speaks with any renderer. Both train the flow on log-mel; ``FlowHiFT``
can also train its HiFT, which is left alone by default because a generator from a
checkpoint is better than what a spectral loss alone makes.

Legend: B utterances, U units, D speaker embedding size, T mel frames, M mel bands,
S samples, P pitch frames (one every 10 ms).
"""

import math

import torch
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.prosody import PITCH_RATE
from espnet2_taste.ranks import joint_mean
from espnet2_taste.vocoder.abs_vocoder import by_length
from espnet2_taste.vocoder.flow import UnitFlow
from espnet2_taste.vocoder.flow_chunks import FlowChunks
from espnet2_taste.vocoder.hift import HiFTGenerator
from espnet2_taste.vocoder.mel_vocoder import MelVocoder, PredictedMel
from espnet2_taste.vocoder.wave_stream import (
    AbsWaveStream,
    FlowWaveStream,
    FrameStream,
    HiFTStream,
    WholeWaveStream,
)

PUBLISHED_MEL = dict(
    sample_rate=22050,
    n_fft=1024,
    win_length=1024,
    hop_length=256,
    n_mels=80,
    fmax=8000.0,
    center=False,
)


class FlowVocoder(MelVocoder):
    """Units to log-mel by flow matching, then a renderer.

    Args:
        num_units: Size of the unit inventory.
        spembs_size: D.
        unit_rate: Units a second.
        chunk: Units that the flow works on at a time, so that speech can begin before
            its last unit is known; None takes whole utterances, as published, and
            gives all streamed speech at the end. Training does not depend on it.
        chunk_context: Units to each side that it sees around a chunk.
        mel_conf: Options of ``LogMel``; the published ones where not given.
        flow_conf: Options of ``UnitFlow`` but the three sizes above.
        renderer: In ``renderer_choices``; None if the subclass has one of its own.
        renderer_conf: Options of the renderer.
    """

    takes_mixtures = True

    def __init__(
        self,
        num_units: int = 4096,
        spembs_size: int = 192,
        unit_rate: float = 50.0,
        chunk: int | None = None,
        chunk_context: int = 25,
        mel_conf: dict | None = None,
        flow_conf: dict | None = None,
        renderer: str | None = "griffin_lim",
        renderer_conf: dict | None = None,
    ):
        mel_conf = {**PUBLISHED_MEL, **(mel_conf or {})}
        super().__init__(
            num_units, spembs_size, unit_rate, mel_conf, renderer, renderer_conf
        )
        self.flow = UnitFlow(
            num_units, spembs_size, self.log_mel.n_mels, **(flow_conf or {})
        )
        if chunk is not None and (chunk < 1 or chunk_context < 1):
            raise ValueError(
                "vocoder_conf.chunk and chunk_context must be at least 1, found "
                f"{chunk} and {chunk_context}"
            )
        self.chunk, self.chunk_context = chunk, chunk_context

    @property
    def context(self) -> int | None:
        """See ``AbsUnitVocoder.context``."""
        around = self.rendered_context()
        if self.chunk is None or around is None:
            return None
        frames = self.sample_rate / (self.unit_rate * self.hop_length)
        return self.chunk + self.chunk_context + math.ceil((around + 1) / frames)

    @property
    def streaming_remedy(self) -> str:
        """See ``AbsUnitVocoder.streaming_remedy``."""
        if self.chunk is None:
            return (
                "set vocoder_conf.chunk in its config.yaml, for example to 50 (units)"
            )
        return super().streaming_remedy

    def rendered_context(self) -> int | None:
        """Frames to each side that samples depend on, None for all."""
        return self.renderer.context

    def stream(self, spembs: torch.Tensor) -> AbsWaveStream:
        """See ``AbsUnitVocoder.stream``."""
        if self.context is None:
            return WholeWaveStream(self, spembs)
        chunks = FlowChunks(self, spembs)
        return FlowWaveStream(self, spembs, chunks, self.frame_stream())

    def frame_stream(self) -> FrameStream:
        """Renders frames while they arrive."""
        return FrameStream(self.renderer, self.hop_length)

    def mel_lengths(self, units_lengths: torch.Tensor) -> torch.Tensor:
        """Whole mel frames (B,) that units_lengths (B,) units last."""
        frames = self.sample_rate / (self.unit_rate * self.hop_length)
        return (units_lengths.double() * frames + 1e-6).long().clamp(min=1)

    def forward(self, units, units_lengths, spembs, speech, speech_lengths, pitch):
        """See ``AbsUnitVocoder.forward``: the loss of the flow."""
        units = self.check_inputs(units, units_lengths, spembs)
        mel, mel_lengths = self.log_mel(speech, speech_lengths)
        loss = self.flow(
            units, units_lengths, spembs, mel.transpose(1, 2), mel_lengths.clamp(min=1)
        )
        return loss, dict(flow=loss)

    def predict(self, units, units_lengths, spembs, prosody=None, times=None):
        """See ``MelVocoder.predict``."""
        lengths = self.mel_lengths(units_lengths)
        if self.chunk is not None:
            items = zip(units, units_lengths.tolist(), spembs)
            parts = [
                FlowChunks(self, voice[None]).extend(row[:count], last=True)
                for row, count, voice in items
            ]
            return PredictedMel(pad_sequence(parts, batch_first=True), lengths)
        mel = self.flow.synthesize(units, units_lengths, spembs, lengths)
        return PredictedMel(mel.transpose(1, 2), lengths)


class FlowHiFT(FlowVocoder):
    """Flow matching, then HiFT: the published voice generator.

    Args:
        hift_conf: Options of ``HiFTGenerator`` but mel size and sample rate.
        hift_weight: Weight of the loss that trains HiFT on true mels; 0 freezes it.
        hift_frames: Mel frames of each utterance that this loss looks at.
        **flow_vocoder_conf: Options of ``FlowVocoder`` but the renderer.

    Raises:
        ValueError: HiFT's stages do not multiply to the mel's hop.
    """

    def __init__(
        self,
        hift_conf: dict | None = None,
        hift_weight: float = 0.0,
        hift_frames: int = 32,
        **flow_vocoder_conf,
    ):
        super().__init__(renderer=None, **flow_vocoder_conf)
        self.hift = HiFTGenerator(
            self.log_mel.n_mels, self.sample_rate, **(hift_conf or {})
        )
        if self.hift.hop_length != self.hop_length:
            raise ValueError(
                f"HiFT makes {self.hift.hop_length} samples a mel frame, the mel's "
                f"hop_length is {self.hop_length}; change hift_conf.upsample_rates, "
                "hift_conf.stft_hop or mel_conf.hop_length"
            )
        self.hift_weight = hift_weight
        self.hift_frames = hift_frames
        self.hift.requires_grad_(hift_weight > 0)

    def forward(self, units, units_lengths, spembs, speech, speech_lengths, pitch):
        """See ``AbsUnitVocoder.forward``: the flow and, with a weight, HiFT."""
        loss, stats = super().forward(
            units, units_lengths, spembs, speech, speech_lengths, pitch
        )
        if self.hift_weight > 0:
            hift_loss, hift_stats = self.hift_loss(speech, speech_lengths, pitch)
            loss = loss + self.hift_weight * hift_loss
            stats = {**stats, **hift_stats}
        return loss, stats

    def hift_loss(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor, pitch: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Log-mel distance of resynthesized pieces, and the F0 predictor's error.

        Args:
            speech: (B, S).
            speech_lengths: (B,).
            pitch: F0 in Hz, 0 where unvoiced, (B, P).

        Returns:
            Scalar loss and its parts.
        """
        mel, lengths = self.log_mel(speech, speech_lengths)  # (B, T, M)
        frames = min(self.hift_frames, mel.size(1))
        latest = (lengths - frames).clamp(min=0)
        start = (torch.rand(len(mel), device=mel.device) * (latest + 1)).long()
        index = start[:, None] + torch.arange(frames, device=mel.device)  # (B, T')
        piece = mel.gather(1, index.unsqueeze(2).expand(-1, -1, mel.size(2)))
        piece = piece.transpose(1, 2)  # (B, M, T')
        wave = self.hift(piece)
        rebuilt, _ = self.log_mel(wave, start.new_full((len(mel),), wave.size(1)))
        mel_error = _distance(rebuilt[:, :frames].transpose(1, 2), piece)
        at = index * (self.hop_length / self.sample_rate * PITCH_RATE)
        at = at.round().long().clamp(max=pitch.size(1) - 1)
        f0_error = _distance(
            self.hift.f0_predictor(piece) / 100, pitch.gather(1, at) / 100
        )
        return mel_error + f0_error, dict(hift_mel_l1=mel_error, hift_f0_l1=f0_error)

    def rendered_context(self) -> int | None:
        """See ``FlowVocoder.rendered_context``."""
        around = self.hift.context
        return None if around is None else around + self.hift.f0_predictor.context

    def frame_stream(self) -> FrameStream:
        """See ``FlowVocoder.frame_stream``."""
        return HiFTStream(self.hift)

    def render(self, mel, lengths, f0):
        """See ``MelVocoder.render``; utterances of one length run as one batch."""
        mel = mel.transpose(1, 2)  # (B, M, T)
        return by_length(
            lambda rows, length: self.hift(mel[rows, :, :length]),
            lengths,
            self.hop_length,
        )


def _distance(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of tensors of one shape, this rank's share of it."""
    return joint_mean((found - wanted).abs().sum(), wanted.numel())
