"""`tero policy build` makes a component of this file: the policy, with errors written to the log. A trap alone does not name its cause."""

import app
from componentize_py_types import Err
from wit_world import log


class WitWorld(app.WitWorld):
    def configure(self, *args):
        return logging_errors(super().configure, args)

    def on_request(self, *args):
        return logging_errors(super().on_request, args)

    def on_response(self, *args):
        return logging_errors(super().on_response, args)

    def plan_warm(self, *args):
        return logging_errors(super().plan_warm, args)


def logging_errors(hook, args):
    try:
        return hook(*args)
    except Err:
        # The operator reads it.
        raise
    except Exception as error:
        place = error.__traceback__
        while place.tb_next:
            place = place.tb_next
        file = place.tb_frame.f_code.co_filename.rpartition("/")[2]
        log(f"{type(error).__name__}: {error}, at {file}:{place.tb_lineno}")
        raise
