"""Whatever a voice does that the protocol allows, and whenever: each turn has its answer, once and in order."""

import json
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contracts import Agent, AudioFormat, VoiceTraits
from gateway.voice.checks import checked_turns
from gateway.voice.responses import Answer
from gateway.voice.states import SessionState
from gateway.voice.turn_taking import TurnTaking
from tests.voice.legal_server import BYTES_PER_MS, LegalServer

PHONE = AudioFormat(encoding="pcmu", rate_hz=8000)
TRAITS = VoiceTraits(name="legal", input=PHONE, output=PHONE)


class Conversation:
    """A user, his session, and a server, with a line between them that delays what they say."""

    def __init__(self, dice: Random, *, greets: bool, **server: bool) -> None:
        self.server = LegalServer(dice, **server)
        self.core = TurnTaking(
            Agent(name="a", greeting="Hello." if greets else None), TRAITS, checked_turns(enabled=True), PHONE
        )
        self.wanted = int(greets)  # answers
        self.taken: list[Answer] = []
        self.heard: list[str] = []  # items, as they came out
        self._dice = dice
        self._now = 0.0
        self._waiting = 0  # commits of which the server has not said anything
        self._tools: list[str] = []
        self._cut: set[str] = set()
        self._came: set[str] = set()
        self.core.connect()
        self.core.opened()
        self._send()
        self._let_all_be_said()

    def step(self) -> None:
        """Somebody does something."""
        user = [self._speak, self._commit, self._interrupt, self._listen, self._switch, self._finish_tool]
        if self._dice.random() < 0.25:
            self._dice.choice(user)()
        elif self.server.says and self._dice.random() < 0.5:
            self._deliver()
        else:
            self.server.act()
        self._now += self._dice.choice([0.0, 0.0, 0.02, 1.0])
        self._send()

    def finish(self) -> None:
        """The user says one thing more, and all that is under way comes to its end."""
        self._commit()
        self._send()
        while self.server.hears or self.server.active or self.server.says or self._tools:
            self._let_all_be_said()
            self._finish_tool()
            self._send()

    # -- the user

    def _speak(self) -> None:
        self.core.send(bytes(self._dice.randint(1, 400) * BYTES_PER_MS))

    def _commit(self) -> None:
        self.core.commit(bytes(self._dice.randint(0, 400) * BYTES_PER_MS))
        self.wanted += 1
        self._waiting += 1

    def _interrupt(self) -> None:
        self.core.interrupt(self._now, self._dice.choice([None, None, 0, 17.5, 1e6]))
        self._cut |= self._came

    def _listen(self) -> None:
        front = self.core.responses.front
        while (chunk := self.core.responses.take_chunk(self._now)) is not None:
            assert chunk.item_id not in self._cut
            self.heard.append(chunk.item_id)
        if self.core.responses.take_end():
            assert front is not None
            self.taken.append(front)

    def _switch(self) -> None:
        self.core.detect_turns(checked_turns(enabled=self._dice.random() < 0.6))

    def _finish_tool(self) -> None:
        if self._tools:
            self.core.tool_answered(self._tools.pop(self._dice.randrange(len(self._tools))), "42")

    # -- the line

    def _send(self) -> None:
        self.server.hears.extend(json.loads(event) for event, _ in self.core.outgoing())
        self._tools += [call.call for call in self.core.calls()]

    def _let_all_be_said(self) -> None:
        self.server.settle()
        while self.server.says:
            self._deliver()

    def _deliver(self) -> None:
        said = self.server.says.popleft()
        event = json.loads(said.text)
        if event["type"] == "response.output_audio.delta":
            self._came.add(event["item_id"])
        self.wanted += said.found and not self._waiting
        self._waiting -= said.settles
        self.core.receive(said.text)
        self._send()

    def over(self) -> bool:
        """Whether all answers are; those that were not taken are taken now."""
        while (front := self.core.responses.front) is not None and front.status is not None:
            self.core.responses.take_whole(1e9)
            self.taken.append(front)
        return front is None and self.core.session.state is SessionState.CONNECTED


CASES = {
    "seed": st.integers(0, 2**64),
    "steps": st.integers(1, 250),
    "names_cause": st.booleans(),
    "lags": st.booleans(),
    "greets": st.booleans(),
}


@settings(max_examples=300, deadline=None)
@given(**CASES)
def test_every_turn_has_one_answer(seed: int, steps: int, names_cause: bool, lags: bool, greets: bool):
    talk = Conversation(Random(seed), names_cause=names_cause, lags=lags, greets=greets)

    for _ in range(steps):
        talk.step()
    talk.finish()

    assert talk.over()
    assert len(talk.taken) == talk.wanted
    assert [each.event for each in talk.core.happened()].count("response_ended") == talk.wanted


@settings(max_examples=200, deadline=None)
@given(**CASES)
def test_a_voice_that_answers_unasked_leaves_no_turn_unanswered(
    seed: int, steps: int, names_cause: bool, lags: bool, greets: bool
):
    talk = Conversation(Random(seed), names_cause=names_cause, lags=lags, greets=greets, unasked=True)

    for _ in range(steps):
        talk.step()
    talk.finish()

    assert talk.over()
    assert len(talk.taken) >= talk.wanted
