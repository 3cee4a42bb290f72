"""Unit decoder that knows which word each unit belongs to.

Enters: as ``abs_unit_decoder`` says, with word times in training. Leaves: units, one
row each at the rate of the units, exact word times and, if it has learned it, the
prosody of the units (``prosody_head``).

Words and silences first get durations, from the text, their vectors and the speaker.
Then each unit has a row: the symbols of its word at its place in it, how long the word
is, the word's vector, the speaker. Convolutions towards both sides look at neighbouring
rows; then units are written. Nothing is skipped or said twice. Relatives: the variance
adaptor of FastSpeech 2 (Ren et al. 2021) and TADA's vectors with durations.

Legend: B utterances, N text tokens, W words, C symbols, S segments, U units, K unit
classes, E speaker features, D features.
"""

import torch
from torch import nn
from torch.nn import functional

from espnet2_taste.dropout import Dropout
from espnet2_taste.speech_decoder import segments
from espnet2_taste.speech_decoder.abs_unit_decoder import (
    AbsUnitDecoder,
    AbsUnitStream,
    GeneratedUnits,
    LookAhead,
    UnitInputs,
    UnitScores,
    UnitSettings,
)
from espnet2_taste.speech_decoder.aligned_unit_stream import (
    AlignedUnitStream,
    LaidOutUnits,
    duration_noise,
    duration_numbers,
)
from espnet2_taste.speech_decoder.gated_conv import GatedConvStack
from espnet2_taste.speech_decoder.prosody_head import ProsodyHead
from espnet2_taste.speech_decoder.spelling import (
    Symbols,
    spread,
    spread_parts,
    sum_words,
)
from espnet2_taste.speech_decoder.text_input import AbsTextInput
from espnet2_taste.speech_decoder.unit_history import AbsUnitHistory
from espnet2_taste.speech_decoder.unit_sampling import UtteranceNoise
from espnet2_taste.speech_decoder.word_durations import (
    WordDurationPredictor,
    WordDurations,
)

SHAPE_FEATURES = 5  # of a row: phase, its mirror, two logarithms of duration, silence


