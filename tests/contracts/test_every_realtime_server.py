"""What a client of OpenAI's Realtime protocol may rely on, in this process or over a WebSocket.

Every frame is checked on its way, both ways: OpenAI's own types, and the order of a server's events.
"""

import base64
from typing import Any

import pytest
import trio
import trio.testing

from gateway.audio.g711 import CODECS
from gateway.audio.resample import Downsampler
from gateway.voice.backends.scripted import tone
from tests.contracts.realtime_servers import (
    FORMS,
    RealtimeClient,
    client_of,
    leisurely,
    scripted,
    talking_to,
    with_models,
)
from tests.voice.offline import needs_models, spoken_on_the_phone
from tests.voice.voice_caller import Event, running

Clock = trio.testing.MockClock

QUESTION = "What are your opening hours?"
SPEECH = tone("Good evening, is anybody there?")  # 1.9 s
LONG = "There is more to be said. " * 15
TRANSFER = {
    "type": "function",
    "name": "transfer_call",
    "description": "Connect the caller.",
    "parameters": {"type": "object", "properties": {"destination": {"type": "string"}}},
}

every_form = pytest.mark.parametrize("form", FORMS)


def message(role: str, kind: str, text: str) -> Event:
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


async def says(client: RealtimeClient, pcm: bytes = SPEECH) -> Event:
    """Say something and wait for the end of the answer; the response."""
    count = client.types.count("response.done")
    await client.say(pcm)
    done: Event = (await client.wait_for("response.done", count + 1))["response"]
    return done


async def long_answer(client: RealtimeClient) -> Event:
    """Have something long said; the first piece of its audio."""
    count = client.types.count("response.output_audio.delta")
    await client.send("response.create", response={"metadata": {"say": LONG}})
    return await client.wait_for("response.output_audio.delta", count + 1)


# -- the session


@every_form
async def test_the_session_comes_first_and_finds_turns_by_itself(autojump_clock: Clock, form: str):
    async with talking_to(form) as client:
        session = client.events[0]["session"]

    assert client.types == ["session.created"]
    assert session["type"] == "realtime"
    assert session["audio"]["input"]["turn_detection"]["type"] == "server_vad"
    assert session["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24000}


@every_form
async def test_a_setting_that_is_left_out_stays(autojump_clock: Clock, form: str):
    async with talking_to(form) as client:
        await client.update(instructions="Be brief.", audio={"output": {"voice": "marin"}})
        session = await client.update(audio={"input": {"turn_detection": None}})

    assert session["instructions"] == "Be brief."
    assert session["audio"]["output"]["voice"] == "marin"
    assert session["audio"]["input"].get("turn_detection") is None


@every_form
@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({}, "session.type"),
        ({"type": "realtime", "modalities": ["audio"]}, "session.modalities"),
        (
            {
                "type": "realtime",
                "audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 2}}},
            },
            "session.audio.input.turn_detection.threshold",
        ),
        (
            {"type": "realtime", "audio": {"output": {"format": {"type": "audio/pcm", "rate": 8000}}}},
            "session.audio.output.format.rate",
        ),
    ],
)
async def test_a_wrong_setting_is_named_and_changes_nothing(
    autojump_clock: Clock, form: str, session: Event, param: str
):
    async with talking_to(form) as client:
        before = client.events[0]["session"]
        await client.send_wrong({"type": "session.update", "event_id": "wrong", "session": session})
        error = (await client.wait_for("error"))["error"]
        after = await client.update()

    assert (error["param"], error["event_id"], error["type"]) == (param, "wrong", "invalid_request_error")
    assert after == before


# -- a spoken conversation


@every_form
async def test_a_turn_is_found_written_down_and_answered(autojump_clock: Clock, form: str):
    async with talking_to(form, QUESTION) as client:
        response = await says(client)

    heard = [kind for kind in client.types if kind.startswith(("input_audio_buffer.", "response."))]
    assert heard[:4] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "response.created",
    ]
    (written,) = client.all("conversation.item.input_audio_transcription.completed")
    assert written["transcript"] == QUESTION
    assert response["status"] == "completed"
    assert heard[-1] == "response.done"


@every_form
async def test_what_was_said_is_one_item_from_its_start_to_its_words(autojump_clock: Clock, form: str):
    async with talking_to(form, QUESTION) as client:
        await says(client)

    kinds = ("speech_started", "speech_stopped", "committed")
    ids = [client.all(f"input_audio_buffer.{kind}")[0]["item_id"] for kind in kinds]
    ids += [client.all("conversation.item.done")[0]["item"]["id"]]
    ids += [client.all("conversation.item.input_audio_transcription.completed")[0]["item_id"]]
    assert len(set(ids)) == 1


