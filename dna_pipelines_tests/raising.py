"""Asserting what an error says to programs: its type, its code and its facts."""

from contextlib import contextmanager

import pytest


@contextmanager
def raises(kind, code, **facts):
    """Like `pytest.raises`, for an error of exactly this code, of whose facts these are equal."""
    with pytest.raises(kind) as caught:
        yield caught
    assert caught.value.code == code, str(caught.value)
    assert {name: caught.value.facts.get(name) for name in facts} == facts
