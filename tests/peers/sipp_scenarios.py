"""Scenarios for sipp, put together from the few steps that all of them have.

A scenario is an XML file of `send`, `recv`, `pause` and `nop`. Words in brackets are sipp's: `[service]` is who is
called, `[next_url]` the contact of the other side, `[media_port]` where sipp has its RTP.
"""

from pathlib import Path
from xml.sax.saxutils import quoteattr

__all__ = [
    "ANSWER",
    "OFFER",
    "ack",
    "ack_refusal",
    "answer",
    "be_cancelled",
    "bye",
    "cancelled_or_taken",
    "challenge",
    "confirm",
    "expect",
    "hang_up_called",
    "invite",
    "invite_again",
    "invite_and_cancel",
    "notify",
    "pause",
    "play",
    "receive",
    "receive_bye",
    "refuse",
    "request",
    "respond",
    "respond_in_dialog",
    "scenario",
    "sdp",
    "take",
]

_TAKEN, _TAKEN_BEFORE, _STANDS, _ENDED = 3, 4, 5, 6
_KNOWN, _OVER = 1, 2  # labels: numbers are what every version of sipp takes
_SDP = "application/sdp"
AUDIO = ("8 PCMA/8000", "0 PCMU/8000", "101 telephone-event/8000")


def sdp(direction: str = "sendrecv", *, codecs: tuple[str, ...] = AUDIO, version: int = 1) -> str:
    """A session description of one stream of audio that asks for packets of 20 ms."""
    types = " ".join(codec.split()[0] for codec in codecs)
    maps = [f"a=rtpmap:{codec}" for codec in codecs]
    return "\r\n".join(
        [
            "v=0",
            f"o=sipp 1 {version} IN IP[local_ip_type] [local_ip]",
            "s=-",
            "c=IN IP[media_ip_type] [media_ip]",
            "t=0 0",
            f"m=audio [media_port] RTP/AVP {types}",
            *maps,
            *(["a=fmtp:101 0-15"] if "101" in types else []),
            "a=ptime:20",
            f"a={direction}",
            "",
        ]
    )


OFFER = sdp()
ANSWER = sdp(codecs=("8 PCMA/8000", "101 telephone-event/8000"))