@every_form
async def test_speech_is_found_where_it_is_with_its_padding(autojump_clock: Clock, form: str):
    async with talking_to(form, QUESTION) as client:
        await client.detect_turns(prefix_padding_ms=200, silence_duration_ms=400)
        await client.say(bytes(48 * 1000) + SPEECH)
        started = await client.wait_for("input_audio_buffer.speech_started")
        stopped = await client.wait_for("input_audio_buffer.speech_stopped")

    speech_ms = len(SPEECH) // 48
    assert started["audio_start_ms"] == pytest.approx(1000 - 200, abs=64)
    assert stopped["audio_end_ms"] == pytest.approx(1000 + speech_ms + 400, abs=64)


@every_form
async def test_an_answer_is_sound_and_its_words(autojump_clock: Clock, form: str):
    async with talking_to(form, QUESTION) as client:
        response = await says(client)

    (item,) = response["output"]
    deltas = client.all("response.output_audio_transcript.delta")
    words = "".join(delta["delta"] for delta in deltas)
    assert words.startswith("Thank you") or "open" in words
    assert item["content"][0]["transcript"] == words
    assert client.all("response.output_audio_transcript.done")[0]["transcript"] == words
    assert {delta["item_id"] for delta in deltas} == {item["id"]}
    assert len(client.audio) % 2 == 0
    assert any(client.audio)


@every_form
async def test_a_conversation_has_its_items_in_order(autojump_clock: Clock, form: str):
    async with talking_to(form, QUESTION, "Where are you?") as client:
        for _ in range(2):
            await says(client)

    items = [event["item"] for event in client.all("conversation.item.added")]
    assert [item["role"] for item in items] == ["user", "assistant", "user", "assistant"]
    before = [event["previous_item_id"] for event in client.all("conversation.item.added")]
    assert before == [None, *[item["id"] for item in items[:-1]]]
    assert client.matched == ["hours", "address"]


@every_form
async def test_a_written_question_is_answered_in_sound(autojump_clock: Clock, form: str):
    async with talking_to(form) as client:
        await client.write(QUESTION)
        response = await client.answer()

    assert response["status"] == "completed"
    assert "half past eleven" in response["output"][0]["content"][0]["transcript"]
    assert any(client.audio)


@every_form
async def test_without_create_response_a_turn_is_only_committed(autojump_clock: Clock, form: str):
    async with talking_to(form, QUESTION) as client:
        await client.detect_turns(create_response=False)
        await client.say(SPEECH)
        await client.wait_for("conversation.item.input_audio_transcription.completed")
        await trio.sleep(2)
        types = list(client.types)
        response = await client.answer()

    assert "response.created" not in types
    assert response["metadata"]["matched"] == "hours"


@every_form
async def test_an_answer_is_written_where_text_is_wanted(autojump_clock: Clock, form: str):
    async with talking_to(form) as client:
        await client.update(output_modalities=["text"])
        await client.write(QUESTION)
        response = await client.answer()

    words = "".join(event["delta"] for event in client.all("response.output_text.delta"))
    assert "half past eleven" in words
    assert response["output"][0]["content"] == [{"type": "output_text", "text": words}]
    assert client.audio == b""


@every_form
@pytest.mark.parametrize("name", ["pcmu", "pcma"])
async def test_a_conversation_is_held_in_g711(autojump_clock: Clock, form: str, name: str):
    codec = CODECS[name]
    narrow = codec.encode(Downsampler().feed(SPEECH) + bytes(16 * 800))
    sound = {"format": {"type": f"audio/{name}"}}

    async with talking_to(form, QUESTION) as client:
        session = await client.update(audio={"input": sound, "output": sound})
        for at in range(0, len(narrow), 160):
            await client.append(narrow[at : at + 160])
            await trio.sleep(0.02)
        response = (await client.wait_for("response.done"))["response"]

    words = response["output"][0]["content"][0]["transcript"]
    assert session["audio"]["input"]["format"] == session["audio"]["output"]["format"] == sound["format"]
    assert response["metadata"]["matched"] == "hours"
    assert len(client.audio) == pytest.approx(8 * 60 * len(words), rel=0.2)  # 60 ms a character
    assert any(codec.decode(client.audio))


