"""The calls of SIP: which leg a session's words are for, how a call that came is taken, how one of ours is placed.

A call that came: `Called` -> whose trunk, whether there is room and a plan -> ports, session, leg -> hosted.
One of ours: `place` -> a way to the trunk -> ports, session, leg -> hosted, while it rings.

A call stands here as long as it is hosted. What its sessions still have to say then, the user agent does by itself.
"""

import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, assert_never

import structlog
import trio

from gateway.carriers.sip.admission import Admitted, Challenge, Drop, Refusal
from gateway.carriers.sip.answers import Answers
from gateway.carriers.sip.call_parts import CallParts
from gateway.carriers.sip.leg import SipLeg
from gateway.carriers.sip.media_ports import NoPorts
from gateway.carriers.sip.numbers import name_of, shown_call_id
from gateway.carriers.sip.signalling import Signalling
from gateway.carriers.sip.transport import Unreachable
from gateway.carriers.sip.trunks import Trunk, Trunks
from gateway.contracts import CallLeg, EndReason
from gateway.incoming import Admission, NewCall, NotPlaced, Refuse
from gateway.telemetry.metrics import Metrics
from gateway.wire.sip.endpoint import Rows
from gateway.wire.sip.fields import CALL_ID, CSEQ
from gateway.wire.sip.flow import Flow
from gateway.wire.sip.message import Response
from gateway.wire.sip.session import Session
from gateway.wire.sip.uri import SipUri
from gateway.wire.sip.user_agent import Called, Passed, Refused, SessionSaid, UserAgent

__all__ = ["Host", "Switchboard"]

_Event = Called | Refused | SessionSaid | Passed
Host = Callable[[CallLeg, NewCall], Awaitable[None]]
"""Has a call as long as it lasts."""

# How a caller hears that he is not let in. Another gateway may have room: 503 sends him there (RFC 3263 §4.3).
_REFUSALS: Final[Mapping[tuple[str, str], int]] = {
    ("busy", "draining"): 503,
    ("busy", "too_many_calls"): 503,
    ("rejected", "no_route"): 404,
    ("busy", "plan"): 486,
    ("rejected", "plan"): 603,
}
_RETRY_AFTER_S: Final = 5  # until somebody who found no room may ask again
_ELSEWHERE: Final = 603  # they want us to call where we do not call
_BROKEN: Final = 500


@dataclasses.dataclass(slots=True, eq=False)
class _SipCall:
    """`flow`: how the far end was reached, or reached us. `sessions`: the one, and those that it was to move to."""

    leg: SipLeg
    trunk: Trunk
    new: NewCall
    flow: Flow
    host: Host
    sessions: list[Session]
    is_hosted: bool = False
    is_answered: bool = False


