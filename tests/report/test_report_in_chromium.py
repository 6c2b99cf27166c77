"""The page in a browser. Skipped where there is no Chromium (Debian's package `chromium`)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gateway.carriers.readers import READERS
from gateway.report import write_report
from tests.report.chromium import CHROMIUM, Chromium
from tests.report.made_calls import MadeCall, write_recording
from tests.report.made_sip_calls import QUALITY, recorded, sip_call
from tests.report.test_report_page import hostile_call, spoken_call

TRACES = Path(__file__).parent.parent / "traces"
LOADED = "audio.readyState > 0 || new Promise((done) => audio.addEventListener('loadedmetadata', () => done(true)))"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A call of half a minute with its recording."""
    call = spoken_call(tmp_path)
    call.fact(30_000, "call.ended")
    folder = call.write()
    tone = (8000 * np.sin(np.arange(8000 * 30) / 5)).astype("<i2")
    write_recording(folder, np.stack([tone, tone], axis=1).tobytes())
    return write_report(folder, READERS)


@pytest.fixture
def ladder(tmp_path: Path) -> Path:
    """A call over a SIP trunk."""
    return write_report(recorded(sip_call(), tmp_path, quality=QUALITY), READERS)


@pytest.mark.parametrize("name", ["spoken", "cough", "dropped", "renewed"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_recorded_call_opens_without_a_complaint_and_asks_for_nothing_but_itself(
    browser: Chromium, tmp_path: Path, name: str, dark: bool
):
    path = write_report(TRACES / name, READERS, tmp_path / "page.html")

    browser.open(path, dark=dark)

    assert browser.complaints == []
    assert browser.requests == [path.as_uri()]


@pytest.mark.parametrize("width_px", [360, 1200])
def test_the_ladder_opens_without_a_complaint_and_fits(browser: Chromium, ladder: Path, width_px: int):
    browser.open(ladder, width_px=width_px)
    browser.value("document.querySelectorAll('details').forEach((each) => (each.open = true))")

    assert browser.complaints == []
    assert browser.requests == [ladder.as_uri()]
    assert browser.value("document.documentElement.scrollWidth <= innerWidth") is True


def test_arrows_reach_from_one_end_to_the_other_and_point_where_messages_went(
    browser: Chromium, ladder: Path
):
    browser.open(ladder)

    arrows = browser.value(
        "[...document.querySelectorAll('.arrow')].map((arrow) => {"
        " const between = arrow.closest('.between').getBoundingClientRect(), head = getComputedStyle(arrow, '::after');"
        " return [arrow.closest('li').classList[0], arrow.offsetWidth / between.width > 0.97, head.left, head.right]; })"
    )

    assert {way for way, *_ in arrows} == {"received", "sent"}
    assert all(reaches for _, reaches, *_ in arrows)
    assert all((left if way == "sent" else right) == "-2px" for way, _, left, right in arrows)


def test_a_message_opens_with_the_keyboard(browser: Chromium, ladder: Path):
    browser.open(ladder)
    shown = "document.querySelector('.message pre').checkVisibility()"

    before = browser.value(shown)
    browser.value("document.querySelector('.message summary').focus()")
    browser.ask(
        "Input.dispatchKeyEvent",
        type="keyDown",
        key="Enter",
        code="Enter",
        text="\r",
        windowsVirtualKeyCode=13,
    )

    assert (before, browser.value(shown)) == (False, True)


def test_words_of_strangers_do_nothing(browser: Chromium, tmp_path: Path):
    path = write_report(hostile_call(tmp_path), READERS)

    browser.open(path)

    assert browser.complaints == []
    assert browser.requests == [path.as_uri()]
    assert browser.value("document.querySelectorAll('script').length") == 1


@pytest.mark.parametrize("width_px", [360, 768])
def test_nothing_but_the_timeline_is_wider_than_a_phone(browser: Chromium, page: Path, width_px: int):
    browser.open(page, width_px=width_px)

    assert browser.value("document.documentElement.scrollWidth <= innerWidth") is True
    assert browser.value("scroller.scrollWidth > scroller.clientWidth") is True


def test_the_widest_waterfall_fits_on_a_phone(browser: Chromium, tmp_path: Path):
    path = write_report(TRACES / "interrupted", READERS, tmp_path / "page.html")

    browser.open(path, width_px=360)
    browser.value("document.querySelectorAll('details').forEach((each) => (each.open = true))")

    assert browser.value("document.documentElement.scrollWidth <= innerWidth") is True


def test_the_play_button_is_a_button_with_a_name(browser: Chromium, page: Path):
    browser.open(page)
    browser.value("play.focus()")

    assert browser.value("[play.tagName, play.textContent, document.activeElement.id]") == [
        "BUTTON",
        "Play",
        "play",
    ]


def test_the_browser_understands_the_audio(browser: Chromium, page: Path):
    browser.open(page)
    browser.value(LOADED)

    assert browser.value("audio.error") is None
    assert browser.value("audio.duration") == pytest.approx(30, abs=0.01)


def test_a_click_on_the_timeline_moves_sound_and_play_head_there(browser: Chromium, page: Path):
    browser.open(page)
    browser.value(LOADED)

    browser.value(
        "track.dispatchEvent(new MouseEvent('click', {bubbles: true, clientX: track.getBoundingClientRect().left + 600}))"
    )

    at_s = browser.value("audio.currentTime + beginsS")
    assert at_s == pytest.approx(600 / browser.value("pixelsPerSecond()"), abs=0.01)
    assert float(browser.value("playhead.style.getPropertyValue('--a')")) == pytest.approx(at_s, abs=0.01)


def test_play_plays_and_pause_stops(browser: Chromium, page: Path):
    browser.open(page)
    browser.value(LOADED)
    moved = "new Promise((done) => audio.addEventListener('timeupdate', () => done(audio.currentTime)))"

    browser.value("play.click()")
    first_s, second_s = browser.value(moved), browser.value(moved)
    browser.value("play.click()")

    assert 0 <= first_s < second_s
    assert browser.value("[audio.paused, play.textContent]") == [True, "Play"]


def test_the_list_shows_what_is_asked_for(browser: Chromium, page: Path):
    browser.open(page)
    shown = "[...document.querySelectorAll('tr[data-kind]')].filter((row) => !row.hidden).length"

    everything = browser.value(shown)
    browser.value("search.value = 'agent.said'; search.dispatchEvent(new Event('input'))")

    assert everything > 1
    assert browser.value(shown) == 1


def test_a_link_to_a_moment_opens_there(browser: Chromium, page: Path):
    browser.open(page)
    browser.value(LOADED)

    browser.value(
        "new Promise((done) => { addEventListener('hashchange', done, {once: true}); location.hash = '#at-12.5'; })"
    )

    assert browser.value("audio.currentTime + beginsS") == pytest.approx(12.5, abs=0.01)


def test_a_page_without_sound_has_no_play_button_and_no_complaint(browser: Chromium, tmp_path: Path):
    path = write_report(MadeCall(tmp_path).write(), READERS)

    browser.open(path)

    assert browser.complaints == []
    assert browser.value("document.getElementById('play')") is None
