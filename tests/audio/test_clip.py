"""WAV files as the world writes them."""

import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio.clip import Clip, read_wav, write_wav
from gateway.audio.g711 import CODECS

PCM, ADPCM, FLOAT, ALAW, MULAW, MP3, EXTENSIBLE = 1, 2, 3, 6, 7, 0x55, 0xFFFE
LEVELS = np.array([0, 256, -256, 12_800, -32_768, 32_512], "<i2")


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body


def fmt(tag: int, bits: int, *, channels: int = 1, rate_hz: int = 8000, extra: bytes = b"") -> bytes:
    frame_bytes = channels * -(-bits // 8)
    head = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * frame_bytes, frame_bytes, bits)
    return chunk(b"fmt ", head + extra)


def wav(path: Path, *chunks: bytes, magic: bytes = b"RIFF") -> Path:
    file = path / "clip.wav"
    body = b"WAVE" + b"".join(chunks)
    file.write_bytes(magic + struct.pack("<I", len(body)) + body)
    return file


def levels(clip: Clip) -> list[int]:
    return [level for (level,) in struct.iter_unpack("<h", clip.pcm)]


@pytest.mark.parametrize(
    ("tag", "bits", "data"),
    [
        pytest.param(PCM, 8, (LEVELS // 256 + 128).astype("u1").tobytes(), id="8 bits, unsigned"),
        pytest.param(PCM, 16, LEVELS.tobytes(), id="16 bits"),
        pytest.param(PCM, 24, b"".join(b"\0" + level.tobytes() for level in LEVELS), id="24 bits"),
        pytest.param(PCM, 32, (LEVELS.astype("<i4") * 65536).tobytes(), id="32 bits"),
        pytest.param(FLOAT, 32, (LEVELS / 32768).astype("<f4").tobytes(), id="float of 32 bits"),
        pytest.param(FLOAT, 64, (LEVELS / 32768).astype("<f8").tobytes(), id="float of 64 bits"),
    ],
)
def test_linear_samples_of_every_width_are_read(tmp_path: Path, tag: int, bits: int, data: bytes) -> None:
    file = wav(tmp_path, fmt(tag, bits, rate_hz=11_025), chunk(b"data", data))

    clip = read_wav(file)

    assert clip.rate_hz == 11_025
    assert levels(clip) == LEVELS.tolist()


@pytest.mark.parametrize(("tag", "name"), [(ALAW, "pcma"), (MULAW, "pcmu")])
def test_both_laws_of_g711_are_read(tmp_path: Path, tag: int, name: str) -> None:
    codes = bytes(range(256))
    file = wav(tmp_path, fmt(tag, 8, extra=b"\0\0"), chunk(b"fact", bytes(4)), chunk(b"data", codes))

    assert read_wav(file).pcm == CODECS[name].decode(codes)


def test_an_extensible_format_is_what_its_guid_says(tmp_path: Path) -> None:
    guid = struct.pack("<H", FLOAT) + bytes.fromhex("000000001000800000aa00389b71")
    extra = struct.pack("<HHI", 22, 32, 4) + guid
    file = wav(
        tmp_path, fmt(EXTENSIBLE, 32, extra=extra), chunk(b"data", (LEVELS / 32768).astype("<f4").tobytes())
    )

    assert levels(read_wav(file)) == LEVELS.tolist()


def test_20_bits_in_three_bytes_are_read_as_24(tmp_path: Path) -> None:
    file = wav(tmp_path, fmt(PCM, 20), chunk(b"data", b"".join(b"\0" + level.tobytes() for level in LEVELS)))

    assert levels(read_wav(file)) == LEVELS.tolist()


def test_two_channels_become_their_mean(tmp_path: Path) -> None:
    data = struct.pack("<6h", 1000, 3000, -5, -5, 32_767, -32_768)
    file = wav(tmp_path, fmt(PCM, 16, channels=2), chunk(b"data", data))

    assert levels(read_wav(file)) == [2000, -5, 0]


def test_six_channels_become_their_mean(tmp_path: Path) -> None:
    file = wav(
        tmp_path, fmt(PCM, 16, channels=6), chunk(b"data", struct.pack("<6h", 60, 120, 180, 240, 300, 0))
    )

    assert levels(read_wav(file)) == [150]


def test_floats_beyond_full_scale_clip_and_those_that_are_no_number_are_silent(tmp_path: Path) -> None:
    data = np.array([1.0, 1.5, -1.5, np.nan, np.inf, -np.inf], "<f4").tobytes()
    file = wav(tmp_path, fmt(FLOAT, 32), chunk(b"data", data))

    assert levels(read_wav(file)) == [32_767, 32_767, -32_768, 0, 32_767, -32_768]


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 4_000_000])
def test_a_file_whose_data_size_was_never_filled_in_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    file = wav(tmp_path, fmt(PCM, 16), chunk(b"data", LEVELS.tobytes(), size))

    assert levels(read_wav(file)) == LEVELS.tolist()


