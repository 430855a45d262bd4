"""The functions of the edge. Outside of it, in tests of a policy, the log goes to standard error, and tables are those that
`tables` has."""

import sys
from typing import Callable, Optional

# For tests: names of tables, with their rows.
tables: dict[str, dict[str, str]] = {}


def _log(message: str) -> None:
    print(message, file=sys.stderr)


def _get(table: str, key: str) -> Optional[str]:
    return tables.get(table, {}).get(key)


def _longest_prefix(table: str, text: str) -> Optional[tuple[str, str]]:
    rows = tables.get(table, {})
    keys = [key for key in rows if text.startswith(key)]
    return (max(keys, key=len), rows[max(keys, key=len)]) if keys else None


log: Callable[[str], None] = _log
get: Callable[[str, str], Optional[str]] = _get
longest_prefix: Callable[[str, str], Optional[tuple[str, str]]] = _longest_prefix