@every_form
async def test_turns_are_found_with_semantic_vad_too(autojump_clock: Clock, form: str):
    async with talking_to(form, QUESTION) as client:
        detection = {"type": "semantic_vad", "eagerness": "high"}
        session = await client.update(audio={"input": {"turn_detection": detection}})
        response = await says(client)

    assert session["audio"]["input"]["turn_detection"]["type"] == "semantic_vad"
    assert response["metadata"]["matched"] == "hours"


@every_form
async def test_nobody_is_spoken_to_unasked(autojump_clock: Clock, form: str):
    async with talking_to(form, QUESTION) as client:
        await says(client)
        await trio.sleep(60)

    assert client.types.count("response.created") == 1


@every_form
async def test_a_caller_who_says_nothing_is_spoken_to_where_that_is_wanted(autojump_clock: Clock, form: str):
    async with talking_to(form, QUESTION) as client:
        await client.detect_turns(idle_timeout_ms=5000)
        await says(client)
        timeout = await client.wait_for("input_audio_buffer.timeout_triggered")
        await client.wait_for("response.done", 2)

    assert timeout["audio_end_ms"] - timeout["audio_start_ms"] <= 5000


# -- interruptions


@every_form
async def test_speech_cuts_an_answer(autojump_clock: Clock, form: str):
    async with talking_to(form, QUESTION, make=leisurely) as client:
        await long_answer(client)
        await client.say(SPEECH)
        response = (await client.wait_for("response.done"))["response"]
        answer = (await client.wait_for("response.done", 2))["response"]

    assert (response["status"], response["status_details"]["reason"]) == ("cancelled", "turn_detected")
    assert response["output"][0]["status"] == "incomplete"
    assert (answer["status"], answer["metadata"]["matched"]) == ("completed", "hours")


@every_form
async def test_without_interrupt_response_an_answer_is_said_to_its_end(autojump_clock: Clock, form: str):
    async with talking_to(form, QUESTION, make=leisurely) as client:
        await client.detect_turns(interrupt_response=False)
        await long_answer(client)
        await client.say(SPEECH)
        response = (await client.wait_for("response.done"))["response"]
        answer = (await client.wait_for("response.done", 2))["response"]

    assert response["status"] == "completed"
    assert answer["metadata"]["matched"] == "hours"


@every_form
async def test_a_client_cancels_an_answer_and_nothing_more_of_it_comes(autojump_clock: Clock, form: str):
    async with talking_to(form, make=leisurely) as client:
        delta = await long_answer(client)
        await client.send("response.cancel")
        response = (await client.wait_for("response.done"))["response"]
        await trio.sleep(3)

    assert response["id"] == delta["response_id"]
    assert (response["status"], response["status_details"]["reason"]) == ("cancelled", "client_cancelled")
    assert client.types[-1] == "response.done"


@every_form
async def test_a_response_is_cancelled_by_its_id_and_no_other_is(autojump_clock: Clock, form: str):
    async with talking_to(form, make=leisurely) as client:
        delta = await long_answer(client)
        error = await client.error_for("response.cancel", response_id="resp_of_somebody")
        await client.send("response.cancel", response_id=delta["response_id"])
        response = (await client.wait_for("response.done"))["response"]

    assert error["code"] == "response_cancel_not_active"
    assert response["status"] == "cancelled"


@every_form
async def test_after_a_cancelled_answer_the_next_question_is_answered(autojump_clock: Clock, form: str):
    async with talking_to(form, QUESTION, make=leisurely) as client:
        await long_answer(client)
        await client.send("response.cancel")
        await client.wait_for("response.done")
        response = await says(client)

    assert (response["status"], response["metadata"]["matched"]) == ("completed", "hours")


@every_form
async def test_an_answer_is_truncated_at_what_was_heard(autojump_clock: Clock, form: str):
    async with talking_to(form) as client:
        await client.write(QUESTION)
        (item,) = (await client.answer())["output"]
        heard = {"item_id": item["id"], "content_index": 0, "audio_end_ms": 700}
        await client.send("conversation.item.truncate", **heard)
        truncated = await client.wait_for("conversation.item.truncated")
        await client.send("conversation.item.retrieve", item_id=item["id"])
        kept = (await client.wait_for("conversation.item.retrieved"))["item"]

    assert {**truncated, **heard} == truncated
    assert item["content"][0]["transcript"] != kept["content"][0].get("transcript")


