"""What a tool call of the agent asks for, and in which order it gets its answers."""

import pytest

from gateway.audio.tones import dtmf
from gateway.calls.call_tools import EndCall, Refusal, Tones, Transfer, built_in_tools, meant
from gateway.contracts import RunTool
from gateway.voice.session_events import ToolCalled


def asks(name: str, arguments: str = "{}") -> EndCall | Transfer | Tones | RunTool | Refusal:
    return meant(ToolCalled("call_1", name, arguments), {"hours"}, {"front_desk", "billing"})


def refusal(name: str, arguments: str = "{}") -> str:
    refused = asks(name, arguments)
    assert isinstance(refused, Refusal)
    return refused.text


# -- what every call offers


def test_every_agent_can_end_the_call_and_press_keys():
    assert [tool.name for tool in built_in_tools(())] == ["end_call", "send_digits"]


def test_a_transfer_is_offered_where_the_plan_names_destinations():
    tools = {tool.name: tool for tool in built_in_tools({"front_desk", "billing"})}

    parameters = tools["transfer_call"].parameters
    assert parameters["properties"]["destination"]["enum"] == ["billing", "front_desk"]
    assert parameters["required"] == ["destination"]


# -- what is meant


@pytest.mark.parametrize("arguments", ["{}", "", '{"why": "bye"}', "nonsense"])
def test_an_agent_that_ends_the_call_needs_no_arguments(arguments: str):
    assert asks("end_call", arguments) == EndCall()


def test_a_transfer_names_its_call_because_it_may_be_refused():
    assert asks("transfer_call", '{"destination": "billing"}') == Transfer("billing", "call_1")


def test_a_transfer_to_nowhere_is_told_where_there_is_to_go():
    text = refusal("transfer_call", '{"destination": "the moon"}')

    assert text == "There is no destination 'the moon', only: billing, front_desk."


def test_keys_become_tones():
    assert asks("send_digits", '{"digits": "1w#"}') == Tones("1w#", dtmf("1w#"))


def test_what_is_no_key_is_named():
    assert "'x'" in refusal("send_digits", '{"digits": "1x"}')


def test_more_keys_than_anybody_presses_are_refused():
    assert isinstance(asks("send_digits", f'{{"digits": "{"1" * 40}"}}'), Tones)
    assert "40" in refusal("send_digits", f'{{"digits": "{"1" * 41}"}}')


def test_a_tool_of_the_agent_gets_its_arguments_as_the_model_wrote_them():
    assert asks("hours", '{"day": 1') == RunTool(id="call_1", name="hours", arguments='{"day": 1')


def test_a_tool_that_does_not_exist_is_refused():
    assert refusal("launch") == "There is no tool 'launch'."


@pytest.mark.parametrize(
    "arguments",
    ["", "{}", "null", "[]", "{", '{"destination": 5}', '{"destination": "\ud800"}', '{"x":' + "[" * 100_000],
    ids=["none", "empty", "null", "a list", "cut off", "a number", "half a character", "deep"],
)
def test_arguments_of_the_wrong_shape_are_refused_with_the_reason(arguments: str):
    assert refusal("transfer_call", arguments).startswith("wrong arguments for transfer_call: ")
