"""ESPnet's default frontend with the mel filters of torchaudio.

Enters: waveforms (B, S). Leaves: log-mel features (B, T, M). Legend: B utterances, S
samples, T frames, M mel bands.

ESPnet's takes its filters from librosa, and importing numba for them is a tenth of what
loading a tokenizer takes beyond torch. Checkpoints of recognizers hold the filters, so
a trained one computes the same to the bit.
"""

from collections.abc import Mapping

import torch
from espnet2.asr.frontend.default import DefaultFrontend
from espnet2.layers.log_mel import LogMel
from espnet2.layers.stft import Stft
from humanfriendly import parse_size
from torch import nn
from torchaudio.functional import melscale_fbanks


class TorchaudioLogMel(LogMel):
    """Power spectrum to log-mel; see ESPnet's ``LogMel`` for the arguments."""

    def __init__(
        self,
        fs: int,
        n_fft: int,
        n_mels: int,
        fmin: float | None = None,
        fmax: float | None = None,
        htk: bool = False,
    ):
        nn.Module.__init__(self)
        bins, edges = n_fft // 2 + 1, (float(fmin or 0.0), float(fmax or fs / 2))
        scale = "htk" if htk else "slaney"
        self.mel_options = {"sr": fs, "n_fft": n_fft, "n_mels": n_mels, "scale": scale}
        self.log_base = None
        with torch.device("cpu"):  # torchaudio looks at values, "meta" has none
            filters = melscale_fbanks(bins, *edges, n_mels, fs, "slaney", scale)
        self.register_buffer("melmat", filters)  # (bins, M)


class MelFrontend(DefaultFrontend):
    """Waveforms to log-mel features.

    Args:
        fs: Rate of the audio, Hz; ``16k`` is understood.
        n_fft: FFT size.
        hop_length: Samples between frames.
        n_mels: M.
        fmin: Lower edge of the first band, Hz; 0 by default.
        fmax: Upper edge of the last band, Hz; half the rate by default.
        htk: HTK's mel scale instead of Slaney's.
        frontend_conf: Options of ESPnet's dereverberation; none by default.
        apply_stft: False where spectra enter, (B, T, bins, 2).
        **stft: Other options of ESPnet's ``Stft``.
    """

    def __init__(
        self,
        fs: int | str = 16000,
        n_fft: int = 512,
        hop_length: int = 128,
        n_mels: int = 80,
        fmin: float | None = None,
        fmax: float | None = None,
        htk: bool = False,
        frontend_conf: Mapping | None = None,
        apply_stft: bool = True,
        **stft,
    ):
        nn.Module.__init__(self)
        rate = parse_size(fs) if isinstance(fs, str) else fs
        self.hop_length, self.n_mels = hop_length, n_mels
        self.apply_stft, self.stft = apply_stft, None
        if apply_stft:
            self.stft = Stft(n_fft, hop_length=hop_length, **stft)
        self.frontend = None
        if frontend_conf is not None:
            from espnet2.legacy.nets.pytorch_backend.frontends.frontend import Frontend

            self.frontend = Frontend(idim=n_fft // 2 + 1, **frontend_conf)
        self.logmel = TorchaudioLogMel(rate, n_fft, n_mels, fmin, fmax, htk)
