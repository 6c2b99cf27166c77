from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers.readers import READERS
from gateway.report import happenings as h
from gateway.report.latency import Bucket, Turn, turns
from gateway.report.reading import read_call
from gateway.traces.format import TRACE

CALLS = sorted(path.parent for path in (Path(__file__).parent.parent / "traces").glob(f"*/{TRACE}"))


def names(turn: Turn) -> list[str]:
    return [segment.name for segment in turn.segments]


def stopped(
    t_us: int, *, stopped_us: int = 0, carried_us: int | None = 10, appended_us: int | None = 10
) -> h.CallerStopped:
    return h.CallerStopped(t_us, "turn", stopped_us, carried_us, appended_us, waited_us=500)


# -- recorded calls -----------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", CALLS, ids=lambda folder: folder.name)
def test_the_segments_of_a_recorded_turn_are_the_whole_to_the_microsecond(folder: Path):
    found = turns(read_call(folder, READERS).happenings)

    for turn in found:
        assert turn.segments[0].from_us == turn.from_us
        assert all(a.to_us == b.from_us for a, b in zip(turn.segments, turn.segments[1:], strict=False))
        assert turn.us == turn.segments[-1].to_us - turn.from_us
        assert all(segment.us >= 0 for segment in turn.segments)


@pytest.mark.parametrize("folder", CALLS, ids=lambda folder: folder.name)
def test_a_recorded_turn_takes_as_long_as_the_call_itself_found(folder: Path):
    call = read_call(folder, READERS)
    facts = [each for each in call.happenings if isinstance(each, h.Told) and each.name == "turn.answered"]
    told = [fact.fields["latency_ms"] for fact in facts]

    found = turns(call.happenings)

    measured = [turn for turn in found if turn.latency_ms is not None]
    assert [turn.latency_ms for turn in measured] == told
    for turn in measured:
        until_sent_us = sum(segment.us for segment in turn.segments if Bucket.PLAYOUT not in segment.buckets)
        assert until_sent_us == turn.first_audio_us
        assert abs(until_sent_us / 1000 - (turn.latency_ms or 0)) <= 1


def test_a_spoken_turn_is_told_boundary_by_boundary_without_a_rest():
    first, *_ = turns(read_call(CALLS[0].parent / "spoken", READERS).happenings)

    assert names(first) == [
        "carrier in",
        "resampler",
        "end-of-turn silence",
        "turn detection",
        "response start",
        "voice",
        "queue",
        "playout",
    ]
    assert [segment.us for segment in first.segments if segment.name == "end-of-turn silence"] == [500_000]


def test_a_key_waits_for_the_response_that_it_cut():
    first, second, *_ = turns(read_call(CALLS[0].parent / "slow", READERS).happenings)

    assert (first.by, second.by) == ("key", "key")
    assert first.first_audio_us is None  # the next key came before it was answered
    assert [s.name for s in first.segments if s.us] == ["asking"]
    assert [s.name for s in second.segments if s.us][:2] == ["response start", "asking"]


def test_a_turn_that_had_to_be_heard_by_another_session_is_one_turn_with_all_it_waited_for():
    (turn,) = turns(read_call(CALLS[0].parent / "away", READERS).happenings)

    waited = [s.name for s in turn.segments if s.us]
    behind = waited[waited.index("lost voice") :]
    assert behind[:4] == ["lost voice", "filler", "reconnecting", "turn detection"]
    assert turn.first_audio_us is not None


# -- made turns ---------------------------------------------------------------------------------------


def test_a_missing_boundary_gives_its_name_to_the_segment_in_which_it_lies():
    found = turns(
        [
            stopped(600, carried_us=None, appended_us=None),
            h.Told(900, "turn.answered", {"latency_ms": 1}),
            h.AudioSent(900, 20),
        ]
    )

    assert [(s.name, s.us) for s in found[0].segments] == [
        ("carrier in + resampler + end-of-turn silence", 500),
        ("turn detection", 100),
        ("voice + queue", 300),
    ]


def test_a_boundary_that_was_passed_before_the_one_ahead_of_it_takes_no_time():
    found = turns([stopped(600, stopped_us=50)])

    assert [(s.name, s.us) for s in found[0].segments] == [
        ("carrier in", 0),
        ("resampler", 0),
        ("end-of-turn silence", 450),
        ("turn detection", 100),
    ]


def test_a_turn_that_takes_a_tool_shows_the_voice_twice_and_the_tool_between():
    found = turns(
        [
            stopped(600),
            h.ResponseCreated(610, "one"),
            h.Told(700, "tool.called", {"tool": "look_up"}),
            h.Told(1000, "tool.answered", {}),
            h.ResponseAsked(1000),
            h.ResponseCreated(1010, "two"),
            h.AgentSpoke(1300, "two", "item", 100),
            h.AudioSent(1320, 20),
            h.MarkSent(1320, "g0:20"),
            h.MarkReturned(1350, "g0:20"),
        ]
    )

    assert [(s.name, s.us) for s in found[0].segments][4:] == [
        ("response start", 10),
        ("voice", 90),
        ("tool", 300),
        ("asking", 0),
        ("response start", 10),
        ("voice", 290),
        ("queue", 20),
        ("playout", 30),
    ]
    assert found[0].latency_ms is None
    assert found[0].first_audio_us == 1320


