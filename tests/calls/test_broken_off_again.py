"""What the agent says breaks off more than once: the caller hears each word of it once."""

from typing import Any

from gateway import contracts as c
from tests.calls.ladder import Ladder

GREETING = "Good morning. This is the Harbour Kitchen. How can I help you?"


def wish(call: Ladder) -> dict[str, Any]:
    response: dict[str, Any] = call.told("response.create")[-1].get("response", {})
    return response


def breaks_off(call: Ladder, response: str, words: str, audio_ms: int) -> Ladder:
    call.voice(type="response.created", response={"id": response})
    call.says_in(response, f"item of {response}", words)
    for _ in range(audio_ms // 100):
        call.delta(response, f"item of {response}", 100)
    return call.voice_is_lost().frames(20).voice_opens()


def test_a_greeting_that_breaks_off_twice_is_said_to_its_end():
    call = Ladder(agent=c.Agent(name="reception", greeting=GREETING)).start().voice_opens()

    breaks_off(call, "r0", "Good morning.", 1000)
    breaks_off(call, "r1", "This is the", 800)

    assert wish(call)["metadata"] == {"say": "Harbour Kitchen. How can I help you?"}


def test_an_agent_that_does_not_quite_keep_its_pace_repeats_no_word():
    call = Ladder(agent=c.Agent(name="reception", greeting="Good morning.")).start().voice_opens()
    call.responds("r0", "i0", 1300, "Good morning.").frames(80).marks_return()  # 100 ms a character
    call.speech_starts().frames(50).speech_stops(2600).turn_taken().caller_said("When do you open?")

    breaks_off(call, "r1", "We are open from nine", 2000)  # the pace would ask for 2.1 s

    assert "the words “We are open from nine”" in wish(call)["instructions"]
