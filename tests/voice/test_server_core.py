"""The server core: the session and the caller's turns."""

import pytest

from gateway.voice.embedded.jobs import Transcribe
from tests.voice.core_client import Client, error_of, one, types

TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "response.created",
    "conversation.item.input_audio_transcription.completed",
]


def test_the_first_event_is_the_session_with_its_defaults():
    client = Client()

    (created,) = client.events
    session = created["session"]
    assert created["type"] == "session.created"
    assert session["id"].startswith("sess_")
    assert session["output_modalities"] == ["audio"]
    assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500
    assert session["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24000}


def test_an_update_changes_what_it_names_and_nothing_else():
    client = Client()

    (updated,) = client.turn_detection(silence_duration_ms=700)

    detection = updated["session"]["audio"]["input"]["turn_detection"]
    assert updated["type"] == "session.updated"
    assert detection["silence_duration_ms"] == 700
    assert detection["prefix_padding_ms"] == 300
    assert updated["session"]["audio"]["output"] == client.events[0]["session"]["audio"]["output"]


def test_null_turns_detection_off():
    client = Client()

    (updated,) = client.configure(audio={"input": {"turn_detection": None}})
    events = client.says_something()

    assert updated["session"]["audio"]["input"]["turn_detection"] is None
    assert events == []


def test_an_update_that_is_wrong_in_one_place_changes_nothing():
    client = Client()

    error = error_of(
        client.configure(
            instructions="Be brief.", audio={"input": {"format": {"type": "audio/pcm", "rate": 8000}}}
        )
    )
    (updated,) = client.configure()

    assert error["param"] == "session.audio.input.format.rate"
    assert updated["session"]["instructions"] == ""


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"modalities": ["audio"]}, "unknown_parameter", "session.modalities"),
        ({"output_modalities": ["text", "audio"]}, "invalid_value", "session.output_modalities"),
        ({"input_audio_format": "g711_ulaw"}, "unknown_parameter", "session.input_audio_format"),
        (
            {"audio": {"input": {"format": {"type": "audio/opus"}}}},
            "invalid_value",
            "session.audio.input.format.type",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "eagerness": "low"}}}},
            "unknown_parameter",
            "session.audio.input.turn_detection.eagerness",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 2}}}},
            "decimal_above_max_value",
            "session.audio.input.turn_detection.threshold",
        ),
        ({"tools": [{"type": "function"}]}, "missing_required_parameter", "session.tools[0].name"),
    ],
)
def test_a_setting_of_another_dialect_or_shape_is_refused_by_name(changes, code, param):
    client = Client()

    error = error_of(client.configure(**changes))

    assert (error["code"], error["param"]) == (code, param)


def test_the_type_of_a_session_must_be_said():
    client = Client()

    error = error_of(client.send("session.update", session={"instructions": "Be brief."}))

    assert (error["code"], error["param"]) == ("missing_required_parameter", "session.type")


def test_a_turn_of_the_caller_is_told_in_the_order_of_the_protocol():
    client = Client("Hello")

    events = client.says_something()

    assert types(events)[: len(TURN)] == TURN
    assert types(events)[-1] == "response.done"


def test_a_turn_is_one_item_from_the_first_sound_to_the_transcript():
    client = Client("Hello")

    events = client.says_something()

    started, stopped, committed, added, done, _, transcribed = events[:7]
    item = started["item_id"]
    assert stopped["item_id"] == committed["item_id"] == transcribed["item_id"] == item
    assert added["item"]["id"] == done["item"]["id"] == item
    assert transcribed["transcript"] == "Hello"


def test_speech_begins_with_its_second_hop_and_counts_from_the_prefix_before_the_first():
    client = Client()

    silence = client.audio(*[0.0] * 20)
    first = client.audio(0.6)
    (started,) = client.audio(0.6)

    assert silence == first == []
    assert started["audio_start_ms"] == 20 * 32 - 300


def test_a_hop_that_leaves_no_doubt_begins_speech_alone():
    client = Client()

    (started,) = client.audio(0.9)

    assert started["type"] == "input_audio_buffer.speech_started"


def test_a_single_hop_above_the_threshold_is_no_speech():
    client = Client()

    events = client.audio(0.0, 0.7, 0.0, 0.7, 0.0)

    assert events == []


def test_a_weak_hop_between_two_of_speech_does_not_start_the_count_again():
    client = Client()

    events = client.audio(0.7, 0.4, 0.7)

    assert types(events) == ["input_audio_buffer.speech_started"]


def test_speech_ends_after_the_silence_that_was_asked_for():
    client = Client("Hello")
    client.turn_detection(silence_duration_ms=320)
    client.audio(*[1.0] * 10)

    early = client.audio(*[0.0] * 9)
    events = client.audio(0.0)

    assert early == []
    assert one(events, "input_audio_buffer.speech_stopped")["audio_end_ms"] == 20 * 32


def test_a_pause_that_is_shorter_than_the_silence_belongs_to_the_turn():
    client = Client("Hello")
    client.audio(*[1.0] * 5, *[0.0] * 12)

    events = client.audio(1.0, *[0.0] * 12)

    assert events == []


