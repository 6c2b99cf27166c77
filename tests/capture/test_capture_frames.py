import struct
import tempfile
from pathlib import Path

import dpkt  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.capture.frames import CaptureReader, CaptureUnreadable, Frame
from tests.capture.made_captures import BEGAN_S, CALLED, CALLER, MadeCapture

DATA = Path(__file__).parent / "data"


def frames(path: Path) -> tuple[list[Frame], str]:
    with CaptureReader(path) as reader:
        return list(reader.frames()), reader.damage


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def made(count: int = 3) -> MadeCapture:
    capture = MadeCapture()
    for number in range(count):
        capture.udp(number * 0.25, CALLER, CALLED, b"%d" % number)
    return capture


@pytest.mark.parametrize("form", ["pcap", "nanoseconds", "pcapng"])
def test_frames_are_numbered_from_1_and_have_their_time_and_link(tmp_path: Path, form):
    capture = made()

    found, damage = frames(capture.write(tmp_path / "capture", form))

    assert [(frame.number, frame.at_ns, frame.link, frame.data) for frame in found] == [
        (number, BEGAN_S * 10**9 + round(at_s * 1e9), 1, data)
        for number, (at_s, data) in enumerate(capture.frames, 1)
    ]
    assert damage == ""


def test_a_capture_of_big_endian_is_read(tmp_path: Path):
    head = struct.pack(">IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
    path = written(tmp_path / "capture", head + struct.pack(">IIII", 5, 6, 2, 9) + b"ab")

    found, _ = frames(path)

    assert found == [Frame(1, 5_000_006_000, 101, b"ab", whole=False)]


def block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = len(body) + 12
    return struct.pack("<II", kind, size) + body + struct.pack("<I", size)


SECTION = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))


def test_each_interface_of_a_pcapng_has_its_own_link_and_clock(tmp_path: Path):
    milliseconds = struct.pack("<HHB3x", 9, 1, 3) + struct.pack("<HHq", 14, 8, 1000) + bytes(4)
    data = (
        SECTION
        + block(1, struct.pack("<HHI", 1, 0, 0))
        + block(1, struct.pack("<HHI", 113, 0, 0) + milliseconds)
        + block(6, struct.pack("<IIIII", 0, 0, 2_000_000, 1, 1) + b"a")
        + block(5, b"statistics, which nobody wants")
        + block(6, struct.pack("<IIIII", 1, 0, 2_500, 1, 1) + b"b")
        + block(2, struct.pack("<HHIIII", 1, 0, 0, 3_000, 1, 1) + b"c")
        + block(3, struct.pack("<I", 1) + b"d")
    )

    found, damage = frames(written(tmp_path / "capture", data))

    assert [(frame.at_ns, frame.link, frame.data) for frame in found] == [
        (2_000_000_000, 1, b"a"),
        (1_002_500_000_000, 113, b"b"),
        (1_003_000_000_000, 113, b"c"),
        (0, 1, b"d"),
    ]
    assert damage == ""


@pytest.mark.parametrize("name", [path.name for path in DATA.glob("*.pcap")])
def test_a_file_of_dumpcap_is_read_as_dpkt_reads_it(name: str):
    with (DATA / name).open("rb") as file:
        expected = [data for _, data in dpkt.pcapng.Reader(file)]

    found, damage = frames(DATA / name)

    assert [frame.data for frame in found] == expected
    assert damage == ""


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_a_file_that_was_cut_off_is_good_up_to_there(tmp_path: Path, form):
    path = made().write(tmp_path / "capture", form)
    path.write_bytes(path.read_bytes()[:-5])

    found, damage = frames(path)

    assert len(found) == 2
    assert damage == "packet 3: the file ends within it; what came before it was read"


def test_a_length_that_lies_ends_the_reading(tmp_path: Path):
    path = made(1).write(tmp_path / "capture")
    path.write_bytes(path.read_bytes() + struct.pack("<IIII", 0, 0, 0xFFFF_FFF0, 60) + bytes(100))

    found, damage = frames(path)

    assert len(found) == 1
    assert damage == "packet 2: it claims 4294967280 bytes; what came before it was read"


@pytest.mark.parametrize("size", [0, 4, 11, 14, 0xFFFF_FFFC])
def test_a_block_whose_size_lies_ends_the_reading(tmp_path: Path, size: int):
    data = SECTION + struct.pack("<II", 6, size) + bytes(64)

    found, damage = frames(written(tmp_path / "capture", data))

    assert found == []
    assert damage.startswith("packet 1: ")


def test_a_frame_of_an_interface_that_is_not_there_ends_the_reading(tmp_path: Path):
    data = SECTION + block(6, struct.pack("<IIIII", 3, 0, 0, 1, 1) + b"a")

    found, damage = frames(written(tmp_path / "capture", data))

    assert (found, damage) == ([], "packet 1: it is of no interface 3; what came before it was read")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\xd4\xc3"])
def test_what_is_no_capture_is_said_in_one_line(tmp_path: Path, data: bytes):
    path = written(tmp_path / "notes", data)

    with pytest.raises(CaptureUnreadable, match=r"notes: neither pcap nor pcapng$"):
        CaptureReader(path)


def test_a_file_that_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(CaptureUnreadable, match="none: No such file or directory"):
        CaptureReader(tmp_path / "none")


MAGICS = [
    b"\xa1\xb2\xc3\xd4",
    b"\xd4\xc3\xb2\xa1",
    b"\x4d\x3c\xb2\xa1",
    SECTION,
    SECTION + block(1, bytes(8)),
]


@given(st.sampled_from(MAGICS), st.binary(max_size=400))
def test_whatever_bytes_follow_nothing_is_raised(magic: bytes, rest: bytes):
    with tempfile.TemporaryDirectory() as folder:
        found, _ = frames(written(Path(folder) / "capture", magic + rest))

    assert all(frame.at_ns >= 0 for frame in found)
