"""The jitter buffer behind random networks, and what a listener hears of a tone through them."""

import random
from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audio.g711 import CODECS
from gateway.audio.tones import dtmf
from gateway.media.jitter import JitterBuffer
from gateway.testing.rtp_network import Passing, RtpNetwork, listen, talk
from gateway.wire.rtp import RtpPacket
from tests.media.heard_tone import HeardTone, heard_tone, tone

PCMU = CODECS["pcmu"]
TONE_HZ = 440
# Noise in which any eight samples tell their place, and one of them is the negative zero of mu-law, which nothing that
# is reckoned has: what is made up is not taken for what came.
NOISE = b"".join(b"\x7f" + random.Random(at).randbytes(7) for at in range(6 * 1000))
PLACES = {NOISE[at : at + 8]: at for at in range(len(NOISE) - 8)}
MOST_REPEATED = 120  # samples, by a stretch


def heard_through(
    network: RtpNetwork, *, seconds: float = 60, hz: int = TONE_HZ, drift_ppm: float = 0
) -> HeardTone:
    """A tone, without the first second and what comes after it."""
    sent = talk(tone(hz), seconds=seconds, drift_ppm=drift_ppm)
    audio = b"".join(listen(JitterBuffer(PCMU), network.carry(sent), seconds=seconds))
    return heard_tone(audio[8000 : (int(seconds) - 1) * 8000], hz)


# -- quality ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hz", [350, 440, 1000])
def test_a_tone_keeps_frequency_and_level_through_loss_and_jitter(hz: int):
    heard = heard_through(RtpNetwork(random.Random(1), loss=0.03, jitter_s=0.04), hz=hz)

    assert heard.hz == pytest.approx(hz, abs=0.1)
    assert heard.level_db == pytest.approx(0, abs=0.3)
    assert heard.snr_db > 28  # mu-law alone has 36


def test_jitter_alone_is_not_heard():
    heard = heard_through(RtpNetwork(random.Random(1), jitter_s=0.04))

    assert heard.snr_db > 35


@pytest.mark.parametrize("drift_ppm", [200, -200])
def test_a_clock_that_drifts_is_not_heard(drift_ppm: int):
    heard = heard_through(RtpNetwork(random.Random(1), jitter_s=0.01), seconds=300, drift_ppm=drift_ppm)

    assert heard.snr_db > 33
    assert heard.longest_silence_ms < 2
    assert heard.hz == pytest.approx(TONE_HZ, abs=0.2)


@pytest.mark.parametrize("drift_ppm", [200, -200])
def test_a_clock_that_drifts_for_20_minutes_leaves_the_delay_where_it_was(drift_ppm: int):
    buffer = JitterBuffer(PCMU)
    network = RtpNetwork(random.Random(2), jitter_s=0.01)
    sent = talk(tone(TONE_HZ), seconds=1200, drift_ppm=drift_ppm)

    depths = [buffer.depth_ms for _ in listen(buffer, network.carry(sent), seconds=1200)]

    assert max(depths[1000:]) - min(depths[1000:]) <= 40
    assert abs(buffer.counts.shortened_ms - buffer.counts.stretched_ms) == pytest.approx(240, abs=40)
    assert buffer.counts.late == 0


def test_the_same_packets_give_the_same_audio_on_every_machine():
    audio = PCMU.encode(dtmf("159#", rate_hz=8000))
    network = RtpNetwork(random.Random(5), loss=0.05, jitter_s=0.08, duplicates=0.02)
    sent = talk(audio, seconds=30, drift_ppm=1000)

    heard = b"".join(listen(JitterBuffer(PCMU), network.carry(sent), seconds=30))

    assert sha256(heard).hexdigest()[:16] == "ea38dd1113e72615"


# -- any network --------------------------------------------------------------------------------------

networks = st.fixed_dictionaries(
    {
        "loss": st.floats(0, 0.4),
        "jitter_s": st.floats(0, 0.25),
        "duplicates": st.floats(0, 0.4),
        "delay_s": st.floats(0, 0.2),
    }
)


@settings(max_examples=40, deadline=None)
@given(
    weather=networks,
    seed=st.integers(0, 1000),
    packet_ms=st.sampled_from([10, 20, 30, 40, 60]),
    drift_ppm=st.floats(-5000, 5000),
)
def test_through_any_network_time_goes_forward_and_nothing_grows(
    weather: dict[str, float], seed: int, packet_ms: int, drift_ppm: float
):
    buffer = JitterBuffer(PCMU)
    network = RtpNetwork(random.Random(seed), **weather)
    sent = talk(NOISE, seconds=6, packet_ms=packet_ms, drift_ppm=drift_ppm)
    audio = b""

    for frame in listen(buffer, network.carry(sent), seconds=7):
        audio += frame
        assert len(frame) == 160
        assert 0 <= buffer.queued_ms <= 500
        assert buffer.depth_ms <= 400

    found = (PLACES.get(audio[at : at + 8]) for at in range(len(audio)))
    places = [place for place in found if place is not None]
    assert all(later >= earlier - MOST_REPEATED for earlier, later in pairwise(places))
    counts = buffer.counts
    assert counts.lost >= 0
    assert counts.received + counts.lost <= 6000 // packet_ms + 1


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 0xFFFF),
            st.one_of(st.integers(0, 0xFFFF_FFFF), st.integers(0, 20_000)),
            st.integers(1, 2),
            st.sampled_from([0, 1, 80, 160, 240, 480, 1600, 1601, 4000]),
            st.floats(0, 0.1),
            st.booleans(),
        ),
        max_size=120,
    )
)
def test_any_packets_at_any_time_give_frames_without_end(
    packets: list[tuple[int, int, int, int, float, bool]],
):
    buffer, now, frames = JitterBuffer(PCMU), 0.0, 0

    for sequence, timestamp, ssrc, size, passed_s, audible in packets:
        now += passed_s
        packet = RtpPacket(
            payload_type=0, sequence=sequence, timestamp=timestamp, ssrc=ssrc, payload=b"\x01" * size
        )
        (buffer.receive if audible else buffer.rest)(packet, now)
        frames += len(buffer.take(now))
        assert buffer.queued_ms <= 700

    if packets:
        assert frames + len(buffer.take(now + 1)) >= 49


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), speed=st.floats(1.5, 20))
def test_who_sends_far_too_fast_fills_no_memory(seed: int, speed: float):
    buffer = JitterBuffer(PCMU)
    arrivals = [Passing(at_s / speed, packet) for at_s, packet in talk(NOISE, seconds=20)]

    for _ in listen(buffer, RtpNetwork(random.Random(seed)).carry(arrivals), seconds=20 / speed):
        assert buffer.queued_ms <= 700
