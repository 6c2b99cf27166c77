"""The tools that the agent calls, and the order of their answers."""

import json

from gateway.calls.call_tools import EndCall, Tones, Transfer
from gateway.calls.tool_calls import ToolCalls
from gateway.contracts import Agent, Fact, Output, RunTool, VoiceTraits
from gateway.voice.session_core import SessionCore
from gateway.voice.session_events import ToolCalled


class Talk:
    """`ToolCalls` and the session that hears of the answers."""

    def __init__(self) -> None:
        self.out: list[Output] = []
        self.tools = ToolCalls({"hours"}, {"front_desk"}, self.out.append)
        self._session = SessionCore(Agent(name="a"), VoiceTraits(name="hosted"))
        self._session.connect()
        self._session.opened()
        self._session.outgoing()

    def calls(self, *calls: str) -> None:
        for call in calls:
            self.asks(call, "hours")

    def asks(self, call: str, tool: str, arguments: str = "{}") -> EndCall | Transfer | Tones | None:
        return self.tools.called(self._session, ToolCalled(call, tool, arguments))

    def answers(self, call: str, output: str, *, failed: bool = False) -> list[tuple[str, str]]:
        """What the voice is told then."""
        self.tools.answered(self._session, call, output, failed=failed)
        return self.told()

    def told(self) -> list[tuple[str, str]]:
        events = [json.loads(event) for event, _ in self._session.outgoing()]
        return [(event["item"]["call_id"], event["item"]["output"]) for event in events]

    @property
    def facts(self) -> list[str]:
        return [output.name for output in self.out if isinstance(output, Fact)]


def test_a_tool_of_the_agents_own_runs():
    talk = Talk()

    assert talk.asks("a", "hours", '{"day": 1}') is None
    assert RunTool(id="a", name="hours", arguments='{"day": 1}') in talk.out
    assert talk.tools.running


def test_what_is_wanted_of_the_call_is_handed_on_and_nobody_waits_for_an_answer():
    talk = Talk()

    wishes = [talk.asks("a", "end_call"), talk.asks("b", "transfer_call", '{"destination": "front_desk"}')]

    assert wishes == [EndCall(), Transfer("front_desk", "b")]
    assert not talk.tools.running


def test_keys_that_are_pressed_are_answered_at_once():
    talk = Talk()

    assert isinstance(talk.asks("a", "send_digits", '{"digits": "1"}'), Tones)
    assert talk.told() == [("a", "The digits were sent.")]
    assert talk.tools.due


def test_what_cannot_be_done_is_told_at_once():
    talk = Talk()

    assert talk.asks("a", "fly") is None
    assert talk.told() == [("a", "There is no tool 'fly'.")]


def test_a_tool_is_answered_when_it_is_done():
    talk = Talk()
    talk.calls("a")

    assert talk.answers("a", "nine") == [("a", "nine")]
    assert not talk.tools.running


def test_an_answer_waits_for_the_one_that_was_asked_for_before_it():
    talk = Talk()
    talk.calls("a", "b", "c")

    found = [talk.answers("c", "3"), talk.answers("a", "1"), talk.answers("b", "2")]

    assert found == [[], [("a", "1")], [("b", "2"), ("c", "3")]]


def test_the_agent_is_to_go_on_when_the_last_one_has_its_answer():
    talk = Talk()
    talk.calls("a", "b")

    talk.answers("a", "1")
    due_between = talk.tools.due
    talk.answers("b", "2")

    assert not due_between
    assert talk.tools.due


def test_an_agent_that_was_asked_to_go_on_is_not_asked_twice():
    talk = Talk()
    talk.calls("a")
    talk.answers("a", "1")

    talk.tools.asked()

    assert not talk.tools.due


def test_an_answer_that_nobody_waits_for_means_nothing():
    assert Talk().answers("a", "nine") == []


def test_a_second_answer_to_a_call_means_nothing():
    talk = Talk()
    talk.calls("a")
    talk.answers("a", "nine")

    assert talk.answers("a", "ten") == []


def test_an_answer_and_a_failure_are_facts_of_their_own():
    talk = Talk()
    talk.calls("a", "b")

    talk.answers("a", "nine")
    talk.answers("b", "it broke", failed=True)

    assert talk.facts == ["tool.called", "tool.called", "tool.answered", "tool.failed"]
