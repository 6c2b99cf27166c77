from hypothesis import given
from hypothesis import strategies as st

from gateway.media.playout import FRAME_BYTES, Playout

SILENCE = b"\xff"


def sent(playout: Playout, now: float) -> bytes:
    return b"".join(piece.payload for piece in playout.take(now))


def test_at_most_the_lead_is_sent_ahead():
    playout = Playout(lead_ms=200, silence=SILENCE)
    playout.add("a", bytes(8000))

    assert len(sent(playout, 0.0)) == 200 * 8

    assert playout.ends_at == 0.2


def test_the_lead_is_kept_up_as_time_passes():
    playout = Playout(lead_ms=200, silence=SILENCE)
    playout.add("a", bytes(8000))
    total = 0

    for tick in range(50):
        total += len(sent(playout, tick * 0.02))
        assert total / 8000 <= tick * 0.02 + 0.2 + 1e-9

    assert total == 8000


def test_frames_of_one_item_go_out_grouped_while_the_lead_is_full():
    playout = Playout(lead_ms=200, silence=SILENCE)
    playout.add("a", bytes(8000))
    playout.take(0.0)

    sizes = [len(sent(playout, tick * 0.02)) for tick in range(1, 7)]

    assert sizes == [0, 0, 480, 0, 0, 480]


def test_a_single_frame_that_arrives_live_is_sent_at_once():
    playout = Playout(lead_ms=200, silence=SILENCE)
    playout.add("a", bytes(160))

    assert len(sent(playout, 0.0)) == 160


def test_a_partial_frame_waits_until_its_item_is_finished():
    playout = Playout(lead_ms=200, silence=SILENCE)
    playout.add("a", b"\x01" * 100)
    assert sent(playout, 0.0) == b""

    playout.finish("a")

    assert sent(playout, 0.02) == b"\x01" * 100 + SILENCE * 60


def test_a_new_item_fills_up_the_last_frame_of_the_one_before():
    playout = Playout(lead_ms=200, silence=SILENCE)
    playout.add("a", b"\x01" * 100)
    playout.add("b", b"\x02" * 160)

    pieces = playout.take(0.0)

    assert [piece.item for piece in pieces] == ["a", "b"]
    assert pieces[0].payload == b"\x01" * 100 + SILENCE * 60


def test_nothing_of_a_cut_item_is_sent_any_more():
    playout = Playout(lead_ms=200, silence=SILENCE)
    playout.add("a", bytes(8000))
    playout.take(0.0)

    dropped_ms = playout.cut(0.1)

    assert dropped_ms == 800
    assert sent(playout, 0.12) == b""
    assert playout.queued_ms == 0


def test_after_a_cut_the_next_item_has_the_whole_lead():
    playout = Playout(lead_ms=200, silence=SILENCE)
    playout.add("a", bytes(8000))
    playout.take(0.0)
    playout.cut(0.1)

    playout.add("b", bytes(8000))

    assert len(sent(playout, 0.1)) == 1600


def test_what_is_held_goes_on_from_the_frame_it_was_cut_in():
    playout = Playout(lead_ms=200, silence=SILENCE)
    audio = bytes(range(1, 26)) * 160  # 500 ms
    playout.add("a", audio)
    playout.finish("a")
    playout.take(0.0)
    playout.heard(130)

    playout.hold(0.15)
    held = playout.take(0.3)
    playout.resume()
    resumed = playout.take(0.4)

    assert held == []
    assert resumed[0].payload == audio[120 * 8 : 320 * 8]


def test_what_was_held_and_is_cut_is_never_sent():
    playout = Playout(lead_ms=200, silence=SILENCE)
    playout.add("a", bytes(160) * 25)
    playout.take(0.0)
    playout.hold(0.1)

    playout.cut(0.2)

    assert playout.queued_ms == 0
    assert not playout.held
    assert playout.take(0.3) == []


def test_several_items_are_put_back_in_their_order():
    playout = Playout(lead_ms=200, silence=SILENCE)
    playout.add("a", b"a" * 160 * 3)
    playout.add("b", b"b" * 160 * 4)
    playout.take(0.0)
    playout.heard(20)

    playout.hold(0.1)
    playout.resume()

    assert [(piece.item, len(piece.payload)) for piece in playout.take(0.1)] == [("a", 320), ("b", 640)]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.binary(max_size=700)), max_size=20),
    st.lists(st.integers(0, 5), min_size=1, max_size=60),
)
def test_what_goes_in_comes_out_once_in_order_in_whole_frames(
    adds: list[tuple[str, bytes]], steps: list[int]
):
    playout = Playout(lead_ms=200, silence=b"\xee")
    adds = [(item, payload.replace(b"\xee", b"\x00")) for item, payload in adds]
    out, now = b"", 0.0

    for index, step in enumerate(steps):
        if index < len(adds):
            playout.add(*adds[index])
        now += step * 0.02
        for piece in playout.take(now):
            assert len(piece.payload) % FRAME_BYTES == 0
            out += piece.payload
    for item, payload in adds[len(steps) :]:
        playout.add(item, payload)
    if adds:
        playout.finish(adds[-1][0])
    while playout.queued_ms:
        now += 0.02
        out += sent(playout, now)

    assert out.replace(b"\xee", b"") == b"".join(payload for _, payload in adds)
