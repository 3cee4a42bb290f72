"""Options of commands that are the fields of a dataclass, with its words for help.

Enters: a dataclass whose docstring describes its fields under ``Attributes:``, and an
argparse parser. Leaves: an option for each field, of its type and with its default;
later the dataclass with what was given.
"""

import argparse
import inspect
import re
from collections.abc import Collection, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, TypeVar, get_args, get_type_hints

from espnet2.utils.types import str2bool

_FIELD = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)
Fields = TypeVar("Fields")
SAME_NAMES: Mapping[str, str] = MappingProxyType({})


def field_help(class_: type) -> dict[str, str]:
    """What the docstring of a dataclass says of each field, as argparse wants it."""
    _, _, section = inspect.getdoc(class_).partition("Attributes:\n")
    section = section.partition("\n\n")[0]
    return {
        name: " ".join(text.split()).removesuffix(".").replace("%", "%%")
        for name, text in _FIELD.findall(section)
    }


def add_field_options(
    parser: argparse.ArgumentParser,
    class_: type,
    names: Mapping[str, str] = SAME_NAMES,
    left_out: Collection[str] = (),
) -> None:
    """Add an option for each field.

    Args:
        parser: Gets the options.
        class_: Dataclass; all fields have defaults.
        names: Options of fields that are called otherwise.
        left_out: Fields without an option.
    """
    described, hints = field_help(class_), get_type_hints(class_)
    for field in fields(class_):
        if field.name in left_out:
            continue
        hint = hints[field.name]
        kind = (get_args(hint) or (hint,))[0]  # without the None of "int | None"
        parser.add_argument(
            f"--{names.get(field.name, field.name)}",
            type=str2bool if kind is bool else kind,
            default=field.default,
            help=described[field.name],
        )


def from_options(
    class_: type[Fields],
    options: Mapping[str, Any],
    names: Mapping[str, str] = SAME_NAMES,
) -> Fields:
    """An instance of a dataclass; what is missing has its default.

    Args:
        class_: The dataclass.
        options: By name; those that mean something else are left out.
        names: Options of fields that are called otherwise.
    """
    known = {field.name: names.get(field.name, field.name) for field in fields(class_)}
    return class_(**{f: options[key] for f, key in known.items() if key in options})