@every_form
async def test_nobody_heard_more_than_was_said(autojump_clock: Clock, form: str):
    async with talking_to(form) as client:
        await client.write(QUESTION)
        (item,) = (await client.answer())["output"]
        said_ms = len(client.audio) // 48
        heard = {"item_id": item["id"], "content_index": 0}
        error = await client.error_for("conversation.item.truncate", **heard, audio_end_ms=said_ms + 1)
        await client.send("conversation.item.truncate", **heard, audio_end_ms=said_ms)
        await client.wait_for("conversation.item.truncated")

    assert (error["type"], error["param"]) == ("invalid_request_error", "audio_end_ms")


# -- the input audio buffer


@every_form
async def test_a_turn_is_committed_by_hand_and_answered_when_that_is_asked_for(
    autojump_clock: Clock, form: str
):
    async with talking_to(form, QUESTION) as client:
        await client.commit_by_hand()
        await client.append(SPEECH)
        await client.send("input_audio_buffer.commit")
        await client.wait_for("input_audio_buffer.committed")
        await trio.sleep(3)
        types = list(client.types)
        response = await client.answer()

    assert "input_audio_buffer.speech_started" not in types
    assert "response.created" not in types
    assert response["metadata"]["matched"] == "hours"


@every_form
async def test_a_commit_under_turn_detection_creates_no_response_by_itself(autojump_clock: Clock, form: str):
    async with talking_to(form, QUESTION) as client:
        await client.say(SPEECH, pause_s=0)
        await client.send("input_audio_buffer.commit")
        await client.wait_for("input_audio_buffer.committed")
        await trio.sleep(4)
        types = list(client.types)
        response = await client.answer()

    assert "response.created" not in types
    assert response["metadata"]["matched"] == "hours"


@every_form
async def test_a_commit_after_the_server_has_committed_finds_nothing(autojump_clock: Clock, form: str):
    async with talking_to(form, QUESTION) as client:
        await client.say(SPEECH, pause_s=0.6)
        await client.wait_for("input_audio_buffer.committed")
        error = await client.error_for("input_audio_buffer.commit")
        await client.wait_for("response.done")

    assert error["code"] == "input_audio_buffer_commit_empty"
    assert client.types.count("input_audio_buffer.committed") == 1


@every_form
async def test_there_is_nothing_to_commit_in_an_empty_buffer(autojump_clock: Clock, form: str):
    async with talking_to(form) as client:
        await client.commit_by_hand()
        error = await client.error_for("input_audio_buffer.commit")

    assert error["code"] == "input_audio_buffer_commit_empty"


@every_form
async def test_what_is_cleared_is_not_heard(autojump_clock: Clock, form: str):
    async with talking_to(form, QUESTION) as client:
        await client.commit_by_hand()
        await client.append(SPEECH)
        await client.send("input_audio_buffer.clear")
        await client.wait_for("input_audio_buffer.cleared")
        error = await client.error_for("input_audio_buffer.commit")

    assert error["code"] == "input_audio_buffer_commit_empty"


@every_form
async def test_a_turn_that_is_cleared_while_it_is_spoken_is_forgotten(autojump_clock: Clock, form: str):
    async with talking_to(form, QUESTION) as client:
        await client.say(SPEECH, pause_s=0)
        await client.wait_for("input_audio_buffer.speech_started")
        await client.send("input_audio_buffer.clear")
        await client.say(bytes(48 * 1500))

    assert "input_audio_buffer.committed" not in client.types
    assert "response.created" not in client.types


# -- functions


async def asks_for_a_person(client: RealtimeClient, **session: Any) -> Event:
    """Say what has the dialogue call a function; the response."""
    await client.update(tools=[TRANSFER], **session)
    await client.write("I would like to speak to the operator.")
    return await client.answer()


@every_form
async def test_a_function_is_called_by_its_name_with_arguments(autojump_clock: Clock, form: str):
    async with talking_to(form) as client:
        response = await asks_for_a_person(client)

    said, call = response["output"]
    assert said["type"] == "message"
    assert (call["type"], call["name"], call["status"]) == ("function_call", "transfer_call", "completed")
    assert call["arguments"] == '{"destination":"front_desk"}'
    arguments = client.all("response.function_call_arguments.done")[0]
    assert (arguments["call_id"], arguments["arguments"]) == (call["call_id"], call["arguments"])


@every_form
async def test_a_function_has_its_answer_used(autojump_clock: Clock, form: str):
    async with talking_to(form) as client:
        call = (await asks_for_a_person(client))["output"][-1]
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": '{"error": "busy"}'}
        await client.send("conversation.item.create", item=output)
        response = await client.answer()

    assert "nobody at the front desk" in response["output"][0]["content"][0]["transcript"]


