"""The calls of SIP: which leg a session's words are for, how a call that came is taken, how one of ours is placed.

A call that came: `Called` -> whose trunk, whether there is room and a plan -> ports, session, leg -> hosted.
"""

import dataclasses
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final, assert_never

import structlog
import trio

from gateway.carriers.sip.admission import Admitted, Challenge, Drop, Refusal
from gateway.carriers.sip.leg import SipLeg
from gateway.carriers.sip.media_ports import MediaPorts, NoPorts
from gateway.carriers.sip.signalling import Signalling
from gateway.carriers.sip.trunks import Trunk, Trunks
from gateway.contracts import CallLeg, EndReason
from gateway.incoming import Admission, NewCall, Refuse
from gateway.telemetry.metrics import Metrics
from gateway.wire.sdp.agreement import OurMedia
from gateway.wire.sdp.description import encode
from gateway.wire.sdp.offer_answer import OfferAnswer
from gateway.wire.sip.endpoint import Endpoint, Rows
from gateway.wire.sip.fields import CALL_ID
from gateway.wire.sip.flow import Flow
from gateway.wire.sip.routing import Addresses
from gateway.wire.sip.session import Session
from gateway.wire.sip.uri import SipUri
from gateway.wire.sip.user_agent import Called, Passed, SessionSaid, UserAgent

if TYPE_CHECKING:
    from random import Random

__all__ = ["Switchboard"]

# How a caller hears that he is not let in. Another gateway may have room: 503 sends him there (RFC 3263 §4.3).
_REFUSALS: Final[Mapping[tuple[str, str], int]] = {
    ("busy", "draining"): 503,
    ("busy", "too_many_calls"): 503,
    ("rejected", "no_route"): 404,
    ("busy", "plan"): 486,
    ("rejected", "plan"): 603,
}
_RETRY_AFTER_S: Final = 5  # until somebody who found no room may ask again
_SESSION_ID_BITS: Final = 62
_ELSEWHERE: Final = 603  # they want us to call where we do not call


@dataclasses.dataclass(slots=True, eq=False)
class _SipCall:
    """`flow`: how the far end was reached, or reached us."""

    leg: SipLeg
    trunk: Trunk
    new: NewCall
    flow: Flow
    is_hosted: bool = False


