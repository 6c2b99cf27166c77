import re
from pathlib import Path
from typing import Any

import pytest

from gateway.carriers.readers import READERS
from gateway.report import happenings as h
from gateway.report import render
from gateway.report.ladder import rungs
from gateway.report.signalling import MOST_RUNGS, signalling
from gateway.traces.format import TRACE
from tests.report.made_calls import MadeCall
from tests.report.made_sip_calls import QUALITY, passes, recorded, sip_call
from tests.report.test_report_page import HOSTILE, Elements, spoken_call

TRACES = (Path(__file__).parent.parent / "traces").glob(f"*/{TRACE}")
OF_TWILIO = sorted(path.parent for path in TRACES if b'"carrier":"twilio"' in path.read_bytes())


def signal(t_ms: int, way: str, line: str, cseq: str = "1 INVITE", **changes: Any) -> h.Signal:
    passed = h.Signal(t_ms * 1000, way == "out", line, cseq, "UDP", (), "")
    return passed._replace(**changes)


@pytest.fixture
def page(tmp_path: Path) -> str:
    return render(recorded(sip_call(), tmp_path, quality=QUALITY), READERS)


# -- which rungs there are ----------------------------------------------------------------------------


def test_messages_and_what_came_of_them_stand_in_the_order_in_which_they_happened():
    found = rungs(
        [
            signal(0, "in", "INVITE"),
            h.CarrierTold(1000, "media.agreed", {"codec": "pcmu"}),
            h.Told(2000, "call.started", {}),
            h.Told(2000, "turn.answered", {"latency_ms": 7}),
            signal(3, "out", "200 OK"),
            h.KeyPressed(4000, "5"),
        ]
    )

    assert [rung.signal.line if rung.signal else rung.name for rung in found] == [
        *("INVITE", "media.agreed", "call.started", "200 OK", "key pressed"),
    ]


def test_the_same_message_once_more_is_known_for_what_it_is():
    found = rungs([signal(at_ms, "out", "200 OK") for at_ms in (100, 600, 1600)])

    assert [(rung.again, rung.first_us) for rung in found] == [(0, 100_000), (1, 100_000), (2, 100_000)]


@pytest.mark.parametrize(
    "other",
    [
        signal(500, "in", "BYE", "1 BYE"),
        signal(500, "out", "BYE", "2 BYE"),
        signal(500, "out", "BYE", "1 BYE", headers=(("Reason", "Q.850;cause=16"),)),
        signal(500, "out", "BYE", "1 BYE", sdp="v=0"),
        signal(500, "out", "BYE", "1 BYE", transport="TCP"),
    ],
    ids=["other way", "other number", "other header", "other description", "other transport"],
)
def test_another_message_is_no_repetition(other: h.Signal):
    _, rung = rungs([signal(0, "out", "BYE", "1 BYE"), other])

    assert rung.again == 0


def test_an_answer_knows_when_it_was_asked_for():
    asked, _, tried, answered = rungs(
        [
            signal(10, "in", "INVITE"),
            signal(20, "out", "INVITE"),  # of ours, with the same number
            signal(30, "out", "100 Trying"),
            signal(95, "out", "200 OK"),
        ]
    )

    assert (asked.asked_us, tried.asked_us, answered.asked_us) == (None, 10_000, 10_000)


def test_a_call_without_messages_has_no_ladder():
    assert rungs([h.Told(0, "call.started", {}), h.KeyPressed(1, "1")]) == ()


# -- how they are drawn -------------------------------------------------------------------------------


def test_arrows_point_where_messages_went(page: str):
    ways = re.findall(r'<li class="(received|sent)[^"]*">.*?<b class="text">([^<]*)</b>', page)

    assert ways[:4] == [
        ("received", "INVITE"),
        ("sent", "100 Trying"),
        ("sent", "200 OK"),
        ("sent", "200 OK"),
    ]
    assert ways[-2:] == [("received", "BYE"), ("sent", "200 OK")]


def test_the_ladder_tells_repetitions_answers_and_what_came_of_them(page: str):
    words = Elements(page).words

    assert "200 OK 1 INVITE · UDP · SDP · again (no. 2), 520 ms after the first" in words
    assert "200 OK 4 BYE · UDP · after 0 ms" in words
    for told in ("call.held", "call.resumed", "key pressed digit 5", "call.released"):
        assert told in words


