import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.media.jitter_depth import FRAME, START, Transits
from gateway.media.jitter_numbers import Numbers
from gateway.media.jitter_tape import AUDIO, MISSING, SILENT, Tape
from gateway.media.splice import shorten, stretch
from tests.media.heard_tone import PCMU, heard_tone, tone

# -- numbers ------------------------------------------------------------------------------------------


def missing(*sequence: int) -> list[int | None]:
    numbers = Numbers(sequence[0])
    return [numbers.add(number & 0xFFFF) for number in sequence]


def test_numbers_in_a_row_miss_nothing():
    assert missing(65_534, 65_535, 65_536, 65_537) == [0, 0, 0, 0]


def test_a_number_that_is_left_out_is_missing_until_it_comes():
    assert missing(1, 4, 2, 3) == [0, 2, -1, -1]


def test_a_number_that_comes_twice_is_told():
    assert missing(1, 2, 2, 1, 3, 1) == [0, 0, None, None, 0, None]


def test_a_number_before_the_first_was_not_missed():
    assert missing(10, 9, 7, 8) == [0, 0, 1, -1]


def test_a_number_far_away_is_of_a_sender_that_began_anew():
    numbers = Numbers(100)
    numbers.add(100)

    assert [numbers.jumps(number) for number in (101, 3000, 3101, 60_000)] == [False, False, True, True]


@given(st.lists(st.integers(0, 400), min_size=1, max_size=100))
def test_what_is_missing_is_always_the_holes_between_first_and_last(sequence: list[int]):
    total = sum(step or 0 for step in missing(*sequence))

    assert total == max(sequence) - min(sequence) + 1 - len(set(sequence))


# -- depth --------------------------------------------------------------------------------------------


def transits(*values: int, least: int = 160, most: int = 1600) -> Transits:
    window = Transits(least=least, most=most)
    for index, value in enumerate(values):
        window.add(value, index * 0.02)
    return window


def test_who_knows_nothing_waits_60_ms():
    assert transits(0).wanted == START == 480


def test_a_quiet_network_needs_one_frame():
    assert transits(*[0] * 100).wanted == FRAME


def test_the_slowest_packet_counts_at_once():
    assert transits(*[0] * 100, 400).wanted == 400 + FRAME


def test_the_slowest_packet_is_forgotten_after_10_s():
    assert transits(400, *[0] * 499).wanted == 400 + FRAME - 400  # one in 200 may be late, even now
    assert transits(*[400] * 9, *[0] * 480).wanted == 400 + FRAME
    assert transits(*[400] * 9, *[0] * 501).wanted == FRAME


def test_of_many_packets_one_in_200_may_come_too_late():
    assert transits(*[0] * 199, 400).wanted == FRAME
    assert transits(*[0] * 199, 400, 400).wanted == 400 + FRAME


def test_the_depth_has_its_bounds():
    assert transits(*[0] * 100, 9000).wanted == 1600
    assert transits(*[0] * 100, least=640).wanted == 640


def test_only_differences_count():
    assert transits(*[12_345] * 100).wanted == 12_345 + FRAME


def test_of_another_stream_nothing_is_remembered_but_what_was_wanted():
    window = transits(*[0] * 60, 700)

    window.forget()
    before = window.wanted
    window.add(5000, 2.0)

    assert (before, window.wanted) == (700 + FRAME, 5000 + START)


@given(st.lists(st.tuples(st.integers(-5000, 5000), st.floats(0, 0.5)), min_size=1, max_size=200))
def test_what_is_wanted_lies_within_its_bounds_of_the_quickest(values: list[tuple[int, float]]):
    window, now = Transits(least=160, most=1600), 0.0

    for transit, passed_s in values:
        now += passed_s
        window.add(transit, now)
        assert window.earliest + 160 <= window.wanted <= window.earliest + 1600


# -- tape ---------------------------------------------------------------------------------------------


def test_a_tape_gives_what_was_written_and_says_what_is_missing():
    tape = Tape(100)
    tape.write(102, b"ab")
    tape.silence(105, 107)

    codes, kinds = tape.take(8)

    assert list(kinds) == [MISSING, MISSING, AUDIO, AUDIO, MISSING, SILENT, SILENT, MISSING]
    assert codes[2:4] == b"ab"
    assert tape.start == 108