def test_speech_that_only_sinks_below_the_threshold_goes_on():
    client = Client("Hello")
    client.audio(*[1.0] * 5)

    events = client.audio(*[0.4] * 40)

    assert events == []


def test_a_threshold_is_the_clients_to_set():
    client = Client()
    client.turn_detection(threshold=0.8)

    quiet = client.audio(*[0.7] * 10)
    loud = client.audio(0.9, 0.9)

    assert quiet == []
    assert types(loud) == ["input_audio_buffer.speech_started"]


def test_the_recognizer_gets_the_prefix_and_no_more_silence_than_it_needs():
    client = Client()
    client.working = False
    client.audio(*[0.0] * 20)

    client.says_something()

    (job,) = client.jobs
    assert isinstance(job, Transcribe)
    assert len(job.clip) == 48 * (300 + 10 * 32 + 200)


def test_a_turn_without_end_is_cut_after_thirty_seconds():
    client = Client("La la", "la")

    events = client.audio(*[1.0] * 1000)

    stopped = one(events, "input_audio_buffer.speech_stopped")
    assert stopped["audio_end_ms"] == 938 * 32
    assert types(events).count("input_audio_buffer.speech_started") == 2


def test_two_turns_follow_each_other():
    client = Client("One", "Two")

    client.says_something()
    events = client.says_something()

    assert one(events, "conversation.item.input_audio_transcription.completed")["transcript"] == "Two"
    assert one(events, "input_audio_buffer.speech_started")["audio_start_ms"] >= 26 * 32


def test_without_create_response_a_turn_is_only_written_down():
    client = Client("Hello")
    client.turn_detection(create_response=False)

    events = client.says_something()

    assert "response.created" not in types(events)
    assert types(events)[-1] == "conversation.item.input_audio_transcription.completed"


def test_no_transcripts_are_sent_to_who_does_not_want_them():
    client = Client("Hello")
    client.configure(audio={"input": {"transcription": None}})

    events = client.says_something()

    assert "conversation.item.input_audio_transcription.completed" not in types(events)
    assert client.brain.asked == [("heard", "Hello")]


def test_a_client_that_ends_turns_itself_commits_them():
    client = Client("Hello")
    client.configure(audio={"input": {"turn_detection": None}})
    client.audio(*[0.0] * 10)

    committed = client.send("input_audio_buffer.commit")
    client.send("response.create")

    assert types(committed) == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.completed",
    ]
    assert client.brain.asked == [("heard", "Hello")]


def test_a_buffer_with_hardly_any_audio_is_not_committed():
    client = Client()
    client.audio(0.0)

    error = error_of(client.send("input_audio_buffer.commit", event_id="mine"))

    assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "mine")


def test_clearing_the_buffer_forgets_the_speech_in_it():
    client = Client()
    client.audio(*[1.0] * 5)

    cleared = client.send("input_audio_buffer.clear")
    events = client.audio(*[0.0] * 30)

    assert types(cleared) == ["input_audio_buffer.cleared"]
    assert events == []


def test_half_a_sample_is_refused():
    client = Client()

    error = error_of(client.send("input_audio_buffer.append", audio="AAAA"))

    assert error["param"] == "audio"


def test_silence_after_an_answer_is_broken():
    client = Client(sentence_ms=1000)
    client.turn_detection(idle_timeout_ms=6000)
    client.send("response.create", response={"metadata": {"say": "Hello."}})

    early = client.wait(6.9)
    events = client.wait(0.2)

    assert early == []
    assert types(events)[:5] == [
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    assert client.brain.asked == [("silence",)]


def test_silence_is_broken_again_after_the_next_while():
    client = Client(sentence_ms=1000)
    client.turn_detection(idle_timeout_ms=6000)
    client.send("response.create")
    client.wait(8.1)

    early = client.wait(6.8)
    client.wait(0.3)

    assert early == []
    assert client.brain.asked == [("begin",), ("silence",), ("silence",)]


def test_nobody_is_spoken_to_while_he_speaks():
    client = Client(sentence_ms=1000)
    client.turn_detection(idle_timeout_ms=6000)
    client.send("response.create")
    client.audio(*[1.0] * 5)

    events = client.wait(60)

    assert events == []


def test_silence_is_not_counted_before_the_voice_has_spoken():
    client = Client()
    client.turn_detection(idle_timeout_ms=6000)

    events = client.wait(60)

    assert events == []


def test_silence_counts_from_the_moment_a_client_stopped_playing():
    client = Client(sentence_ms=5000)
    client.turn_detection(idle_timeout_ms=6000)
    events = client.send("response.create", response={"metadata": {"say": "Hello."}})
    item = one(events, "response.output_item.added")["item"]["id"]
    client.wait(1)
    client.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=900)

    early = client.wait(5.9)
    client.wait(0.2)

    assert early == []
    assert client.brain.asked == [("silence",)]


def test_without_an_idle_timeout_silence_lasts():
    client = Client()
    client.turn_detection(idle_timeout_ms=None)
    client.send("response.create")

    events = client.wait(600)

    assert events == []