def test_headers_and_the_description_are_behind_a_click(page: str):
    opened = re.findall(
        r"<details class=\"message\"><summary>(.*?)</summary>(.*?)</details>", page, re.DOTALL
    )

    summary, content = opened[0]
    assert "INVITE" in summary
    assert "<pre>Max-Forwards: 68\nSupported: timer, replaces</pre>" in content
    assert "<pre>v=0\no=- 1 1 IN IP4 192.0.2.1\n" in content


def test_a_message_with_nothing_in_it_is_nothing_to_click_on(page: str):
    assert re.search(
        r'<div class="message"><span class="line"><span class="way">received </span><b class="text">ACK', page
    )


def test_a_refusal_is_drawn_as_one():
    drawn = signalling(rungs([signal(0, "in", "INVITE"), signal(1, "out", "486 Busy Here")]))

    assert '<li class="sent refusal">' in drawn


def test_more_messages_than_a_page_can_hold_are_counted():
    many = [signal(at_ms, "in", "INFO", f"{at_ms} INFO") for at_ms in range(MOST_RUNGS + 7)]

    drawn = signalling(rungs(many))

    assert drawn.count("<li ") == MOST_RUNGS
    assert "7 more are not shown" in drawn


def test_a_description_without_end_is_shown_to_a_point():
    drawn = signalling(rungs([signal(0, "in", "INVITE", sdp="a" * 100_000)]))

    assert len(drawn) < 10_000


@pytest.mark.parametrize("folder", OF_TWILIO, ids=lambda folder: folder.name)
def test_a_carrier_without_signalling_has_neither_ladder_nor_quality(folder: Path):
    page = render(folder, READERS)

    assert ('class="ladder"' in page, "Media quality" in page) == (False, False)


def test_what_a_peer_wrote_into_its_messages_is_never_markup(tmp_path: Path):
    innocent = Elements(render(spoken_call(tmp_path / "innocent").write(), READERS))
    call = MadeCall(tmp_path / "hostile", carrier="sip")
    call.at(0, "carrier", passes("in", HOSTILE, HOSTILE, HOSTILE, reason=HOSTILE, **{HOSTILE: HOSTILE}))
    call.fact(1, "call.released", why=HOSTILE).fact(2, "media.quality", mos=HOSTILE, **{HOSTILE: HOSTILE})

    elements = Elements(render(call.write(), READERS))

    assert len(elements.tags("script")) == len(innocent.tags("script")) == 1
    assert elements.tags("img") == []
    assert not any(name.startswith("on") for _, attributes in elements.found for name in attributes)
    assert elements.words.count("alert(1)") > 8
    assert not set("\x00\u202e") & set(elements.words)


# -- how good it was ----------------------------------------------------------------------------------


def test_the_quality_of_the_media_is_told_with_what_it_means(page: str):
    words = Elements(page).words

    for told in (
        *("4.27, satisfied", "jitter2.4 ms", "round trip41.5 ms", "lost0.75 %", "packets lost3"),
        "4.3quality of the line (MOS)",
    ):
        assert told in words
    assert "the far end missed" not in words  # nobody told


@pytest.mark.parametrize(
    ("mos", "verdict"),
    [(4.4, "very satisfied"), (4.03, "satisfied"), (3.7, "some users dissatisfied"), (1, "not recommended")],
)
def test_a_score_is_what_users_say_of_it(tmp_path: Path, mos: float, verdict: str):
    folder = MadeCall(tmp_path).fact(1, "media.quality", mos=mos).write()

    assert f"{mos:.2f}, {verdict}" in Elements(render(folder, READERS)).words


def test_a_figure_that_nobody_knows_yet_is_shown_by_its_name(tmp_path: Path):
    folder = MadeCall(tmp_path).fact(1, "media.quality", moons_risen=3).write()

    assert "moons risen3" in Elements(render(folder, READERS)).words


def test_what_was_measured_last_counts(tmp_path: Path):
    call = MadeCall(tmp_path).fact(1, "media.quality", mos=1.5).fact(2, "media.quality", mos=4.2)

    words = Elements(render(call.write(), READERS)).words

    assert "4.20, satisfied" in words
    assert "1.50, " not in words


def test_the_direction_of_a_call_and_the_headers_let_through_are_in_its_head(tmp_path: Path):
    folder = recorded(sip_call(), tmp_path)
    (folder / "call.json").write_text('{"direction":"outbound","headers":{"X-Queue":"night"}}')

    words = Elements(render(folder, READERS)).words

    assert "directionoutbound" in words
    assert "header X-Queuenight" in words
