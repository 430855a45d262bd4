"""What `tero policy build` makes a component of: the policy, and what tells in the log what goes wrong in it. A trap alone says nothing."""

import app
from componentize_py_types import Err
from wit_world import log


class WitWorld(app.WitWorld):
    def configure(self, *args):
        return told(super().configure, args)

    def on_request(self, *args):
        return told(super().on_request, args)

    def on_response(self, *args):
        return told(super().on_response, args)

    def plan_warm(self, *args):
        return told(super().plan_warm, args)


def told(hook, args):
    try:
        return hook(*args)
    except Err:
        # For the operator.
        raise
    except Exception as error:
        place = error.__traceback__
        while place.tb_next:
            place = place.tb_next
        file = place.tb_frame.f_code.co_filename.rpartition("/")[2]
        log(f"{type(error).__name__}: {error}, at {file}:{place.tb_lineno}")
        raise
