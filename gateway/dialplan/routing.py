"""Which plan answers a call."""

from gateway.dialplan.numbers import matches, specificity
from gateway.dialplan.plan import Dialplan, Plan, Route


def route(dialplan: Dialplan, called: str, caller: str) -> Plan | None:
    """The plan for a call from `caller` to `called`, both E.164; None when the call is to be rejected.

    Of all routes that match, one that names a caller goes before those that name none, and then an exact
    number before a pattern, and a more specific pattern before a looser one. The order in the files means
    nothing. Without a match the default answers, if there is one.
    """
    matching = [candidate for candidate in dialplan.routes if _takes(candidate, called, caller)]
    if matching:
        return dialplan.plans[max(matching, key=_rank).plan]
    return dialplan.plans[dialplan.default] if dialplan.default is not None else None


def _takes(candidate: Route, called: str, caller: str) -> bool:
    return (candidate.called is None or matches(candidate.called, called)) and (
        candidate.caller is None or matches(candidate.caller, caller)
    )


def _rank(candidate: Route) -> tuple[object, ...]:
    """Sorts by the caller first: who blocks a caller means all numbers, also those with a route of their own."""
    by_caller, by_called = candidate.caller, candidate.called
    return (
        by_caller is not None,
        specificity(by_caller or ""),
        by_called is not None,
        specificity(by_called or ""),
    )
