"""What outlives a stream: first answers, one-time tokens, and what Twilio is told after it."""

import itertools
from dataclasses import dataclass, field
from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers.twilio import twiml
from gateway.carriers.twilio.calls import (
    KEEP_S,
    MOST_CALLS,
    IncomingCall,
    LastWord,
    Stream,
    TwilioCalls,
)
from gateway.incoming import Admission, Admit, Refuse

IN_PROGRESS = "in-progress"
DIAL = twiml.dial("+15550001111", caller_id=None)


def connect(token: str) -> str:
    return twiml.connect_stream(
        action_url="https://gw/after", stream_url=token, status_url="https://gw/status"
    )


def token_in(document: str) -> str:
    stream = fromstring(document).find("Connect/Stream")
    assert stream is not None
    return stream.attrib["url"]


def incoming(number: int = 1) -> IncomingCall:
    return IncomingCall(
        call_sid=f"CA{number:032x}", account_sid="AC" + "1" * 32, caller="+15551", called="+15552", params={}
    )


@dataclass
class Desk:
    """The table, and the decisions that it asks for."""

    admission: Admission = field(default_factory=Admit)
    routed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        numbers = itertools.count(1)
        self.calls = TwilioCalls(self._route, connect, lambda: f"token-{next(numbers)}")

    def _route(self, call: IncomingCall) -> Admission:
        self.routed.append(call.call_sid)
        return self.admission

    def stream(self, number: int = 1, now: float = 0.0) -> Stream:
        """A call that comes in, and its stream."""
        stream = self.calls.begin(token_in(self.calls.voice(incoming(number), now)), now)
        assert stream is not None
        return stream


# -- a call comes in


def test_an_admitted_call_is_connected_with_a_stream() -> None:
    desk = Desk()

    answer = desk.calls.voice(incoming(), 0.0)

    assert answer == connect("token-1")


@pytest.mark.parametrize("reason", ["busy", "rejected"])
def test_a_refused_call_hears_why(reason: str) -> None:
    refusal = Refuse("busy") if reason == "busy" else Refuse("rejected")
    desk = Desk(refusal)

    assert desk.calls.voice(incoming(), 0.0) == twiml.reject(refusal.reason)


@pytest.mark.parametrize("admission", [Admit(), Refuse("busy")])
@pytest.mark.parametrize("later_s", [0.0, 1.0, 3600.0])
def test_a_webhook_that_is_repeated_or_replayed_gets_its_first_answer_and_changes_nothing(
    admission: Admission, later_s: float
) -> None:
    desk = Desk(admission)
    first = desk.calls.voice(incoming(), 0.0)
    desk.admission = Refuse("rejected")

    again = [desk.calls.voice(incoming(), later_s) for _ in range(3)]

    assert again == [first] * 3
    assert len(desk.routed) == 1


def test_a_replay_while_the_call_is_talking_gives_no_second_stream() -> None:
    desk = Desk()
    desk.stream()

    token = token_in(desk.calls.voice(incoming(), 1.0))

    assert not desk.calls.knows(token, 1.0)
    assert desk.calls.begin(token, 1.0) is None


# -- the token


def test_a_token_is_good_once() -> None:
    desk = Desk()
    token = token_in(desk.calls.voice(incoming(), 0.0))

    first, second = desk.calls.begin(token, 1.0), desk.calls.begin(token, 1.0)

    assert first is not None
    assert first.incoming == incoming()
    assert second is None


def test_a_token_is_good_for_thirty_seconds() -> None:
    desk = Desk()
    token = token_in(desk.calls.voice(incoming(), 100.0))

    assert desk.calls.knows(token, 129.9)
    assert not desk.calls.knows(token, 130.0)
    assert desk.calls.begin(token, 130.0) is None


def test_a_token_belongs_to_its_call() -> None:
    desk = Desk()
    tokens = [token_in(desk.calls.voice(incoming(number), 0.0)) for number in (1, 2)]

    streams = [desk.calls.begin(token, 0.0) for token in reversed(tokens)]

    assert [stream and stream.incoming.call_sid for stream in streams] == [f"CA{2:032x}", f"CA{1:032x}"]


@given(st.text(max_size=30))
def test_no_other_text_is_a_token(token: str) -> None:
    desk = Desk()
    desk.calls.voice(incoming(), 0.0)

    assert desk.calls.knows(token, 0.0) == (token == "token-1")


# -- after a stream


@pytest.mark.parametrize(
    ("verb", "answer"), [("hangup", twiml.hang_up()), ("apologize", twiml.apologize()), ("dial", DIAL)]
)
def test_after_a_finished_stream_the_call_goes_on_as_its_ending_says(verb: str, answer: str) -> None:
    desk = Desk()
    stream = desk.stream()

    desk.calls.finish(stream, verb, dial=DIAL)  # type: ignore[arg-type]  # one of the literals

    assert [desk.calls.after(incoming(), IN_PROGRESS, now) for now in (1.0, 2.0, 1000.0)] == [answer] * 3


