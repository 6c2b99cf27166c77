"""An answer that breaks off: which of its words the caller has heard, and what the next session is asked for."""

from typing import Any

from gateway import contracts as c
from tests.calls.ladder import Ladder

GREETING = "Good morning. How can I help you?"  # 33 characters
ANSWER = "We are open from nine to five. On Sundays we are closed."
MS_A_CHARACTER = 100


def answering(received_ms: int) -> Ladder:
    """The voice wrote its answer down at once, and is lost when there is so much audio of it."""
    call = Ladder(agent=c.Agent(name="reception", greeting=GREETING)).start().voice_opens()
    call.responds("r0", "i0", len(GREETING) * MS_A_CHARACTER, GREETING).frames(170).marks_return()
    call.speech_starts().frames(50).speech_stops(4400).turn_taken().caller_said("When do you open?")
    call.voice(type="response.created", response={"id": "r1"}).says_in("r1", "i1", ANSWER)
    for _ in range(received_ms // 100):
        call.delta("r1", "i1", 100)
    return call.voice_is_lost().frames(1).voice_opens()


def wish(call: Ladder) -> dict[str, Any]:
    asked: dict[str, Any] = call.told("response.create")[-1].get("response", {})
    return asked


def last_seeded(call: Ladder) -> str:
    items = [event["item"] for event in call.told("conversation.item.create")]
    text: str = items[-1]["content"][0]["text"]
    return text


def test_words_of_which_there_is_no_audio_were_not_said():
    call = answering(received_ms=41 * MS_A_CHARACTER)

    assert last_seeded(call) == "We are open from nine to five. On Sundays"
    assert "the words “We are open from nine to five. On Sundays”" in wish(call)["instructions"]


def test_an_answer_of_which_no_word_was_said_is_asked_for_again():
    call = answering(received_ms=100)

    assert last_seeded(call) == "When do you open?"
    assert wish(call) == {}


def test_a_greeting_of_which_no_word_was_said_is_said_again():
    agent = c.Agent(name="reception", greeting=GREETING)
    call = Ladder(agent=agent).start().voice_opens()
    call.voice(type="response.created", response={"id": "r0"}).says_in("r0", "i0", "").delta("r0", "i0", 100)

    call.voice_is_lost().frames(1).voice_opens()

    assert wish(call)["metadata"] == {"say": GREETING}
