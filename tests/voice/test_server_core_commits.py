"""The server core: turns that the client ends, forgets, or no longer has found, whatever is still being judged."""

import pytest

from gateway.voice.embedded.jobs import Transcribe
from tests.voice.core_client import Client, error_of, one, types

COMMITTED = ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]
WRITTEN = "conversation.item.input_audio_transcription.completed"


def off(client: Client) -> None:
    client.configure(audio={"input": {"turn_detection": None}})


# -- judged too late


@pytest.mark.parametrize("event", ["commit", "clear"])
def test_what_was_committed_or_cleared_begins_no_turn_when_it_is_judged(event: str):
    client = Client("Hello")
    client.judging = False
    client.audio(*[1.0] * 10)

    client.send(f"input_audio_buffer.{event}")
    events = client.judge()

    assert events == []


def test_silence_is_broken_though_the_speech_of_a_committed_clip_is_judged_late():
    client = Client("Hello", sentence_ms=0)
    client.turn_detection(idle_timeout_ms=6000)
    client.judging = False
    client.audio(*[1.0] * 10)
    client.send("input_audio_buffer.commit")
    client.send("response.create")
    client.judge()

    events = client.wait(6.1)

    assert types(events)[0] == "input_audio_buffer.timeout_triggered"


# -- a commit while somebody speaks


def test_a_commit_during_speech_makes_the_item_that_was_announced():
    client = Client("Hello")
    started = one(client.audio(*[1.0] * 10), "input_audio_buffer.speech_started")

    events = client.send("input_audio_buffer.commit")

    assert types(events) == [*COMMITTED, WRITTEN]
    assert events[0]["item_id"] == events[1]["item"]["id"] == started["item_id"]


def test_a_turn_that_was_committed_does_not_stop():
    client = Client("Hello")
    client.audio(*[1.0] * 10)
    client.send("input_audio_buffer.commit")

    events = client.audio(*[0.0] * 40)

    assert events == []


def test_what_is_said_after_a_commit_is_another_item():
    client = Client("Hello", "And more")
    first = one(client.audio(*[1.0] * 10), "input_audio_buffer.speech_started")
    client.send("input_audio_buffer.commit")

    events = client.says_something()

    second = one(events, "input_audio_buffer.speech_started")
    assert second["item_id"] != first["item_id"]
    assert second["audio_start_ms"] == 10 * 32
    assert one(events, "input_audio_buffer.committed")["item_id"] == second["item_id"]


def test_a_commit_of_speech_that_nobody_has_found_yet_makes_an_item_of_its_own():
    client = Client("Hello", "Again")
    client.judging = False
    client.audio(*[1.0] * 10)
    committed = client.send("input_audio_buffer.commit")[0]["item_id"]
    client.judge()
    client.judging = True

    started = one(client.audio(1.0), "input_audio_buffer.speech_started")

    assert started["item_id"] != committed


def test_a_commit_does_not_answer():
    client = Client("Hello")
    client.audio(*[1.0] * 10)

    events = client.send("input_audio_buffer.commit")

    assert "response.created" not in types(events)
    assert client.brain.asked == []


def test_what_is_committed_twice_is_committed_once():
    client = Client("Hello")
    off(client)
    client.audio(*[0.0] * 10)
    client.send("input_audio_buffer.commit")

    error = error_of(client.send("input_audio_buffer.commit", event_id="mine"))

    assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "mine")
    assert "buffer only has 0.00ms of audio" in error["message"]


def test_after_the_servers_own_commit_there_is_nothing_to_commit():
    client = Client("Hello")
    client.says_something()

    error = error_of(client.send("input_audio_buffer.commit"))

    assert error["code"] == "input_audio_buffer_commit_empty"


def test_a_commit_that_is_refused_leaves_the_audio_where_it_is():
    client = Client("Hello")
    off(client)
    client.audio(*[0.0] * 3)
    client.send("input_audio_buffer.commit")
    client.audio(0.0)

    events = client.send("input_audio_buffer.commit")

    assert types(events) == [*COMMITTED, WRITTEN]


def test_a_refused_commit_leaves_the_turn_in_progress():
    client = Client("Hello", "Hello again")
    client.turn_detection(prefix_padding_ms=0)
    started = one(client.audio(1.0), "input_audio_buffer.speech_started")
    error_of(client.send("input_audio_buffer.commit"))

    events = client.says_something()

    assert one(events, "input_audio_buffer.committed")["item_id"] == started["item_id"]


# -- cleared while somebody speaks


def test_clearing_during_speech_ends_it_without_a_word():
    client = Client()
    client.audio(*[1.0] * 10)

    events = [*client.send("input_audio_buffer.clear"), *client.audio(*[0.0] * 40)]

    assert types(events) == ["input_audio_buffer.cleared"]


