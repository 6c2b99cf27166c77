"""From a capture to call folders, and back: what was said, told and heard is in them, and they replay exactly."""

import random
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
import pytest

from gateway.audio.g711 import CODECS
from gateway.audio.tones import sine
from gateway.building import build_core
from gateway.capture.calls import Side
from gateway.capture.frames import CaptureUnreadable
from gateway.capture.importing import Imported, import_calls
from gateway.capture.survey import survey
from gateway.carriers.readers import READERS
from gateway.carriers.sip import leg_messages as wire
from gateway.media.latch import Address
from gateway.report import write_report
from gateway.testing.live import inline
from gateway.traces import replay
from gateway.traces.pseudonyms import Pseudonyms
from gateway.traces.reader import Trace
from gateway.wire.sdp.media import Direction
from tests.capture.made_captures import CALLED, CALLED_RTP, CALLER, CALLER_RTP, MadeCall, MadeCapture, sdp

DATA = Path(__file__).parent / "data"
PCMU = CODECS["pcmu"]
SECOND = 8000


def tone(hz: int, ms: int = 1000) -> bytes:
    return PCMU.encode(sine(hz, ms))


async def imported(path: Path, into: Path, ours: Side = Side.CALLED) -> list[Imported]:
    return await import_calls(path, survey(path, ours).calls, into, Pseudonyms.load(into), inline)


async def only(path: Path, into: Path, ours: Side = Side.CALLED) -> Path:
    (found,) = await imported(path, into, ours)
    assert found.folder is not None, found.problem
    return found.folder.folder


def carried(folder: Path) -> Iterator[tuple[int, str | bytes]]:
    with Trace(folder) as trace:
        yield from ((entry.t_us, data) for entry, data in trace.entries() if entry.port == "carrier")


def datagrams(folder: Path) -> list[wire.Datagram]:
    return [wire.decode_datagram(data) for _, data in carried(folder) if isinstance(data, bytes)]


def record(folder: Path) -> dict[str, object]:
    found: dict[str, object] = msgspec.json.decode((folder / "call.json").read_bytes())
    return found