class AlignedUnitDecoder(AbsUnitDecoder):
    """Durations, then units in rows that are aligned with the words.

    Args:
        vocab_size: Text tokens.
        num_units: Unit classes K.
        taste_size: Features of the TASTE vectors.
        spembs_size: Features E of the speaker embeddings.
        unit_rate: Units a second.
        text_input: Gives symbols of a text, with ``hidden_size`` features.
        unit_history: Writes the units, from ``hidden_size`` features.
        hidden_size: Features D.
        vector_parts: Equal parts P of a word that its vector describes one by one.
        text_blocks: Convolutions over the symbols.
        text_kernel_size: Symbols each of them sees.
        text_dilation: How many times wider than the block before each looks; 1 for
            neighbours alone.
        row_blocks: Convolutions over the rows, towards both sides.
        row_kernel_size: Rows each of them sees.
        row_dilation: See ``text_dilation``.
        dropout_rate: Dropout of all of them.
        spembs_dropout: Probability that the speaker is hidden in training.
        shortest_silence: Shorter silences belong to the words beside them, in seconds.
        time_blur: Deviation by which borders of words are moved in training, in
            seconds, since alignments are not exact.
        duration_weight: Weight of the loss of the durations.
        prosody_weight: Weight of the loss of pitch, voicing and loudness; 0 predicts
            none of them.
    """

    mixes_units = True

    def __init__(
        self,
        vocab_size: int,
        num_units: int,
        taste_size: int,
        spembs_size: int,
        unit_rate: float,
        text_input: AbsTextInput,
        unit_history: AbsUnitHistory,
        hidden_size: int = 192,
        vector_parts: int = 1,
        text_blocks: int = 2,
        text_kernel_size: int = 5,
        text_dilation: int = 1,
        row_blocks: int = 4,
        row_kernel_size: int = 9,
        row_dilation: int = 1,
        dropout_rate: float = 0.1,
        spembs_dropout: float = 0.0,
        shortest_silence: float = 0.06,
        time_blur: float = 0.0,
        duration_weight: float = 0.3,
        prosody_weight: float = 0.0,
    ):
        super().__init__()
        self.vocab_size, self.num_units = vocab_size, num_units
        self.spembs_size, self.unit_rate = spembs_size, unit_rate
        self.spembs_dropout = spembs_dropout
        self.shortest_silence = shortest_silence
        self.time_blur = time_blur
        self.duration_weight = duration_weight
        self.prosody_weight = prosody_weight
        size, rate = hidden_size, dropout_rate
        self.text_input = text_input
        self.text_stack = GatedConvStack(
            size, text_blocks, text_kernel_size, False, rate, text_dilation
        )
        self.taste_norm = nn.LayerNorm(taste_size, elementwise_affine=False)
        self.vector_parts = vector_parts
        self.taste_affine = nn.Linear(taste_size, vector_parts * size)
        self.speaker_affine = nn.Linear(spembs_size, size)
        self.durations = WordDurationPredictor(size, rate)
        self.shape_affine = nn.Linear(SHAPE_FEATURES, size)
        self.dropout = Dropout(rate)
        self.row_stack = GatedConvStack(
            size, row_blocks, row_kernel_size, False, rate, row_dilation
        )
        self.history = unit_history
        self.prosody = ProsodyHead(size) if prosody_weight > 0 else None

    @property
    def look_ahead(self) -> LookAhead:
        """See ``AbsUnitDecoder.look_ahead``."""
        units = self.row_stack.after + self.history.after
        return LookAhead(self.text_stack.after, units, self.unit_rate)

    @property
    def prosody_rate(self) -> float | None:
        """See ``AbsUnitDecoder.prosody_rate``."""
        return None if self.prosody is None else self.unit_rate

    def stream(self, name: str, seed: int, settings: UnitSettings) -> AbsUnitStream:
        """See ``AbsUnitDecoder.stream``."""
        return AlignedUnitStream(self, name, seed, settings)

    def taste_parts(self) -> tuple[nn.Module, ...]:
        """See ``AbsUnitDecoder.taste_parts``."""
        return (self.taste_affine,)

    def score(self, inputs, units, units_lengths, guided=False):
        """See ``AbsUnitDecoder.score``; nothing needs guidance.

        An utterance of which no word has a time counts in no loss. Durations are those
        of the speech, of which the last frames may have no unit.
        """
        if inputs.word_times is None:
            raise ValueError(
                "unit_decoder aligned trains with word times, but the data has no "
                "word_times: run the recipe with --guided_attention true"
            )
        symbols = self.text_input.symbols(inputs.text, inputs.word_ids)
        words = symbols.words
        encoded = self._encode(symbols)
        conditions = self._conditions(inputs)
        blurred, seconds = self._blurred(inputs.word_times), inputs.seconds
        if seconds is None:
            seconds = units_lengths / self.unit_rate
        timed = (inputs.word_times.diff(dim=-1) > 0).any(1)  # (B, 1)
        predicted = self.durations(encoded, symbols, conditions.mean(2))
        times = segments.tidy_times(blurred, words, seconds, self.shortest_silence)
        loss = predicted.loss(times, words * timed.squeeze(1), seconds)
        counts = self._counts_of_times(blurred, words, units_lengths)
        rows, valid = self._rows(encoded, symbols, conditions, counts)
        hidden = self.row_stack(rows, valid)
        logits = self.history(hidden, valid, units)
        return UnitScores(
            logits=logits,
            targets=torch.where(valid & timed, units.long(), -1),
            alignment=logits.new_zeros(()),
            durations=self.duration_weight * loss,
            prosody=self._prosody_loss(hidden, inputs.prosody, valid & timed),
        )

    @torch.no_grad()
    def generate_units(self, inputs, names, seed, settings):
        """See ``AbsUnitDecoder.generate_units``."""
        drawn = None
        if settings.duration_temperature > 0:
            streams = duration_noise(names, seed)
            drawn = streams.numbers(duration_numbers(int(inputs.word_ids.max()) + 1))
        laid = self.lay_out(inputs, drawn, settings)
        hidden = self.row_stack(laid.rows, laid.valid)
        noise = UtteranceNoise.from_ids(names, seed)
        units, mixture = self.history.generate(hidden, laid.valid, settings, noise)
        units, times = units.cpu(), laid.word_times()
        prosody, unit_times = self.prosody_of(hidden, settings), laid.unit_times(
            settings
        )
        known = (prosody, unit_times, None if mixture is None else mixture.cpu())
        lengths, words = laid.counts.sum(1).tolist(), laid.symbols.words.tolist()
        return [
            GeneratedUnits(
                units[row, :length],
                times[row, :count],
                *(None if x is None else x[row, :length] for x in known),
            )
            for row, (length, count) in enumerate(zip(lengths, words))
        ]

    def prosody_of(
        self, hidden: torch.Tensor, settings: UnitSettings
    ) -> torch.Tensor | None:
        """Prosody (B, U, 3) of what ``row_stack`` gives, on the CPU, if wanted."""
        if self.prosody is None or not settings.use_prosody:
            return None
        return self.prosody(hidden).cpu()

    def lay_out(
        self,
        inputs: UnitInputs,
        drawn: torch.Tensor | None,
        settings: UnitSettings,
    ) -> LaidOutUnits:
        """How many units words and silences get, and a row for each of them.

        Args:
            inputs: See :meth:`generate_units`.
            drawn: Numbers of ``duration_noise`` for the words, (B, 3 W + 2); None
                takes the centre of durations.
            settings: How to choose.

        Returns:
            What comes before convolutions over the rows.
        """
        symbols = self.text_input.symbols(inputs.text, inputs.word_ids)
        words = symbols.words
        encoded = self._encode(symbols)
        conditions = self._conditions(inputs)
        if inputs.word_times is None:
            predicted = self.durations(encoded, symbols, conditions.mean(2))
            durations = self._predicted(predicted, words, drawn, settings)
        else:
            durations = self._given(inputs, words)
        rate = self.unit_rate
        seconds = segments.durations_of_segments(*durations, words, rate)
        counts = segments.units_of_durations(seconds, rate)
        if not settings.exact_times:
            if inputs.word_times is not None:
                counts = self._given_counts(inputs, words)
            seconds = counts / rate
        rows, valid = self._rows(encoded, symbols, conditions, counts)
        return LaidOutUnits(symbols, counts, seconds, rows, valid)

    def _prosody_loss(
        self, hidden: torch.Tensor, measured: torch.Tensor | None, counted: torch.Tensor
    ) -> torch.Tensor:
        """Weighted loss of the prosody of the units that count (B, U).

        Zero where units are only scored and no prosody was measured.
        """
        if self.prosody is None or (measured is None and not self.training):
            return hidden.new_zeros(())
        if measured is None:
            raise ValueError(
                "unit_decoder_conf.prosody_weight is above 0, but the data has no "
                "pitch: run stage 6 of the recipe, or set the weight to 0"
            )
        return self.prosody_weight * self.prosody.loss(hidden, measured, counted)

    def _encode(self, symbols: Symbols) -> torch.Tensor:
        """Symbols with their neighbours, (B, C, D)."""
        embedded = self.dropout(self.text_input.embed(symbols.ids))
        return self.text_stack(embedded, symbols.valid)

    def _conditions(self, inputs: UnitInputs) -> torch.Tensor:
        """Vector and speaker of the parts of each word, (B, W, P, D)."""
        words = int(inputs.word_ids.max()) + 1
        speaker = self.speaker_affine(self.voice(inputs.spembs))
        speaker = speaker[:, None, None]  # (B, 1, 1, D)
        if inputs.taste is None:
            return speaker.expand(-1, words, self.vector_parts, -1)
        tokens = (inputs.word_ids >= 0).unsqueeze(-1).to(inputs.taste)
        count = sum_words(tokens, inputs.word_ids, words).clamp(min=1)
        vectors = sum_words(inputs.taste * tokens, inputs.word_ids, words) / count
        parts = self.taste_affine(self.taste_norm(vectors))  # (B, W, P * D)
        return speaker + parts.unflatten(-1, (self.vector_parts, -1))

    def _blurred(self, word_times: torch.Tensor) -> torch.Tensor:
        """Move the borders of words in training, (B, W, 2).

        Words that meet still meet.
        """
        if not self.training or self.time_blur == 0:
            return word_times
        batch, words, _ = word_times.shape
        noise = word_times.new_empty(batch, words + 1).normal_(0, self.time_blur)
        return word_times + torch.stack([noise[:, :-1], noise[:, 1:]], dim=-1)

    def _predicted(
        self,
        predicted: WordDurations,
        words: torch.Tensor,
        drawn: torch.Tensor | None,
        settings: UnitSettings,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Predicted seconds of words (B, W) and silences (B, W + 1)."""
        normal = uniform = None
        if drawn is not None:
            drawn = functional.pad(drawn, (0, 1)).unflatten(1, (-1, 3)).to(words.device)
            uniform = drawn[..., 0]
            normal = torch.special.ndtri(drawn[..., 1:].clamp(1e-4, 1 - 1e-4))
            normal = normal.flatten(1)[:, :-1] * settings.duration_temperature
        spoken, silent = predicted.choose(normal, uniform)
        return spoken / settings.tempo, silent / settings.tempo

    def _given(
        self, inputs: UnitInputs, words: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Seconds of words (B, W) and silences (B, W + 1) by given times."""
        seconds = given_seconds(inputs, words)
        times = segments.tidy_times(
            inputs.word_times, words, seconds, self.shortest_silence
        )
        silent = segments.silences_of_times(times, seconds)
        return times.diff(dim=-1).squeeze(-1), silent

    def _given_counts(self, inputs: UnitInputs, words: torch.Tensor) -> torch.Tensor:
        """Units of each segment by given times, (B, S)."""
        units = (given_seconds(inputs, words) * self.unit_rate).round().long()
        units = torch.maximum(units, words)
        return self._counts_of_times(inputs.word_times, words, units)

    def _counts_of_times(
        self, word_times: torch.Tensor, words: torch.Tensor, units: torch.Tensor
    ) -> torch.Tensor:
        """Units of each segment of utterances of so many units (B,), (B, S)."""
        rate = self.unit_rate
        times = segments.tidy_times(
            word_times, words, units / rate, self.shortest_silence
        )
        return segments.units_of_times(times, words, units, rate)

    def _rows(
        self,
        encoded: torch.Tensor,
        symbols: Symbols,
        conditions: torch.Tensor,
        counts: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What is known of each unit (B, U, D), and which units there are (B, U)."""
        rows = segments.unit_rows(counts)
        word = rows.word.clamp(min=0)
        letters = symbols.count.gather(1, word).clamp(min=1)
        silent = rows.silent.to(encoded)
        seconds = (rows.size / self.unit_rate).log()
        shape = torch.stack(
            [
                rows.phase,
                1 - rows.phase,
                seconds,
                (seconds - letters.log()) * (1 - silent),
                silent,
            ],
            dim=-1,
        )
        spoken = spread_parts(conditions, rows) * (1 - silent).unsqueeze(-1)
        x = spread(encoded, symbols, rows) + self.shape_affine(shape) + spoken
        return self.dropout(x), rows.valid


def given_seconds(inputs: UnitInputs, words: torch.Tensor) -> torch.Tensor:
    """Length of utterances whose word times are given, (B,), from words (B,)."""
    if inputs.seconds is not None:
        return inputs.seconds
    return inputs.word_times[..., 1].gather(1, (words - 1).unsqueeze(1)).squeeze(1)
