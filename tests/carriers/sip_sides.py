"""A side of a SIP call as the gateway has it: an agent on a network of the tests, and `Signalling` above its sessions."""

from typing import Any, TypeVar

from gateway.carriers.sip.leg_messages import FromSip, MediaAgreed
from gateway.carriers.sip.signalling import Signalling, Told
from gateway.wire.sdp.agreement import OurMedia
from gateway.wire.sdp.description import SessionDescription, decode, encode
from gateway.wire.sdp.offer_answer import OfferAnswer
from gateway.wire.sip.endpoint import described_in
from gateway.wire.sip.session import Session
from gateway.wire.sip.session_words import Offered, SessionWord
from gateway.wire.sip.uri import SipUri, Uri
from tests.wire.sip.sip_agents import Agent, Network

__all__ = ["Side", "media", "uri_of"]

T = TypeVar("T")


def uri_of(name: str) -> SipUri:
    return SipUri(user=name, host=f"{name}.example")


def our_media(host: int, *, address: str = "", port: int = 10_000, **ours: Any) -> OurMedia:
    return OurMedia(address=address or f"192.0.2.{host}", port=port, **ours)


def media(host: int, **ours: Any) -> OfferAnswer:
    """What a host 192.0.2.X brings to an offer or an answer; its keys are its number over and over."""
    return OfferAnswer(
        our_media(host, **ours),
        session_id=100,
        new_key=lambda size: bytes([host]) * size,
    )


class Side:
    """`told`: all that its calls have told. `host`: where its media is, in 192.0.2.0/24."""

    def __init__(
        self,
        name: str,
        network: Network,
        host: int,
        *,
        takes_transfers: bool = False,
        ours: dict[str, Any] | None = None,
        **endpoint: Any,
    ) -> None:
        self.network = network
        self.agent = Agent(name, network, seed=host, **endpoint)
        self.agent.hears = self._hears
        self.host = host
        self.calls: list[Signalling] = []
        self.told: list[Told] = []
        self.told_by: dict[Signalling, list[Told]] = {}
        self._ours = ours or {}
        self._terms: dict[Signalling, OfferAnswer] = {}
        self._takes_transfers = takes_transfers
        self._calls: dict[Session, Signalling] = {}

    # -- what it does

    def calls_up(self, name: str) -> Signalling:
        terms = media(self.host, **self._ours)
        session = self.agent.call(uri_of(name), encode(terms.offer()))
        return self._begin(session, terms)

    def do(self, call: Signalling, verb: str, *args: Any) -> Any:
        """Have a call do something."""
        done = getattr(call, verb)(*args)
        self._settle(call)
        self.agent.carry()
        return done

    def does(self, verb: str, *args: Any) -> Any:
        """Have the first call do something, now."""
        return self.do(self.call, verb, *args, self.network.now)

    def rings(self, call: Signalling | None = None) -> None:
        """Say that a call, the first, rings."""
        session = (call or self.call).session
        self.agent.does(session, session.ring, self.network.now)

    def changes(self, call: Signalling | None = None, **ours: Any) -> None:
        """Offer something else in a call, the first, as soon as that may be."""
        call = call or self.call
        self._terms[call].ours = our_media(self.host, **self._ours | ours)
        self.agent.does(call.session, call.session.renegotiate)

    def moves(self, to: Uri, call: Signalling | None = None) -> Session:
        """Do what they wanted of a call, the first."""
        call = call or self.call
        terms = media(self.host, **self._ours)
        session = self.agent.call(to, encode(terms.offer()))
        self._calls[session] = call
        assert call.move(session, terms)
        return session

    # -- what it has been told

    @property
    def call(self) -> Signalling:
        return self.calls[0]

    def heard(self, kind: type[T]) -> list[T]:
        return [each.message for each in self.told if isinstance(each.message, kind)]

    @property
    def agreed(self) -> MediaAgreed:
        """The last agreement."""
        return self.heard(MediaAgreed)[-1]

    @property
    def last(self) -> FromSip:
        return self.told[-1].message

    def descriptions(self) -> list[SessionDescription]:
        """What it sent, first to last; what was sent again is there again."""
        sent = [each.message for each in self.network.passed if each.sender == self.agent.name]
        return [decode(body) for message in sent if (body := described_in(message)) is not None]

    # -- between agent and signalling

    def _hears(self, _agent: Agent, session: Session, word: SessionWord) -> None:
        if session not in self._calls:
            assert isinstance(word, Offered)
            self._begin(session, media(self.host, **self._ours))
        call = self._calls[session]
        call.said(session, word, self.network.now)
        self._settle(call)

    def _begin(self, session: Session, terms: OfferAnswer) -> Signalling:
        call = Signalling(session, terms, takes_transfers=self._takes_transfers)
        self.calls.append(call)
        self._calls[session] = call
        self._terms[call] = terms
        self.told_by[call] = []
        return call

    def _settle(self, call: Signalling) -> None:
        told = call.told()
        self.told += told
        self.told_by[call] += told
        for session in call.sessions:
            self.agent.agent.touch(session, self.network.now)
