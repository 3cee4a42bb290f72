"""Trained models for users: from files, a package, or a hub name.

``TasteTokenizer`` and ``SpokenLM`` are loaded when they are asked for, as they bring
torch with them. The network inside the first is
``tokenizer/taste_tokenizer.py``.
"""

_PLACES = {
    "TasteTokenizer": "espnet2_taste.inference.taste_tokenizer",
    "UnitSampling": "espnet2_taste.inference.taste_tokenizer",
    "SpokenLM": "espnet2_taste.inference.spoken_lm",
}
__all__ = sorted(_PLACES)


def __getattr__(name: str):
    """Import a class of users when it is first named."""
    import importlib

    if name not in _PLACES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(_PLACES[name]), name)
