"""Families of parts, and building those that a configuration names.

Enters: parsed options and a ``ClassChoices``. Leaves: an instance of the chosen class;
for a whole model, one that can train, or sizes alone where options are only checked.
"""

import argparse
import copy
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from espnet2.train.class_choices import ClassChoices


class ChoicesWithNone(ClassChoices):
    """A family in which ``none``, a name that ESPnet reserves, stands for a class.

    Args:
        none: The name in ``classes`` that it stands for.
        **options: See ``ClassChoices``.
    """

    def __init__(self, *, none: str, **options):
        super().__init__(optional=True, **options)
        self.none = none

    def get_class(self, name: str | None) -> type:
        """Class of a name; ESPnet's parser turns "none" into None."""
        return super().get_class(self.none if name in (None, "none") else name)


def check_options(choices: ClassChoices, class_: type, names: Sequence[str]) -> None:
    """Refuse options that a class does not take.

    Args:
        choices: Its family, for the message.
        class_: The class.
        names: Names of keyword arguments.

    Raises:
        ValueError: One of them is unknown; those that exist are named.
    """
    known = keyword_names(class_)
    unknown = sorted(set(names) - known)
    if unknown:
        raise ValueError(
            f"{choices.name}_conf: {class_.__name__} has no option "
            f"'{', '.join(unknown)}'; it has {', '.join(sorted(known))}"
        )


def keyword_names(class_: type) -> set[str]:
    """Keyword arguments of a constructor, with those that ``**`` passes to its bases.

    Args:
        class_: A class.

    Returns:
        Their names.
    """
    names: set[str] = set()
    for base in class_.__mro__:
        if "__init__" not in vars(base):
            continue
        found = inspect.signature(base.__init__).parameters.values()
        open_ended = any(p.kind is p.VAR_KEYWORD for p in found)
        names |= {
            p.name for p in found if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        }
        if not open_ended:
            break
    return names - {"self"}


def build_model(build: Callable[[argparse.Namespace], Any], args: argparse.Namespace):
    """Build a model that trains, or, with ``--dry_run``, only see whether it can be.

    Args:
        build: Makes the model from the options.
        args: Options of a task.

    Returns:
        The model. That of a dry run is built on the meta device, where all its parts
        can be: trained weights are not read, and as no value is ever written, it takes
        neither memory nor time.

    Raises:
        ValueError: In a dry run, a file of ``--init_param`` does not fit the model.
    """
    import torch

    if not args.dry_run:
        return build(args)
    try:
        with torch.device("meta"):
            model = build(copy.deepcopy(args))
    except RuntimeError as error:
        if "meta" not in str(error):
            raise
        logging.info("a part needs values (%s): built with them", error)
        model = build(args)
    _check_init_param(model.to("meta"), args)
    return model.to_empty(device="cpu")


def _check_init_param(model: Any, args: argparse.Namespace) -> None:
    """Load the sizes of what a training would begin with; ESPnet does so later."""
    from espnet2.torch_utils.load_pretrained_model import load_pretrained_model

    for name in args.init_param:
        try:
            load_pretrained_model(name, model, args.ignore_init_mismatch, "meta")
        except (OSError, RuntimeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"--init_param {name} does not fit this model: {error}. Name the "
                "weights of a training with the same parts and sizes"
            ) from error


def build_part(
    choices: ClassChoices, args: argparse.Namespace, /, *sizes: Any, **given: Any
):
    """Build the chosen class of a family with its options.

    Args:
        choices: The family.
        args: Parsed options with ``<family>`` and ``<family>_conf``.
        *sizes: What the class gets from other parts.
        **given: The same by name; options of the configuration come first.

    Returns:
        The instance.

    Raises:
        ValueError: A name or an option is unknown or missing.
    """
    # experiments of a time before this family existed used its default
    class_ = choices.get_class(getattr(args, choices.name, choices.default))
    conf: Mapping = getattr(args, f"{choices.name}_conf", {})
    check_options(choices, class_, list(conf))
    try:
        return class_(*sizes, **(given | dict(conf)))
    except TypeError as error:
        raise ValueError(f"{choices.name}_conf: {error}") from error
