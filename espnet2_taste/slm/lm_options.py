"""How a causal LM runs, as opposed to what it is: some keys of ``lm_conf``.

Enters: ``lm_conf``. Leaves: the type of the weights, the attention, 4-bit weights and
gradient checkpointing, each refused where it would be ignored; and the other keys,
which are fields of the model's own configuration.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from espnet2_taste.optional import require

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
ATTENTION = ("eager", "sdpa", "flash_attention_2")


@dataclass(frozen=True)
class LmOptions:
    """Keys of ``lm_conf`` that say how a causal LM runs.

    Attributes:
        dtype: Of the weights; with 4-bit weights, what products are computed in.
        attn_implementation: One of ``ATTENTION``; None: what ``transformers`` takes.
        gradient_checkpointing: In training, keep only the inputs of the layers and
            compute the rest again in the backward pass: less memory, a third more time.
        load_in_4bit: Keep the linear layers of a given LM as 4-bit NormalFloat with
            doubly quantized scales (QLoRA, arXiv 2305.14314, section 3), for adapters.

    Raises:
        ValueError: A value that is none of those possible.
        RuntimeError: A package that an option needs is absent.
    """

    dtype: str = "float32"
    attn_implementation: str | None = None
    gradient_checkpointing: bool = False
    load_in_4bit: bool = False

    def __post_init__(self):
        if self.dtype not in DTYPES:
            raise ValueError(
                f"lm_conf: dtype is '{self.dtype}', expected one of {list(DTYPES)}"
            )
        if self.attn_implementation not in (None, *ATTENTION):
            raise ValueError(
                f"lm_conf: attn_implementation is '{self.attn_implementation}', "
                f"expected one of {list(ATTENTION)}"
            )
        if self.attn_implementation == "flash_attention_2":
            _check_flash_attention()
        if self.load_in_4bit:
            require("bitsandbytes", feature="lm_conf.load_in_4bit", extra="qlora")

    @classmethod
    def split(cls, config: Mapping[str, Any]) -> tuple["LmOptions", dict[str, Any]]:
        """Options of ``lm_conf``, and the fields of the model's configuration."""
        names = {field.name for field in fields(cls)}
        given = {key: config[key] for key in config if key in names}
        return cls(**given), {key: config[key] for key in config if key not in names}

    @property
    def torch_dtype(self) -> torch.dtype:
        """Type of the weights."""
        return DTYPES[self.dtype]

    def check_full_training(self) -> None:
        """Refuse to train all weights of an LM in a type too coarse for small steps.

        Raises:
            ValueError: They are not kept in float32.
        """
        if self.load_in_4bit:
            raise ValueError(
                "lm_conf: load_in_4bit is for an LM whose weights stay; to adapt it "
                "set --adaptation lora"
            )
        if self.torch_dtype != torch.float32:
            raise ValueError(
                f"lm_conf: dtype {self.dtype} is for an LM whose weights stay; to "
                "train them all in half precision, leave it out and set --use_amp true"
            )

    def loading(self) -> dict[str, Any]:
        """Arguments of ``from_pretrained`` beside the configuration."""
        if not self.load_in_4bit:
            return {}
        from transformers import BitsAndBytesConfig

        settings = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=self.torch_dtype,
        )
        return {"quantization_config": settings}

    def apply(self, lm: nn.Module) -> None:
        """Set what is set on a built model, and check what it was built with.

        Args:
            lm: A Hugging Face causal LM.

        Raises:
            ValueError: Its class would ignore an option.
        """
        wanted, found = self.attn_implementation, lm.config._attn_implementation
        if wanted not in (None, found):
            raise _not_offered(lm, f"attn_implementation {wanted}", f"takes {found}")
        if self.load_in_4bit:
            # bitsandbytes would pack evaluated layers for products without gradient
            for layer in lm.modules():
                if hasattr(layer, "support_avx512bf16_for_cpu"):
                    layer.support_avx512bf16_for_cpu = False
        if self.gradient_checkpointing:
            if not lm.supports_gradient_checkpointing:
                raise _not_offered(lm, "gradient_checkpointing", "has none")
            lm.gradient_checkpointing_enable({"use_reentrant": False})


def _check_flash_attention() -> None:
    """Refuse an attention in whose place ``transformers`` would take another one."""
    if find_spec("flash_attn") is None:
        raise ValueError(
            "lm_conf: attn_implementation flash_attention_2 needs the Python module "
            "'flash_attn' and a GPU: pip install flash-attn (it is compiled for the "
            "CUDA of the machine), or set sdpa"
        )


def _not_offered(lm: nn.Module, option: str, found: str) -> ValueError:
    return ValueError(
        f"lm_conf: {option} is not offered by models of type '{lm.config.model_type}' "
        f"(transformers {found}): leave it out"
    )
