"""Import ESPnet without what a command does not need.

Enters: a ``with`` block that imports and uses ESPnet. Leaves: the same behaviour, after
a third of the time. What ESPnet loads at its start for rare options comes when it is
first used: adapters (wav2vec 2.0 of ``transformers``), JETS (numba), Qwen2-Audio's
tokenizer, filters of ``scipy.signal``. Run-time type checks, for whose sake the whole
file of every function is parsed again, are left out, and so is the mark that hides
functions from torch.compile.
"""

import importlib
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LATER = {
    "espnet2.gan_tts.jets.alignments": ("AlignmentModule",),
    "espnet2.layers.create_adapter": ("create_adapter",),
    "espnet2.text.hugging_face_token_id_converter": ("HuggingFaceTokenIDConverter",),
    "espnet2.text.hugging_face_tokenizer": ("HuggingFaceTokenizer",),
    "espnet2.text.qwen2audio_tokenizer": ("Qwen2AudioTokenizer",),
    "scipy.signal": (),
    "transformers.models.bart.modeling_bart": ("BartLearnedPositionalEmbedding",),
    "transformers.models.wav2vec2_conformer.modeling_wav2vec2_conformer": (
        "Wav2Vec2ConformerConfig",
        "Wav2Vec2ConformerEncoder",
    ),
}
"""Modules, and what ESPnet takes out of each at its start, to use it later or never."""


class StandIn(type):
    """A function or class that is imported when it is first called.

    An object is an instance of it if it is one of the class it stands for, which must
    have been imported for that.
    """

    def __new__(mcs, module: str, name: str) -> "StandIn":
        """Make the stand-in for ``module.name``."""
        return super().__new__(mcs, name, (), {"__module__": module})

    def __init__(cls, module: str, name: str):
        super().__init__(name, (), {})

    def _real(cls) -> Any:
        """What it stands for."""
        return getattr(_imported(cls.__module__), cls.__name__)

    def __call__(cls, *args, **kwargs) -> Any:
        """Call what it stands for."""
        return cls._real()(*args, **kwargs)

    def __getattr__(cls, name: str) -> Any:
        """An attribute of what it stands for."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(cls._real(), name)

    def __instancecheck__(cls, instance: Any) -> bool:
        """Whether it is an instance of the class it stands for."""
        module = sys.modules.get(cls.__module__)
        if module is None or isinstance(module, LaterModule):
            return False
        return isinstance(instance, getattr(module, cls.__name__))


class LaterModule(types.ModuleType):
    """Stands where a module will be; anything but the stand-in loads the module."""

    def __getattr__(self, name: str) -> Any:
        """An attribute of the module."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_imported(self.__name__), name)


def _imported(name: str) -> types.ModuleType:
    """The module itself."""
    if isinstance(sys.modules.get(name), LaterModule):
        del sys.modules[name]
    return importlib.import_module(name)


def _unchanged(target=None, **_):
    """A decorator, with or without options, that changes nothing."""
    return _unchanged if target is None else target


@contextmanager
def lean_espnet() -> Iterator[None]:
    """Within it ESPnet is imported as the module says."""
    import torch
    import typeguard

    checked, hidden = typeguard.typechecked, torch.compiler.disable
    typeguard.typechecked = torch.compiler.disable = _unchanged
    later = {name: LaterModule(name) for name in LATER if name not in sys.modules}
    for name, module in later.items():
        sys.modules[name] = module
        for content in LATER[name]:
            setattr(module, content, StandIn(name, content))
    try:
        yield
    finally:
        typeguard.typechecked, torch.compiler.disable = checked, hidden
        for name, module in later.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
