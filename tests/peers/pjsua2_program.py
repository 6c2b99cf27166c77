"""PJSIP's user agent as a program: `python pjsua2_program.py PLAN`, where PLAN is a JSON file of `Plan`'s keys.

PJSIP is under the GPL: it runs in a process of its own, which shares nothing with the gateway but the network.
It prints one JSON object a line: what happened. The process ends without taking the library down, which does not
survive that while Python holds its objects.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pjsua2 as pj  # type: ignore[import-not-found, import-untyped, unused-ignore] # it has no types

HOST = "127.0.0.1"
OVER = "DISCONNECTED"
ACTIVE = (pj.PJSUA_CALL_MEDIA_ACTIVE, pj.PJSUA_CALL_MEDIA_REMOTE_HOLD)
TRANSPORTS = {
    "udp": pj.PJSIP_TRANSPORT_UDP,
    "tcp": pj.PJSIP_TRANSPORT_TCP,
    "tls": pj.PJSIP_TRANSPORT_TLS,
}


def tell(event: str, **fields: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, "at_s": time.time(), **fields}) + "\n")
    sys.stdout.flush()


class Call(pj.Call):  # type: ignore[misc, unused-ignore] # PJSIP tells by methods that one overrides
    """One call: plays a WAV to the other side and records it."""

    def __init__(self, account: pj.Account, plan: dict[str, Any], call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(account, call_id)
        self.plan = plan
        self.state = ""
        self.player: pj.AudioMediaPlayer | None = None
        self.recorder: pj.AudioMediaRecorder | None = None

    def onCallState(self, _: Any) -> None:  # noqa: N802
        info = self.getInfo()
        self.state = info.stateText
        tell("state", state=info.stateText, status=info.lastStatusCode, reason=info.lastReason)

    def onCallMediaState(self, _: Any) -> None:  # noqa: N802
        info = self.getInfo()
        media = info.media  # kept: what SWIG gives lives no longer than what it was taken from
        for number, stream in enumerate(media):
            tell("media", status=stream.status, direction=stream.dir)
            if stream.type == pj.PJMEDIA_TYPE_AUDIO and stream.status in ACTIVE:
                self._connect(self.getAudioMedia(number))

    def _connect(self, audio: pj.AudioMedia) -> None:
        if self.player is None:
            self.player, self.recorder = pj.AudioMediaPlayer(), pj.AudioMediaRecorder()
            self.player.createPlayer(self.plan["wav"], pj.PJMEDIA_FILE_NO_LOOP)
            self.recorder.createRecorder(self.plan["recording"])
        self.player.startTransmit(audio)
        audio.startTransmit(self.recorder)

    def onDtmfDigit(self, told: Any) -> None:  # noqa: N802
        tell("digit", digit=told.digit)

    def onCallTransferStatus(self, told: Any) -> None:  # noqa: N802
        tell("transfer", status=told.statusCode, reason=told.reason, last=told.finalNotify)
        told.cont = not told.finalNotify

    def onCallTransferRequest(self, told: Any) -> None:  # noqa: N802
        tell("transfer_asked", to=told.dstUri)

    def onCallTsxState(self, told: Any) -> None:  # noqa: N802
        state = told.e.body.tsxState
        transaction = state.tsx
        if transaction.method == "INVITE" and state.type == pj.PJSIP_EVENT_RX_MSG:
            tell("response", status=transaction.statusCode, message=state.src.rdata.wholeMsg)
        if transaction.state == pj.PJSIP_TSX_STATE_COMPLETED:
            tell(
                "transaction", method=transaction.method, status=transaction.statusCode, role=transaction.role
            )

    def close_files(self) -> None:
        """A recording's header is written when its recorder goes."""
        self.player = self.recorder = None


class Account(pj.Account):  # type: ignore[misc, unused-ignore] # as above
    """Takes calls, after they have rung for a while."""

    def __init__(self, plan: dict[str, Any]) -> None:
        super().__init__()
        self.plan = plan
        self.ringing: list[tuple[float, Call]] = []
        self.calls: list[Call] = []

    def onIncomingCall(self, told: Any) -> None:  # noqa: N802
        call = Call(self, self.plan, told.callId)
        tell("incoming", remote=call.getInfo().remoteUri, message=told.rdata.wholeMsg)
        self.calls.append(call)
        respond(call, 180)
        self.ringing.append((time.monotonic(), call))

    def answer_those_that_rang(self) -> None:
        for rang_s, call in self.ringing[:]:
            if time.monotonic() - rang_s >= self.plan["rings_s"]:
                self.ringing.remove((rang_s, call))
                if call.state != OVER:  # refused by PJSIP itself, or cancelled
                    respond(call, self.plan["answers"])