@every_form
async def test_only_functions_of_the_client_are_called(autojump_clock: Clock, form: str):
    async with talking_to(form) as client:
        await client.write("I would like to speak to the operator.")
        response = await client.answer()

    assert [item["type"] for item in response["output"]] == ["message"]


@every_form
async def test_with_the_choice_of_none_no_function_is_called(autojump_clock: Clock, form: str):
    async with talking_to(form) as client:
        response = await asks_for_a_person(client, tool_choice="none")

    assert [item["type"] for item in response["output"]] == ["message"]


# -- the conversation


@every_form
async def test_an_item_is_put_where_it_belongs(autojump_clock: Clock, form: str):
    async with talking_to(form) as client:
        first = await client.write("First.")
        for where, text in ((first["id"], "Second."), ("root", "Before.")):
            item = message("user", "input_text", text)
            await client.send("conversation.item.create", item=item, previous_item_id=where)
        await client.wait_for("conversation.item.done", 3)

    before = [event["previous_item_id"] for event in client.all("conversation.item.added")]
    assert before == [None, first["id"], None]


@every_form
async def test_an_item_is_shown_and_deleted(autojump_clock: Clock, form: str):
    async with talking_to(form) as client:
        item = await client.write("Forget this.")
        await client.send("conversation.item.retrieve", item_id=item["id"])
        shown = (await client.wait_for("conversation.item.retrieved"))["item"]
        await client.send("conversation.item.delete", item_id=item["id"])
        deleted = await client.wait_for("conversation.item.deleted")
        error = await client.error_for("conversation.item.retrieve", item_id=item["id"])

    assert shown == item
    assert deleted["item_id"] == item["id"]
    assert error["code"] == "item_retrieve_invalid_item_id"


@every_form
async def test_a_response_outside_of_the_conversation_leaves_no_item(autojump_clock: Clock, form: str):
    async with talking_to(form) as client:
        response = await client.answer(conversation="none", metadata={"say": "One moment."})

    assert response["output"][0]["content"][0]["transcript"] == "One moment."
    assert "conversation.item.added" not in client.types


@every_form
async def test_a_response_carries_the_metadata_that_it_was_asked_with(autojump_clock: Clock, form: str):
    async with talking_to(form) as client:
        response = await client.answer(metadata={"say": "Hello.", "ticket": "4711"})

    assert response["metadata"]["ticket"] == "4711"


# -- mistakes

NO_ITEM = "item_of_somebody"
WRONG: dict[str, tuple[Event, str]] = {
    "an unknown event": ({"type": "response.start"}, "invalid_value"),
    "an event of the old protocol": (
        {"type": "transcription_session.update", "session": {}},
        "invalid_value",
    ),
    "an unknown field": ({"type": "response.create", "modalities": []}, "unknown_parameter"),
    "a missing field": ({"type": "input_audio_buffer.append"}, "missing_required_parameter"),
    "audio that is no text": ({"type": "input_audio_buffer.append", "audio": 5}, "invalid_type"),
    "audio that is no base64": ({"type": "input_audio_buffer.append", "audio": "!"}, "invalid_value"),
    "half a sample": (
        {"type": "input_audio_buffer.append", "audio": base64.b64encode(b"odd").decode()},
        "invalid_value",
    ),
    "an empty commit": ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty"),
    "to cancel nothing": ({"type": "response.cancel"}, "response_cancel_not_active"),
    "an item without a type": (
        {"type": "conversation.item.create", "item": {}},
        "missing_required_parameter",
    ),
    "an item after none": (
        {
            "type": "conversation.item.create",
            "previous_item_id": NO_ITEM,
            "item": message("user", "input_text", "Hello"),
        },
        "item_create_invalid_previous_item_id",
    ),
    "to show no item": (
        {"type": "conversation.item.retrieve", "item_id": NO_ITEM},
        "item_retrieve_invalid_item_id",
    ),
    "to delete no item": (
        {"type": "conversation.item.delete", "item_id": NO_ITEM},
        "item_delete_invalid_item_id",
    ),
    "to truncate no item": (
        {"type": "conversation.item.truncate", "item_id": NO_ITEM, "content_index": 0, "audio_end_ms": 0},
        "item_truncate_invalid_item_id",
    ),
    "a setting of the wrong kind": (
        {"type": "session.update", "session": {"type": "realtime", "instructions": 5}},
        "invalid_type",
    ),
}


