"""The person who calls: says things, listens, presses keys, hangs up, and can have bad luck with the network."""

import math
import wave
from collections.abc import Callable
from pathlib import Path

import trio

from gateway.audio.g711 import CODECS
from gateway.testing.handset import CallOver, Handset
from gateway.testing.twilio_call import CallEnding, TwilioCall
from gateway.testing.twilio_media import MediaConnection
from gateway.testing.twilio_playout import RATE_HZ
from gateway.testing.twilio_stream import StreamWarning, TwilioStream
from gateway.testing.twilio_twiml import Say, Verb
from gateway.testing.twilio_webhooks import Exchange

__all__ = ["Caller"]

# Longer than a tick and a late frame, shorter than any pause between words that one would call silence.
SPEAKING_S = 0.05


class Caller:
    """A caller in a call. Audio is PCM16 little endian mono at 8 000 Hz; times are seconds since the answer."""

    def __init__(self, call: TwilioCall, handset: Handset) -> None:
        self._call = call
        self._handset = handset

    # -- what the caller does -------------------------------------------------------------------------

    async def says(self, audio: bytes | str | Path, *, wait: bool = True) -> None:
        """Say PCM, or the contents of a WAV file, after what is being said; wait until it is said.

        Raises `CallOver` when the call ends first, `ValueError` when the file is not 8 000 Hz mono of 16 bits.
        """
        pcm = audio if isinstance(audio, bytes) else _read_wav(audio)
        self._handset.microphone.say(CODECS["pcmu"].encode(pcm))
        await self._said(wait=wait)

    async def presses(self, digits: str, *, wait: bool = True) -> None:
        """Press keys, 200 ms each. Raises `CallOver`, or `ValueError` for what is no key."""
        self._handset.microphone.press(digits)
        await self._said(wait=wait)

    async def silence(self, seconds: float) -> None:
        """Say nothing for so long. Raises `CallOver`."""
        self._handset.microphone.say(CODECS["pcmu"].silence * round(seconds * RATE_HZ))
        await self._said(wait=True)

    async def hangs_up(self) -> CallEnding:
        """Hang up, and wait until Twilio has carried that out."""
        self._call.hang_up()
        return await self.ended()

    # -- what the caller notices ----------------------------------------------------------------------

    async def speaking(self) -> None:
        """Wait until the agent is audibly speaking. Raises `CallOver`."""
        await self._handset.until(lambda: self._silent_s() < SPEAKING_S)

    async def quiet(self, seconds: float) -> None:
        """Wait until the agent has been silent for so long from now on; a call that is over is silent."""
        since_s = self.now
        try:
            await self._handset.until(lambda: min(self.now - since_s, self._silent_s()) >= seconds)
        except CallOver:
            return

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait until something is so, which is asked every 20 ms and at every message. Raises `CallOver`."""
        await self._handset.until(happened)

    async def ended(self) -> CallEnding:
        """Wait for the end of the call; how it ended."""
        await self._handset.until(lambda: self._call.ending is not None)
        assert self._call.ending is not None
        return self._call.ending

    @property
    def now(self) -> float:
        return self._handset.now

    @property
    def heard(self) -> bytes:
        """What the caller heard so far, silence included, from the answer on."""
        return self._handset.recording()[1]

    def recording(self) -> tuple[bytes, bytes]:
        """What the caller said and what he heard, of equal length, on one axis."""
        return self._handset.recording()

    # -- the record -----------------------------------------------------------------------------------

    @property
    def call_sid(self) -> str:
        return self._call.sid

    @property
    def streams(self) -> list[TwilioStream]:
        """Every Media Stream of the call; more than one when the call was resumed."""
        return self._handset.streams

    @property
    def warnings(self) -> list[StreamWarning]:
        """What Twilio's debugger would show of this call, without the normal end of a stream (31921)."""
        warnings = [*self._call.warnings, *(entry for stream in self.streams for entry in stream.warnings)]
        return sorted(warnings, key=lambda warning: warning.at_s)

    @property
    def verbs(self) -> list[Verb]:
        """The TwiML that was carried out."""
        return self._call.verbs

    @property
    def dialled(self) -> list[str]:
        return self._call.dialled

    @property
    def texts(self) -> list[str]:
        """What `<Say>` said."""
        return [verb.text for verb in self._call.verbs if isinstance(verb, Say)]

    @property
    def exchanges(self) -> list[Exchange]:
        """Twilio's requests to the gateway, with the answers."""
        return self._call.webhooks.exchanges

    @property
    def ending(self) -> CallEnding | None:
        return self._call.ending

    # -- bad luck -------------------------------------------------------------------------------------

    def loses_socket(self, *, action_follows: bool = True) -> None:
        """The stream's connection breaks. Twilio asks the `<Connect>`'s action then, or ends the call."""
        self._call.action_follows_loss = action_follows
        self._connection().line.cut()

    def goes_dead(self) -> None:
        """The stream's connection stands half-open: nothing passes any more, either way."""
        self._connection().line.go_dead()

    def reads_slowly(self, bytes_per_s: float) -> None:
        """Twilio takes no more than so much from the stream's connection."""
        self._connection().line.read_slowly(bytes_per_s)

    def _connection(self) -> MediaConnection:
        if self._call.connection is None:
            raise CallOver
        return self._call.connection

    def _silent_s(self) -> float:
        last_s = self._handset.last_audible_s
        return math.inf if last_s is None else self.now - last_s

    async def _said(self, *, wait: bool) -> None:
        microphone = self._handset.microphone
        last = microphone.added_frames
        if wait:
            await self._handset.until(lambda: microphone.taken_frames >= last)
        else:
            await trio.lowlevel.checkpoint()


def _read_wav(path: str | Path) -> bytes:
    with wave.open(str(path), "rb") as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE_HZ, 1, 2):
            raise ValueError(f"{path}: a caller's WAV is 8000 Hz, mono, 16 bits")
        return file.readframes(file.getnframes())
