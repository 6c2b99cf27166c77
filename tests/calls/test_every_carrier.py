"""What a caller notices is the same whatever carrier he comes by."""

import numpy as np
import pytest

from gateway import contracts as c
from gateway.dialplan.actions.converse import Converse
from gateway.dialplan.actions.say import Say
from tests.calls.phone_call import PhoneCall
from tests.contracts.leg_peers import PEERS, Peer

every_carrier = pytest.mark.parametrize("carrier", sorted(PEERS))
END_CALL = {"name": "end_call", "call_id": "call_1", "arguments": "{}"}


def calling(carrier: str, *, min_speech_ms: int = 0, min_words: int = 0) -> PhoneCall[Peer]:
    """The agent has nothing to greet with, and the caller has been silent for a second."""
    return PhoneCall(PEERS[carrier](), min_speech_ms=min_speech_ms, min_words=min_words).answered().ticks(50)


def tenths(first: int, last: int) -> list[int]:
    """Which tenth each 20 ms are of, from one tenth of a second to another."""
    return [number for number in range(first, last) for _ in range(5)]


def halves(call: PhoneCall[Peer]) -> tuple[np.ndarray, np.ndarray]:
    both = np.frombuffer(call.mix.finish(call.now), "<i2").reshape(-1, 2).astype(float)
    return both[:, 0], both[:, 1]


def onset_s(samples: np.ndarray) -> float:
    return float(np.flatnonzero(np.abs(samples) > 500)[0]) / 8000


# -- without interruption


@every_carrier
def test_an_answer_is_heard_whole_in_order_and_soon(carrier: str):
    call = calling(carrier).responds(2000)
    began = call.now

    call.ticks(20)
    after_s = call.now - began - call.heard_ms / 1000
    call.ticks(200)

    assert call.heard[:100] == tenths(0, 20)
    assert call.heard_ms <= 2020
    assert after_s <= 0.25


@every_carrier
def test_what_was_heard_whole_is_never_cut(carrier: str):
    call = calling(carrier).responds(1000).ticks(120)

    call.interrupts().ticks(50)

    assert call.told("conversation.item.truncate") == []
    assert call.facts("agent.interrupted") == []


@every_carrier
def test_the_agent_ends_the_call_when_its_goodbye_was_heard_and_not_long_after(carrier: str):
    call = calling(carrier).responds(1000, "r1", END_CALL)

    while call.core.ended is None:
        call.ticks(1)

    call.phone.advance(call.now + 0.02)
    assert call.core.ended is c.EndReason.AGENT_HUNG_UP
    assert call.heard[:50] == tenths(0, 10)
    assert call.now <= 1 + 1.0 + 0.4


@every_carrier
def test_a_text_of_the_plan_is_heard_before_the_next_step_begins(carrier: str):
    call = PhoneCall(PEERS[carrier](), Say(text="Welcome."), Converse(agent="reception"))
    call.say(*call.phone.start()).ticks(10)
    clip = next(output for output in call.out if isinstance(output, c.Synthesize))
    call.feed("command", f'{{"type":"clip.ready","id":{clip.id},"pcm":"{"AAAA" * 8000}"}}')

    while not any(isinstance(output, c.OpenVoice) for output in call.out):
        call.ticks(1)

    assert 0.2 + 0.5 <= call.now <= 0.2 + 0.5 + 0.4


# -- interruptions


@every_carrier
@pytest.mark.parametrize("after_ticks", [1, 7, 50, 80, 149])
def test_what_the_voice_is_told_was_heard_is_no_more_than_the_truth_and_near_to_it(
    carrier: str, after_ticks: int
):
    call = calling(carrier).responds(3000).ticks(after_ticks)

    call.interrupts().ticks(100)

    [cut] = call.facts("agent.interrupted")
    [truncated] = call.told("conversation.item.truncate")
    assert cut["heard_low_ms"] <= call.heard_ms <= cut["heard_high_ms"] + 1
    assert 0 <= call.heard_ms - truncated["audio_end_ms"] <= 60


@every_carrier
def test_an_interruption_silences_the_agent_for_good(carrier: str):
    call = calling(carrier).responds(3000).ticks(50)

    call.interrupts().ticks(15)
    heard_ms = call.heard_ms
    call.ticks(100)

    assert call.heard_ms == heard_ms <= 1000 + 20
    assert [event["response_id"] for event in call.told("response.cancel")] == []  # it was all there


@every_carrier
def test_the_answer_to_an_interruption_is_heard_whole(carrier: str):
    call = calling(carrier).responds(3000).ticks(50).interrupts().ticks(30).stops(1600)
    before = len(call.heard)

    call.responds(1000, "r2").ticks(120)

    assert call.heard[before:][:50] == tenths(0, 10)


