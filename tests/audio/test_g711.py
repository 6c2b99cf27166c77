"""G.711 by what the standard's tables say, computed here from its definition and not from a library."""

import struct
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.g711 import CODECS

ALL_CODES = bytes(range(256))
LAWS = pytest.mark.parametrize("name", ["pcmu", "pcma"])


def levels_of(name: str) -> list[int]:
    return [level for (level,) in struct.iter_unpack("<h", CODECS[name].decode(ALL_CODES))]


def mu_law_level(code: int) -> int:
    """ITU-T G.711 table 2a: all bits inverted, then sign, three bits of segment, four of interval; 14 bits."""
    sign, segment, interval = ~code & 0x80, ~code >> 4 & 7, ~code & 15
    magnitude = (2 * interval + 33 << segment) - 33
    return (-magnitude if sign else magnitude) * 4


def a_law_level(code: int) -> int:
    """ITU-T G.711 table 1a: even bits inverted, then as above, but the first segment is linear; 13 bits."""
    code ^= 0x55
    sign, segment, interval = code & 0x80, code >> 4 & 7, code & 15
    magnitude = 2 * interval + 1 if segment == 0 else 2 * interval + 33 << segment - 1
    return (magnitude if sign else -magnitude) * 8


def test_every_mu_law_code_has_the_level_of_the_standard() -> None:
    levels = levels_of("pcmu")

    assert levels == [mu_law_level(code) for code in range(256)]


def test_every_a_law_code_has_the_level_of_the_standard() -> None:
    levels = levels_of("pcma")

    assert levels == [a_law_level(code) for code in range(256)]


def test_every_a_law_code_survives_decoding_and_encoding() -> None:
    again = CODECS["pcma"].encode(CODECS["pcma"].decode(ALL_CODES))

    assert again == ALL_CODES


def test_every_mu_law_code_but_negative_zero_survives_decoding_and_encoding() -> None:
    again = CODECS["pcmu"].encode(CODECS["pcmu"].decode(ALL_CODES))

    assert again == ALL_CODES[:0x7F] + b"\xff" + ALL_CODES[0x80:]


@LAWS
def test_encoding_never_turns_a_louder_sample_into_a_lower_level(name: str) -> None:
    codec = CODECS[name]
    ramp = struct.pack("<65536h", *range(-32768, 32768))

    levels = [level for (level,) in struct.iter_unpack("<h", codec.decode(codec.encode(ramp)))]

    assert levels == sorted(levels)


@LAWS
def test_an_encoded_sample_is_within_half_an_interval_or_at_full_scale(name: str) -> None:
    codec = CODECS[name]
    known = sorted(set(levels_of(name)))
    samples = range(known[0], known[-1] + 1)

    levels = struct.iter_unpack("<h", codec.decode(codec.encode(struct.pack(f"<{len(samples)}h", *samples))))

    # One more than half: a level in the middle between two codes may go either way in 13 and 14 bits.
    widest = {level: max(abs(level - n) for n in neighbours(known, level)) for level in known}
    assert all(
        abs(sample - level) <= widest[level] // 2 + 8
        for sample, (level,) in zip(samples, levels, strict=True)
    )


def neighbours(known: list[int], level: int) -> list[int]:
    at = known.index(level)
    return known[max(0, at - 1) : at + 2]


@LAWS
def test_silence_is_the_code_of_the_smallest_level(name: str) -> None:
    codec = CODECS[name]

    level = struct.unpack("<h", codec.decode(codec.silence))[0]

    assert abs(level) == min(map(abs, levels_of(name)))
    assert codec.encode(b"\0\0") == codec.silence


@LAWS
@given(payload=st.binary(max_size=400))
def test_any_payload_decodes_to_one_sample_a_byte(name: str, payload: bytes) -> None:
    codec = CODECS[name]

    pcm = codec.decode(payload)

    assert len(pcm) == 2 * len(payload)
    assert codec.decode(codec.encode(pcm)) == pcm


@LAWS
def test_half_a_sample_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="3 bytes"):
        CODECS[name].encode(b"\0\0\0")


def test_importing_the_codecs_warns_nobody() -> None:
    shown = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import gateway.audio.g711"],
        capture_output=True,
        check=False,
        text=True,
    )

    assert (shown.returncode, shown.stderr) == (0, "")
