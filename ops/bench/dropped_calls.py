"""Calls whose voice is lost at random moments, and what the callers heard. See voice_drops.py."""

import enum
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import trio

from gateway.testing.faulty_record import VoiceRecord
from gateway.testing.faulty_table import Drop, Fault, Late, Unreachable
from gateway.testing.faulty_voice import FaultyVoice
from gateway.testing.handset import CallOver
from gateway.testing.tone_speech import WORD_MS, WORDS, Sound, sounds, speak, words_of
from gateway.testing.tone_voice import ToneVoice
from gateway.testing.twilio_playout import RATE_HZ
from ops.bench.promises import Line, OneCall, hold_calls

__all__ = ["Loss", "Moment", "Story", "Turn", "stories"]

TURNS = 7  # the first one is the greeting
LOSSES = 4  # of them so many are disturbed
QUESTION_WORDS = 4
ANSWER_WORDS = 10
PATIENCE_S = 8.0  # then the caller waits no longer for the rest of an answer
CONNECT_S = (0.05, 0.4)
IN_A_ROW = (1,) * 6 + (2, 3)
# Without a word of the agent in between: after the sixth the call apologizes, as it should.
MOST_IN_A_ROW = 3


class Moment(enum.Enum):
    """What was going on when the voice was lost."""

    GREETING = enum.auto()
    CALLER_SPEAKS = enum.auto()
    ANSWER_OWED = enum.auto()
    ANSWERING = enum.auto()
    SILENCE = enum.auto()


class Loss(NamedTuple):
    """`at_s`: on the caller's axis. `said`: how many words of the call the voice had said by then, and `owed`: should
    have in the end, without another word of the caller. `noticed`: it knew that it was its turn.
    """

    turn: int
    moment: Moment
    in_a_row: int
    at_s: float
    said: int
    owed: int
    noticed: bool


class Turn(NamedTuple):
    """What the caller did, and should hear: `words` of the call so far. `over_s`: when he stopped speaking."""

    over_s: float
    words: int


class Story(NamedTuple):
    """All that is known of a call. `heard`: every sound that reached the caller. `runs`: from when to when something
    was played to him, in ms. `drops`: broken connections. `over`: it ended before the caller hung up.
    """

    expected: list[str]
    heard: list[Sound]
    runs: list[tuple[float, float]]
    turns: list[Turn]
    losses: list[Loss]
    drops: int
    over: bool


def answer(question: str) -> str:
    """What the voice says; word by word, and so is it made."""
    return _spelled(Random(question).sample(WORDS, ANSWER_WORDS))