def test_a_voice_that_is_lost_and_followed_by_another_one_is_in_the_turn_that_waits_for_it():
    found = turns(
        [
            stopped(600),
            h.ResponseCreated(610, "one"),
            h.Told(900, "session.lost", {}),
            h.Told(1000, "filler.played", {"clip": "filler"}),
            h.AgentSpoke(1000, "", "filler1000", 100),
            h.AudioSent(1000, 20),
            h.Told(1500, "session.ready", {}),
            h.ResponseAsked(1500),
            h.ResponseCreated(1510, "two"),
            h.AgentSpoke(1600, "two", "item", 100),
            h.Told(1600, "turn.answered", {"latency_ms": 1}),
            h.AudioSent(1600, 20),
        ]
    )

    assert [(s.name, s.us) for s in found[0].segments][4:] == [
        ("response start", 10),
        ("lost voice", 290),
        ("filler", 100),
        ("reconnecting", 500),
        ("asking", 0),
        ("response start", 10),
        ("voice", 90),
        ("queue", 0),
    ]


def test_speech_that_another_session_is_told_once_more_is_the_same_turn():
    found = turns(
        [
            stopped(600, stopped_us=50),
            h.Told(600, "session.lost", {}),
            h.Told(900, "session.ready", {}),
            stopped(920, stopped_us=40),
        ]
    )

    (turn,) = found
    assert (turn.from_us, turn.us) == (40, 880)
    assert names(turn)[-3:] == ["lost voice", "reconnecting", "turn detection"]


def test_audio_of_a_response_to_something_else_is_no_answer():
    found = turns([stopped(600), h.AgentSpoke(700, "greeting", "item", 100), h.AudioSent(700, 20)])

    assert found[0].sent_us is None
    assert names(found[0])[-1] == "turn detection"


def test_a_turn_that_the_next_one_overtakes_stays_without_an_answer():
    found = turns([stopped(600), h.ResponseCreated(610, "one"), h.KeyPressed(700, "1")])

    assert [turn.by for turn in found] == ["speech", "key"]
    assert found[0].first_audio_us is None


def test_a_sound_that_was_ignored_is_no_turn():
    assert turns([stopped(600), h.Told(600, "caller.ignored", {})]) == []


def test_a_question_into_a_silence_is_no_answer():
    found = turns(
        [
            stopped(600),
            h.Told(9000, "caller.idle", {}),
            h.ResponseCreated(9000, "idle"),
            h.AgentSpoke(9100, "idle", "item", 100),
            h.AudioSent(9100, 20),
        ]
    )

    assert found[0].sent_us is None


def test_a_mark_that_comes_back_because_of_a_clear_says_nothing_about_playout():
    found = turns(
        [
            h.KeyPressed(0, "1"),
            h.ResponseCreated(10, "one"),
            h.AgentSpoke(20, "one", "item", 100),
            h.AudioSent(20, 20),
            h.MarkSent(20, "g0:20"),
            h.Cleared(30),
            h.MarkReturned(31, "g0:20"),
        ]
    )

    assert names(found[0]) == ["response start", "voice", "queue"]


times = st.integers(min_value=-1_000_000, max_value=10_000_000)
maybe = st.none() | times
responses = st.sampled_from(["one", "two"])
anything = st.one_of(
    st.builds(h.CallerStopped, times, st.just("turn"), times, maybe, maybe, maybe),
    st.builds(h.KeyPressed, times, st.just("1")),
    st.builds(h.ResponseAsked, times),
    st.builds(h.ResponseCreated, times, responses),
    st.builds(h.AgentSpoke, times, responses, st.just("item"), st.just(20.0)),
    st.builds(h.AudioSent, times, st.just(20.0)),
    st.builds(h.Cleared, times),
    st.builds(h.MarkSent, times, st.just("mark")),
    st.builds(h.MarkReturned, times, st.just("mark")),
    st.builds(
        h.Told,
        times,
        st.sampled_from(
            [
                "turn.answered",
                "tool.called",
                "tool.answered",
                "session.lost",
                "session.ready",
                "caller.ignored",
            ]
        ),
        st.just({}),
    ),
)


@given(st.lists(anything, max_size=40))
def test_whatever_happens_in_whatever_order_the_segments_are_the_whole(happenings: list[h.Happening]):
    for turn in turns(happenings):
        ends_us = turn.segments[-1].to_us if turn.segments else turn.from_us
        assert turn.us == ends_us - turn.from_us
        assert all(segment.us >= 0 for segment in turn.segments)