def sides(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    samples = np.frombuffer((folder / "recording.wav").read_bytes()[44:], "<i2").reshape(-1, 2)
    return samples[:, 0], samples[:, 1]


def loudest_hz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * SECOND / len(samples)


def made_call(tmp_path: Path, *, link="ethernet") -> Path:
    capture = MadeCapture(link)
    call = MadeCall(capture)
    call.begin()
    for at_ms in range(0, 2000, 100):  # in turns, so that the capture is in order
        call.talk(0.3 + at_ms / 1000, tone(400, 100))
        call.talk(0.301 + at_ms / 1000, tone(900, 100), by_caller=False)
    call.end(3.0)
    capture.frames.sort(key=lambda frame: frame[0])
    return capture.write(tmp_path / "call.pcap")


async def test_a_call_becomes_a_folder_like_our_own(tmp_path: Path):
    folder = await only(made_call(tmp_path), tmp_path / "calls")

    assert sorted(path.name for path in folder.iterdir()) == [
        "call.json",
        "outputs.audio",
        "outputs.jsonl",
        "recording.wav",
        "trace.audio",
        "trace.jsonl",
    ]
    found = record(folder)
    assert (found["call"], found["carrier"], found["carrier_call"]) == (folder.name, "sip", "one")
    assert (found["trace"], found["recording"]) == ("complete", "complete")
    assert (found["reason"], found["duration_ms"]) == ("caller_hung_up", 3000)
    assert found["started_at"] == "2026-09-21T14:13:20.000+00:00"
    assert found["ended_at"] == "2026-09-21T14:13:23.000+00:00"


async def test_the_folder_replays_exactly(tmp_path: Path):
    verdict = replay(await only(made_call(tmp_path), tmp_path / "calls"), build_core)

    assert verdict.identical


async def test_the_leg_was_told_and_given_what_the_capture_has(tmp_path: Path):
    folder = await only(made_call(tmp_path), tmp_path / "calls")

    told = [(t_us, wire.decode(data)) for t_us, data in carried(folder) if isinstance(data, str)]
    (agreed_us,) = [t_us for t_us, message in told if isinstance(message, wire.MediaAgreed)]
    assert agreed_us == 200_000
    assert told[-2][1] == wire.CallOver(why="hung up")  # and behind it passes our 200
    assert len(datagrams(folder)) == 100
    assert {(datagram.address, datagram.authentic) for datagram in datagrams(folder)} == {(CALLER_RTP, True)}


async def test_the_recording_has_the_caller_left_and_the_other_side_right(tmp_path: Path):
    folder = await only(made_call(tmp_path), tmp_path / "calls")

    caller, called = (side[SECOND // 2 : SECOND * 3 // 2] for side in sides(folder))
    assert loudest_hz(caller) == pytest.approx(400, abs=4)
    assert loudest_hz(called) == pytest.approx(900, abs=4)


async def test_as_the_caller_the_sides_are_exchanged(tmp_path: Path):
    folder = await only(made_call(tmp_path), tmp_path / "calls", Side.CALLER)

    caller, called = (side[SECOND // 2 : SECOND * 3 // 2] for side in sides(folder))
    assert loudest_hz(caller) == pytest.approx(900, abs=4)
    assert loudest_hz(called) == pytest.approx(400, abs=4)


async def test_numbers_are_pseudonyms(tmp_path: Path):
    folder = await only(made_call(tmp_path), tmp_path / "calls")

    texts = b"".join(path.read_bytes() for path in folder.iterdir() if path.suffix in {".json", ".jsonl"})
    assert b"555010000" not in texts
    assert str(record(folder)["caller"]).startswith("tel:")


async def test_a_report_can_be_written_of_it(tmp_path: Path):
    folder = await only(made_call(tmp_path), tmp_path / "calls")

    page = write_report(folder, READERS).read_text()

    assert "INVITE" in page


async def test_the_same_capture_again_is_the_same_folder_which_stays_as_it_is(tmp_path: Path):
    path = made_call(tmp_path)
    folder = await only(path, tmp_path / "calls")

    (again,) = await imported(path, tmp_path / "calls")

    assert again.folder is None
    assert str(again.problem) == f"packet 1: this call was imported before, as {folder}"
    assert replay(folder, build_core).identical


async def test_each_call_of_a_capture_has_its_own_folder(tmp_path: Path):
    capture = MadeCapture()
    for number in range(3):
        call = MadeCall(
            capture,
            call_id=f"{number}@192.0.2.1",
            caller_rtp=CALLER_RTP._replace(port=17_000 + 2 * number),
            called_rtp=CALLED_RTP._replace(port=16_000 + 2 * number),
        )
        call.begin(number * 0.1)
        call.talk(1.0, tone(400 + 200 * number))
        call.end(3.0 + number)
    capture.frames.sort(key=lambda frame: frame[0])

    found = await imported(capture.write(tmp_path / "calls.pcap"), tmp_path / "calls")

    folders = [each.folder.folder for each in found if each.folder is not None]
    assert len(set(folders)) == 3
    assert all(replay(folder, build_core).identical for folder in folders)
    heard = [loudest_hz(sides(folder)[0][SECOND : SECOND * 3 // 2]) for folder in folders]
    assert heard == pytest.approx([400, 600, 800], abs=8)


async def test_a_call_that_the_capture_does_not_end_is_imported_as_far_as_it_goes(tmp_path: Path):
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin()
    call.talk(0.3, tone(400))

    folder = await only(capture.write(tmp_path / "call.pcap"), tmp_path / "calls")

    assert record(folder)["reason"] == "carrier_lost"
    assert replay(folder, build_core).identical


async def test_a_call_that_rings_for_long_is_imported(tmp_path: Path):
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin(answered_s=100.0)
    call.talk(100.2, tone(400))
    call.end(102.0)

    folder = await only(capture.write(tmp_path / "call.pcap"), tmp_path / "calls")

    assert (record(folder)["reason"], record(folder)["duration_ms"]) == ("caller_hung_up", 102_000)


async def test_a_call_on_hold_is_imported(tmp_path: Path):
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin()
    call.talk(0.3, tone(400))
    hold = call.ask(2.0, "INVITE", sdp(CALLER_RTP, direction=Direction.INACTIVE))
    call.answer(2.1, hold, 200, sdp(CALLED_RTP, direction=Direction.INACTIVE))
    resume = call.ask(90.0, "INVITE", sdp(CALLER_RTP))
    call.answer(90.1, resume, 200, sdp(CALLED_RTP))
    call.talk(90.2, tone(400))
    call.end(92.0)

    folder = await only(capture.write(tmp_path / "call.pcap"), tmp_path / "calls")

    assert (record(folder)["reason"], record(folder)["duration_ms"]) == ("caller_hung_up", 92_000)
    assert replay(folder, build_core).identical


async def test_rtp_of_a_stranger_is_not_in_the_folder(tmp_path: Path):
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin()
    call.talk(0.3, tone(400))
    capture.udp(0.5, Address("203.0.113.9", 9), CALLED_RTP, b"\x80\x00" + bytes(170))
    call.end(2.0)
    capture.frames.sort(key=lambda frame: frame[0])

    folder = await only(capture.write(tmp_path / "call.pcap"), tmp_path / "calls")

    assert {datagram.address for datagram in datagrams(folder)} == {CALLER_RTP}


async def test_a_caller_behind_a_nat_is_learned_as_the_gateway_learns_him(tmp_path: Path):
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin()
    outside = Address("203.0.113.9", 40_000)
    call.talk(0.3, tone(400), source=outside)
    call.end(2.0)

    folder = await only(capture.write(tmp_path / "call.pcap"), tmp_path / "calls")

    assert {datagram.address for datagram in datagrams(folder)} == {outside}
    assert len(datagrams(folder)) == 47  # the first three prove that it is a stream


async def test_a_call_over_tcp_and_ipv6_is_imported(tmp_path: Path):
    capture = MadeCapture()
    caller, called = Address("2001:db8::1", 5060), Address("2001:db8::2", 5060)
    rtp = (Address("2001:db8::1", 17_000), Address("2001:db8::2", 16_000))
    messages = MadeCapture()
    call = MadeCall(messages, caller=caller, called=called, caller_rtp=rtp[0], called_rtp=rtp[1])
    call.begin()
    call.talk(0.3, tone(400))
    call.end(2.0)
    next_at = {caller: 2**32 - 100, called: 5}
    for at_s, frame in messages.frames:
        ends, data = frame[14 + 8 : 14 + 40], frame[14 + 48 :]
        is_caller = ends[15] == 1
        source, destination = (caller, called) if is_caller else (called, caller)
        if data[:1].isalpha():
            capture.tcp(at_s, source, destination, data, sequence=next_at[source])
            next_at[source] = (next_at[source] + len(data)) % 2**32
        else:
            capture.frames.append((at_s, frame))

    folder = await only(capture.write(tmp_path / "call.pcap"), tmp_path / "calls")

    assert len(datagrams(folder)) == 50
    told = [wire.decode(data) for _, data in carried(folder) if isinstance(data, str)]
    assert {message.transport for message in told if isinstance(message, wire.MessagePassed)} == {"TCP"}


async def test_a_call_without_media_in_the_capture_is_said_and_leaves_nothing(tmp_path: Path):
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin()
    call.talk(0.3, tone(400), by_caller=False)
    call.end(2.0)

    (found,) = await imported(capture.write(tmp_path / "call.pcap"), tmp_path / "calls")

    assert str(found.problem) == "packet 1: a call without RTP of its other side in this capture"
    assert [path.name for path in (tmp_path / "calls").iterdir()] == [".pseudonym-key"]


# -- captures of real stacks


@pytest.mark.parametrize("ours", list(Side))
async def test_a_call_of_baresip_is_imported(tmp_path: Path, ours: Side):
    folder = await only(DATA / "baresip-g711-dtmf.pcap", tmp_path / "calls", ours)

    counts = record(folder)["counts"]
    assert isinstance(counts, dict)
    assert counts["digit.pressed"] == 1
    assert len([datagram for datagram in datagrams(folder) if not datagram.rtcp]) == 312
    assert replay(folder, build_core).identical


async def test_two_calls_of_sipp_on_one_port_of_ours_are_kept_apart(tmp_path: Path):
    """30 ms a packet, keys from another SSRC, and both calls' media comes to port 16000."""
    found = await imported(DATA / "sipp-pcma30ms-dtmf-ssrcchange.pcap", tmp_path / "calls")

    folders = [each.folder.folder for each in found if each.folder is not None]
    assert [{datagram.address.port for datagram in datagrams(folder)} for folder in folders] == [
        {17_000},
        {17_004},
    ]
    assert [len(datagrams(folder)) for folder in folders] == [71, 71]
    assert all(replay(folder, build_core).identical for folder in folders)


def test_a_call_of_pjsip_under_srtp_is_said_to_be_encrypted():
    found = survey(DATA / "pjsip-prack-timer-hold-update-refer.pcap", Side.CALLED)

    assert str(found.calls[0].problem) == "packet 6: its media is encrypted (SRTP)"


# -- captures of nothing, and of harm


def test_a_capture_without_sip_is_said_in_one_line(tmp_path: Path):
    capture = MadeCapture()
    call = MadeCall(capture)
    call.talk(0.0, tone(400))

    found = survey(capture.write(tmp_path / "rtp.pcap"), Side.CALLED)

    assert found.problems == ["no call: none of its 50 packets is the INVITE of a call"]


def test_sip_inside_of_tls_is_said_with_the_packet(tmp_path: Path):
    capture = MadeCapture()
    capture.tcp(0.0, CALLER, CALLED, b"", sequence=0, flags=2)
    capture.tcp(0.1, CALLER, CALLED, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" + bytes(200), sequence=1)

    found = survey(capture.write(tmp_path / "tls.pcap"), Side.CALLED)

    assert found.problems == ["no call: packet 2 begins TLS: SIP inside of it is encrypted"]


def test_a_link_type_that_is_not_read_is_said(tmp_path: Path):
    path = made_call(tmp_path, link="raw")
    data = bytearray(path.read_bytes())
    data[20] = 105
    path.write_bytes(data)

    found = survey(path, Side.CALLED)

    assert found.problems == ["no call: packet 1 is of link type 105, which is not read"]


def test_an_invite_that_was_cut_off_is_said(tmp_path: Path):
    capture = MadeCapture()
    MadeCall(capture).begin()
    capture.frames = [(at_s, frame[:96]) for at_s, frame in capture.frames[:1]]
    # tcpdump -s 96: the headers still say how long it was
    found = survey(capture.write(tmp_path / "short.pcap"), Side.CALLED)

    assert found.problems == [
        "packet 1: a SIP message that cannot be read (the capture cut it off; tcpdump -s 0 keeps packets whole)",
        "no call: none of its 1 packets is the INVITE of a call",
        "1 of its packets were cut off; tcpdump -s 0 keeps them whole",
    ]


async def test_rtp_that_was_cut_off_is_left_out(tmp_path: Path):
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin()
    call.talk(0.3, tone(400))
    at_s, frame = capture.frames[-1]
    capture.frames[-1] = (at_s, frame[:100])
    call.end(2.0)

    folder = await only(capture.write(tmp_path / "call.pcap"), tmp_path / "calls")

    assert len(datagrams(folder)) == 49


@pytest.mark.parametrize("seed", range(40))
async def test_damage_anywhere_never_raises_and_what_is_imported_replays_exactly(tmp_path: Path, seed: int):
    rng = random.Random(seed)
    data = bytearray(rng.choice(sorted(DATA.glob("*.pcap"))).read_bytes())
    for _ in range(rng.choice([1, 10, 100])):
        at = rng.randrange(len(data))
        data[at : at + rng.randrange(9)] = rng.randbytes(rng.randrange(9))
    path = tmp_path / "damaged.pcap"
    path.write_bytes(data)

    with suppress(CaptureUnreadable):
        for found in await imported(path, tmp_path / "calls"):
            assert found.folder is None or replay(found.folder.folder, build_core).identical


async def test_a_capture_that_is_cut_off_is_imported_up_to_there(tmp_path: Path):
    path = made_call(tmp_path)
    path.write_bytes(path.read_bytes()[:20_000])

    folder = await only(path, tmp_path / "calls")

    assert (
        survey(path, Side.CALLED)
        .problems[0]
        .endswith("the file ends within it; what came before it was read")
    )
    assert record(folder)["detail"] == ""
    assert replay(folder, build_core).identical


async def test_a_clock_that_jumps_a_century_ends_the_call(tmp_path: Path):
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin()
    call.talk(0.3, tone(400))
    call.end(1e9)

    (found,) = await imported(capture.write(tmp_path / "call.pcap"), tmp_path / "calls")

    assert str(found.problem) == (
        "packet 55: nothing of this call for 999999999 s; it was imported up to here"
    )
    assert found.folder is not None
    assert record(found.folder.folder)["reason"] == "carrier_lost"
    assert replay(found.folder.folder, build_core).identical


async def test_a_call_that_falls_silent_ends_as_it_would_have(tmp_path: Path):
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin()
    call.talk(0.3, tone(400))
    call.end(600.0)

    folder = await only(capture.write(tmp_path / "call.pcap"), tmp_path / "calls")

    assert record(folder)["reason"] == "carrier_silent"
    assert replay(folder, build_core).identical


async def test_a_clock_that_goes_back_does_not_take_the_call_with_it(tmp_path: Path):
    capture = MadeCapture()
    call = MadeCall(capture)
    call.begin(10.0)
    call.talk(3.0, tone(400))
    call.end(12.0)

    folder = await only(capture.write(tmp_path / "call.pcap"), tmp_path / "calls")

    assert all(t_us >= 0 for t_us, _ in carried(folder))
    assert replay(folder, build_core).identical


def test_100_000_packets_without_sip_take_little_time_and_memory(tmp_path: Path):
    capture = MadeCapture()
    MadeCall(capture).talk(0.0, bytes(160 * 100))
    capture.frames *= 1000
    path = capture.write(tmp_path / "rtp.pcap")
    tracemalloc.start()
    began = time.process_time()

    found = survey(path, Side.CALLED)

    took_s = time.process_time() - began
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.problems == ["no call: none of its 100000 packets is the INVITE of a call"]
    assert took_s < 10
    assert most_bytes < 8_000_000
