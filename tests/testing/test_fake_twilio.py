"""The fake Twilio's driver against a gateway of one page, in virtual time."""

import base64
import json
import re
import wave
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from gateway.audio.g711 import CODECS
from gateway.net.websocket import WebSocket
from gateway.testing.fake_twilio import FakeTwilio
from gateway.testing.handset import CallOver
from gateway.testing.twilio_call import EndedBy
from gateway.testing.twilio_caller import Caller
from gateway.testing.twilio_twiml import Hangup, TwimlInvalid
from tests.testing.gateway_double import ACCOUNT_SID, CALLED, CALLER, CONNECT, HANGUP, GatewayDouble, ring

Media = Callable[[WebSocket], Awaitable[None]]
PCMU = CODECS["pcmu"]
SPEECH = PCMU.decode(b"\x10" * 8000)  # one second, loud


def media(stream_sid: str, audio: bytes) -> str:
    payload = base64.b64encode(audio).decode()
    return json.dumps({"event": "media", "streamSid": stream_sid, "media": {"payload": payload}})


class Listener:
    """Takes all messages of every socket, with the time of each."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.times: list[float] = []

    async def __call__(self, websocket: WebSocket) -> None:
        while True:
            self.messages.append(json.loads(await websocket.receive()))
            self.times.append(trio.current_time())

    def of(self, event: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["event"] == event]


async def echo(websocket: WebSocket) -> None:
    while True:
        message = json.loads(await websocket.receive())
        if message["event"] == "media":
            await websocket.send(
                media(message["streamSid"], base64.b64decode(message["media"]["payload"])),
            )


async def hang_up_at_once(websocket: WebSocket) -> None:
    await websocket.receive()


def speaks(seconds: float, then: Media = hang_up_at_once) -> Media:
    async def agent(websocket: WebSocket) -> None:
        await websocket.receive()
        start = json.loads(await websocket.receive())
        await websocket.send(media(start["streamSid"], b"\x10" * round(8000 * seconds)))
        await then(websocket)

    return agent


# -- the webhook --------------------------------------------------------------------------------------


async def test_the_voice_webhook_is_signed_so_that_twilios_own_library_accepts_it(
    autojump_clock: MockClock,
) -> None:
    gateway = GatewayDouble({"/voice": CONNECT}, Listener())

    async with gateway.called_by_twilio() as twilio, ring(twilio):
        pass

    assert [(post.path, post.signed) for post in gateway.posts] == [("/voice", True)]


async def test_the_voice_webhook_carries_the_parameters_of_an_inbound_call(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": CONNECT}, Listener())

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        pass

    form = gateway.posts[0].form
    assert form["CallSid"] == caller.call_sid
    assert re.fullmatch("CA[0-9a-f]{32}", caller.call_sid)
    assert (form["From"], form["Caller"]) == (CALLER,) * 2
    assert (form["To"], form["Called"]) == (CALLED,) * 2
    assert form["CallStatus"] == "ringing"
    assert form["Direction"] == "inbound"
    assert form["ApiVersion"] == "2010-04-01"
    assert form["AccountSid"] == ACCOUNT_SID
    assert form["FromCity"] == ""  # sent, and signed, though empty


async def test_more_parameters_can_be_given_and_are_signed(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": CONNECT}, Listener())

    more = {"CallerName": "J. Ä & Co"}
    async with gateway.called_by_twilio() as twilio, ring(twilio, parameters=more):
        pass

    assert gateway.posts[0].form["CallerName"] == "J. Ä & Co"
    assert gateway.posts[0].signed


async def test_a_retried_webhook_is_the_same_request_again(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": CONNECT}, Listener())

    async with gateway.called_by_twilio() as twilio, ring(twilio, voice_deliveries=3) as caller:
        pass

    first, *others = gateway.posts
    token = "i-twilio-idempotency-token"
    assert len(others) == 2
    assert all(other.form == first.form for other in others)
    assert all(other.headers[token] == first.headers[token] for other in others)
    assert len(caller.streams) == 1


async def test_a_webhook_that_answers_500_fails_the_call(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": 500}, Listener())

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        ending = await caller.ended()

    assert ending.by is EndedBy.FAILED
    assert [warning.code for warning in caller.warnings] == [11200]
    answer = caller.exchanges[0].answer
    assert answer is not None
    assert answer.status == 500


async def test_a_webhook_that_does_not_answer_is_given_up_after_15_s(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": "never"}, Listener())
    began = trio.current_time()

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        ending = await caller.ended()

    assert ending.by is EndedBy.FAILED
    assert trio.current_time() - began == pytest.approx(15)
    assert [warning.code for warning in caller.warnings] == [11205]


async def test_the_fallback_is_asked_with_the_error_and_followed(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": 503, "/fallback": "<Response><Say>Sorry</Say></Response>"}, Listener())

    async with (
        gateway.called_by_twilio(fallback_path="/fallback") as twilio,
        ring(twilio) as caller,
    ):
        ending = await caller.ended()

    assert gateway.posts[1].form["ErrorCode"] == "11200"
    assert gateway.posts[1].form["ErrorUrl"] == "https://gateway.example/voice"
    assert caller.texts == ["Sorry"]
    assert ending.by is EndedBy.LAST_VERB


async def test_a_gateway_that_cannot_be_reached_fails_the_call(autojump_clock: MockClock) -> None:
    async def nobody() -> trio.abc.Stream:
        raise ConnectionRefusedError(111, "Connection refused")

    gateway = GatewayDouble({}, Listener())

    async with gateway.called_by_twilio(dial=nobody) as twilio, ring(twilio) as caller:
        ending = await caller.ended()

    assert ending.by is EndedBy.FAILED
    assert [warning.code for warning in caller.warnings] == [11205]


# -- TwiML --------------------------------------------------------------------------------------------


async def test_an_unknown_verb_is_raised_in_the_test(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": "<Response><Sing/></Response>"}, Listener())

    with pytest.raises(TwimlInvalid, match="<Sing>"):
        async with gateway.called_by_twilio() as twilio, ring(twilio):
            pass


async def test_wrong_twiml_after_the_stream_is_raised_in_the_test(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble(
        {"/voice": CONNECT, "/after": "<Response><Hangup now='1'/></Response>"}, hang_up_at_once
    )

    with pytest.raises(TwimlInvalid, match="now"):
        async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
            await caller.ended()


async def test_a_stream_url_that_is_not_at_the_public_origin_is_raised(autojump_clock: MockClock) -> None:
    page = "<Response><Connect><Stream url='wss://elsewhere.example/media'/></Connect></Response>"
    gateway = GatewayDouble({"/voice": page}, Listener())

    with pytest.raises(TwimlInvalid, match="31922"):
        async with gateway.called_by_twilio() as twilio, ring(twilio):
            pass


async def test_a_ws_url_is_refused_where_the_gateway_is_public_by_https(autojump_clock: MockClock) -> None:
    page = CONNECT.replace("wss://", "ws://")
    gateway = GatewayDouble({"/voice": page}, Listener())

    with pytest.raises(TwimlInvalid, match="31922"):
        async with gateway.called_by_twilio() as twilio, ring(twilio):
            pass


async def test_a_rejected_call_is_over_before_it_began(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": "<Response><Reject reason='busy'/></Response>"}, Listener())

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        ending = await caller.ended()

    assert (ending.by, ending.detail) == (EndedBy.REJECT, "busy")
    assert caller.heard == b""


async def test_verbs_are_carried_out_in_order_until_the_hang_up(autojump_clock: MockClock) -> None:
    page = "<Response><Say>One</Say><Pause length='3'/><Say>Two</Say><Hangup/><Say>Three</Say></Response>"
    gateway = GatewayDouble({"/voice": page}, Listener())
    began = trio.current_time()

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        ending = await caller.ended()

    assert caller.texts == ["One", "Two"]
    assert trio.current_time() - began == pytest.approx(3)
    assert ending.by is EndedBy.HANGUP


async def test_a_redirect_is_followed(autojump_clock: MockClock) -> None:
    pages = {"/voice": "<Response><Redirect>/elsewhere</Redirect></Response>", "/elsewhere": HANGUP}
    gateway = GatewayDouble(pages, Listener())

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.ended()

    assert [post.path for post in gateway.posts] == ["/voice", "/elsewhere"]
    assert gateway.posts[1].form["CallStatus"] == "in-progress"


async def test_a_dial_is_recorded_and_its_action_told_how_it_went(autojump_clock: MockClock) -> None:
    page = "<Response><Dial action='/dialled'><Number>+15550100003</Number></Dial></Response>"
    gateway = GatewayDouble({"/voice": page, "/dialled": HANGUP}, Listener())

    async with gateway.called_by_twilio(dial_status="busy") as twilio, ring(twilio) as caller:
        await caller.ended()

    assert caller.dialled == ["+15550100003"]
    assert gateway.posts[1].form["DialCallStatus"] == "busy"


async def test_the_action_is_asked_when_the_gateway_closes_the_stream(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": CONNECT, "/after": HANGUP}, hang_up_at_once)

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        ending = await caller.ended()

    after = gateway.posts[1]
    assert (after.path, after.signed, after.form["CallStatus"]) == ("/after", True, "in-progress")
    assert ending.by is EndedBy.HANGUP
    assert caller.warnings == []


async def test_verbs_behind_a_connect_with_action_are_never_run(autojump_clock: MockClock) -> None:
    page = CONNECT.replace("</Connect>", "</Connect><Say>behind</Say>")
    gateway = GatewayDouble({"/voice": page, "/after": HANGUP}, hang_up_at_once)

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.ended()

    assert caller.texts == []
    assert caller.verbs[-1] == Hangup()


async def test_without_an_action_the_verb_behind_is_next(autojump_clock: MockClock) -> None:
    page = CONNECT.replace(' action="/after"', "").replace("</Connect>", "</Connect><Say>behind</Say>")
    gateway = GatewayDouble({"/voice": page}, hang_up_at_once)

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        ending = await caller.ended()

    assert caller.texts == ["behind"]
    assert ending.by is EndedBy.LAST_VERB


async def test_without_action_and_verb_the_call_ends(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": CONNECT.replace(' action="/after"', "")}, hang_up_at_once)

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        ending = await caller.ended()

    assert ending.by is EndedBy.LAST_VERB


# -- the stream ---------------------------------------------------------------------------------------


async def test_the_upgrade_is_signed_for_the_wss_url_without_its_query(autojump_clock: MockClock) -> None:
    page = CONNECT.replace("/media/t1", "/media/t1?token=lost")
    gateway = GatewayDouble({"/voice": page}, Listener())

    async with gateway.called_by_twilio() as twilio, ring(twilio):
        pass

    assert gateway.upgrades == [("/media/t1", True)]


async def test_the_stream_opens_with_connected_and_start_and_the_calls_identifiers(
    autojump_clock: MockClock,
) -> None:
    parameter = '<Parameter name="call" value="c1"/></Stream>'
    page = CONNECT.replace('t1"/>', f't1">{parameter}')
    listener = Listener()
    gateway = GatewayDouble({"/voice": page}, listener)

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.silence(0.1)

    assert [message["event"] for message in listener.messages[:3]] == ["connected", "start", "media"]
    start = listener.messages[1]["start"]
    assert start["callSid"] == caller.call_sid
    assert start["accountSid"] == ACCOUNT_SID
    assert start["streamSid"] == caller.streams[0].stream_sid
    assert start["customParameters"] == {"call": "c1"}


async def test_the_caller_is_sent_every_20_ms_from_the_start_on(autojump_clock: MockClock) -> None:
    listener = Listener()
    gateway = GatewayDouble({"/voice": CONNECT}, listener)

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.silence(2)

    frames = [
        (time, message)
        for time, message in zip(listener.times, listener.messages, strict=True)
        if message["event"] == "media"
    ]
    steps = [later - earlier for (earlier, _), (later, _) in pairwise(frames)]
    assert len(frames) == 100
    assert steps == pytest.approx([0.02] * 99)
    assert frames[0][1]["media"]["chunk"] == "1"


async def test_what_the_caller_says_arrives_as_said_with_silence_around_it(autojump_clock: MockClock) -> None:
    listener = Listener()
    gateway = GatewayDouble({"/voice": CONNECT}, listener)

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.silence(0.04)
        await caller.says(SPEECH[:1600])
        await caller.silence(0.02)

    sent = b"".join(base64.b64decode(frame["media"]["payload"]) for frame in listener.of("media"))
    assert sent == b"\xff" * 320 + b"\x10" * 800 + b"\xff" * 160


async def test_says_takes_a_wav_file(autojump_clock: MockClock, tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "hello.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(SPEECH)
    gateway = GatewayDouble({"/voice": CONNECT}, Listener())

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.says(tmp_path / "hello.wav")

    assert caller.recording()[0] == SPEECH


async def test_a_wav_of_another_rate_is_refused(autojump_clock: MockClock, tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "hello.wav"), "wb") as file:
        file.setparams((1, 2, 24000, 0, "NONE", ""))
    gateway = GatewayDouble({"/voice": CONNECT}, Listener())

    with pytest.raises(ValueError, match="8000 Hz"):
        async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
            await caller.says(tmp_path / "hello.wav")


async def test_says_without_waiting_returns_at_once_and_queues(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": CONNECT}, Listener())

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        before = trio.current_time()
        await caller.says(SPEECH, wait=False)
        at_once = trio.current_time()
        await caller.says(SPEECH)
        in_the_end = trio.current_time()

    assert at_once == before
    assert in_the_end - before == pytest.approx(2, abs=0.041)


async def test_keys_arrive_200_ms_apart_among_silence(autojump_clock: MockClock) -> None:
    listener = Listener()
    gateway = GatewayDouble({"/voice": CONNECT}, listener)

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.presses("1*#")

    digits = [
        (time, message["dtmf"]["digit"])
        for time, message in zip(listener.times, listener.messages, strict=True)
        if message["event"] == "dtmf"
    ]
    assert [digit for _, digit in digits] == ["1", "*", "#"]
    assert digits[2][0] - digits[0][0] == pytest.approx(0.4)
    assert len(listener.of("media")) == 30


async def test_what_is_no_key_cannot_be_pressed(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": CONNECT}, Listener())

    with pytest.raises(ValueError, match="keys"):
        async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
            await caller.presses("1e")


async def test_the_recording_lays_what_was_heard_beside_what_was_said(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": CONNECT}, echo)

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.silence(0.5)
        await caller.says(SPEECH)
        await caller.silence(0.5)

    said, heard = caller.recording()
    loud = PCMU.decode(b"\x10")
    assert len(said) == len(heard) == 2 * 8000 * 2
    assert heard == caller.heard
    assert said.index(loud) == 8000
    # An echo begins when the first frame has been said; the streams' delay is nothing here.
    assert heard.index(loud) == pytest.approx(8000 + 320, abs=2)
    assert heard.count(loud) == 8000


async def test_speaking_and_quiet_follow_what_can_be_heard(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": CONNECT}, speaks(1.5, then=Listener()))

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.speaking()
        began = caller.now
        await caller.quiet(0.5)
        ended = caller.now

    assert began == pytest.approx(0, abs=0.041)
    assert ended == pytest.approx(2.0, abs=0.061)


async def test_an_agent_that_streams_silence_is_quiet(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": CONNECT}, echo)

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.silence(1)
        await caller.quiet(0.5)

    assert caller.now == pytest.approx(1.5, abs=0.061)


async def test_quiet_counts_from_when_it_was_asked(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": CONNECT}, Listener())

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.silence(5)
        before = trio.current_time()
        await caller.quiet(1)
        after = trio.current_time()

    assert after - before == pytest.approx(1, abs=0.021)


async def test_waiting_for_a_voice_that_cannot_come_any_more_says_so(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": CONNECT, "/after": HANGUP}, hang_up_at_once)

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        with pytest.raises(CallOver):
            await caller.speaking()


async def test_after_the_call_it_is_quiet(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": CONNECT, "/after": HANGUP}, hang_up_at_once)

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.quiet(60)

    assert caller.ending is not None
    assert caller.ending.by is EndedBy.HANGUP


async def test_a_caller_who_hangs_up_sends_stop_and_closes_and_no_action_is_asked(
    autojump_clock: MockClock,
) -> None:
    listener = Listener()
    gateway = GatewayDouble({"/voice": CONNECT}, listener)

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.silence(0.1)
        ending = await caller.hangs_up()

    assert ending.by is EndedBy.CALLER
    assert listener.messages[-1]["event"] == "stop"
    assert gateway.closed == [1000]
    assert [post.path for post in gateway.posts] == ["/voice"]


async def test_a_caller_can_hang_up_while_the_action_is_being_asked(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": CONNECT, "/after": "never"}, hang_up_at_once)
    began = trio.current_time()

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.until(lambda: len(gateway.posts) == 2)
        ending = await caller.hangs_up()

    assert ending.by is EndedBy.CALLER
    assert trio.current_time() - began < 1


async def test_a_hang_up_after_the_stream_asks_no_action_of_a_connect_that_is_over(
    autojump_clock: MockClock,
) -> None:
    pages = {"/voice": CONNECT, "/after": "<Response><Pause length='60'/></Response>"}
    gateway = GatewayDouble(pages, hang_up_at_once)

    async with gateway.called_by_twilio(action_follows_hang_up=True) as twilio, ring(twilio) as caller:
        await caller.until(lambda: len(caller.verbs) == 2)
        await caller.hangs_up()

    assert [post.path for post in gateway.posts] == ["/voice", "/after"]


async def test_some_twilio_might_ask_the_action_after_a_hang_up(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": CONNECT, "/after": HANGUP}, Listener())

    async with (
        gateway.called_by_twilio(action_follows_hang_up=True) as twilio,
        ring(twilio) as caller,
    ):
        await caller.hangs_up()

    assert (gateway.posts[1].path, gateway.posts[1].form["CallStatus"]) == ("/after", "completed")


async def test_leaving_the_block_hangs_up(autojump_clock: MockClock) -> None:
    listener = Listener()
    gateway = GatewayDouble({"/voice": CONNECT}, listener)

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.silence(0.1)

    assert caller.ending is not None
    assert caller.ending.by is EndedBy.CALLER
    assert listener.messages[-1]["event"] == "stop"
    assert gateway.closed == [1000]


async def test_what_was_being_played_is_heard_up_to_the_end_of_the_stream(autojump_clock: MockClock) -> None:
    async def speaks_for_a_while(websocket: WebSocket) -> None:
        await speaks(10, then=hang_up_at_once)(websocket)
        await trio.sleep(1)

    gateway = GatewayDouble({"/voice": CONNECT, "/after": HANGUP}, speaks_for_a_while)

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.ended()

    heard_ms = sum(len(audio) for _, audio in caller.streams[0].played) / 8
    assert heard_ms == pytest.approx(1000, abs=41)
    assert caller.streams[0].queued_ms == 10_000 - heard_ms


async def test_a_stream_that_never_starts_says_connected_and_no_more(autojump_clock: MockClock) -> None:
    listener = Listener()
    gateway = GatewayDouble({"/voice": CONNECT}, listener)

    async with gateway.called_by_twilio() as twilio, ring(twilio, sends_start=False) as caller:
        await caller.silence(10)

    assert [message["event"] for message in listener.messages] == ["connected"]


async def test_what_the_gateway_streams_wrongly_is_in_the_warnings(autojump_clock: MockClock) -> None:
    async def wrong(websocket: WebSocket) -> None:
        await websocket.send("nonsense")
        await websocket.send(b"binary")
        await Listener()(websocket)

    gateway = GatewayDouble({"/voice": CONNECT}, wrong)

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.silence(0.1)

    assert sorted(warning.code for warning in caller.warnings) == [31950, 31951]


async def test_streams_are_reported_to_the_status_callback(autojump_clock: MockClock) -> None:
    page = CONNECT.replace("<Stream ", '<Stream name="main" statusCallback="/status" ')
    gateway = GatewayDouble({"/voice": page, "/status": 204, "/after": HANGUP}, hang_up_at_once)

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.ended()

    reports = [post for post in gateway.posts if post.path == "/status"]
    assert sorted(report.form["StreamEvent"] for report in reports) == ["stream-started", "stream-stopped"]
    assert all(report.signed for report in reports)
    assert reports[0].form["StreamName"] == "main"
    assert reports[0].form["StreamSid"] == caller.streams[0].stream_sid
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", reports[0].form["Timestamp"])


async def test_the_numbers_status_callback_hears_of_the_end(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": CONNECT, "/status": 204}, Listener())

    async with gateway.called_by_twilio(status_path="/status") as twilio, ring(twilio) as caller:
        await caller.silence(61)

    report = gateway.posts[-1]
    assert report.path == "/status"
    assert (report.form["CallStatus"], report.form["CallDuration"], report.form["Duration"]) == (
        "completed",
        "61",
        "2",
    )


# -- bad luck -----------------------------------------------------------------------------------------


async def test_a_lost_socket_is_followed_by_the_action_and_a_new_stream(autojump_clock: MockClock) -> None:
    listener = Listener()
    gateway = GatewayDouble({"/voice": CONNECT, "/after": [CONNECT.replace("t1", "t2")]}, listener)

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.silence(0.2)
        caller.loses_socket(action_follows=True)
        await caller.until(lambda: len(caller.streams) == 2)
        await caller.silence(0.2)

    assert [path for path, _ in gateway.upgrades] == ["/media/t1", "/media/t2"]
    assert [warning.code for warning in caller.warnings] == [31903]
    assert gateway.closed[0] == 1006
    assert len({start["start"]["streamSid"] for start in listener.of("start")}) == 2
    assert len({start["start"]["callSid"] for start in listener.of("start")}) == 1


async def test_a_lost_socket_can_be_the_end_of_the_call(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": CONNECT}, Listener())

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        caller.loses_socket(action_follows=False)
        ending = await caller.ended()

    assert ending.by is EndedBy.LOST
    assert [post.path for post in gateway.posts] == ["/voice"]


@pytest.mark.parametrize(("follows", "by"), [(True, EndedBy.HANGUP), (False, EndedBy.LOST)])
async def test_a_gateway_that_dies_is_a_lost_socket(
    autojump_clock: MockClock, follows: bool, by: EndedBy
) -> None:
    gateway = GatewayDouble({"/voice": CONNECT, "/after": HANGUP}, Listener())

    async with (
        gateway.called_by_twilio(action_follows_loss=follows) as twilio,
        ring(twilio) as caller,
    ):
        await caller.silence(0.1)
        await trio.aclose_forcefully(gateway.streams[-1])
        ending = await caller.ended()

    assert ending.by is by
    assert [warning.code for warning in caller.warnings] == [31903]


async def test_a_refused_upgrade_is_31920_and_the_action_follows(autojump_clock: MockClock) -> None:
    page = CONNECT.replace("<Stream ", '<Stream statusCallback="/status" ')
    pages: dict[str, str | int | list[str]] = {
        "/voice": page,
        "/media/t1": 403,
        "/after": HANGUP,
        "/status": 204,
    }
    gateway = GatewayDouble(pages, Listener())

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        ending = await caller.ended()

    assert [warning.code for warning in caller.warnings] == [31920]
    assert ending.by is EndedBy.HANGUP
    report = next(post for post in gateway.posts if post.path == "/status")
    assert report.form["StreamEvent"] == "stream-error"
    assert "31920" in report.form["StreamError"]


async def test_on_a_dead_line_the_socket_stands_and_nothing_passes(autojump_clock: MockClock) -> None:
    listener = Listener()
    gateway = GatewayDouble({"/voice": CONNECT}, listener)

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.silence(1)
        arrived = len(listener.messages)
        caller.goes_dead()
        await caller.silence(30)

        assert len(listener.messages) == arrived
        assert gateway.closed == []


async def test_a_gateway_that_does_not_read_costs_the_caller_words_and_31930(
    autojump_clock: MockClock,
) -> None:
    reads_again = trio.Event()
    listener = Listener()

    async def stalls(websocket: WebSocket) -> None:
        await reads_again.wait()
        await listener(websocket)

    gateway = GatewayDouble({"/voice": CONNECT}, stalls, stream_pair=trio.testing.lockstep_stream_pair)

    async with gateway.called_by_twilio() as twilio, ring(twilio) as caller:
        await caller.silence(30)
        reads_again.set()
        await caller.silence(1)

    chunks = [int(frame["media"]["chunk"]) for frame in listener.of("media")]
    assert [warning.code for warning in caller.warnings] == [31930]
    assert len(chunks) < 900
    assert chunks[-1] > 1500


# -- the block ----------------------------------------------------------------------------------------


async def test_no_task_survives_the_block(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": CONNECT}, echo)

    async with gateway.called_by_twilio() as twilio:
        await trio.testing.wait_all_tasks_blocked()
        before = trio.lowlevel.current_statistics().tasks_living
        async with ring(twilio) as caller:
            await caller.says(SPEECH)
        await trio.testing.wait_all_tasks_blocked()
        after = trio.lowlevel.current_statistics().tasks_living

    assert after == before
    assert twilio.calls == {}


async def test_an_error_in_the_block_leaves_it_as_it_is(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": CONNECT}, echo)

    with pytest.raises(ZeroDivisionError):
        async with gateway.called_by_twilio() as twilio, ring(twilio):
            raise ZeroDivisionError

    assert twilio.calls == {}


async def test_forty_callers_are_each_heard_without_a_hole(autojump_clock: MockClock) -> None:
    gateway = GatewayDouble({"/voice": CONNECT}, echo)
    callers: list[Caller] = []

    async def one(twilio: FakeTwilio) -> None:
        async with ring(twilio) as caller:
            callers.append(caller)
            await caller.says(SPEECH)

    async with gateway.called_by_twilio() as twilio, trio.open_nursery() as nursery:
        for _ in range(40):
            nursery.start_soon(one, twilio)

    assert len({caller.call_sid for caller in callers}) == 40
    assert all(len(caller.streams[0].played) == 1 for caller in callers)
    assert all(caller.warnings == [] for caller in callers)