def test_a_transfer_without_a_destination_is_an_apology() -> None:
    desk = Desk()
    stream = desk.stream()

    desk.calls.finish(stream, "dial")

    assert desk.calls.after(incoming(), IN_PROGRESS, 1.0) == twiml.apologize()


def test_after_a_lost_stream_the_same_new_one_is_offered_however_often_twilio_asks() -> None:
    desk = Desk()
    stream = desk.stream()
    desk.calls.finish(stream, "resume")

    answers = [desk.calls.after(incoming(), IN_PROGRESS, now) for now in (1.0, 1.1, 5.0)]
    resumed = desk.calls.begin(token_in(answers[0]), 6.0)

    assert answers == [connect("token-2")] * 3
    assert resumed is not None
    assert resumed.resumed == 1


def test_a_call_is_resumed_twice_and_no_more() -> None:
    desk = Desk()
    stream: Stream | None = desk.stream()
    answers = []

    for now in (1.0, 2.0, 3.0):
        assert stream is not None
        desk.calls.finish(stream, "resume")
        answers.append(desk.calls.after(incoming(), IN_PROGRESS, now))
        stream = desk.calls.begin(f"token-{len(answers) + 1}", now)

    assert answers == [connect("token-2"), connect("token-3"), twiml.apologize()]


def test_streams_that_never_come_do_not_go_round_for_ever() -> None:
    desk = Desk()
    desk.calls.voice(incoming(), 0.0)

    answers = [desk.calls.after(incoming(), IN_PROGRESS, now) for now in range(0, 200, 10)]

    assert set(answers) == {connect("token-2"), connect("token-3"), twiml.apologize()}
    assert answers[-1] == twiml.apologize()


def test_twilio_asking_about_a_stream_that_we_think_stands_means_that_it_is_gone() -> None:
    desk = Desk()
    stream = desk.stream()
    asked = []
    stream.ask = lambda: asked.append("asked")

    answer = desk.calls.after(incoming(), IN_PROGRESS, 1.0)
    desk.calls.finish(stream, "hangup")  # the old stream's ending comes late

    assert asked == ["asked"]
    assert answer == connect("token-2")
    assert desk.calls.after(incoming(), IN_PROGRESS, 1.1) == answer


def test_the_late_ending_of_an_old_stream_does_not_touch_the_new_one() -> None:
    desk = Desk()
    old = desk.stream()
    new = desk.calls.begin(token_in(desk.calls.after(incoming(), IN_PROGRESS, 1.0)), 1.1)
    assert new is not None

    desk.calls.finish(old, "hangup")
    desk.calls.abandon(old)
    desk.calls.finish(new, "dial", dial=DIAL)

    assert desk.calls.after(incoming(), IN_PROGRESS, 2.0) == DIAL
    assert desk.calls.last_word(old, 2.0) is None


def test_an_ending_that_nobody_gave_is_an_apology() -> None:
    desk = Desk()
    stream = desk.stream()

    desk.calls.abandon(stream)

    assert desk.calls.after(incoming(), IN_PROGRESS, 1.0) == twiml.apologize()


def test_abandoning_a_finished_stream_changes_nothing() -> None:
    desk = Desk()
    stream = desk.stream()
    desk.calls.finish(stream, "hangup")

    desk.calls.abandon(stream)

    assert desk.calls.after(incoming(), IN_PROGRESS, 1.0) == twiml.hang_up()


@pytest.mark.parametrize("status", ["completed", "busy", "failed", "no-answer", "canceled", "queued", ""])
def test_a_call_that_is_not_in_progress_is_not_resumed(status: str) -> None:
    desk = Desk()
    desk.stream()

    assert desk.calls.after(incoming(), status, 1.0) == twiml.hang_up()
    assert desk.calls.after(incoming(9), status, 1.0) == twiml.hang_up()
    assert desk.routed == [f"CA{1:032x}"]


def test_a_call_of_another_process_is_taken_over_once_more() -> None:
    desk = Desk()

    answers = [desk.calls.after(incoming(), IN_PROGRESS, now) for now in (0.0, 1.0, 31.0, 62.0)]

    assert answers == [connect("token-1"), connect("token-1"), connect("token-2"), twiml.apologize()]
    assert len(desk.routed) == 1


def test_a_call_of_another_process_that_we_cannot_take_hears_an_apology() -> None:
    desk = Desk(Refuse("busy"))

    answers = [desk.calls.after(incoming(), IN_PROGRESS, now) for now in (0.0, 1.0)]

    assert answers == [twiml.apologize()] * 2


# -- the last word


