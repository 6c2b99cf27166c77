"""`gateway call` without a call: which plan it has, and what it makes of how a call ended."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

from gateway.calls.record import CallRecord
from gateway.carriers.sip.settings import TrunkSettings
from gateway.carriers.sip.trunk import Trunk
from gateway.config import ConfigError
from gateway.contracts import EndReason
from gateway.dialplan.plan import Dialplan, load
from gateway.outbound import check_wish, headers_of, plan_named, why_it_failed
from gateway.wire.sip.uri import SipUri

PLANS = """
[plans.talk]
steps = [{ do = "answer" }, { do = "converse", agent = "echo" }]
[plans.bye]
steps = [{ do = "answer" }, { do = "hang_up" }]
[plans.no]
steps = [{ do = "reject", reason = "busy" }]
[agents.echo]
"""
DEFAULT = '[default]\nplan = "talk"\n'


def plans(folder: Path, text: str = PLANS) -> Dialplan:
    (folder / "plan.toml").write_text(text)
    return load(folder / "plan.toml")


def trunk(**settings: Any) -> Trunk:
    known: dict[str, Any] = {"address": SipUri(host="sip.acme.example"), "headers": ("X-Account",)} | settings
    return Trunk("acme", TrunkSettings(**known), None, Random(1))


def record(reason: EndReason, detail: str = "", **released: object) -> CallRecord:
    return CallRecord(
        call="c",
        carrier="sip",
        carrier_call="1",
        caller="a",
        called="b",
        plan="p",
        backend="echo",
        started_at="",
        reason=reason,
        detail=detail,
        released=released,
    )


# -- which plan


def test_the_plan_is_the_default_of_the_dialplan(tmp_path: Path):
    assert plan_named(plans(tmp_path, DEFAULT + PLANS), None).name == "talk"


def test_the_plan_is_the_one_that_is_named(tmp_path: Path):
    assert plan_named(plans(tmp_path, DEFAULT + PLANS), "bye").name == "bye"


def test_the_only_plan_needs_no_name(tmp_path: Path):
    only = '[plans.bye]\nsteps = [{ do = "answer" }, { do = "hang_up" }]\n'

    assert plan_named(plans(tmp_path, only), None).name == "bye"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (None, "the dialplan has no default; name one of its plans by --plan: bye, no, talk"),
        ("tlak", '--plan tlak: no such plan; did you mean "talk"? known: bye, no, talk'),
        ("no", "the plan no takes no call: busy; name another one by --plan"),
    ],
)
def test_a_plan_that_cannot_be_had_is_said_so(tmp_path: Path, name: str | None, told: str):
    with pytest.raises(ConfigError) as refused:
        plan_named(plans(tmp_path), name)

    assert str(refused.value) == told


# -- headers


def test_headers_are_read_as_they_are_written():
    assert headers_of(["X-Foo: bar", "X-Empty:", "X-Time:12:30"]) == {
        "X-Foo": "bar",
        "X-Empty": "",
        "X-Time": "12:30",
    }


@pytest.mark.parametrize("texts", [["X-Foo"], [": bar"], ["X-Foo: 1", "x-foo: 2"]])
def test_what_is_no_header_or_comes_twice_is_refused(texts: list[str]):
    with pytest.raises(ConfigError, match="expected 'NAME: TEXT', and each name once"):
        headers_of(texts)


@pytest.mark.parametrize("name", ["X-Bad", "Via"])
def test_a_header_that_the_trunk_does_not_let_through_is_told_before_anybody_is_rung(name: str):
    with pytest.raises(ConfigError, match=rf"--header: '{name}' is not in trunks\.acme\.headers"):
        check_wish("sip:+15551230001@acme", {"X-Account": "1", name: "x"}, trunk())


def test_a_trunk_without_an_address_is_told_before_anybody_is_rung():
    with pytest.raises(ConfigError, match=r"trunks\.acme\.address is missing"):
        check_wish("sip:+15551230001@acme", {}, trunk(address=None))


def test_what_the_trunk_lets_through_may_be_called():
    check_wish("sip:+15551230001@acme", {"x-account": "1"}, trunk())


# -- how it ended


@pytest.mark.parametrize("reason", [EndReason.PLAN_ENDED, EndReason.AGENT_HUNG_UP, EndReason.TRANSFERRED])
def test_a_call_that_ended_as_its_plan_wanted_has_not_failed(tmp_path: Path, reason: EndReason):
    assert why_it_failed(record(reason), plans(tmp_path).plans["bye"], 60) == ""


def test_a_conversation_may_be_ended_by_either_side_and_an_announcement_may_not(tmp_path: Path):
    both = plans(tmp_path).plans
    hung_up = record(EndReason.CALLER_HUNG_UP, why="hung up", cause=16)

    assert why_it_failed(hung_up, both["talk"], 60) == ""
    assert (
        why_it_failed(hung_up, both["bye"], 60) == "they hung up before the plan was through, Q.850 cause 16"
    )


@pytest.mark.parametrize(
    ("ended", "told"),
    [
        (
            record(EndReason.BUSY, "refused, SIP 486", status=486, cause=17, text="User busy"),
            "busy, SIP 486, Q.850 cause 17, “User busy”",
        ),
        (record(EndReason.REFUSED, status=404), "refused, SIP 404"),
        (record(EndReason.NO_ANSWER), "no answer within 20 s"),
        (record(EndReason.NO_ANSWER, status=480), "no answer, SIP 480"),
        (record(EndReason.CARRIER_SILENT), "carrier_silent"),
        (
            record(EndReason.CARRIER_INVALID, "no answer", text="the answer has RTP/AVP, the offer RTP/SAVP"),
            "carrier_invalid, “the answer has RTP/AVP, the offer RTP/SAVP”",
        ),
        (record(EndReason.CARRIER_INVALID, "no answer"), "carrier_invalid, no answer"),
        (record(EndReason.CARRIER_LOST, "lost, SIP 481"), "carrier_lost, lost, SIP 481"),
    ],
)
def test_a_call_that_failed_is_told_in_one_line_with_its_cause(tmp_path: Path, ended: CallRecord, told: str):
    assert why_it_failed(ended, plans(tmp_path).plans["talk"], 20) == told
