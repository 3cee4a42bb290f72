"""Unit decoder: text and TASTE vectors to speech units, one unit after the other.

Enters: text ids (B, N), TASTE vectors (B, N, D_taste) or None, speaker embeddings
(B, S) and, in training, units (B, U). Leaves: logits (B, U + 1, K + 1), row t for
unit t and one row more for the end (class K); or generated units.

The language model reads ``[start][speaker][fused text and TASTE][task][units]``
(paper, section 3.1 and appendix). Here the condition is padded on the left, so the
first unit of all utterances stands in the same column; distances alone count, so
this changes no result. Parameter names are the published ones.

Legend: B utterances, N text tokens, U units, K unit classes, P positions of the
condition (N + 3), S speaker features, D features.
"""

from contextlib import nullcontext

import torch
from torch import nn
from torch.nn import functional

from espnet2_taste.align.guided_attention import WordSteps, guided_attention_loss
from espnet2_taste.masks import length_mask
from espnet2_taste.speech_decoder.abs_unit_decoder import (
    AbsUnitDecoder,
    GeneratedUnits,
    UnitScores,
)
from espnet2_taste.speech_decoder.fusion import AbsFusion
from espnet2_taste.speech_decoder.reading_window import ReadingPlace
from espnet2_taste.speech_decoder.rel_step import StackCache, affine
from espnet2_taste.speech_decoder.rel_transformer import RelTransformer
from espnet2_taste.speech_decoder.unit_condition import (
    UnitCondition,
    condition_words,
    join_condition,
    text_attention,
)
from espnet2_taste.speech_decoder.unit_sampling import (
    AbsUnitSampler,
    LengthRule,
    UtteranceNoise,
    units_of_steps,
)

START, TASK = 0, 1
GUIDED_HEAD = 0  # of each block of the language model; the others are always free
SPARE_POSITIONS = 32  # reserved beyond the fewest units; the cache grows when needed