def respond(call: Call, status: int) -> None:
    answer = pj.CallOpParam()
    answer.statusCode = status
    call.answer(answer)


def start(plan: dict[str, Any]) -> tuple[pj.Endpoint, Account]:
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    settings = pj.EpConfig()
    settings.logConfig.level = settings.logConfig.consoleLevel = plan["log"]
    settings.uaConfig.threadCnt = 0
    settings.uaConfig.mainThreadOnly = True
    settings.medConfig.noVad = True
    endpoint.libInit(settings)
    transport = pj.TransportConfig()
    transport.boundAddress = transport.publicAddress = HOST
    transport.port = plan["port"]
    transport.tlsConfig.CaListFile = plan["ca"]
    transport.tlsConfig.certFile = plan["certificate"]
    transport.tlsConfig.privKeyFile = plan["key"]
    transport.tlsConfig.verifyServer = True
    number = endpoint.transportCreate(TRANSPORTS[plan["transport"]], transport)
    endpoint.libStart()
    endpoint.audDevManager().setNullDev()
    for codec in endpoint.codecEnum2():
        endpoint.codecSetPriority(codec.codecId, 200 if codec.codecId.startswith("PCM") else 0)
    account = Account(plan)
    account.create(describe(plan, number))
    return endpoint, account


def describe(plan: dict[str, Any], transport: int) -> pj.AccountConfig:
    own = pj.AccountConfig()
    own.idUri = f"sip:{plan['user'] or 'pjsip'}@{HOST}"
    own.sipConfig.transportId = transport
    if plan["user"]:
        own.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", plan["user"], 0, plan["password"]))
    own.mediaConfig.srtpUse = plan["srtp"]
    own.mediaConfig.srtpSecureSignaling = 0
    for suite in plan["suites"]:
        crypto = pj.SrtpCrypto()
        crypto.name = suite
        own.mediaConfig.srtpOpt.cryptos.append(crypto)
    own.mediaConfig.transportConfig.boundAddress = own.mediaConfig.transportConfig.publicAddress = HOST
    own.mediaConfig.transportConfig.port = plan["rtp_port"]
    own.mediaConfig.transportConfig.portRange = 20
    own.callConfig.prackUse = pj.PJSUA_100REL_NOT_USED
    own.callConfig.timerUse = plan["timer"]
    own.callConfig.timerMinSESec = plan["min_expires_s"]
    own.callConfig.timerSessExpiresSec = plan["expires_s"]
    return own


def carry_out(
    step: list[Any], call: Call, plan: dict[str, Any], run: Callable[[float, Callable[[], bool]], None]
) -> None:
    """One step of the plan."""
    options = pj.CallOpParam(True)
    options.opt.videoCount = 0
    match step:
        case ["call", str(uri)]:
            if plan["delayed_offer"]:
                options.opt.flag = pj.PJSUA_CALL_NO_SDP_OFFER
            call.makeCall(uri, options)
            run(8, lambda: call.state in {"CONFIRMED", OVER})
        case ["wait", seconds]:
            run(seconds, lambda: call.state == OVER)
        case ["hold"]:
            call.setHold(pj.CallOpParam())
        case ["resume"]:
            options.opt.flag = pj.PJSUA_CALL_UNHOLD
            call.reinvite(options)
        case ["update"]:
            call.update(options)
        case ["press", str(digits)]:
            call.dialDtmf(digits)
        case ["refer", str(uri)]:
            call.xfer(uri, pj.CallOpParam(True))
        case ["hang up"]:
            if call.state != OVER:
                call.hangup(pj.CallOpParam())
                run(3, lambda: call.state == OVER)
        case _:
            raise ValueError(step)


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    endpoint, account = start(plan)

    def run(seconds: float, until: Callable[[], bool]) -> None:
        ends_s = time.monotonic() + seconds
        while time.monotonic() < ends_s and not until():
            endpoint.libHandleEvents(10)
            account.answer_those_that_rang()

    tell("ready")
    if plan["steps"]:
        call = Call(account, plan)
        account.calls.append(call)
        for step in plan["steps"]:
            tell("step", step=step)
            carry_out(step, call, plan, run)
    else:
        run(
            plan["serves_s"],
            lambda: bool(account.calls) and all(call.state == OVER for call in account.calls),
        )
    for each in account.calls:
        each.close_files()
    run(0.1, lambda: False)
    tell("done")
    os._exit(0)


if __name__ == "__main__":
    main()
