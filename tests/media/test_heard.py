import pytest

from gateway.media.heard import Heard, HeardLedger, words_heard


def send(ledger: HeardLedger, item: str, duration_ms: float) -> None:
    ledger.received(item, duration_ms)
    ledger.sent(item, duration_ms)


def test_the_axis_is_mapped_to_the_items_it_carries():
    ledger = HeardLedger()
    send(ledger, "a", 100)
    send(ledger, "b", 300)

    ledger.moved(Heard(150, 220))

    assert (ledger.item("a").low_ms, ledger.item("a").high_ms) == (100, 100)
    assert (ledger.item("b").low_ms, ledger.item("b").high_ms) == (50, 120)


def test_an_item_sent_in_two_stretches_counts_both():
    ledger = HeardLedger()
    send(ledger, "a", 100)
    send(ledger, "b", 100)
    send(ledger, "a", 100)

    ledger.moved(Heard(250, 250))

    assert ledger.item("a").low_ms == 150


def test_what_a_cut_took_is_never_heard_although_the_axis_goes_on():
    ledger = HeardLedger()
    send(ledger, "a", 1000)
    ledger.moved(Heard(600, 640))

    cut = ledger.cut()
    send(ledger, "b", 500)
    ledger.moved(Heard(1200, 1250))

    assert [item.item for item in cut] == ["a"]
    assert (cut[0].low_ms, cut[0].high_ms) == (600, 640)
    assert ledger.item("b").low_ms == 200


def test_an_item_is_cut_once():
    ledger = HeardLedger()
    send(ledger, "a", 1000)
    ledger.cut()
    send(ledger, "b", 500)

    assert [item.item for item in ledger.cut()] == ["b"]


def test_a_cut_names_the_items_that_were_received_and_not_sent():
    ledger = HeardLedger()
    send(ledger, "a", 200)
    ledger.received("b", 500)
    ledger.moved(Heard(200, 200))

    assert [item.item for item in ledger.cut()] == ["b"]


def test_bounds_never_go_back():
    ledger = HeardLedger()
    send(ledger, "a", 1000)
    ledger.moved(Heard(500, 600))

    ledger.moved(Heard(400, 450))

    assert ledger.item("a").low_ms == 500


@pytest.mark.parametrize(
    ("heard_ms", "words"),
    [
        (0, ""),
        (300, "We"),
        (500, "We are"),
        (999, "We are open all"),
        (1000, "We are open all day"),
        (2000, "We are open all day"),
    ],
)
def test_words_heard_end_at_a_word(heard_ms: float, words: str):
    assert words_heard("We are open all day", heard_ms, 1000) == words


def test_what_is_held_is_sent_again_from_the_frame_it_was_cut_in():
    ledger = HeardLedger()
    send(ledger, "a", 200)
    ledger.moved(Heard(130, 150))

    ledger.hold()
    ledger.sent("a", 80)
    ledger.moved(Heard(240, 240))

    assert (ledger.item("a").sent_ms, ledger.item("a").low_ms) == (200, 160)


def test_after_a_hold_a_cut_takes_all_that_was_not_heard():
    ledger = HeardLedger()
    send(ledger, "a", 200)
    send(ledger, "b", 200)
    ledger.moved(Heard(130, 150))

    ledger.hold()

    assert [(item.item, item.low_ms) for item in ledger.cut()] == [("a", 130), ("b", 0)]


def test_the_silence_that_fills_a_frame_is_no_audio_of_the_item():
    ledger = HeardLedger()
    ledger.received("a", 95)
    ledger.sent("a", 100)

    ledger.moved(Heard(100, 100))

    assert ledger.item("a").low_ms == 95
    assert ledger.cut() == []