class UnitDecoder(AbsUnitDecoder):
    """Causal language model over speech units, conditioned on text and TASTE.

    The default sizes are the published ones.

    Args:
        vocab_size: Text tokens.
        num_units: Unit classes K.
        taste_size: Features of the TASTE vectors.
        spembs_size: Features S of the speaker embeddings.
        fusion: Joins text and TASTE over ``hidden_size`` features.
        embed_size: Features of the inputs of both encoders.
        hidden_size: Features D.
        text_blocks: Blocks of the text encoder.
        taste_blocks: Blocks of the encoder of TASTE vectors.
        lm_blocks: Blocks of the language model.
        attention_heads: Heads of text encoder and language model.
        linear_units: Feed-forward width of text encoder and language model.
        taste_attention_heads: Heads of the encoder of TASTE vectors.
        taste_linear_units: Feed-forward width of the encoder of TASTE vectors.
        dropout_rate: Dropout of all stacks.
        unit_dropout: Share of the previous units that is hidden in training, so that
            the decoder has to read TASTE and cannot live on its own history.
        unit_dropout_spread: Half the width of the range around ``unit_dropout`` from
            which each utterance draws its own share.
        spembs_dropout: Probability that the speaker is hidden in training.
    """

    def __init__(
        self,
        vocab_size: int,
        num_units: int,
        taste_size: int,
        spembs_size: int,
        fusion: AbsFusion,
        embed_size: int = 512,
        hidden_size: int = 1024,
        text_blocks: int = 3,
        taste_blocks: int = 2,
        lm_blocks: int = 7,
        attention_heads: int = 8,
        linear_units: int = 2048,
        taste_attention_heads: int = 8,
        taste_linear_units: int = 2048,
        dropout_rate: float = 0.1,
        unit_dropout: float = 0.0,
        unit_dropout_spread: float = 0.0,
        spembs_dropout: float = 0.0,
    ):
        super().__init__()
        self.vocab_size, self.num_units = vocab_size, num_units
        self.spembs_size = spembs_size
        self.hidden_size = hidden_size
        self.unit_dropout = unit_dropout
        self.unit_dropout_spread = unit_dropout_spread
        self.spembs_dropout = spembs_dropout

        size, rate = hidden_size, dropout_rate
        self.text_embedding = nn.Embedding(vocab_size, embed_size)
        self.text_encoder = RelTransformer(
            *(embed_size, size, text_blocks, attention_heads, linear_units),
            dropout_rate=rate,
        )
        self.text_encoder_affine_layer = nn.Linear(size, size)
        self.audio_embed_affine_layer = nn.Linear(taste_size, embed_size)
        self.audio_token_encoder = RelTransformer(
            *(embed_size, size, taste_blocks),
            *(taste_attention_heads, taste_linear_units),
            dropout_rate=rate,
        )
        self.audio_token_encoder_affine_layer = nn.Linear(size, size)
        self.fuse_encoded_audio_text_module = fusion

        self.llm_embedding = nn.Embedding(2, size)
        self.spk_embed_affine_layer = nn.Linear(spembs_size, size)
        self.speech_embedding = nn.Embedding(num_units, size)
        self.llm = RelTransformer(
            *(size, size, lm_blocks, attention_heads, linear_units),
            dropout_rate=rate,
            activation=nn.ReLU,
            input_activation=nn.ReLU,
            norm_names=("norm1", "norm2"),
        )
        self.llm_decoder = nn.Linear(size, num_units + 1)
        if unit_dropout > 0:
            self.hidden_unit = nn.Parameter(torch.zeros(size))

    @property
    def end(self) -> int:
        """Class that ends an utterance."""
        return self.num_units

    def forward(
        self,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        taste: torch.Tensor | None,
        units: torch.Tensor,
        units_lengths: torch.Tensor,
        spembs: torch.Tensor,
    ) -> torch.Tensor:
        """Score given units (teacher forcing).

        Args:
            text: Token ids, any value at padding, (B, N).
            text_lengths: (B,).
            taste: (B, N, D_taste); None leaves the text alone.
            units: Any value at padding, (B, U).
            units_lengths: (B,).
            spembs: (B, S).

        Returns:
            Logits (B, U + 1, K + 1): row t for unit t given the units before, the row
            after the last unit for the end. Rows beyond are arbitrary.
        """
        condition = self.encode_conditions(text, text_lengths, taste, spembs)
        history = self._drop_units(self._embed_units(units))  # (B, U, D)
        x = torch.cat([condition.embeds, history], dim=1)  # (B, P + U, D)
        unit_mask = length_mask(units_lengths, units.size(1))
        hidden = self.llm(x, torch.cat([condition.mask, unit_mask], dim=1))
        return self.llm_decoder(hidden[:, condition.embeds.size(1) - 1 :])

    def taste_parts(self) -> tuple[nn.Module, ...]:
        """See ``AbsUnitDecoder.taste_parts``."""
        return (
            self.audio_embed_affine_layer,
            self.audio_token_encoder,
            self.audio_token_encoder_affine_layer,
            self.fuse_encoded_audio_text_module,
        )

    def score(self, inputs, units, units_lengths, guided=False):
        """See ``AbsUnitDecoder.score``; the last row of each utterance is its end."""
        lengths = inputs.text_lengths
        watched = self.llm.watched(GUIDED_HEAD) if guided else nullcontext(())
        with watched as maps:
            logits = self(
                *(inputs.text, lengths, inputs.taste),
                *(units, units_lengths, inputs.spembs),
            )
        alignment = logits.new_zeros(())
        if guided:
            attention = text_attention(maps, lengths, inputs.text.size(1))
            steps = WordSteps(inputs.word_times, inputs.word_ids, inputs.seconds)
            steps = steps.of_tokens(units_lengths, attention.size(2)).mT  # (B, U, N)
            alignment = guided_attention_loss(attention, steps)
        targets = self.targets(units, units_lengths)
        zero = logits.new_zeros(())
        return UnitScores(logits, targets, alignment, zero, zero)

    def targets(
        self, units: torch.Tensor, units_lengths: torch.Tensor, ignore: int = -1
    ) -> torch.Tensor:
        """Classes that the rows of ``forward`` are to predict.

        Args:
            units: (B, U).
            units_lengths: (B,).
            ignore: Value after the end.

        Returns:
            (B, U + 1) int64.
        """
        columns = torch.arange(units.size(1) + 1, device=units.device)
        lengths = units_lengths.unsqueeze(1)
        padded = functional.pad(units.long(), (0, 1), value=ignore)
        padded = padded.masked_fill(columns == lengths, self.end)
        return padded.masked_fill(columns > lengths, ignore)

    def encode_conditions(
        self,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        taste: torch.Tensor | None,
        spembs: torch.Tensor,
    ) -> UnitCondition:
        """Everything the language model reads before the first unit.

        Args:
            text: (B, N).
            text_lengths: (B,).
            taste: (B, N, D_taste) or None.
            spembs: (B, S).

        Returns:
            The condition, padded on the left.
        """
        fused = self._fuse(text, length_mask(text_lengths, text.size(1)), taste)
        special = self.llm_embedding.weight[:, None, None].expand(-1, len(text), -1, -1)
        return join_condition(
            *(special[START], self._embed_speaker(spembs), fused),
            *(special[TASK], text_lengths),
        )

    @torch.inference_mode()
    def generate(
        self,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        taste: torch.Tensor | None,
        spembs: torch.Tensor,
        sampler: AbsUnitSampler,
        noise: UtteranceNoise,
        length_rule: LengthRule | None = None,
        place: ReadingPlace | None = None,
    ) -> list[torch.Tensor]:
        """Generate the units of a batch with cached keys and values.

        Args:
            text: (B, N).
            text_lengths: (B,).
            taste: (B, N, D_taste) or None.
            spembs: (B, S).
            sampler: Chooses the next unit.
            noise: Random streams of the B utterances.
            length_rule: Fewest and most units; the published ratios by default.
            place: Over ``condition_words``; keeps the guided head near the word being
                said; there is no end before the last word. None, as published: free.

        Returns:
            Units of each utterance without the end, int64 tensors on the CPU.
        """
        rule = length_rule or LengthRule()
        condition = self.encode_conditions(text, text_lengths, taste, spembs)
        fewest, most = rule.bounds(text_lengths)
        sure = condition.embeds.size(1) + int(fewest.max())  # positions, at least
        cache = self.llm.start_cache(text.size(0), sure + SPARE_POSITIONS)
        hidden = self.llm.extend(condition.embeds, cache, condition.mask)[:, -1]
        rows = torch.arange(text.size(0), device=text.device)
        steps, logits = [], affine(self.llm_decoder)
        soonest = int(most.min())  # units at which an utterance may be cut
        for step in range(int(most.max())):
            scores = logits(hidden.squeeze(0)).view(len(rows), -1)
            may_end = fewest <= step
            if place is not None:
                may_end = may_end & place.finished()
            units = sampler(scores, may_end, noise)
            going = units != self.end
            if step + 1 >= soonest:
                going &= most > step
            steps.append((rows, units, going))
            if not going.all():
                kept = going.nonzero().squeeze(1)
                if kept.numel() == 0:
                    break
                rows, units, fewest, most = (
                    x[kept] for x in (rows, units, fewest, most)
                )
                cache.select(kept)
                noise.select(kept)
                if place is not None:
                    place.select(kept)
            embeds = self.speech_embedding.weight.index_select(0, units)
            hidden = self._read(embeds, cache, place)
        return units_of_steps(steps, text.size(0))

    def generate_units(self, inputs, names, seed, settings):
        """See ``AbsUnitDecoder.generate_units``; the times of words are not known.

        Raises:
            ValueError: Word times or a tempo are given: it predicts no durations.
        """
        if inputs.word_times is not None or settings.tempo != 1.0:
            raise ValueError(
                "this unit decoder predicts no durations, so that it takes no word "
                "times and no tempo: leave them out, or train 'unit_decoder: aligned'"
            )
        lengths, place = inputs.text_lengths, None
        if settings.window is not None:
            words = condition_words(inputs.word_ids, lengths)
            place = ReadingPlace(settings.window, words)
        units = self.generate(
            *(inputs.text, lengths, inputs.taste, inputs.spembs),
            sampler=settings.sampler,
            noise=UtteranceNoise.from_ids(names, seed),
            length_rule=settings.length_rule,
            place=place,
        )
        return [GeneratedUnits(row.clone()) for row in units]  # usual tensors

    def _read(
        self, embeds: torch.Tensor, cache: StackCache, place: ReadingPlace | None
    ) -> torch.Tensor:
        """State (B, D) after one more unit (B, D), read near the place, if any."""
        if place is None:
            return self.llm.step(embeds, cache)
        bias = place.visible()  # (B, P)
        with self.llm.watched(GUIDED_HEAD) as maps:
            state = self.llm.step(embeds, cache, (GUIDED_HEAD, bias))
        attention = torch.stack(maps).sum(0)  # (B, 1, K)
        place.advance(attention[:, 0, : bias.size(1)])
        return state

    def _fuse(
        self, text: torch.Tensor, mask: torch.Tensor, taste: torch.Tensor | None
    ) -> torch.Tensor:
        """Encode text and TASTE and join them, (B, N, D)."""
        embedded = self.text_embedding(text.masked_fill(~mask, 0))
        encoded = self.text_encoder_affine_layer(self.text_encoder(embedded, mask))
        if taste is None:
            return encoded
        taste = self.audio_embed_affine_layer(taste)
        taste = self.audio_token_encoder_affine_layer(
            self.audio_token_encoder(taste, mask)
        )
        return self.fuse_encoded_audio_text_module(encoded, taste)

    def _embed_speaker(self, spembs: torch.Tensor) -> torch.Tensor:
        """(B, S) -> (B, 1, D)."""
        return self.spk_embed_affine_layer(self.voice(spembs)).unsqueeze(1)

    def _embed_units(self, units: torch.Tensor) -> torch.Tensor:
        """(B, U) -> (B, U, D); padding and the end give an unused vector."""
        return self.speech_embedding(units.clamp(0, self.num_units - 1))

    def _drop_units(self, history: torch.Tensor) -> torch.Tensor:
        """Hide some of the previous units in training, (B, U, D) -> (B, U, D)."""
        if not self.training or self.unit_dropout <= 0:
            return history
        device = history.device
        offset = 2 * torch.rand(len(history), 1, device=device) - 1  # (B, 1)
        rate = self.unit_dropout + self.unit_dropout_spread * offset
        hidden = torch.rand(history.shape[:2], device=device) < rate  # (B, U)
        return torch.where(hidden.unsqueeze(-1), self.hidden_unit, history)
