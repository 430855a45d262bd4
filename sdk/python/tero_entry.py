"""`tero policy build` makes a component of this file: the policy, with its answers checked, and with errors written to the log.
A trap alone does not name its cause, and an answer of another shape fails without naming the field."""

from dataclasses import fields, is_dataclass
from enum import Enum
from typing import List, Union, get_args, get_origin, get_type_hints

import app
from componentize_py_types import Err
from wit_world import log
from wit_world.imports.types import Manifest, RequestDecision, ResponseDecision, WarmUrl

# The largest whole number of a field; that of 32 bits where it is not named.
LARGEST = {"priority": 255}
LARGEST_OF_32_BITS = 4_294_967_295
HINTS = {}


class ShapeError(TypeError):
    pass


class WitWorld(app.WitWorld):
    def configure(self, *args):
        return checked("configure", super().configure, args, Manifest)

    def on_request(self, *args):
        return checked("on_request", super().on_request, args, RequestDecision)

    def on_response(self, *args):
        return checked("on_response", super().on_response, args, ResponseDecision)

    def plan_warm(self, *args):
        return checked("plan_warm", super().plan_warm, args, List[WarmUrl])


def checked(name, hook, args, kind):
    try:
        answer = hook(*args)
        check(answer, kind, "", name)
        return answer
    except Err:
        # The operator reads it.
        raise
    except ShapeError as error:
        log(str(error))
        raise
    except Exception as error:
        place = error.__traceback__
        while place.tb_next:
            place = place.tb_next
        file = place.tb_frame.f_code.co_filename.rpartition("/")[2]
        log(f"{type(error).__name__}: {error}, at {file}:{place.tb_lineno}")
        raise


def check(value, kind, path, hook):
    """Checks a value of an answer. `path` leads to it, `hook` gave the answer."""
    if get_origin(kind) is Union:
        kinds = get_args(kind)
        if value is None and type(None) in kinds:
            return
        kinds = [each for each in kinds if each is not type(None)]
        if len(kinds) == 1 and fits(value, kinds[0], path):
            return check(value, kinds[0], path, hook)
        for each in kinds:
            if is_dataclass(each) and type(value) is each:
                return check(value, each, path, hook)
        refuse(value, kind, path, hook)
    if not fits(value, kind, path):
        refuse(value, kind, path, hook)
    if get_origin(kind) is list:
        for index, item in enumerate(value):
            check(item, get_args(kind)[0], f"{path}[{index}]", hook)
    elif is_dataclass(kind):
        if kind not in HINTS:
            HINTS[kind] = get_type_hints(kind)
        known = [field.name for field in fields(kind)]
        for name in vars(value):
            if name not in known:
                raise ShapeError(f"{place(path, hook)} has the field `{name}`, which is not one of {', '.join(known)}")
        for name in known:
            check(getattr(value, name), HINTS[kind][name], f"{path}.{name}" if path else name, hook)


def fits(value, kind, path):
    """Whether a value is of a kind, as far as can be seen without looking into it."""
    if get_origin(kind) is list:
        return isinstance(value, list)
    if kind is int:
        return type(value) is int and 0 <= value <= largest(path)
    return type(value) is kind or (issubclass(kind, Enum) and isinstance(value, kind))


def refuse(value, kind, path, hook):
    shown = f"{value!r:.64}" if value is None or isinstance(value, (str, int, float, bool)) else f"a {type(value).__name__}"
    raise ShapeError(f"{place(path, hook)} is {shown}: it wants {words(kind, path)}")


def words(kind, path):
    if get_origin(kind) is Union:
        return " or ".join("None" if each is type(None) else words(each, path) for each in get_args(kind))
    if get_origin(kind) is list:
        return "a list"
    if kind is int:
        return f"a whole number from 0 to {largest(path)}"
    return {str: "a text", bool: "True or False"}.get(kind, f"a {kind.__name__}")


def largest(path):
    return LARGEST.get(path.rpartition(".")[2], LARGEST_OF_32_BITS)


def place(path, hook):
    return f"`{path}` in the answer of {hook}" if path else f"the answer of {hook}"
