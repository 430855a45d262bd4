"""`tero policy build` makes a component of this file: the policy, with its questions made friendly and its answers checked. Errors
go to the log with their place, since a trap alone does not name its cause."""

import json

import app
import wit_world
from componentize_py_types import Err
from tero_policy import Refusal, RequestDecision, ResponseDecision, _host
from tero_policy._answers import AnswerError, Lowering
from tero_policy._questions import Lifting
from wit_world.imports import tables, types


def longest_prefix(table, text):
    row = tables.longest_prefix(table, text)
    return row and (row.key, row.value)


_host.log, _host.get, _host.longest_prefix = wit_world.log, tables.get, longest_prefix

HOOKS = [name for name in ("on_request", "on_response", "plan_warm") if callable(getattr(app, name, None))]


class WitWorld(wit_world.WitWorld):
    def configure(self, settings):
        def ask():
            return Lowering("configure", types).manifest(app.configure(json.loads(settings)), [name.replace("_", "-") for name in HOOKS])

        return asked(ask)

    def on_request(self, texts, request, now):
        def ask():
            its = Lifting(texts)
            decision = app.on_request(its.request(request), its.moment(now)) if "on_request" in HOOKS else RequestDecision()
            return Lowering("on_request", types).request_decision(decision)

        return asked(ask)

    def on_response(self, texts, request, response, now):
        def ask():
            its = Lifting(texts)
            decision = ResponseDecision()
            if "on_response" in HOOKS:
                decision = app.on_response(its.request(request), its.response(response), its.moment(now))
            return Lowering("on_response", types).response_decision(decision)

        return asked(ask)

    def plan_warm(self, texts, plan, popular, now):
        def ask():
            its = Lifting(texts)
            pages = app.plan_warm(its.cut(plan), its.popular(popular), its.moment(now)) if "plan_warm" in HOOKS else []
            return Lowering("plan_warm", types).warm_urls(pages)

        return asked(ask)


def asked(ask):
    try:
        return ask()
    except Refusal as refusal:
        # The operator reads it.
        raise Err(str(refusal))
    except AnswerError as error:
        wit_world.log(str(error))
        raise
    except Exception as error:
        place = error.__traceback__
        while place.tb_next:
            place = place.tb_next
        file = place.tb_frame.f_code.co_filename.rpartition("/")[2]
        wit_world.log(f"{type(error).__name__}: {error}, at {file}:{place.tb_lineno}")
        raise
