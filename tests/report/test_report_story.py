from pathlib import Path

import pytest

from gateway.carriers.readers import READERS
from gateway.report import happenings as h
from gateway.report.reading import read_call
from gateway.report.story import Story, tell

TRACES = Path(__file__).parent.parent / "traces"
S = 1_000_000


def recorded(name: str) -> Story:
    return tell(read_call(TRACES / name, READERS).happenings)


def answer(at_us: int, ms: int, *, item: str = "item") -> list[h.Happening]:
    """An answer that is given and sent at once."""
    return [h.AgentSpoke(at_us, "resp", item, ms), h.AgentSpokeAll(at_us, item), h.AudioSent(at_us, ms)]


def told_at(story: Story, name: str) -> list[int]:
    return [event.t_us for event in story.events if event.name == name]


@pytest.mark.parametrize("name", ["away", "corrected", "interrupted", "lasting", "owed", "renewed", "spoken"])
def test_a_recorded_call_is_told_in_the_order_in_which_it_was_heard(name: str):
    story = recorded(name)

    spoken = [u for u in story.utterances if u.text != "(filler)"]
    assert [u.who for u in spoken] == [("agent", "caller")[n % 2] for n in range(len(spoken))]
    assert all(u.text for u in spoken)


def test_the_agents_words_stand_where_his_audio_was_to_be_heard_not_where_the_voice_gave_it():
    story = recorded("goodbye")

    greeting, question, _goodbye = story.utterances
    assert greeting.to_us > told_at(story, "agent.said")[0]
    assert greeting.to_us < question.from_us


@pytest.mark.parametrize("name", ["dropped", "goodbye", "owed", "renewed", "tools"])
def test_what_was_neither_held_nor_interrupted_is_one_stretch(name: str):
    story = recorded(name)

    assert all(len(utterance.spans) == 1 for utterance in story.utterances)


def test_the_callers_words_stand_where_the_voice_heard_him_speak():
    story = recorded("goodbye")

    question = story.utterances[1]
    assert question.from_us < told_at(story, "caller.started")[0] < question.to_us
    assert question.to_us < told_at(story, "caller.stopped")[0]


@pytest.mark.parametrize("name", ["corrected", "interrupted", "lasting", "renewed"])
def test_a_cut_answer_ends_where_it_was_cut_and_knows_what_was_heard_of_it(name: str):
    answered = recorded(name).utterances[2]

    assert answered.cut is not None
    assert answered.to_us <= answered.cut.t_us
    assert 0 < len(answered.cut.heard) < len(answered.text)
    assert answered.text.startswith(answered.cut.heard)
    assert answered.cut.low_us is not None
    assert answered.cut.high_us is not None
    assert answered.from_us < answered.cut.low_us <= answered.cut.high_us <= answered.to_us


def test_an_answer_into_which_somebody_coughs_is_held_and_heard_to_its_end():
    story = recorded("cough")

    _greeting, _question, answered, *sounds = story.utterances
    assert len(answered.spans) == 1 + len(sounds)
    assert answered.cut is None
    assert all(sound.who == "caller" and sound.ignored for sound in sounds)


def test_an_answer_that_its_voice_could_not_end_is_told_with_the_words_it_had_written_down():
    story = recorded("dropped")

    _greeting, _question, begun, carried_on = story.utterances
    assert begun.broken_off
    assert begun.text
    assert begun.to_us == carried_on.from_us


def test_speech_that_two_sessions_were_told_was_spoken_once():
    story = recorded("away")

    assert len(told_at(story, "caller.stopped")) > 1
    (question,) = [u for u in story.utterances if u.who == "caller"]
    assert question.text


@pytest.mark.parametrize(("name", "clip"), [("crowded", "welcome"), ("gone", "filler")])
def test_a_sound_that_bridges_the_silence_begins_when_it_is_played(name: str, clip: str):
    story = recorded(name)

    first = story.utterances[0]
    assert (first.text, first.from_us) == (f"({clip})", told_at(story, "filler.played")[0])


def test_an_answer_that_is_held_and_resumed_has_a_stretch_before_and_one_behind():
    story = tell(
        [
            h.AgentSpoke(0, "resp", "item", 1000),
            h.AgentSpokeAll(0, "item"),
            h.AudioSent(0, 400),
            h.Cleared(300_000),
            h.AudioSent(900_000, 720),
        ]
    )

    assert [u.spans for u in story.utterances] == [[(0, 300_000), (900_000, 1_620_000)]]


def test_what_waits_behind_a_cut_is_never_heard():
    story = tell(
        [
            h.AgentSpoke(0, "resp", "first", 1000),
            h.AudioSent(0, 200),
            h.Cleared(100_000),
            h.Told(100_000, "agent.interrupted", {"item": "first", "heard_low_ms": 80, "heard_high_ms": 100}),
            *answer(S, 200, item="second"),
        ]
    )

    assert [(u.item, u.spans) for u in story.utterances] == [
        ("first", [(0, 100_000)]),
        ("second", [(S, 1_200_000)]),
    ]


def test_items_follow_each_other_in_whole_frames():
    story = tell(
        [
            h.AgentSpoke(0, "resp", "first", 95),
            h.AgentSpokeAll(0, "first"),
            h.AgentSpoke(0, "resp", "second", 90),
            h.AgentSpokeAll(0, "second"),
            h.AudioSent(0, 100),
            h.AudioSent(0, 100),
        ]
    )

    assert [(u.item, u.spans) for u in story.utterances] == [
        ("first", [(0, 100_000)]),
        ("second", [(100_000, 200_000)]),
    ]


