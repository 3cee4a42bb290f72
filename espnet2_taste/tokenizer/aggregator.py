"""Aggregator: text tokens ask the encoder's frames, one vector for each token.

Enters: text ids (B, N) with word ids (B, N) and ``EncoderStates``. Leaves: features
(B, N, D), equal for the tokens of a word when pooling is on. Legend: B utterances, N
text tokens, P prefix tokens, F frames, H heads, D features.

The network is a text decoder (Whisper's or ESPnet's) whose cross-attention takes keys
from the encoder's last layer and values from a shallow one (paper, section 3.1.2).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from espnet2_taste.dropout import Dropout
from espnet2_taste.masks import length_mask
from espnet2_taste.prosody import FEATURES
from espnet2_taste.structures import EncoderStates
from espnet2_taste.tokenizer.decoder_init import check_decoder_state, with_prosody
from espnet2_taste.tokenizer.running_scale import RunningScale
from espnet2_taste.tokenizer.transformer import DecoderBlock
from espnet2_taste.tokenizer.word_frames import WordLengths, frames_of_words
from espnet2_taste.tokenizer.word_pooling import word_means


class AbsAggregator(nn.Module, ABC):
    """Common interface of the aggregators.

    Attributes:
        output_size: Features D of the result.
    """

    output_size: int

    @classmethod
    def default_prefix(cls, vocab_size: int) -> tuple[int, ...]:
        """Ids before the text when the configuration names none."""
        return ()

    @abstractmethod
    def forward(
        self,
        text: torch.Tensor,
        text_lengths: torch.Tensor,
        word_ids: torch.Tensor,
        states: EncoderStates,
    ) -> torch.Tensor:
        """Align speech with text.

        Args:
            text: Token ids, (B, N), 0 at padding.
            text_lengths: Valid tokens, (B,).
            word_ids: Word of each token, (B, N), -1 at padding.
            states: Keys and values of the speech encoder.

        Returns:
            (B, N, D).
        """

    def load_decoder_state(self, state: Mapping[str, torch.Tensor]):
        """Start from a trained text decoder; aggregators without one refuse.

        Raises:
            ValueError: This aggregator has no decoder.
        """
        raise ValueError(
            f"{type(self).__name__} has no decoder to initialise: set "
            "init_aggregator to false"
        )


class DecoderAggregator(AbsAggregator):
    """Decoder stack over the frames; subclasses say how text is embedded.

    Args:
        vocab_size: Text tokens.
        key_size: Features of the encoder's keys.
        value_size: Features of the encoder's values.
        size: Features D.
        num_heads: Attention heads H.
        num_layers: Blocks.
        linear_units: Hidden features of the feed-forwards.
        dropout: Dropout rate.
        prefix: Ids put before the text and dropped behind the network.
        word_level: Average over the tokens of a word.
        identity_values: Value projections start as the identity (published system);
            otherwise they start as the decoder gave them.
        trainable_layers: Blocks that train; all when not given. The published system
            trains all but the first.
        train_embeddings: Whether token and position embeddings train.
        timed_words: Whether states have ``word_frames``, which then limit attention.
        standardize: Take the running mean of the vectors away and divide by their
            deviation, before the shape of timed words is added.
        word_parts: Equal parts of a timed word whose values enter its vector in order.
        states_source: Module that maps ``EncoderStates`` to ``EncoderStates`` before
            the cross-attention; keys and values are used as they come by default.
    """

    key_bias: bool
    norm_eps: float
    activation: type[nn.Module]  # of the feed-forwards

    def __init__(
        self,
        vocab_size: int,
        key_size: int,
        value_size: int,
        size: int = 144,
        num_heads: int = 4,
        num_layers: int = 2,
        linear_units: int = 576,
        dropout: float = 0.0,
        prefix: Sequence[int] = (),
        word_level: bool = True,
        identity_values: bool = False,
        trainable_layers: Sequence[int] | None = None,
        train_embeddings: bool = False,
        timed_words: bool = False,
        word_parts: int = 0,
        standardize: bool = False,
        states_source: nn.Module | None = None,
    ):
        super().__init__()
        self.output_size = size
        self.word_level = word_level
        self.identity_values = identity_values
        ids = torch.tensor(list(prefix), dtype=torch.long)
        self.register_buffer("prefix", ids, persistent=False)
        self.states_source = states_source or nn.Identity()
        self.embed = nn.Embedding(vocab_size, size)
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(
            DecoderBlock(
                size,
                num_heads,
                linear_units,
                self.activation(),
                key_size,
                value_size,
                self.key_bias,
                dropout,
                self.norm_eps,
            )
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(size, eps=self.norm_eps)
        self.word_lengths = None
        if timed_words:
            self.word_lengths = WordLengths(size, value_size, word_parts)
        elif word_parts:
            raise ValueError(
                f"aggregator_conf.word_parts {word_parts} needs words with times: set "
                "word_timer, or leave it out"
            )
        self.running_scale = RunningScale(size) if standardize else None
        if identity_values:
            self._make_values_identity()
        self._choose_trainable(trainable_layers, train_embeddings)

    @abstractmethod
    def embed_text(self, ids: torch.Tensor) -> torch.Tensor:
        """Token ids (B, P + N) -> input of the first block (B, P + N, D)."""

    def _make_values_identity(self):
        projections = [block.encoder_attn.v_proj for block in self.blocks]
        for projection in projections:
            more = projection.in_features - projection.out_features
            if more not in (0, FEATURES):  # those of prosody start as zeros
                raise ValueError(
                    f"identity_values needs encoder values of {self.output_size} "
                    f"features, found {projection.in_features}: set "
                    f"aggregator_conf.size to {projection.in_features}"
                )
            nn.init.eye_(projection.weight)
            nn.init.zeros_(projection.bias)

    def _choose_trainable(self, layers: Sequence[int] | None, embeddings: bool):
        chosen = range(len(self.blocks)) if layers is None else layers
        unknown = [layer for layer in chosen if not 0 <= layer < len(self.blocks)]
        if unknown:
            raise ValueError(
                f"trainable_layers {unknown} of an aggregator with "
                f"{len(self.blocks)} blocks: choose from 0..{len(self.blocks) - 1}"
            )
        for index, block in enumerate(self.blocks):
            block.requires_grad_(index in chosen)
        self.embed.requires_grad_(embeddings)

    def load_decoder_state(self, state: Mapping[str, torch.Tensor]):
        """Start from a trained text decoder, or from the first blocks of a deeper one.

        Args:
            state: Names and shapes of this module (see ``decoder_init``).

        Raises:
            ValueError: A tensor is unknown, missing or of another shape.
        """
        own = self.state_dict()
        state = with_prosody(own, self._first_blocks(state))
        skipped = {
            name
            for name in own
            if name.startswith(("states_source.", "word_lengths.", "running_scale."))
            or (self.identity_values and ".encoder_attn.v_proj." in name)
        }
        check_decoder_state(own, state, skipped)
        kept = {name: x for name, x in state.items() if name not in skipped}
        self.load_state_dict({**own, **kept})

    def _first_blocks(
        self, state: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Leave out the blocks of a deeper decoder than this one."""

        def block(name: str) -> int:
            return int(name.split(".")[1]) if name.startswith("blocks.") else -1

        return {n: tensor for n, tensor in state.items() if block(n) < len(self.blocks)}

    def _inputs(
        self, text: torch.Tensor, states: EncoderStates, word_ids: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        prefix = self.prefix.expand(text.size(0), -1)  # (B, P)
        x = self.embed_text(torch.cat([prefix, text], dim=1))  # (B, P + N, D)
        if self.word_lengths is not None:
            mask = frames_of_words(states, word_ids, self.prefix.numel())[:, None]
        else:
            mask = length_mask(states.lengths, states.keys.size(1))[:, None, None]
        return self.dropout(x), mask  # (B, 1, 1 or P + N, F)

    def decode(
        self,
        text: torch.Tensor,
        states: EncoderStates,
        word_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Features of prefix and text before pooling, (B, P + N, D).

        ``states`` are what the states source gives.
        """
        x, mask = self._inputs(text, states, word_ids)
        for block in self.blocks:
            x = block(x, states.keys, states.values, mask)
        return self.norm(x)

    def forward(self, text, text_lengths, word_ids, states):
        """See ``AbsAggregator.forward``."""
        states = self.states_source(states)
        hidden = self.decode(text, states, word_ids)[:, self.prefix.numel() :]
        if self.running_scale is not None:
            hidden = self.running_scale(hidden, word_ids >= 0)
        if self.word_lengths is not None:
            hidden = hidden + self.word_lengths(states, word_ids)  # (B, N, D)
        return word_means(hidden, word_ids) if self.word_level else hidden

    @contextmanager
    def watched(self) -> Iterator[list[torch.Tensor]]:
        """Keep the cross-attention of every block.

        Yields:
            A list that each pass extends by one (B, H, N, F) a block, each row summing
            to one over valid frames.
        """
        maps: list[torch.Tensor] = []

        def keep(attention, args):
            queries, keys, _, mask = args
            weights = attention.weights(queries, keys, mask)
            maps.append(weights[..., self.prefix.numel() :, :])

        hooks = [
            block.encoder_attn.register_forward_pre_hook(keep) for block in self.blocks
        ]
        try:
            yield maps
        finally:
            for hook in hooks:
                hook.remove()

    def attention(
        self,
        text: torch.Tensor,
        states: EncoderStates,
        word_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Cross-attention of every block, for plots.

        Args:
            text: Token ids, (B, N).
            states: Keys and values of the speech encoder.
            word_ids: Word of each token, (B, N), where words are timed.

        Returns:
            (B, blocks, H, N, F), each row summing to one over valid frames.
        """
        with self.watched() as maps:
            self.decode(text, self.states_source(states), word_ids)
        return torch.stack(maps, dim=1)


class WhisperAggregator(DecoderAggregator):
    """Whisper's decoder: learned positions, GELU, keys without bias.

    Args:
        vocab_size: Text tokens.
        key_size: Features of the encoder's keys.
        value_size: Features of the encoder's values.
        max_positions: Longest prefix and text together.
        size: Features D.
        **options: See ``DecoderAggregator``.
    """

    key_bias = False
    norm_eps = 1e-5
    activation = nn.GELU

    def __init__(
        self,
        vocab_size: int,
        key_size: int,
        value_size: int,
        max_positions: int = 448,
        size: int = 1280,
        **options,
    ):
        super().__init__(vocab_size, key_size, value_size, size, **options)
        self.positions = nn.Embedding(max_positions, size)
        self.positions.requires_grad_(self.embed.weight.requires_grad)

    def embed_text(self, ids: torch.Tensor) -> torch.Tensor:
        """See ``DecoderAggregator.embed_text``."""
        limit = self.positions.num_embeddings
        if ids.size(1) > limit:
            raise ValueError(
                f"{ids.size(1)} tokens with the prefix, but the aggregator has "
                f"{limit} positions: raise aggregator_conf.max_positions or cut the "
                "utterance"
            )
        return self.embed(ids) + self.positions.weight[: ids.size(1)]


class EspnetAggregator(DecoderAggregator):
    """ESPnet's Transformer decoder: sinusoidal positions, ReLU, scaled embedding.

    Args:
        See ``DecoderAggregator``.
    """

    key_bias = True
    norm_eps = 1e-12
    activation = nn.ReLU

    @classmethod
    def default_prefix(cls, vocab_size: int) -> tuple[int, ...]:
        """ESPnet's ``<sos/eos>``, the last token of its lists."""
        return (vocab_size - 1,)

    def embed_text(self, ids: torch.Tensor) -> torch.Tensor:
        """See ``DecoderAggregator.embed_text``."""
        x = self.embed(ids) * math.sqrt(self.output_size)
        return x + sinusoidal_positions(ids.size(1), self.output_size).to(x)


def sinusoidal_positions(length: int, size: int) -> torch.Tensor:
    """Position table with sines on even and cosines on odd features.

    Args:
        length: Positions.
        size: Features D, even.

    Returns:
        (length, D).
    """
    rates = torch.exp(torch.arange(0, size, 2) * (-math.log(10000.0) / size))
    angles = torch.arange(length).unsqueeze(1) * rates  # (length, D / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