class Switchboard:
    """All calls of one user agent. `coming`: those that were let in, or are to be placed, and that nobody hosts yet.

    `admit` says whether a call is taken; `host` has one that came, in a task that `spawn` starts. `reach`: a way to
    where a URI is, or `Unreachable`. `carry` has the user agent's wishes carried out.
    """

    def __init__(
        self,
        agent: UserAgent,
        trunks: Trunks,
        parts: CallParts,
        *,
        admit: Callable[[NewCall], Admission],
        host: Host,
        spawn: Callable[..., None],
        reach: Callable[[SipUri], Awaitable[Flow]],
        carry: Callable[[], None],
        metrics: Metrics,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self.coming = 0
        self._agent = agent
        self._trunks = trunks
        self._parts = parts
        self._admit = admit
        self._host = host
        self._spawn = spawn
        self._reach = reach
        self._carry = carry
        self._metrics = metrics
        self._log = log
        self._calls: dict[Session, _SipCall] = {}
        self._parting: list[Session] = []
        self._answers = Answers(metrics, log)

    @property
    def parted(self) -> bool:
        """Whether everybody knows of each call that has ended, and nothing is to be sent for one any more."""
        self._parting = [session for session in self._parting if not session.parted]
        return not self._parting

    # -- what the user agent tells

    def happened(self, event: _Event, now: float) -> None:
        """Raises nothing: a bug of ours ends the call that it is found in, and no other."""
        try:
            match event:
                case Called():
                    self._called(event, now)
                case Refused(request, response, flow):
                    trunk = self._trunks.likely(request, flow.remote.host)
                    self._answers.refused_with(response, trunk, now)
                case SessionSaid():
                    self._said(event, now)
                case Passed():
                    self._passed(event)
                case _:
                    assert_never(event)
        except Exception:  # noqa: BLE001 - containment: the other calls go on
            self._log.exception("sip.broken")
            self._repair(event, now)

    def _repair(self, event: _Event, now: float) -> None:
        if isinstance(event, Called):
            self._refuse(event, _BROKEN, now)
        if not isinstance(event, SessionSaid | Passed):
            return
        call = self._calls.get(event.session)
        if call is None:
            return
        if call.is_hosted:
            call.leg.media_failed("a bug")
        else:
            self._end(call)

    def _called(self, called: Called, now: float) -> None:
        """A call comes."""
        admission = self._trunks.admit(called.asked.request, called.asked.flow, now)
        match admission:
            case Admitted(trunk):
                self._take(called, trunk, now)
            case Challenge(status, rows):
                self._refuse(called, status, now, rows)
            case Refusal(trunk, status, rows, reason):
                self._agent.refuse(called, status, now, rows, reason=reason)
                self._answers.refused(trunk.name, status, reason, now)
            case Drop(why, sighting):
                self._agent.drop(called)
                self._metrics.sip_dropped.labels(reason=why).inc()
                if sighting is not None:
                    self._log.warning("stranger.dropped", **sighting._asdict())
            case _:
                assert_never(admission)

    def _said(self, said: SessionSaid, now: float) -> None:
        call = self._calls.get(said.session)
        if call is None:
            return
        signalling = call.leg.signalling
        signalling.said(said.session, said.word, now)
        call.leg.settle()
        if signalling.wanted is not None:
            self._move(call, now)
        self._did(call.leg)
        if not call.is_hosted:
            self._begin(call)

    def _passed(self, passed: Passed) -> None:
        call = self._calls.get(passed.session)
        if call is None:
            return
        call.leg.signalling.passed(passed.message, passed.flow, sent=passed.sent)
        call.leg.settle()
        if passed.sent and isinstance(passed.message, Response) and not call.is_answered:
            self._note_answer(call, passed.message)

    # -- calls that come

    def _take(self, called: Called, trunk: Trunk, now: float) -> None:
        request, flow = called.asked.request, called.asked.flow
        new = NewCall(
            carrier="sip",
            carrier_call=shown_call_id(request.headers[CALL_ID]),
            caller=trunk.caller_of(request),
            called=trunk.called_of(request),
            headers=trunk.headers_of(request),
        )
        admission = self._admit(new)
        if isinstance(admission, Refuse):
            status = _REFUSALS[admission.reason, admission.why]
            self._refuse(called, status, now, _later(status))
            return
        with contextlib.ExitStack() as undo:
            try:
                leg = self._parts.leg(trunk, flow, self._did)
            except NoPorts as error:
                self._log.error("media.no_ports", detail=str(error))
                self._refuse(called, 503, now, _later(503))
                return
            undo.callback(leg.release)
            offers = self._parts.offers(trunk, flow, leg)
            user = request.uri.user if isinstance(request.uri, SipUri) else None
            session = self._agent.take(called, self._parts.called(flow, user), now)
            if session is None:
                return
            leg.signalling = Signalling(session, offers, takes_transfers=trunk.settings.transfers)
            self._calls[session] = _SipCall(leg, trunk, new, flow, self._host, [session])
            trunk.began(now)
            self.coming += 1
            undo.pop_all()

    def _note_answer(self, call: _SipCall, response: Response) -> None:
        if (
            call.new.direction == "inbound"
            and response.headers[CSEQ].method == "INVITE"
            and response.status >= 200
        ):
            call.is_answered = True
            self._answers.count(response.status)

    def _refuse(self, called: Called, status: int, now: float, rows: Rows = ()) -> None:
        """For a reason that the log has already, or that is none: a challenge."""
        self._agent.refuse(called, status, now, rows)
        self._answers.count(status)

    # -- calls that go

    async def place(self, callee: str, trunk: Trunk, headers: Mapping[str, str], host: Host) -> None:
        """Call somebody by a trunk; `host` has the call from now on, in a task of its own. Raises `NotPlaced`.

        `callee`: what `Trunk.uri_for` takes. `headers`: those that the trunk lets through.
        """
        now = trio.current_time()
        try:
            target, _ = trunk.uri_for(callee), trunk.rows_for(headers)
        except ValueError as error:
            raise NotPlaced(str(error)) from None
        if (why := trunk.full(now)) is not None:
            raise NotPlaced(f"trunks.{trunk.name} has at most {why}")
        with contextlib.ExitStack() as undo:
            trunk.began(now)
            undo.callback(trunk.ended)
            self.coming += 1
            undo.callback(self._came)
            try:
                flow = await self._reach(target)
            except Unreachable as error:
                raise NotPlaced(f"trunks.{trunk.name} cannot be reached: {error}") from None
            call = self._call_to(target, trunk, flow, headers, host)
            undo.pop_all()
        session = call.sessions[0]
        self._calls[session] = call
        with contextlib.ExitStack() as undo:
            undo.callback(self._end, call)
            self._agent.begin(session, trio.current_time())
            self._begin(call)
            undo.pop_all()
        self._carry()

    def _call_to(
        self, target: SipUri, trunk: Trunk, flow: Flow, headers: Mapping[str, str], host: Host
    ) -> _SipCall:
        with contextlib.ExitStack() as undo:
            try:
                leg = self._parts.leg(trunk, flow, self._did)
            except NoPorts as error:
                raise NotPlaced(str(error)) from None
            undo.callback(leg.release)
            offers = self._parts.offers(trunk, flow, leg)
            now, rows = trio.current_time(), trunk.rows_for(headers)
            session = self._parts.session_to(target, trunk, flow, offers, now, rows=rows)
            leg.signalling = Signalling(session, offers, takes_transfers=trunk.settings.transfers)
            leg.calling()
            new = NewCall(
                carrier="sip",
                carrier_call=shown_call_id(session.call_id),
                caller=name_of(trunk.identity.uri),
                called=name_of(target),
                headers=headers,
                direction="outbound",
            )
            undo.pop_all()
            return _SipCall(leg, trunk, new, flow, host, [session])

    def _move(self, call: _SipCall, now: float) -> None:
        """They want the call to go on elsewhere."""
        signalling = call.leg.signalling
        target = self._elsewhere(call, now)
        if target is None:
            signalling.stay(_ELSEWHERE, now)
        else:
            offers = self._parts.offers(call.trunk, call.flow, call.leg)
            by = signalling.wanted_by
            rows = (("Referred-By", by),) if by is not None else ()  # RFC 3892
            session = self._parts.session_to(target, call.trunk, call.flow, offers, now, rows=rows)
            signalling.move(session, offers)
            call.sessions.append(session)
            self._calls[session] = call
            self._agent.begin(session, now)

    def _elsewhere(self, call: _SipCall, now: float) -> SipUri | None:
        """Where they want us to call, if that is by their own trunk, and there is room: nobody else pays for it."""
        if (why := call.trunk.full(now)) is not None:
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

    def _begin(self, call: _SipCall) -> None:
        """Have it hosted, unless it was over before anybody knew of it."""
        signalling = call.leg.signalling
        if signalling.ended is None:
            self._spawn(self._hosts, call)
            call.is_hosted = True
            return
        self._end(call)
        if (declined := signalling.declined) is not None:
            self._answers.refused(call.trunk.name, declined.status, str(declined), trio.current_time())

    async def _hosts(self, call: _SipCall) -> None:
        self._came()
        try:
            try:
                await call.host(call.leg, call.new)
            finally:
                self._forget(call)
        except* Exception as group:  # noqa: BLE001 - containment: the other calls go on
            self._log.exception("sip.broken", exc_info=group)

    def _end(self, call: _SipCall) -> None:
        """Nobody hosts it, and nobody shall."""
        self._came()
        self._forget(call)

    def _forget(self, call: _SipCall) -> None:
        """Give back all that it has. Who hosted it has hung up, as a rule."""
        for session in call.sessions:
            del self._calls[session]
        call.trunk.ended()
        call.leg.release()
        counts = call.leg.media_counts
        for reason, count in (
            ("rtp_stranger", counts.strangers),
            ("rtp_malformed", counts.malformed),
            ("rtp_forged", counts.srtp_failures),
        ):
            self._metrics.sip_dropped.labels(reason=reason).inc(count)
        if call.leg.signalling.ended is None:
            if call.new.direction == "inbound" and not call.is_answered:
                self._answers.count(_BROKEN)
            call.leg.signalling.hang_up(EndReason.BUG, trio.current_time())
            self._did(call.leg)
        self._parting = [each for each in (*self._parting, *call.sessions) if not each.parted]

    def _came(self) -> None:
        self.coming -= 1

    def _did(self, leg: SipLeg) -> None:
        """Something was done with a leg's sessions."""
        for session in leg.signalling.sessions:
            self._agent.touch(session, trio.current_time())
        self._carry()


def _later(status: int) -> Rows:
    return (("Retry-After", str(_RETRY_AFTER_S)),) if status == 503 else ()
