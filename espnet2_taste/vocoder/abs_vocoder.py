"""What every unit vocoder offers: speech units and a speaker embedding in, wave out.

Legend: B utterances, U units, K unit classes, D speaker embedding size, S samples, F
mel frames. Prosody is what ``prosody.py`` measures of units. Where units are spoken,
each can be a mixture: shares of all K units.
A vocoder is trained by ``ESPnetUnitVocoderModel``, which calls ``forward``, and used
through ``synthesize``; nothing outside this folder needs to know which one it is.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch

from espnet2_taste.masks import length_mask
from espnet2_taste.vocoder.wave_stream import AbsWaveStream, WholeWaveStream


class AbsUnitVocoder(torch.nn.Module, ABC):
    """Speech units and a speaker embedding to a waveform.

    Attributes:
        sample_rate: Samples a second of the waveform that ``synthesize`` returns.
        num_units: Size of the unit inventory; valid units are 0 .. num_units - 1.
        spembs_size: Size of the speaker embedding.
        takes_prosody: Whether the prosody of the units may be given.
        takes_times: Whether units may have times of their own.
        takes_mixtures: Whether units may be mixtures (``UnitEmbedding``).
    """

    sample_rate: int
    num_units: int
    spembs_size: int
    takes_prosody: bool = False
    takes_times: bool = False
    takes_mixtures: bool = False

    @property
    def context(self) -> int | None:
        """Units to each side that the samples of a unit depend on, None for all."""
        return None

    @property
    def streaming_remedy(self) -> str:
        """What to do where :attr:`context` is None and speech is to come sooner."""
        return "choose another vocoder or renderer (vocoder, vocoder_conf.renderer)"

    def stream(self, spembs: torch.Tensor) -> AbsWaveStream:
        """Begin an utterance whose units arrive piece by piece.

        Args:
            spembs: Its speaker, (1, D).

        Returns:
            What takes the units; it waits for the last one where :attr:`context` is
            None.
        """
        return WholeWaveStream(self, spembs)

    @abstractmethod
    def forward(
        self,
        units: torch.Tensor,
        units_lengths: torch.Tensor,
        spembs: torch.Tensor,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        pitch: torch.Tensor,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Training loss of one batch.

        Args:
            units: Speech units, (B, U) int64, any value at padding.
            units_lengths: Valid units, (B,).
            spembs: Speaker embeddings, (B, D).
            speech: Original speech at ``sample_rate``, (B, S).
            speech_lengths: Valid samples, (B,).
            pitch: F0 in Hz every 10 ms, 0 where unvoiced, (B, F).

        Returns:
            The scalar loss and named scalar statistics, the same names at each call.
        """

    @abstractmethod
    def synthesize(
        self,
        units: torch.Tensor,
        units_lengths: torch.Tensor,
        spembs: torch.Tensor,
        prosody: torch.Tensor | None = None,
        times: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Speak the units. Deterministic, and a batch gives what its items give alone.

        Args:
            units: Speech units, (B, U) int64, or mixtures (B, U, K), any value at
                padding.
            units_lengths: Valid units, (B,).
            spembs: Speaker embeddings, (B, D).
            prosody: Pitch, voicing and loudness of the units, (B, U, 3); None leaves
                them to the vocoder.
            times: Begin and end of each unit in seconds, (B, U, 2); None makes all
                units equally long.

        Returns:
            Waveforms (B, S) in [-1, 1], zero at padding, and their lengths (B,).

        Raises:
            ValueError: A unit, a length or an embedding does not fit the vocoder, or
                there are prosody, times or mixtures that it does not take.
        """

    def check_inputs(
        self,
        units: torch.Tensor,
        units_lengths: torch.Tensor,
        spembs: torch.Tensor,
        prosody: torch.Tensor | None = None,
        times: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Refuse inputs of another unit inventory or speaker model.

        Args:
            units: Speech units, (B, U), or mixtures (B, U, K).
            units_lengths: Valid units, (B,).
            spembs: Speaker embeddings, (B, D).
            prosody: (B, U, 3) or None.
            times: (B, U, 2) or None.

        Returns:
            The units with zeros at padding.

        Raises:
            ValueError: With the expected and the found value and the option to change.
        """
        if int(units_lengths.min()) < 1 or int(units_lengths.max()) > units.size(1):
            raise ValueError(
                f"units_lengths must lie in 1 .. {units.size(1)}, found "
                f"{units_lengths.tolist()}; leave utterances without units out"
            )
        if prosody is not None and not self.takes_prosody:
            raise ValueError(
                "this vocoder takes no prosody, but the unit decoder predicts some: "
                "speak without it (--use_prosody false), or train a unit-to-mel "
                "vocoder with vocoder_conf.prosody: true"
            )
        if times is not None and not self.takes_times:
            raise ValueError(
                "this vocoder makes all units equally long, but the unit decoder gives "
                "them times: speak without (--exact_times false), or train a "
                "unit-to-mel vocoder"
            )
        if spembs.dim() != 2 or spembs.size(1) != self.spembs_size:
            raise ValueError(
                f"the vocoder expects speaker embeddings (B, {self.spembs_size}), "
                f"found {tuple(spembs.shape)}; set spembs_size in the vocoder's "
                "conf to the size of spembs.scp, or extract them with the same model"
            )
        padding = ~length_mask(units_lengths, units.size(1))
        if units.dim() == 3:
            self._check_mixtures(units)
            return units.masked_fill(padding.unsqueeze(2), 0)
        units = units.masked_fill(padding, 0)
        if int(units.min()) < 0 or int(units.max()) >= self.num_units:
            raise ValueError(
                f"units must lie in 0 .. {self.num_units - 1}, found "
                f"{int(units.min())} .. {int(units.max())}; set num_units in the "
                "vocoder's conf to the number of units that stage 5 makes"
            )
        return units

    def _check_mixtures(self, mixtures: torch.Tensor) -> None:
        """Refuse mixtures (B, U, K) of another inventory, or any."""
        if not self.takes_mixtures:
            raise ValueError(
                f"vocoder {type(self).__name__} speaks no mixtures of units: speak the "
                "chosen ones (--unit_mixing 0), or train a unit-to-mel vocoder"
            )
        if mixtures.size(2) != self.num_units:
            raise ValueError(
                f"the vocoder knows {self.num_units} units, found mixtures of "
                f"{mixtures.size(2)}; set num_units in the vocoder's conf to the "
                "number of units that stage 5 makes"
            )


def by_length(
    network: Callable[[torch.Tensor, int], torch.Tensor],
    lengths: torch.Tensor,
    hop: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run a network that padding would change on utterances of one length at a time.

    Args:
        network: From a mask of utterances (B,) and their common length to their
            waves (b, S).
        lengths: Valid frames, (B,).
        hop: Samples a frame.

    Returns:
        Waves (B, S), zero at padding, and lengths (B,).
    """
    samples = lengths * hop
    groups = [(length, lengths == length) for length in lengths.unique().tolist()]
    made = [(rows, network(rows, length)) for length, rows in groups]
    waves = made[0][1].new_zeros(len(lengths), int(samples.max()))
    for rows, wave in made:
        waves[rows, : wave.size(1)] = wave
    return waves, samples