def test_a_call_that_twilio_does_not_end_is_hung_up_by_rest_once() -> None:
    desk = Desk()
    stream = desk.stream()
    desk.calls.finish(stream, "hangup")

    words = [desk.calls.last_word(stream, now) for now in (2.0, 3.0)]

    assert words == [LastWord(f"CA{1:032x}", None), None]


def test_a_transfer_that_twilio_does_not_ask_for_is_made_by_rest() -> None:
    desk = Desk()
    stream = desk.stream()
    desk.calls.finish(stream, "dial", dial=DIAL)

    assert desk.calls.last_word(stream, 2.0) == LastWord(f"CA{1:032x}", DIAL)


def test_a_resume_by_rest_and_one_that_is_asked_for_are_the_same() -> None:
    desk = Desk()
    stream = desk.stream()
    desk.calls.finish(stream, "resume")

    word = desk.calls.last_word(stream, 2.0)
    answer = desk.calls.after(incoming(), IN_PROGRESS, 2.1)

    assert word == LastWord(f"CA{1:032x}", answer)


_ENDS = ("finish", "finish", "abandon", "after", "after", "completed", "status", "last_word")


@given(st.permutations(_ENDS))
def test_in_whatever_order_the_ends_come_rest_says_one_word_at_most(ends: list[str]) -> None:
    desk = Desk()
    stream = desk.stream()
    words = []

    for now, end in enumerate(ends, 1):
        match end:
            case "finish":
                desk.calls.finish(stream, "hangup")
            case "abandon":
                desk.calls.abandon(stream)
            case "after":
                desk.calls.after(incoming(), IN_PROGRESS, now)
            case "completed":
                desk.calls.after(incoming(), "completed", now)
            case "status":
                desk.calls.status(stream.incoming.call_sid, "completed")
            case _:
                words.append(desk.calls.last_word(stream, now))
    words += [desk.calls.last_word(stream, 9.0) for _ in range(3)]

    earlier = ends[: ends.index("last_word")]
    hung_up = [word for word in words if word is not None]
    assert len(hung_up) == (0 if {"after", "completed", "status"} & set(earlier) else 1)


def test_a_call_that_is_over_at_twilio_needs_no_hanging_up() -> None:
    desk = Desk()
    stream = desk.stream()
    desk.calls.status(stream.incoming.call_sid, "completed")
    desk.calls.finish(stream, "hangup")

    assert desk.calls.last_word(stream, 2.0) is None


def test_hints_about_calls_that_we_do_not_know_or_that_go_on_change_nothing() -> None:
    desk = Desk()
    stream = desk.stream()

    desk.calls.status("CA" + "f" * 32, "completed")
    desk.calls.status(stream.incoming.call_sid, "in-progress")
    desk.calls.finish(stream, "hangup")

    assert desk.calls.last_word(stream, 2.0) == LastWord(f"CA{1:032x}", None)


@pytest.mark.parametrize(("asks", "told"), [("status", []), ("after", ["asked"])])
def test_only_after_ends_a_stream_that_is_live_when_the_call_is_over(asks: str, told: list[str]) -> None:
    desk = Desk()
    stream = desk.stream()
    heard: list[str] = []
    stream.ask = lambda: heard.append("asked")

    if asks == "status":
        desk.calls.status(stream.incoming.call_sid, "completed")
    else:
        desk.calls.after(stream.incoming, "completed", 1.0)

    assert heard == told


def test_callers_who_were_let_in_wait_until_they_stream_give_up_or_are_too_late() -> None:
    desk = Desk()
    first, _, _ = (desk.calls.voice(incoming(number), 0.0) for number in (1, 2, 3))
    counts = [desk.calls.waiting(0.0)]

    desk.calls.begin(token_in(first), 1.0)
    counts.append(desk.calls.waiting(1.0))
    desk.calls.status(incoming(2).call_sid, "canceled")
    counts.append(desk.calls.waiting(1.0))
    counts.append(desk.calls.waiting(30.0))

    assert counts == [3, 2, 1, 0]


# -- bounds


def test_only_so_many_calls_are_remembered_and_those_that_talk_are_not_forgotten() -> None:
    desk = Desk()
    talking = desk.stream(0)

    for number in range(1, MOST_CALLS + 10):
        desk.calls.voice(incoming(number), 1.0)
    desk.calls.finish(talking, "dial", dial=DIAL)

    assert desk.calls.after(incoming(0), IN_PROGRESS, 2.0) == DIAL
    assert not desk.calls.knows("token-2", 2.0)  # the oldest that was waiting
    assert desk.calls.knows(f"token-{MOST_CALLS + 10}", 2.0)


def test_after_a_day_a_call_is_forgotten() -> None:
    desk = Desk()
    desk.calls.finish(desk.stream(1), "hangup")

    desk.calls.voice(incoming(2), KEEP_S)
    desk.calls.voice(incoming(1), KEEP_S)

    assert desk.routed == [f"CA{number:032x}" for number in (1, 2, 1)]