class Caller:
    """He asks, and waits for the whole answer. Now and then his voice is lost."""

    def __init__(self, call: OneCall, rng: Random) -> None:
        self._call = call
        self._rng = rng
        self._expected = words_of(call.line.greeting)
        self._turns: list[Turn] = []
        self._losses: list[Loss] = []
        self._in_a_row = 0
        later = [moment for moment in Moment if moment is not Moment.GREETING]
        self._disturbed: dict[int, Moment] = {
            turn: rng.choice(later) if turn else Moment.GREETING for turn in rng.sample(range(TURNS), LOSSES)
        }

    async def talk(self) -> Story:
        over = False
        try:
            await self._greeted()
            for turn in range(1, TURNS):
                await self._ask(turn)
        except CallOver:
            over = True
        heard = sounds(self._call.caller.heard, RATE_HZ)
        played = self._call.caller.streams[0].played
        runs = [(start_s * 1000, start_s * 1000 + len(audio) * 1000 / RATE_HZ) for start_s, audio in played]
        drops = sum(record.ended == "the connection broke" for record in self._call.sessions)
        return Story(self._expected, heard, runs, self._turns, self._losses, drops, over)

    async def _greeted(self) -> None:
        self._turns.append(Turn(0.0, len(self._expected)))
        await self._maybe_lose(0, Moment.GREETING, within_s=3.0)
        await self._listen()

    async def _ask(self, turn: int) -> None:
        await self._maybe_lose(turn, Moment.SILENCE, within_s=0.7)
        await trio.sleep(self._rng.uniform(0.1, 0.8))
        question = " ".join(self._rng.sample(WORDS, QUESTION_WORDS))
        await self._call.caller.says(speak(question, RATE_HZ), wait=False)
        await self._maybe_lose(turn, Moment.CALLER_SPEAKS, within_s=QUESTION_WORDS * WORD_MS / 1000)
        await self._call.caller.silence(0)
        self._expected += words_of(answer(question))
        self._turns.append(Turn(self._call.caller.now, len(self._expected)))
        await self._maybe_lose(turn, Moment.ANSWER_OWED, within_s=0.8)
        if self._disturbed.get(turn) is Moment.ANSWERING:
            await self._call.caller.speaking()
            await self._maybe_lose(turn, Moment.ANSWERING, within_s=ANSWER_WORDS * WORD_MS / 1000)
        await self._listen()

    async def _listen(self) -> None:
        """To the end of what is owed."""
        caller, since = self._call.caller, self._turns[-1]
        missing = since.words - (self._turns[-2].words if len(self._turns) > 1 else 0)
        until_s = caller.now + PATIENCE_S
        while (
            missing > sum(sound.whole for sound in self._heard_since(since.over_s)) and caller.now < until_s
        ):
            await caller.silence(0.2)
            await caller.quiet(0.3)

    def _heard_since(self, at_s: float) -> list[Sound]:
        return sounds(self._call.caller.heard[round(at_s * RATE_HZ) * 2 :], RATE_HZ)

    async def _maybe_lose(self, turn: int, moment: Moment, *, within_s: float) -> None:
        if self._disturbed.get(turn) is not moment:
            return
        await trio.sleep(self._rng.uniform(0, within_s))
        await self._call.caller.until(self._connected)
        voice, sessions = self._call.line.voice, self._call.sessions
        if sessions[-1].sent_of("response.output_audio.delta"):
            self._in_a_row = 0
        more = min(self._rng.choice(IN_A_ROW), MOST_IN_A_ROW - self._in_a_row)
        if more:
            self._in_a_row += more
            voice.faults += self._next_faults(more - 1)
            said = sum(len(record.sent_of("response.output_audio.delta")) for record in sessions)
            now, owed = self._call.caller.now, len(self._expected)
            noticed = not _hears_speech(sessions[-1])
            self._losses.append(Loss(turn, moment, more, now, said, owed, noticed))
            voice.drop_all()

    def _connected(self) -> bool:
        return any(record.ended_at_s is None for record in self._call.sessions)

    def _next_faults(self, count: int) -> list[Fault]:
        """What befalls the next connections."""
        rng, attempts = self._rng, len(self._call.line.voice.attempts)
        faults: list[Fault] = []
        for connection in range(attempts + 1, attempts + 1 + count):
            if rng.random() < 0.5:
                faults.append(Unreachable(connection=connection, after_s=rng.uniform(*CONNECT_S)))
            else:
                faults.append(Drop(connection=connection, after_s=rng.uniform(0, 0.3)))
        return faults


async def stories(calls: int, seed: int) -> list[Story]:
    """So many calls at once."""
    told: list[Story] = []

    async def talk(call: OneCall) -> None:
        told.append(await Caller(call, Random(f"{seed} {call.agent}")).talk())

    lines = []
    for number in range(calls):
        rng = Random(f"{seed} line {number}")
        late = [Late(connection=attempt, by_s=rng.uniform(*CONNECT_S)) for attempt in range(1, 50)]
        voice = FaultyVoice(ToneVoice(answer, speed=1.5), late)
        lines.append(Line(_spelled(rng.sample(WORDS, ANSWER_WORDS)), voice))
    await hold_calls(lines, talk)
    return told


def _hears_speech(session: VoiceRecord) -> bool:
    """The voice takes the caller for speaking."""
    kinds = [event["type"] for _, event in session.sent]
    turns = [kind for kind in kinds if kind.startswith("input_audio_buffer.speech_")]
    return bool(turns) and turns[-1].endswith("started")


def _spelled(words: Sequence[str]) -> str:
    """A text of which the voice makes one word after the other."""
    return ". ".join(words) + "."
