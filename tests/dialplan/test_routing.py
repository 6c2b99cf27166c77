import itertools

import pytest

from gateway.dialplan.actions.answer import Answer
from gateway.dialplan.numbers import matches, normal, specificity
from gateway.dialplan.plan import Dialplan, Plan, Route
from gateway.dialplan.routing import route

CALLED, CALLER = "+15550001001", "+15550002002"


def dialplan(*routes: Route, default: str | None = None) -> Dialplan:
    names = [each.plan for each in routes] + ([default] if default else [])
    return Dialplan(
        plans={name: Plan(name=name, steps=(Answer(),)) for name in names}, routes=routes, default=default
    )


def to(plan: str, called: str | None = None, caller: str | None = None) -> Route:
    return Route(called=called, caller=caller, plan=plan)


def name_of(plan: Plan | None) -> str | None:
    return None if plan is None else plan.name


@pytest.mark.parametrize(
    ("looser", "tighter"),
    [
        (to("a", "+1555*"), to("b", CALLED)),
        (to("a", "+15550001001*"), to("b", CALLED)),
        (to("a", "+1555000100?"), to("b", CALLED)),
        (to("a", "+1555*"), to("b", "+1555000*")),
        (to("a", "+1555*"), to("b", "+1555???????")),
        (to("a", "+1555???????"), to("b", "+15550*")),
        (to("a", "+1*001"), to("b", "+1555*")),
        (to("a", "+*"), to("b", "+?*")),
        (to("a", "+*1*1*"), to("b", "+1*1")),
        (to("a", CALLED), to("b", caller="+*")),
        (to("a", CALLED, "+1555*"), to("b", caller=CALLER)),
        (to("a", "+1555*", CALLER), to("b", CALLED, CALLER)),
        (to("a", None, CALLER), to("b", "+*", CALLER)),
    ],
)
def test_the_more_specific_route_wins_in_either_order(looser: Route, tighter: Route) -> None:
    in_order = route(dialplan(looser, tighter), CALLED, CALLER)
    reversed_ = route(dialplan(tighter, looser), CALLED, CALLER)

    assert (name_of(in_order), name_of(reversed_)) == ("b", "b")


def test_a_route_of_another_caller_does_not_match() -> None:
    plan = route(dialplan(to("a", CALLED, "+15550009999"), to("b", "+1*")), CALLED, CALLER)

    assert name_of(plan) == "b"


def test_an_unknown_number_gets_the_default() -> None:
    assert name_of(route(dialplan(to("a", "+44*"), default="d"), CALLED, CALLER)) == "d"


def test_an_unknown_number_without_default_gets_nothing() -> None:
    assert route(dialplan(to("a", "+44*")), CALLED, CALLER) is None


@pytest.mark.parametrize(
    "called", ["", "reception", "+", "+1555x", "+1" + "5" * 30, "+15550001001\n", "+١٢٣", "15550001001"]
)
def test_what_is_no_number_gets_the_default(called: str) -> None:
    assert name_of(route(dialplan(to("a", "+*"), default="d"), called, CALLER)) == "d"


def test_a_caller_who_withholds_his_number_is_routed_by_the_called_one() -> None:
    plan = route(dialplan(to("a", CALLED), to("b", caller="+*")), CALLED, "anonymous")

    assert name_of(plan) == "a"


def test_no_pattern_hides_one_whose_numbers_are_all_its_own() -> None:
    digits = "129"  # 9 stands in no pattern, as some digit never does
    patterns = {
        normal("+" + "".join(p)) for length in (1, 2, 3) for p in itertools.product("12?*", repeat=length)
    }
    numbers = {"+" + "".join(n) for length in range(2, 6) for n in itertools.product(digits, repeat=length)}
    taken = {pattern: {number for number in numbers if matches(pattern, number)} for pattern in patterns}

    hidden = [
        (inner, outer)
        for inner, outer in itertools.permutations(patterns, 2)
        if set() < taken[inner] < taken[outer] and specificity(inner) <= specificity(outer)
    ]

    assert hidden == []


@pytest.mark.parametrize(
    ("pattern", "same"), [("+1**", "+1*"), ("+1*?", "+1?*"), ("+1?*?*2", "+1??*2"), ("+1?2", "+1?2")]
)
def test_a_pattern_has_one_normal_spelling(pattern: str, same: str) -> None:
    assert normal(pattern) == same