def test_a_file_of_more_than_four_gigabytes_may_be_short(tmp_path: Path) -> None:
    file = wav(
        tmp_path,
        chunk(b"ds64", bytes(28)),
        fmt(PCM, 16),
        chunk(b"data", LEVELS.tobytes(), 0xFFFFFFFF),
        magic=b"RF64",
    )

    assert levels(read_wav(file)) == LEVELS.tolist()


@pytest.mark.parametrize("padding", [b"\0", b""])
def test_chunks_of_odd_sizes_are_passed_over_padded_or_not(tmp_path: Path, padding: bytes) -> None:
    odd = chunk(b"LIST", b"INFO!") + padding
    file = wav(tmp_path, odd, fmt(PCM, 16), odd, chunk(b"data", LEVELS.tobytes()), odd)

    assert levels(read_wav(file)) == LEVELS.tolist()


def test_a_frame_that_was_cut_at_the_end_is_dropped(tmp_path: Path) -> None:
    file = wav(tmp_path, fmt(PCM, 16, channels=2), chunk(b"data", struct.pack("<3h", 100, 200, 300) + b"\1"))

    assert levels(read_wav(file)) == [150]


def test_a_file_without_a_single_sample_is_an_empty_clip(tmp_path: Path) -> None:
    file = wav(tmp_path, fmt(PCM, 16), chunk(b"data", b""))

    assert read_wav(file) == Clip(pcm=b"", rate_hz=8000)


@pytest.mark.parametrize(
    ("chunks", "found"),
    [
        pytest.param([fmt(MP3, 0), chunk(b"data", b"x")], "format 0x0055 of 0 bits", id="mp3"),
        pytest.param([fmt(ADPCM, 4), chunk(b"data", b"x")], "format 0x0002 of 4 bits", id="adpcm"),
        pytest.param([fmt(FLOAT, 16), chunk(b"data", b"xx")], "of 16 bits, 1 channels", id="half floats"),
        pytest.param([fmt(PCM, 48), chunk(b"data", b"x")], "format 0x0001 of 48 bits", id="48 bits"),
        pytest.param([fmt(PCM, 16, channels=0), chunk(b"data", b"x")], "0 channels", id="no channels"),
        pytest.param([fmt(PCM, 16, rate_hz=0), chunk(b"data", b"x")], "at 0 Hz", id="no rate"),
        pytest.param([chunk(b"fmt ", bytes(4))], "a format of 4 bytes", id="short format"),
        pytest.param([fmt(PCM, 16)], "without samples", id="no data"),
        pytest.param([], "without a format", id="nothing"),
        pytest.param([chunk(b"data", bytes(4)), fmt(PCM, 16)], "before their format", id="data first"),
    ],
)
def test_what_cannot_be_read_is_named_with_what_can(tmp_path: Path, chunks: list[bytes], found: str) -> None:
    file = wav(tmp_path, *chunks)

    with pytest.raises(ValueError) as refusal:
        read_wav(file)

    message = str(refusal.value)
    assert message.startswith(f"{file}: ")
    assert found in message
    assert "what works is PCM of 8, 16, 24 or 32 bits" in message


def test_a_file_that_is_no_wav_is_said_to_be_none(tmp_path: Path) -> None:
    file = tmp_path / "speech.mp3"
    file.write_bytes(b"ID3\3\0\0\0\0\0\0\0\0\0\0")

    with pytest.raises(ValueError, match=r"speech\.mp3: no WAV file, it begins with b'ID3"):
        read_wav(file)


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_wav(tmp_path / "none.wav")


@given(content=st.binary(max_size=120))
def test_any_bytes_are_a_clip_or_a_value_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = wav(tmp_path_factory.getbasetemp(), fmt(PCM, 16), content)

    try:
        found = read_wav(file).pcm
    except ValueError as refusal:
        found = str(refusal).encode()

    assert len(found) % 2 == 0 or found.startswith(str(file).encode())


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "greeting.wav"

    write_wav(file, LEVELS.tobytes(), 24_000)

    assert read_wav(file) == Clip(pcm=LEVELS.tobytes(), rate_hz=24_000)


def test_two_channels_are_written_as_the_standard_library_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "call.wav"

    write_wav(file, LEVELS.tobytes(), 8000, channels=2)

    with wave.open(str(file)) as reader:
        assert (reader.getnchannels(), reader.getframerate(), reader.getnframes()) == (2, 8000, 3)


def test_a_part_of_a_frame_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 channels"):
        write_wav(tmp_path / "call.wav", bytes(6), 8000, channels=2)
