import pytest

from gateway.media.heard import Heard, HeardLedger, words_heard


def test_the_axis_is_mapped_to_the_items_it_carries():
    ledger = HeardLedger()
    ledger.sent("a", 100)
    ledger.sent("b", 300)

    ledger.moved(Heard(150, 220))

    assert (ledger.item("a").low_ms, ledger.item("a").high_ms) == (100, 100)
    assert (ledger.item("b").low_ms, ledger.item("b").high_ms) == (50, 120)


def test_an_item_sent_in_two_stretches_counts_both():
    ledger = HeardLedger()
    ledger.sent("a", 100)
    ledger.sent("b", 100)
    ledger.sent("a", 100)

    ledger.moved(Heard(250, 250))

    assert ledger.item("a").low_ms == 150


def test_what_a_cut_took_is_never_heard_although_the_axis_goes_on():
    ledger = HeardLedger()
    ledger.sent("a", 1000)
    ledger.moved(Heard(600, 640))

    cut = ledger.cut()
    ledger.sent("b", 500)
    ledger.moved(Heard(1200, 1250))

    assert [item.item for item in cut] == ["a"]
    assert (cut[0].low_ms, cut[0].high_ms) == (600, 640)
    assert ledger.item("b").low_ms == 200


def test_an_item_is_cut_once():
    ledger = HeardLedger()
    ledger.sent("a", 1000)
    ledger.cut()
    ledger.sent("b", 500)

    assert [item.item for item in ledger.cut()] == ["b"]


def test_a_cut_names_the_items_that_were_received_and_not_sent():
    ledger = HeardLedger()
    ledger.received("a", 200)
    ledger.sent("a", 200)
    ledger.received("b", 500)
    ledger.moved(Heard(200, 200))

    assert [item.item for item in ledger.cut()] == ["b"]


def test_bounds_never_go_back():
    ledger = HeardLedger()
    ledger.sent("a", 1000)
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