class Switchboard:
    """All calls of one user agent.

    `admit` says whether a call is taken; `host` has it as long as it lasts, in a task that `spawn` starts. `carry` has
    the user agent's wishes carried out. `destinations`: of the dialplan, by name: a number or a SIP URI.
    """

    def __init__(
        self,
        agent: UserAgent,
        addresses: Addresses,
        trunks: Trunks,
        media: MediaPorts,
        *,
        admit: Callable[[NewCall], Admission],
        host: Callable[[CallLeg, NewCall], Awaitable[None]],
        spawn: Callable[..., None],
        carry: Callable[[], None],
        destinations: Mapping[str, str],
        rng: "Random",
        metrics: Metrics,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._agent = agent
        self._addresses = addresses
        self._trunks = trunks
        self._media = media
        self._admit = admit
        self._host = host
        self._spawn = spawn
        self._carry = carry
        self._destinations = destinations
        self._rng = rng
        self._metrics = metrics
        self._log = log
        self._calls: dict[Session, _SipCall] = {}

    # -- what the user agent tells

    def called(self, called: Called, now: float) -> None:
        """A call comes."""
        admission = self._trunks.admit(called.asked.request, called.asked.flow, now)
        match admission:
            case Admitted(trunk):
                self._take(called, trunk, now)
            case Challenge(status, rows):
                self._refuse(called, status, now, rows)
            case Refusal(status, rows, reason):
                self._refuse(called, status, now, rows, reason=reason)
            case Drop(why, sighting):
                self._agent.drop(called)
                self._metrics.sip_dropped.labels(reason=why).inc()
                if sighting is not None:
                    self._log.warning("stranger.dropped", **sighting._asdict())
            case _:
                assert_never(admission)

    def said(self, said: SessionSaid, now: float) -> None:
        """A session said something."""
        call = self._calls.get(said.session)
        if call is None:
            return
        signalling = call.leg.signalling
        signalling.said(said.session, said.word, now)
        self._settle(call)
        if signalling.wanted is not None:
            self._move(call, now)
        if not call.is_hosted and signalling.ended is None:
            call.is_hosted = True
            self._spawn(self._hosts, call)
        self._did(call.leg)  # it may have answered

    def passed(self, passed: Passed) -> None:
        """A message of a session was sent, or came."""
        call = self._calls.get(passed.session)
        if call is not None:
            call.leg.signalling.passed(passed.message, passed.flow, sent=passed.sent)
            self._settle(call)

    def broken(self, session: Session) -> None:
        """A bug of ours: this call is of no use any more."""
        call = self._calls.get(session)
        if call is not None:
            call.leg.media_failed("a bug")

    # -- calls that come

    def _take(self, called: Called, trunk: Trunk, now: float) -> None:
        request, flow = called.asked.request, called.asked.flow
        new = NewCall(
            carrier="sip",
            carrier_call=request.headers[CALL_ID],
            caller=trunk.caller_of(request),
            called=trunk.called_of(request),
            headers=trunk.headers_of(request),
        )
        admission = self._admit(new)
        if isinstance(admission, Refuse):
            status = _REFUSALS[admission.reason, admission.why]
            self._refuse(called, status, now, _later(status))
            return
        try:
            leg = self._new_leg(trunk, flow)
        except NoPorts as error:
            self._log.error("media.no_ports", detail=str(error))
            self._refuse(called, 503, now, _later(503))
            return
        user = request.uri.user if isinstance(request.uri, SipUri) else None
        session = self._agent.take(called, self._endpoint(flow, user), now)
        if session is None:
            leg.release()
            return
        signalling = Signalling(
            session, self._offers(trunk, flow, leg), takes_transfers=trunk.settings.transfers
        )
        self._add(_SipCall(leg, trunk, new, flow), signalling, now)

    def _refuse(
        self, called: Called, status: int, now: float, rows: Rows = (), *, reason: str | None = None
    ) -> None:
        self._agent.refuse(called, status, now, rows, reason=reason)
        self._metrics.sip_invites.labels(status=str(status)).inc()

    # -- calls that go

    def _move(self, call: _SipCall, now: float) -> None:
        """They want the call to go on elsewhere."""
        signalling = call.leg.signalling
        target = self._elsewhere(call)
        if target is None:
            signalling.stay(_ELSEWHERE, now)
        else:
            endpoint = self._endpoint(call.flow, call.trunk.account or None, call.trunk)
            offers = self._offers(call.trunk, call.flow, call.leg)
            session = Session.inviting(
                target, endpoint, now, local=call.trunk.identity, description=encode(offers.offer())
            )
            self._calls[session] = call
            self._agent.begin(session, now)
            signalling.move(session, offers)
        self._did(call.leg)

    def _elsewhere(self, call: _SipCall) -> SipUri | None:
        """Where they want us to call, if that is by their own trunk, and there is room: nobody else pays for it."""
        if (why := call.trunk.full(trio.current_time())) is not None:
            self._log.warning("transfer.refused", trunk=call.trunk.name, detail=f"at most {why}")
            return None
        wanted = call.leg.signalling.wanted
        if isinstance(wanted, SipUri) and wanted.host == call.flow.remote.host:
            wanted_there = wanted.user or ""  # nothing else of it: its parameters could lead anywhere
        else:
            wanted_there = str(wanted)
        try:
            return call.trunk.uri_for(wanted_there)
        except ValueError as error:
            self._log.warning("transfer.refused", trunk=call.trunk.name, detail=str(error))
            return None

    # -- one call

    def _new_leg(self, trunk: Trunk, flow: Flow) -> SipLeg:
        """Raises `NoPorts`."""

        def target_of(destination: str) -> SipUri | None:
            number = self._destinations.get(destination)
            return trunk.refer_target(number, flow.remote.host) if number is not None else None

        return SipLeg(self._media, carry=self._did, target_of=target_of)

    def _offers(self, trunk: Trunk, flow: Flow, leg: SipLeg) -> OfferAnswer:
        ours = OurMedia(
            address=self._addresses.advertised(flow).host,
            port=leg.rtp_port,
            codecs=trunk.settings.codecs,
            srtp=trunk.settings.srtp,
        )
        return OfferAnswer(ours, session_id=self._rng.getrandbits(_SESSION_ID_BITS), new_key=os.urandom)

    def _endpoint(self, flow: Flow, user: str | None, dialled: Trunk | None = None) -> Endpoint:
        """`dialled`: the trunk that gets our credentials if it asks; nobody who calls us does."""
        return Endpoint(
            contact=self._addresses.contact(flow, user),
            rng=self._rng,
            credentials=dialled.credentials if dialled is not None else None,
        )

    def _add(self, call: _SipCall, signalling: Signalling, now: float) -> None:
        call.leg.signalling = signalling
        call.trunk.began(now)
        self._calls[signalling.session] = call

    async def _hosts(self, call: _SipCall) -> None:
        try:
            await self._host(call.leg, call.new)
        finally:
            call.leg.signalling.hang_up(EndReason.BUG, trio.current_time())  # if nobody has
            self._did(call.leg)
            call.leg.release()

    def _did(self, leg: SipLeg) -> None:
        """Something was done with a leg's sessions."""
        for session in leg.signalling.sessions:
            self._agent.touch(session, trio.current_time())
        self._carry()

    def _settle(self, call: _SipCall) -> None:
        call.leg.settle()
        if not call.leg.signalling.finished:
            return
        for session in [session for session, each in self._calls.items() if each is call]:
            del self._calls[session]
        call.trunk.ended()
        if not call.is_hosted:
            call.leg.release()


def _later(status: int) -> Rows:
    return (("Retry-After", str(_RETRY_AFTER_S)),) if status == 503 else ()