@every_carrier
def test_a_second_interruption_counts_from_where_the_second_answer_began(carrier: str):
    call = calling(carrier).responds(3000).ticks(50).interrupts().ticks(30).stops(1600)
    before_ms = call.heard_ms

    call.responds(3000, "r2").ticks(40).interrupts().ticks(100)

    _, second = call.told("conversation.item.truncate")
    assert second["item_id"] == "item_of_r2"
    assert 0 <= call.heard_ms - before_ms - second["audio_end_ms"] <= 60


@every_carrier
def test_a_key_interrupts_as_a_word_does(carrier: str):
    call = calling(carrier).responds(3000).ticks(50)

    call.say(*call.phone.press("5")).ticks(100)

    [truncated] = call.told("conversation.item.truncate")
    assert call.facts("digit.pressed") == [{}]
    assert 0 <= call.heard_ms - truncated["audio_end_ms"] <= 60


# -- sounds that were none


@every_carrier
def test_after_a_cough_the_agent_goes_on_where_it_was_and_leaves_nothing_out(carrier: str):
    call = calling(carrier, min_speech_ms=300).responds(3000).ticks(50)

    call.interrupts().ticks(10).stops(90).ticks(200)

    assert call.facts("caller.ignored") == [{}]
    assert call.told("conversation.item.truncate") == []
    missing = set(range(30)) - set(call.heard)
    again_ms = call.heard_ms - 3000
    assert not missing
    assert call.heard == sorted(call.heard)
    assert 0 <= again_ms <= 60  # a frame of which nobody knows whether it was heard is said again


@every_carrier
def test_a_cough_that_becomes_words_cuts_at_what_was_heard_before_it(carrier: str):
    call = calling(carrier, min_speech_ms=300).responds(3000).ticks(50)

    call.interrupts().ticks(100)

    [cut] = call.facts("agent.interrupted")
    [truncated] = call.told("conversation.item.truncate")
    assert cut["heard_low_ms"] <= call.heard_ms <= cut["heard_high_ms"] + 1
    assert 0 <= call.heard_ms - truncated["audio_end_ms"] <= 60


@every_carrier
def test_an_answer_that_was_resumed_and_then_cut_counts_what_was_heard_of_both_parts(carrier: str):
    call = calling(carrier, min_speech_ms=300).responds(3000).ticks(50)
    call.interrupts().ticks(10).stops(90).ticks(60)

    call.interrupts().ticks(100)

    [truncated] = call.told("conversation.item.truncate")
    assert 0 <= call.heard_ms - truncated["audio_end_ms"] <= 120


# -- keys out, the recording, the end


@every_carrier
def test_keys_of_the_agent_come_behind_its_words_and_before_the_next(carrier: str):
    keys = {"name": "send_digits", "call_id": "call_1", "arguments": '{"digits":"12"}'}
    call = calling(carrier).responds(500, "r1", keys).responds(500, "r2")

    call.ticks(150)

    assert call.phone.digits == "12"
    assert call.heard[:25] == tenths(0, 5)
    assert call.heard[-26:][:25] == tenths(0, 5) or call.heard[-25:] == tenths(0, 5)


@every_carrier
def test_both_halves_of_the_recording_lie_where_they_were_heard(carrier: str):
    call = calling(carrier).responds(1000).ticks(25).ticks(50, talking=True).ticks(50)

    caller, agent = halves(call)

    assert len(caller) == len(agent) == pytest.approx(call.now * 8000, abs=160)
    assert onset_s(agent) == pytest.approx(1.0, abs=0.025)
    assert 1.5 - 0.025 <= onset_s(caller) <= 1.5 + 0.1  # behind a jitter buffer, if there is one


@every_carrier
def test_what_is_cut_is_not_in_the_recording(carrier: str):
    call = calling(carrier).responds(3000).ticks(50).interrupts().ticks(100)

    _, agent = halves(call)

    said_s = np.count_nonzero(np.abs(agent) > 500) / 8000
    assert said_s == pytest.approx(1.0, abs=0.05)


@every_carrier
def test_who_hangs_up_ends_the_call_and_hears_nothing_more(carrier: str):
    call = calling(carrier).responds(3000).ticks(20)

    call.say(*call.phone.hang_up()).ticks(20)

    assert call.core.ended is c.EndReason.CALLER_HUNG_UP
    assert [output for output in call.out if isinstance(output, c.Ended)] == [
        c.Ended(c.EndReason.CALLER_HUNG_UP)
    ]
    assert isinstance(call.out[-1], c.Ended)


@every_carrier
def test_the_same_inputs_have_the_same_outputs(carrier: str):
    call = calling(carrier, min_speech_ms=300).responds(3000).ticks(60, talking=True)
    call.interrupts().ticks(10).stops(90).ticks(20).interrupts().ticks(400)
    call.say(*call.phone.press("5")).ticks(20).say(*call.phone.hang_up())

    assert call.again() == call.out