def test_a_sound_that_was_ignored_is_told_as_such():
    story = tell(
        [
            h.CallerBegan(S, "cough", S),
            h.CallerStopped(2 * S, "cough", 2 * S, None, None, None),
            h.Told(2 * S, "caller.ignored", {}),
        ]
    )

    assert [(u.item, u.ignored) for u in story.utterances] == [("cough", True)]


def test_a_caller_who_still_speaks_when_the_call_ends_speaks_to_its_end():
    story = tell([h.CallerBegan(S, "turn", S), h.Told(3 * S, "call.ending", {"reason": "caller_hung_up"})])

    assert [u.spans for u in story.utterances] == [[(S, 3 * S)]]


def test_a_clip_is_told_with_its_text():
    story = tell([h.ClipNamed(0, "clip1", "Good morning."), *answer(S, 100, item="clip1")])

    assert [(u.who, u.text) for u in story.utterances] == [("agent", "Good morning.")]


def test_a_fact_that_nobody_knows_yet_is_an_event_like_any_other():
    story = tell([h.Told(S, "moon.risen", {"phase": "full"})])

    assert [(e.kind, e.name, e.fields) for e in story.events] == [("fact", "moon.risen", {"phase": "full"})]


def test_facts_whose_fields_have_another_shape_are_events_all_the_same():
    story = tell([h.Told(S, "agent.interrupted", {"item": 7}), h.Told(S, "caller.said", {"text": None})])

    assert [event.name for event in story.events] == ["agent.interrupted", "caller.said"]
    assert story.cuts == []


def test_a_key_is_told_with_its_digit_which_no_fact_has():
    story = tell([h.KeyPressed(S, "4"), h.Told(S, "digit.pressed", {})])

    assert [event.fields for event in story.events] == [{"digit": "4"}]


def test_marks_know_when_they_came_back_and_whether_a_clear_sent_them():
    story = tell(
        [
            h.MarkSent(0, "g0:20"),
            h.MarkReturned(20_000, "g0:20"),
            h.MarkSent(20_000, "g0:120"),
            h.Cleared(50_000),
            h.MarkReturned(51_000, "g0:120"),
            h.MarkSent(S, "g1:220"),
            h.MarkReturned(S, "unknown"),
        ]
    )

    assert [(m.name, m.returned_us, m.cleared) for m in story.marks] == [
        ("g0:20", 20_000, False),
        ("g0:120", 51_000, True),
        ("g1:220", None, False),
    ]


def spans(*happenings: h.Happening) -> list[tuple[int, int]]:
    (utterance,) = tell(happenings).utterances
    return utterance.spans


def frames(*at_ms: float, silent: bool = False) -> list[h.Happening]:
    kind = h.SilenceSent if silent else h.AudioSent
    return [kind(round(ms * 1000), 20.0) for ms in at_ms]


def test_a_frame_that_is_a_little_late_plays_without_a_gap():
    given = h.AgentSpoke(0, "resp", "item", 80.0)

    assert spans(given, *frames(100, 120.4, 159, 160.1)) == [(100_000, 180_000)]


def test_a_frame_that_is_late_by_more_than_a_frame_leaves_a_gap():
    given = h.AgentSpoke(0, "resp", "item", 40.0)

    assert spans(given, *frames(100, 140)) == [(100_000, 120_000), (140_000, 160_000)]


def test_silence_that_is_sent_while_the_agent_has_audio_to_send_is_his():
    given: list[h.Happening] = [h.AgentSpoke(0, "resp", "item", 60.0), h.AgentSpokeAll(0, "item")]

    assert spans(*given, *frames(0), *frames(20, 40, 60, 80, silent=True)) == [(0, 60_000)]


def test_of_an_item_that_goes_on_less_can_be_sent_than_was_given():
    given = h.AgentSpoke(0, "resp", "item", 60.0)

    assert spans(given, *frames(0), *frames(20, 40, 60, silent=True)) == [(0, 40_000)]


@pytest.mark.parametrize(
    "goes_on",
    [
        h.Told(40_000, "caller.ignored", {}),
        h.Told(40_000, "session.lost", {}),
        h.ResponseCreated(40_000, "next"),
    ],
    ids=["nothing", "lost", "next"],
)
def test_silence_while_the_agent_is_held_is_nobodys(goes_on: h.Happening):
    given: list[h.Happening] = [h.AgentSpoke(0, "resp", "item", 60.0), h.AgentSpokeAll(0, "item")]
    held = [*frames(0), h.Held(10_000), *frames(20, silent=True)]

    assert spans(*given, *held, goes_on, *frames(40, silent=True)) == [(0, 20_000), (40_000, 60_000)]


def test_an_agent_who_is_held_goes_on_with_the_first_sound():
    given: list[h.Happening] = [h.AgentSpoke(0, "resp", "item", 60.0), h.AgentSpokeAll(0, "item")]

    said = [*frames(0), h.Held(10_000), *frames(20, silent=True), *frames(40), *frames(60, silent=True)]

    assert spans(*given, *said) == [(0, 20_000), (40_000, 80_000)]