@every_form
@pytest.mark.parametrize("mistake", WRONG)
async def test_a_mistake_is_told_with_the_id_of_its_event_and_the_session_goes_on(
    autojump_clock: Clock, form: str, mistake: str
):
    event, code = WRONG[mistake]

    async with talking_to(form) as client:
        await client.send_wrong({**event, "event_id": "mine"})
        error = (await client.wait_for("error"))["error"]
        await client.update()

    assert (error["type"], error["code"]) == ("invalid_request_error", code)
    assert error["event_id"] == "mine"
    assert error["message"]
    assert client.types == ["session.created", "error", "session.updated"]


@every_form
@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"response.create"', "\ud83d"])
async def test_what_is_no_event_is_told_and_the_session_goes_on(autojump_clock: Clock, form: str, text: str):
    async with talking_to(form) as client:
        await client.send_text(text.encode("utf-8", "replace").decode())
        error = (await client.wait_for("error"))["error"]
        await client.update()

    assert error["type"] == "invalid_request_error"
    assert error["event_id"] is None


@every_form
async def test_a_second_response_waits_for_the_first_to_be_done(autojump_clock: Clock, form: str):
    async with talking_to(form, make=leisurely) as client:
        await long_answer(client)
        error = await client.error_for("response.create")
        await client.send("response.cancel")
        await client.wait_for("response.done")
        response = await client.answer(metadata={"say": "Now."})

    assert error["code"] == "conversation_already_has_active_response"
    assert response["status"] == "completed"


@every_form
async def test_an_id_is_given_to_one_item_only(autojump_clock: Clock, form: str):
    async with talking_to(form) as client:
        item = {"id": "item_mine", **message("user", "input_text", "Hello")}
        await client.send("conversation.item.create", item=item)
        await client.wait_for("conversation.item.done")
        error = await client.error_for("conversation.item.create", item=item)

    assert error["code"] == "item_create_duplicate_id"


# -- many events, many clients


@every_form
async def test_events_sent_at_once_are_answered_in_their_order(autojump_clock: Clock, form: str):
    async with talking_to(form) as client:
        for number in range(50):
            await client.send("session.update", session={"type": "realtime", "instructions": str(number)})
        await client.wait_for("session.updated", 50)

    told = [event["session"]["instructions"] for event in client.all("session.updated")]
    assert told == [str(number) for number in range(50)]


@every_form
async def test_clients_do_not_hear_each_other(autojump_clock: Clock, form: str):
    backend = scripted(QUESTION)

    async with running(backend), client_of(form, backend) as one, client_of(form, backend) as other:
        await says(one)
        types = list(other.types)
        await says(other)

    assert types == ["session.created"]
    assert one.matched == other.matched == ["hours"]


@every_form
async def test_a_client_that_leaves_in_the_middle_disturbs_no_other(autojump_clock: Clock, form: str):
    backend = leisurely(QUESTION)

    async with running(backend), client_of(form, backend) as other:
        async with client_of(form, backend) as client:
            await long_answer(client)
        response = await says(other)

    assert response["metadata"]["matched"] == "hours"


# -- with the models that ship


@needs_models
@every_form
async def test_a_spoken_conversation_is_held_with_the_models(autojump_clock: Clock, form: str):
    async with talking_to(form, make=with_models) as client:
        hours = await says(client, spoken_on_the_phone(QUESTION))
        address = await says(client, spoken_on_the_phone("Where are you located?"))

    assert [response["metadata"]["matched"] for response in (hours, address)] == ["hours", "address"]
    written = client.all("conversation.item.input_audio_transcription.completed")
    assert "opening hours" in written[0]["transcript"]
    assert len(client.audio) > 48 * 3000


@needs_models
@every_form
async def test_a_spoken_wish_calls_a_function_with_the_models(autojump_clock: Clock, form: str):
    async with talking_to(form, make=with_models) as client:
        await client.update(tools=[TRANSFER])
        response = await says(client, spoken_on_the_phone("Can I speak to the operator, please?"))

    assert response["output"][-1]["name"] == "transfer_call"


@needs_models
@every_form
async def test_a_turn_that_is_committed_by_hand_is_understood_with_the_models(
    autojump_clock: Clock, form: str
):
    async with talking_to(form, make=with_models) as client:
        await client.commit_by_hand()
        await client.append(spoken_on_the_phone(QUESTION))
        await client.send("input_audio_buffer.commit")
        response = await client.answer()

    assert response["metadata"]["matched"] == "hours"