def test_what_lies_before_the_start_is_not_kept():
    tape = Tape(100)
    tape.write(98, b"abcd")

    assert tape.take(2) == (b"cd", bytes([AUDIO, AUDIO]))


def test_silence_takes_nothing_away():
    tape = Tape(0)
    tape.write(1, b"a")
    tape.silence(0, 3)

    assert tape.take(3)[1] == bytes([SILENT, AUDIO, SILENT])


def test_audio_is_counted_up_to_the_first_hole():
    tape = Tape(0)
    tape.write(0, b"abc")
    tape.write(4, b"e")

    assert tape.audio(10) == b"abc"
    assert tape.audio(2) == b"ab"


def test_silence_is_counted_up_to_the_first_sound():
    tape = Tape(0)
    tape.silence(0, 5)
    tape.write(5, b"a")

    assert tape.silent() == 5


def test_a_tape_that_turns_back_has_room_for_what_comes_late():
    tape = Tape(0)
    tape.write(0, b"abcd")
    tape.take(2)

    tape.rewind(2)
    tape.write(0, b"xy")

    assert tape.take(4)[0] == b"xycd"


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.integers(-20, 60), st.binary(max_size=20)),
            st.tuples(st.just("silence"), st.integers(-20, 60), st.integers(0, 20)),
            st.tuples(st.just("take"), st.integers(0, 30), st.none()),
        ),
        max_size=30,
    )
)
def test_a_tape_is_as_a_table_of_samples(steps: list[tuple[str, int, bytes | int | None]]):
    tape, table, start = Tape(0), dict[int, int | None](), 0

    for verb, number, value in steps:
        if verb == "write" and isinstance(value, bytes):
            tape.write(start + number, value)
            table |= {at: code for at, code in enumerate(value, start + number) if at >= start}
        elif verb == "silence" and isinstance(value, int):
            tape.silence(start + number, start + number + value)
            for at in range(max(start + number, start), start + number + value):
                table.setdefault(at, None)
        elif verb == "take":
            codes, kinds = tape.take(number)
            expected = [
                table.get(at, MISSING) if at in table else MISSING for at in range(start, start + number)
            ]
            for code, kind, at in zip(codes, kinds, range(start, start + number), strict=True):
                assert kind == (MISSING if at not in table else SILENT if table[at] is None else AUDIO)
                assert kind != AUDIO or code == table[at]
            assert len(expected) == number
            start += number


# -- splices ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hz", [200, 440, 1000, 1900])
def test_a_tone_can_be_shortened_unheard(hz: int):
    audio = tone(hz)

    splice = shorten(PCMU, audio[800:1080], 120)

    assert 40 <= splice.lag <= 120
    heard = audio[:800] + splice.payload + audio[800 + 160 + splice.lag :][:1600]
    assert heard_tone(heard, hz).snr_db > 25


@pytest.mark.parametrize("hz", [200, 440, 1000, 1900])
def test_a_tone_can_be_stretched_unheard(hz: int):
    audio = tone(hz)

    splice = stretch(PCMU, audio[:800], audio[800:960])

    assert 40 <= splice.lag <= 120
    heard = audio[:800] + splice.payload + audio[800 + 160 - splice.lag :][:1600]
    assert heard_tone(heard, hz).snr_db > 25


@given(st.binary(min_size=280, max_size=280), st.integers(40, 120))
def test_any_audio_is_shortened_by_no_more_than_asked(audio: bytes, longest: int):
    splice = shorten(PCMU, audio[: 160 + longest], longest)

    assert len(splice.payload) == 160
    assert 40 <= splice.lag <= longest
    assert splice.payload[80:] == audio[splice.lag + 80 : splice.lag + 160]


@given(st.binary(min_size=280, max_size=280))
def test_any_audio_is_stretched_into_a_frame(audio: bytes):
    splice = stretch(PCMU, audio[:120], audio[120:])

    assert len(splice.payload) == 160
    assert splice.payload[80:] == audio[200 - splice.lag : 280 - splice.lag]
