"""Lean imports: the same classes later, and nothing of it left behind."""

import importlib
import sys

import pytest
import torch
import typeguard

from espnet2_taste.lean_imports import LATER, LaterModule, StandIn, lean_espnet


def left_behind() -> list[str]:
    """Names of stand-ins among the imported modules."""
    return [name for name, m in sys.modules.items() if isinstance(m, LaterModule)]


def test_types_are_unchecked_inside_and_checked_again_afterwards():
    checked, hidden = typeguard.typechecked, torch.compiler.disable
    with lean_espnet():

        @typeguard.typechecked
        def double(number: int) -> int:
            return 2 * number

        @typeguard.typechecked(collection_check_strategy=None)
        def triple(number: int) -> int:
            return 3 * number

        assert double("a") == "aa" and triple("a") == "aaa"
    assert typeguard.typechecked is checked and torch.compiler.disable is hidden


def test_nothing_is_left_behind_after_an_error():
    checked = typeguard.typechecked
    with pytest.raises(KeyError), lean_espnet():
        raise KeyError
    assert typeguard.typechecked is checked
    assert left_behind() == []


@pytest.mark.parametrize("module", LATER)
def test_espnet_has_what_comes_later(module):
    for name in LATER[module]:
        assert callable(getattr(importlib.import_module(module), name))


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A module with a class and a function that comes later."""
    (tmp_path / "shelf.py").write_text(
        "class Book:\n    PAGES = 7\n\n    def __init__(self, title):\n"
        "        self.title = title\n\n\ndef lend(title):\n    return Book(title)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(LATER, "shelf", ("Book", "lend"))
    yield
    sys.modules.pop("shelf", None)


def test_a_stand_in_is_called_as_what_it_stands_for(shelf):
    with lean_espnet():
        from shelf import Book, lend
    assert isinstance(Book, StandIn) and "shelf" not in sys.modules
    assert not isinstance("a title", Book)
    book = lend("Ulysses")
    assert book.title == "Ulysses" and isinstance(book, Book)
    assert type(book) is type(Book("Dubliners")) is sys.modules["shelf"].Book
    assert Book.PAGES == 7


def test_anything_else_of_the_module_loads_it(shelf):
    with lean_espnet():
        import shelf as later

        with pytest.raises(AttributeError, match="borrow"):
            later.borrow
        assert not isinstance(sys.modules["shelf"], LaterModule)
    assert sys.modules["shelf"].lend("Ulysses").PAGES == 7


def test_what_was_imported_before_stays(shelf):
    import shelf as before

    with lean_espnet():
        import shelf as inside
    assert inside is before


def test_the_inner_of_two_leaves_the_outer_as_it_was(shelf):
    with lean_espnet():
        with lean_espnet():
            pass
        from shelf import Book
    assert isinstance(Book, StandIn)
    assert left_behind() == []