def scenario(name: str, *steps: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name={quoteattr(name)}>\n{"".join(steps)}<label id="{_OVER}"/>\n</scenario>\n'


# -- who calls ----------------------------------------------------------------------------------------

_US = "<sip:+15550109999@[local_ip]:[local_port]>;tag=[pid]u[call_number]"
_THEM = "<sip:[service]@[remote_ip]:[remote_port]>"
_CONTACT = "Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>"
_VIA = "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport"


def invite(body: str = OFFER, *headers: str, cseq: int = 1) -> str:
    """The first INVITE, or one more try of it."""
    return _send(
        "INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0",
        [_VIA, f"From: {_US}", f"To: {_THEM}", f"CSeq: {cseq} INVITE", _CONTACT, *headers],
        body,
    )


def invite_again(cseq: int, body: str) -> str:
    """Within the dialog: another offer."""
    return request("INVITE", cseq, body=body)


def request(
    method: str, cseq: int, *headers: str, body: str = "", kind: str = _SDP, transaction: str = ""
) -> str:
    """A request of a caller within the dialog. `kind`: of the body."""
    return _send(
        f"{method} [next_url] SIP/2.0",
        [
            _VIA,
            "[routes]",
            f"From: {_US}",
            f"To: {_THEM}[peer_tag_param]",
            f"CSeq: {cseq} {method}",
            _CONTACT,
            *headers,
        ],
        body,
        kind=kind,
        retransmits=method != "ACK",
        transaction=transaction,
    )


def ack(cseq: int = 1, body: str = "") -> str:
    """Of a 2xx."""
    return request("ACK", cseq, body=body)


def ack_refusal(cseq: int = 1) -> str:
    """Of any other final response: part of the INVITE's transaction (RFC 3261 §17.1.1.3)."""
    return _send(
        "ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0",
        ["[last_Via:]", f"From: {_US}", f"To: {_THEM}[peer_tag_param]", f"CSeq: {cseq} ACK"],
        retransmits=False,
    )


def notify(cseq: int, status: str, state: str) -> str:
    """How a transfer goes, to whom asked for it (RFC 3515 §2.4.5)."""
    headers = ("Event: refer", f"Subscription-State: {state}")
    return request("NOTIFY", cseq, *headers, body=f"SIP/2.0 {status}\r\n", kind="message/sipfrag") + expect(
        200
    )


def invite_and_cancel() -> str:
    """An INVITE and its CANCEL in one breath. Either is sent once: sipp would wait before it goes on otherwise."""
    cancel = _send(
        "CANCEL sip:[service]@[remote_ip]:[remote_port] SIP/2.0",
        [_VIA.replace("[branch]", "[branch-1]"), f"From: {_US}", f"To: {_THEM}", "CSeq: 1 CANCEL"],
        retransmits=False,
    )
    return invite().replace(' retrans="500"', "") + cancel


def cancelled_or_taken() -> str:
    """What RFC 3261 §9.2 has for a CANCEL: 200, and 487 to the INVITE; or, where that has its 200 already, 200 alone.

    Then the call stands, and is ended by BYE. The 200 may come before sipp is ready for it, and then comes again.
    """
    taken = '<ereg regexp="INVITE" search_in="hdr" header="CSeq:" assign_to="taken"/>'
    early = "".join(f'<recv response="{status}" optional="true"/>\n' for status in (100, 180, 183))
    return (
        early
        + f'<recv response="200" rrs="true" test="taken" next="{_TAKEN}"><action>{taken}</action></recv>\n'
        + f'<recv response="200" rrs="true" optional="true" next="{_TAKEN_BEFORE}"/>\n'
        + '<recv response="487"/>\n'
        + ack_refusal().replace("<send", f'<send next="{_ENDED}"')
        + f'<label id="{_TAKEN}"/>\n'
        + ack()
        + expect(200, where="CSeq", matches="1 CANCEL")
        + f'<nop next="{_STANDS}"/>\n'
        + f'<label id="{_TAKEN_BEFORE}"/>\n'
        + ack()
        + f'<label id="{_STANDS}"/>\n'
        + bye()
        + f'<label id="{_ENDED}"/>\n'
    )


def bye(cseq: int = 2) -> str:
    """Hang up, and have it confirmed: not by the 200 of the INVITE, which comes again when its ACK was lost."""
    return request("BYE", cseq, transaction="bye") + expect(200, transaction="bye")


# -- who is called ------------------------------------------------------------------------------------


def respond(status: int, reason: str, *headers: str, body: str = "", cseq: str = "[last_CSeq:]") -> str:
    """A response to the request that came last. A final one to an INVITE is sent again until its ACK comes."""
    return _send(
        f"SIP/2.0 {status} {reason}",
        [
            "[last_Via:]",
            "[last_Record-Route:]",
            "[last_From:]",
            "[last_To:];tag=[pid]d[call_number]" if status > 100 else "[last_To:]",
            cseq,
            _CONTACT,
            *headers,
        ],
        body,
        retransmits=status >= 200 and (bool(body) or status >= 300),
        call_id="[last_Call-ID:]",
    )


def respond_in_dialog(status: int, reason: str) -> str:
    """To a request whose To has our tag already."""
    rows = ["[last_Via:]", "[last_From:]", "[last_To:]", "[last_CSeq:]", _CONTACT]
    return _send(f"SIP/2.0 {status} {reason}", rows, retransmits=False, call_id="[last_Call-ID:]")


def confirm() -> str:
    """200 to such a request."""
    return respond_in_dialog(200, "OK")


def answer(body: str = ANSWER, *headers: str) -> str:
    """Take an INVITE: ring, answer, and have it acknowledged."""
    return receive("INVITE") + take(body, *headers)


def be_cancelled() -> str:
    """Ring until the caller gives up (RFC 3261 §9.2)."""
    kept = '<ereg regexp=".*" search_in="hdr" header="CSeq:" assign_to="invited"/>'
    return (
        f'<recv request="INVITE"><action>{kept}</action></recv>\n'
        + respond(180, "Ringing")
        + receive("CANCEL")
        + respond(200, "OK")
        + respond(487, "Request Terminated", cseq="CSeq:[$invited]")
        + receive("ACK")
    )


def take(body: str = ANSWER, *headers: str) -> str:
    """Take the INVITE that came last."""
    kept = "".join(
        f'<ereg regexp=".*" search_in="hdr" header="{header}:" assign_to="{name}"/>'
        for header, name in (("From", "them"), ("To", "us"))
    )
    acknowledged = (
        f'<recv request="ACK" rrs="true"><action>{kept}</action></recv>\n<Reference variables="them,us"/>\n'
    )
    return respond(180, "Ringing") + respond(200, "OK", *headers, body=body) + acknowledged


def challenge(user: str, password: str) -> str:
    """Ask the caller for a password, and refuse him with 403 when it is wrong. The next step is for who knew it.

    sipp verifies what answers a 401 alone.
    """
    row = 'WWW-Authenticate: Digest realm="carrier", nonce="5f1c0e8a2b", qop="auth", algorithm=MD5'
    check = f'<verifyauth assign_to="known" username="{user}" password="{password}"/>'
    return (
        receive("INVITE")
        + respond(401, "Unauthorized", row)
        + receive("ACK")
        + f'<recv request="INVITE" rrs="true"><action>{check}</action></recv>\n'
        + f'<nop test="known" next="{_KNOWN}"/>\n'
        + respond(403, "Forbidden")
        + receive("ACK").replace("<recv ", f'<recv next="{_OVER}" ')
        + f'<label id="{_KNOWN}"/>\n'
    )


def refuse(status: int, reason: str, *headers: str) -> str:
    """Do not take an INVITE."""
    return receive("INVITE") + respond(status, reason, *headers) + receive("ACK")


def hang_up_called() -> str:
    """Who was called ends the call, which he has answered."""
    rows = [_VIA, "[routes]", "From:[$us]", "To:[$them]", "CSeq: 1 BYE", _CONTACT]
    return _send("BYE [next_url] SIP/2.0", rows, call_id="[last_Call-ID:]") + expect(200)


def receive_bye() -> str:
    return receive("BYE") + confirm()


# -- what comes ---------------------------------------------------------------------------------------


def receive(method: str, *, where: str = "", matches: str = "", optional: bool = False) -> str:
    """A request that has to come; with `matches`, its `where` (a header, or "body") has to match."""
    options = ' optional="true"' if optional else ""
    return f'<recv request="{method}" rrs="true"{options}>{_check(where, matches)}</recv>\n'


def expect(
    status: int, *, where: str = "", matches: str = "", challenge: bool = False, transaction: str = ""
) -> str:
    """A final response that has to come, whatever provisional ones come before it."""
    maybe = "".join(f'<recv response="{early}" optional="true"/>\n' for early in (100, 180, 183))
    options = ' auth="true"' if challenge else ""
    options += f' response_txn="{transaction}"' if transaction else ""
    final = f'<recv response="{status}" rrs="true"{options}>{_check(where, matches)}</recv>\n'
    return (maybe if status != 100 else "") + final


_checks = iter(range(1, 10_000))


def _check(where: str, matches: str) -> str:
    if not where:
        return ""
    name = f"checked{next(_checks)}"
    place = 'search_in="body"' if where == "body" else f'search_in="hdr" header="{where}:"'
    return (
        f'<action><ereg regexp={quoteattr(matches)} {place} check_it="true" assign_to="{name}"/>'
        f'<log message="{where}: [${name}]"/></action>'
    )


# -- time and sound -----------------------------------------------------------------------------------


def pause(duration_ms: int) -> str:
    return f'<pause milliseconds="{duration_ms}"/>\n'


def play(capture: Path) -> str:
    """Send the packets of a capture; the next step does not wait for their end."""
    return f'<nop><action><exec play_pcap_audio="{capture}"/></action></nop>\n'


def _send(
    first: str,
    rows: list[str],
    body: str = "",
    *,
    kind: str = _SDP,
    retransmits: bool = True,
    call_id: str = "Call-ID: [call_id]",
    transaction: str = "",
) -> str:
    lines = [first, *rows, call_id]
    if not first.startswith("SIP/2.0"):
        lines.append("Max-Forwards: 70")
    if body:
        lines.append(f"Content-Type: {kind}")
    lines += ["Content-Length: [len]", "", body]
    text = "\n".join(lines).replace("\r\n", "\n")
    options = ' retrans="500"' if retransmits else ""
    options += f' start_txn="{transaction}"' if transaction else ""
    return f"<send{options}><![CDATA[\n{text}\n]]></send>\n"
