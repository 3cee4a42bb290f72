"""The text LM inside the spoken LM: a Hugging Face causal LM and how it is adapted.

Enters: input embeddings (B, L, H), and a cache when generating. Leaves: hidden states,
text logits, and the logits of the frozen base LM on the same text for the KL term.
LoRA needs no second copy of the weights: the base is the same model with its adapter
switched off.

Legend: B utterances, L rows, N text tokens, H hidden size, V text vocabulary.
"""

from abc import ABC, abstractmethod
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, Iterator, Optional, Sequence, Tuple, Union

import torch
from torch import nn

from espnet2_taste.dropout import Dropout
from espnet2_taste.optional import require
from espnet2_taste.slm.causal_lm import check_positions, text_logits
from espnet2_taste.slm.tangents import base_tangents, is_affine


@dataclass(frozen=True)
class BackboneOutput:
    """What the LM predicts from its rows.

    Attributes:
        states: The hidden states asked for, each (B, L, H).
        last: Hidden state after the final norm, (B, L, H).
        cache: Keys and values for the next rows, or None.
    """

    states: Tuple[torch.Tensor, ...]
    last: torch.Tensor
    cache: Any


class AbsBackbone(nn.Module, ABC):
    """A causal LM fed with embeddings; subclasses say which weights train.

    The LM may be in half precision; what enters and leaves is float32. Weights in half
    precision stay in it when the model is cast: ESPnet casts to ``train_dtype``.

    Args:
        lm: A Hugging Face causal LM, or that model wrapped by an adapter.
    """

    def __init__(self, lm: nn.Module):
        super().__init__()
        self.lm = lm

    def _apply(self, fn, recurse=True):
        """See ``nn.Module._apply``, which all moves and casts go through."""

        def moved(tensor: torch.Tensor) -> torch.Tensor:
            half = tensor.dtype in (torch.bfloat16, torch.float16)
            return fn(tensor).to(tensor.dtype) if half else fn(tensor)

        return super()._apply(moved, recurse)

    @property
    @abstractmethod
    def causal_lm(self) -> nn.Module:
        """The Hugging Face causal LM that is trained, without a wrapper."""

    @abstractmethod
    def base(self):
        """Context manager that gives the frozen base LM."""

    @property
    def hidden_size(self) -> int:
        """H."""
        return self.causal_lm.config.hidden_size

    @property
    def vocab_size(self) -> int:
        """V."""
        return self.causal_lm.config.vocab_size

    @property
    def num_states(self) -> int:
        """Hidden states: the embeddings and the output of every layer."""
        return self.causal_lm.config.num_hidden_layers + 1

    def merged(self) -> "AbsBackbone":
        """Return what generates alike without adapters in its way.

        The backbone may share its weights with the result and must not be used again.
        """
        return self

    def embed(self, text: torch.Tensor) -> torch.Tensor:
        """Return the input embedding of text ids, (...) -> (..., H)."""
        return self.causal_lm.get_input_embeddings()(text).float()

    def logits(self, last: torch.Tensor) -> torch.Tensor:
        """Return text logits, (..., H) -> (..., V), as the LM's class makes them."""
        return text_logits(self.causal_lm, last)

    def check_positions(self, rows: int) -> None:
        """Raise ``ValueError`` if the LM has fewer positions than ``rows``."""
        check_positions(self.causal_lm, rows)

    def forward(self, inputs: torch.Tensor, **options) -> BackboneOutput:
        """Run the LM.

        Args:
            inputs: Input embeddings, (B, L, H). Right padding needs no mask: the LM
                is causal.
            **options: Of :meth:`run`.

        Returns:
            States, the last state, cache.

        Raises:
            ValueError: More rows than the LM has positions.
        """
        return self.run(self.causal_lm, inputs, **options)

    @torch.no_grad()
    def base_forward(self, text: torch.Tensor, **options) -> BackboneOutput:
        """Run the frozen base LM.

        Args:
            text: Text ids, (B, N), embedded by the base LM itself.
            **options: Of :meth:`run`.

        Returns:
            See :meth:`forward`.
        """
        with self.base() as base:
            return self.run(base, base.get_input_embeddings()(text), **options)

    def run(
        self,
        causal_lm: nn.Module,
        inputs: torch.Tensor,
        layers: Sequence[int] = (),
        attention_mask: Optional[torch.Tensor] = None,
        position_ids: Optional[torch.Tensor] = None,
        cache: Any = None,
        use_cache: bool = False,
    ) -> BackboneOutput:
        """Run the trained or the base LM.

        Args:
            causal_lm: One of them.
            inputs: Input embeddings, (B, L, H).
            layers: Hidden states to return, 0 the embeddings; the last one is free.
            attention_mask: (B, past + L), for batches of prompts of unequal length.
            position_ids: (B, L), likewise.
            cache: From the output of the call before.
            use_cache: Return a cache.

        Returns:
            See :meth:`forward`.
        """
        past = 0 if cache is None else cache.get_seq_length()
        self.check_positions(past + inputs.size(1))
        final = self.num_states - 1
        outputs = causal_lm.base_model(
            inputs_embeds=inputs.to(causal_lm.get_input_embeddings().weight.dtype),
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=use_cache,
            output_hidden_states=any(layer != final for layer in layers),
        )
        last = outputs.last_hidden_state
        states = tuple(
            last if layer == final else outputs.hidden_states[layer] for layer in layers
        )
        states = tuple(state.float() for state in states)
        return BackboneOutput(states, last.float(), outputs.past_key_values)

    @property
    def base_changes(self) -> bool:
        """Whether training changes what the base LM predicts."""
        return False

    @torch.no_grad()
    def base_states(self, text: torch.Tensor) -> torch.Tensor:
        """Return the frozen base LM's hidden state after each text id.

        Args:
            text: Text ids that begin with BOS, (B, N).

        Returns:
            After the final norm, (B, N, H), without gradient.
        """
        with self.base() as base:
            output = base.base_model(input_ids=text, use_cache=False)
            return output.last_hidden_state.float()

    @torch.no_grad()
    def base_logits(self, states: torch.Tensor) -> torch.Tensor:
        """Return what the frozen base LM predicts.

        Args:
            states: Of :meth:`base_states`, (..., H).

        Returns:
            (..., V), without gradient.
        """
        with self.base() as base:
            return text_logits(base, states)

    def has_fixed_output(self) -> bool:
        """Whether logits are, in float32, the base LM's affine function of states."""
        lm = self.causal_lm
        weights = list(lm.get_output_embeddings().parameters())
        like = lm.get_input_embeddings().weight[0]
        return (
            not any(weight.requires_grad for weight in weights)
            and {weight.dtype for weight in [*weights, like]} == {torch.float32}
            and not like.is_meta
            and is_affine(partial(text_logits, lm), like)
        )

    @torch.no_grad()
    def base_tangents(self, states: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """Return what the divergence needs of the base LM; see ``slm/tangents.py``.

        Args:
            states: Of :meth:`base_states`, (R, H).
            text: Text ids that follow, (R,).

        Returns:
            (R, H + 2); of use where :meth:`has_fixed_output`.
        """
        with self.base() as base:
            return base_tangents(partial(text_logits, base), states, text)


def freeze(module: nn.Module) -> None:
    """Freeze a module and put it into evaluation mode."""
    module.requires_grad_(False)
    module.eval()


def _checkpoint_layers(lm: nn.Module, mode: bool) -> None:
    """Let layers in evaluation mode be checkpointed while what is around them trains.

    Args:
        lm: Its layers are checkpointed, if at all, only in training mode; what they
            are made of keeps its mode, and dropout of their own is left out.
        mode: Whether the model around it trains.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers = (m for m in lm.modules() if isinstance(m, GradientCheckpointingLayer))
    for layer in filter(lambda layer: layer.gradient_checkpointing, layers):
        layer.training = mode
        for name in {"dropout", "activation_dropout"} & vars(layer).keys():
            setattr(layer, name, 0.0)  # of OPT, BART and their relatives


class LoraBackbone(AbsBackbone):
    """Low-rank adapters on a frozen base (published: r 64, alpha 128, dropout 0.05).

    Args:
        lm: A Hugging Face causal LM.
        r: Rank.
        alpha: Scale is alpha / r.
        dropout: On the adapters' input.
        target_modules: Layer names; "all-linear" means every one but the output.
    """

    def __init__(
        self,
        lm: nn.Module,
        r: int = 64,
        alpha: int = 128,
        dropout: float = 0.05,
        target_modules: Union[str, Sequence[str]] = "all-linear",
    ):
        peft = require("peft", feature="LoRA adaptation", extra="slm")
        if not isinstance(target_modules, str):
            target_modules = list(target_modules)
        config = peft.LoraConfig(
            r=r,
            lora_alpha=alpha,
            lora_dropout=dropout,
            target_modules=target_modules,
            task_type="CAUSAL_LM",
        )
        super().__init__(peft.get_peft_model(lm, config))
        for layer in self.lm.modules():
            if dropout and isinstance(layer, peft.tuners.lora.LoraLayer):
                layer.lora_dropout["default"] = Dropout(dropout)

    @property
    def causal_lm(self):
        """See :attr:`AbsBackbone.causal_lm`."""
        return self.lm.get_base_model()

    def merged(self) -> AbsBackbone:
        """The base with the adapters added to its weights, in place.

        4-bit weights would be rounded again, so there the adapters stay beside them.
        """
        if getattr(self.causal_lm, "is_loaded_in_4bit", False):
            return self
        return FrozenBackbone(self.lm.merge_and_unload())

    @contextmanager
    def base(self) -> Iterator[nn.Module]:
        """The same weights with the adapter switched off."""
        with self.lm.disable_adapter():
            yield self.lm.get_base_model()

    def train(self, mode: bool = True):
        """Set the mode of the adapters; the frozen base stays in evaluation mode."""
        super().train(False)
        self.training = mode
        for name, module in self.lm.named_modules():
            if ".lora_" in name:
                module.train(mode)
        _checkpoint_layers(self.lm, mode)
        return self


class FullBackbone(AbsBackbone):
    """Every weight trains.

    Args:
        lm: A Hugging Face causal LM.
        keep_base: Keep a frozen copy as the base of the KL term; without it the model
            is its own base and the term is zero.
    """

    def __init__(self, lm: nn.Module, keep_base: bool = True):
        super().__init__(lm)
        self.frozen_base = deepcopy(lm) if keep_base else None
        if keep_base:
            freeze(self.frozen_base)

    @property
    def causal_lm(self):
        """See :attr:`AbsBackbone.causal_lm`."""
        return self.lm

    @property
    def base_changes(self) -> bool:
        """See :attr:`AbsBackbone.base_changes`."""
        return self.frozen_base is None

    @contextmanager
    def base(self) -> Iterator[nn.Module]:
        """The frozen copy, or the model itself."""
        yield self.lm if self.frozen_base is None else self.frozen_base

    def train(self, mode: bool = True):
        """Set the mode of the trained weights only."""
        super().train(mode)
        if self.frozen_base is not None:
            self.frozen_base.eval()
        return self


class FrozenBackbone(AbsBackbone):
    """No weight of the LM trains; only what is around it does.

    Args:
        lm: A Hugging Face causal LM.
    """

    def __init__(self, lm: nn.Module):
        super().__init__(lm)
        freeze(lm)

    @property
    def causal_lm(self):
        """See :attr:`AbsBackbone.causal_lm`."""
        return self.lm

    @contextmanager
    def base(self) -> Iterator[nn.Module]:
        """The model itself."""
        yield self.lm

    def train(self, mode: bool = True):
        """Keep the LM in evaluation mode."""
        super().train(mode)
        self.lm.eval()
        _checkpoint_layers(self.lm, mode)
        return self
