"""For tests of a policy with plain Python. Questions are the dataclasses of `tero_policy`, whose fields have defaults."""

from typing import Mapping

from . import _host


def set_table(name: str, rows: Mapping[str, str]) -> None:
    """Sets a data table, from keys to values."""
    _host.tables[name] = dict(rows)