def test_what_is_said_after_clearing_is_another_item():
    client = Client("Hello")
    first = one(client.audio(*[1.0] * 10), "input_audio_buffer.speech_started")
    client.send("input_audio_buffer.clear")

    second = one(client.audio(*[1.0] * 10), "input_audio_buffer.speech_started")

    assert second["item_id"] != first["item_id"]
    assert second["audio_start_ms"] == 10 * 32


def test_what_was_announced_and_cleared_is_not_what_is_committed_later():
    client = Client("Hello")
    first = one(client.audio(*[1.0] * 10), "input_audio_buffer.speech_started")
    client.send("input_audio_buffer.clear")
    off(client)
    client.audio(*[0.0] * 10)

    committed = one(client.send("input_audio_buffer.commit"), "input_audio_buffer.committed")

    assert committed["item_id"] != first["item_id"]


# -- turn detection off, and on


def test_speech_that_was_announced_before_detection_was_turned_off_is_committed_by_hand():
    client = Client("Hello")
    started = one(client.audio(*[1.0] * 10), "input_audio_buffer.speech_started")
    off(client)
    more = client.audio(*[0.0] * 40)

    events = client.send("input_audio_buffer.commit")

    assert more == []
    assert one(events, "input_audio_buffer.committed")["item_id"] == started["item_id"]


def test_detection_that_is_turned_on_again_finds_new_speech_on_the_same_axis():
    client = Client("Hello")
    client.audio(*[1.0] * 10)
    off(client)
    client.audio(*[0.0] * 40)
    client.turn_detection(prefix_padding_ms=100)
    client.audio(*[0.0] * 10)

    events = client.audio(*[1.0] * 10, *[0.0] * 16)

    assert one(events, "input_audio_buffer.speech_started")["audio_start_ms"] == 60 * 32 - 100
    assert one(events, "input_audio_buffer.speech_stopped")["audio_end_ms"] == 86 * 32


def test_an_update_of_something_else_leaves_the_speech_in_progress():
    client = Client("Hello")
    started = one(client.audio(*[1.0] * 10), "input_audio_buffer.speech_started")
    client.configure(instructions="Be brief.")

    events = client.audio(*[0.0] * 16)

    assert one(events, "input_audio_buffer.speech_stopped")["item_id"] == started["item_id"]


# -- long clips


def test_a_clip_that_is_too_long_for_the_recognizer_is_written_down_in_pieces():
    client = Client("One", "two", "three")
    off(client)
    client.working = False
    client.audio(*[0.0] * (75_000 // 32))
    client.send("input_audio_buffer.commit")

    sizes_s = [len(job.clip) / 48_000 for job in client.jobs if isinstance(job, Transcribe)]
    events = client.work()

    written = one(events, WRITTEN)
    assert len(sizes_s) == 3
    assert max(sizes_s) <= 30
    assert sum(sizes_s) == pytest.approx(75, abs=0.05)
    assert written["transcript"] == "One two three"
    assert written["usage"]["seconds"] == pytest.approx(75, abs=0.05)


def test_an_answer_waits_for_all_pieces():
    client = Client("One", "two")
    off(client)
    client.working = False
    client.audio(*[0.0] * (40_000 // 32))
    client.send("input_audio_buffer.commit")
    client.send("response.create")

    client.work(1)
    before = list(client.brain.asked)
    client.work()

    assert before == []
    assert client.brain.asked == [("heard", "One two")]


# -- semantic turn detection


def test_semantic_detection_is_shown_as_what_it_is():
    client = Client()

    (updated,) = client.configure(
        audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}}}
    )

    assert updated["session"]["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "low",
        "create_response": True,
        "interrupt_response": True,
    }


def test_semantic_detection_finds_turns_and_answers_them():
    client = Client("Hello")
    client.configure(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}})

    events = client.audio(*[1.0] * 10, *[0.0] * 10)

    assert one(events, "input_audio_buffer.speech_stopped")["audio_end_ms"] == 20 * 32
    assert client.brain.asked == [("heard", "Hello")]


@pytest.mark.parametrize("name", ["threshold", "silence_duration_ms", "prefix_padding_ms", "idle_timeout_ms"])
def test_semantic_detection_has_no_setting_of_the_other_kind(name: str):
    client = Client()

    error = error_of(
        client.configure(audio={"input": {"turn_detection": {"type": "semantic_vad", name: 5000}}})
    )

    assert error["code"] == "unknown_parameter"
    assert error["param"] == f"session.audio.input.turn_detection.{name}"


def test_nobody_is_prompted_who_did_not_ask_for_it():
    client = Client()
    client.send("response.create")

    events = client.wait(600)

    assert client.events[0]["session"]["audio"]["input"]["turn_detection"]["idle_timeout_ms"] is None
    assert events == []
