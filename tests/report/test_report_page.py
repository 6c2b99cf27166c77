import base64
import hashlib
import html.parser
import json
import re
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.carriers.readers import READERS
from gateway.cli import main
from gateway.report import render, write_report
from gateway.report.latency import turns
from gateway.report.markup import moment
from gateway.report.reading import read_call
from gateway.report.story import tell
from gateway.traces.format import OUTPUTS, TRACE
from tests.report.made_calls import MadeCall, delta, mark, mark_back, play, write_recording

TRACES = Path(__file__).parent.parent / "traces"
RECORDED = sorted(path.parent.name for path in TRACES.glob(f"*/{TRACE}"))
HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"' onload=alert(3) & \u202e\u2028 \x00"
)


class Elements(html.parser.HTMLParser):
    """Every element of a page, and what stands in them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def tags(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag == name]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


def spoken_call(folder: Path, words: str = "Good morning.") -> MadeCall:
    """A caller who says something and hears the same."""
    call = MadeCall(folder).caller_audio(0, 200)
    call.fact(10, "call.started", codec="pcmu", carrier_call="CA1")
    call.at(300, "voice", delta(400), play(400), mark("g0:400"))
    call.at(750, "carrier", mark_back("g0:400"))
    call.fact(760, "agent.said", item="item", text=words)
    return call.fact(800, "call.ending", reason="caller_hung_up", detail="")


# -- what it shows ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_call_has_a_page(name: str):
    assert "Recorded call" in Elements(render(TRACES / name, READERS)).words


def test_the_head_tells_who_when_how_long_and_how_it_ended(tmp_path: Path):
    folder = spoken_call(tmp_path).write()
    record = {
        "caller": "tel:cccccccccc",
        "called": "tel:dddddddddd",
        "plan": "night",
        "backend": "echo",
        "started_at": "2026-02-03T04:05:06.789+00:00",
        "duration_ms": 83_000,
        "reason": "carrier_stalled",
        "fault": "theirs",
        "counts": {"call.started": 1},
        "trace": "complete",
        "recording": "failed: No space left on device",
    }
    (folder / "call.json").write_text(json.dumps(record))

    words = Elements(render(folder, READERS)).words

    for told in (
        *("tel:cccccccccc", "tel:dddddddddd", "night", "echo", "2026-02-03 04:05:06 UTC", "1 min 23 s"),
        *("carrier stalled", "theirs", "failed: No space left on device", "call.started"),
    ):
        assert told in words


def test_without_a_record_the_head_is_made_from_the_trace(tmp_path: Path):
    page = render(spoken_call(tmp_path).write(), READERS)

    words = Elements(page).words
    assert "call.json cannot be read (No such file or directory)" in words
    for told in (
        "tel:aaaaaaaaaa",
        "tel:bbbbbbbbbb",
        "reception",
        "2026-01-01 00:00:00 UTC",
        "caller hung up",
        "nobody",
    ):
        assert told in words


def test_the_sum_of_a_turn_is_on_the_page():
    (turn,) = turns(read_call(TRACES / "goodbye", READERS).happenings)
    words = Elements(render(TRACES / "goodbye", READERS)).words

    assert turn.first_audio_us is not None
    first_ms, all_ms = turn.first_audio_us / 1000, turn.us / 1000
    assert f"{first_ms:.0f} ms to the first audio out, {all_ms:.0f} ms until it was played" in words
    assert f"all of it{all_ms:.1f}" in words


def test_words_that_were_not_heard_are_marked_as_an_estimate():
    (cut,) = [u.cut for u in tell(read_call(TRACES / "interrupted", READERS).happenings).utterances if u.cut]
    page = render(TRACES / "interrupted", READERS)

    assert re.search(rf"{cut.heard} <i>\(estimated\)</i> <s> \w+", page)
    assert f"Heard, estimated: “{cut.heard}”" in Elements(page).words


def test_items_that_are_cut_together_are_one_interruption():
    words = Elements(render(TRACES / "corrected", READERS)).words

    assert "1interruptions" in words


def test_an_answer_that_broke_off_says_why():
    assert (
        "The voice was lost before it had said all of it."
        in Elements(render(TRACES / "dropped", READERS)).words
    )


@pytest.mark.parametrize(
    "name",
    [
        "session.lost",
        "session.reopened",
        "agent.resumed",
        "caller.ignored",
        "filler.played",
        "response.truncated",
        "voice.busy",
        "session.renewed",
        "moon.risen",
    ],
)
def test_any_fact_is_in_the_list_and_on_the_timeline(tmp_path: Path, name: str):
    page = render(spoken_call(tmp_path).fact(900, name, how="so", since_ms=3).write(), READERS)

    elements = Elements(page)
    assert re.search(rf"{name}.*how so since_ms 3", elements.words)
    assert any(name in (link.get("title") or "") for link in elements.tags("a"))


# -- what may be missing ------------------------------------------------------------------------------


def test_without_a_recording_the_page_says_so_and_has_the_rest(tmp_path: Path):
    elements = Elements(render(spoken_call(tmp_path).write(), READERS))

    assert "recording.wav cannot be read" in elements.words
    assert elements.tags("audio") == []
    assert "Good morning." in elements.words


def test_without_outputs_the_page_says_so(tmp_path: Path):
    folder = spoken_call(tmp_path).write()
    (folder / OUTPUTS).unlink()

    words = Elements(render(folder, READERS)).words

    assert "outputs.jsonl cannot be read" in words


def test_a_damaged_record_is_told(tmp_path: Path):
    folder = spoken_call(tmp_path).write()
    (folder / "call.json").write_text('{"duration_ms":"long"}')

    assert "call.json is damaged" in Elements(render(folder, READERS)).words


def test_a_trace_without_its_end_is_told(tmp_path: Path):
    folder = spoken_call(tmp_path).write(finished=False)

    assert "The trace has no end" in Elements(render(folder, READERS)).words


def test_a_call_in_which_nothing_happened_has_a_page(tmp_path: Path):
    folder = MadeCall(tmp_path).write()
    (folder / OUTPUTS).unlink()

    assert "Nobody said anything." in Elements(render(folder, READERS)).words


def test_audio_that_is_too_much_stays_in_its_file_which_is_named(tmp_path: Path):
    folder = spoken_call(tmp_path).write()
    path = write_recording(folder, bytes(4 * 8000))

    elements = Elements(render(folder, READERS, most_audio_bytes=15_999))

    assert elements.tags("audio") == []
    assert str(path.resolve()) in elements.words
    assert [svg for svg in elements.tags("svg") if "Waveform" in (svg.get("aria-label") or "")]


def test_the_recording_is_in_the_page_and_its_size_is_told(tmp_path: Path):
    folder = spoken_call(tmp_path).write()
    write_recording(folder, bytes(4 * 8000 * 10))

    elements = Elements(render(folder, READERS))

    (audio,) = elements.tags("audio")
    head, _, data = (audio["src"] or "").partition(",")
    assert head == "data:audio/wav;base64"
    assert base64.b64decode(data)[:4] == b"RIFF"
    assert "0.2 MB" in elements.words


# -- a stranger's words -------------------------------------------------------------------------------


def hostile_call(folder: Path) -> Path:
    call = spoken_call(folder, HOSTILE).fact(810, "tool.called", tool=HOSTILE, **{HOSTILE: [HOSTILE]})
    call.fact(820, HOSTILE).fact(830, "digit.pressed")
    bounds = {"heard_low_ms": 1, "heard_high_ms": 2, "text": HOSTILE, "item": "item"}
    call.fact(840, "agent.interrupted", **bounds).fact(850, "caller.said", item=HOSTILE, text=HOSTILE)
    folder = call.write()
    record = {
        "caller": HOSTILE,
        "called": HOSTILE,
        "reason": HOSTILE,
        "detail": HOSTILE,
        "started_at": HOSTILE,
        "direction": HOSTILE,
    }
    tables = {"counts": {HOSTILE: 1}, "headers": {HOSTILE: HOSTILE}}
    (folder / "call.json").write_text(json.dumps(record | tables))
    return folder


def test_what_was_said_is_never_markup(tmp_path: Path):
    innocent = Elements(render(spoken_call(tmp_path / "innocent").write(), READERS))

    elements = Elements(render(hostile_call(tmp_path / "hostile"), READERS))

    assert len(elements.tags("script")) == len(innocent.tags("script")) == 1
    assert elements.tags("img") == []
    assert not any(name.startswith("on") for _, attributes in elements.found for name in attributes)
    assert "alert(1)" in elements.words
    assert not set("\x00\u202e") & set(elements.words)


def test_a_lone_surrogate_is_no_reason_to_fail(tmp_path: Path):
    folder = spoken_call(tmp_path).write()
    (folder / "call.json").write_text('{"detail":"\\ud800"}')

    page = write_report(folder, READERS)

    assert page.exists()


def test_the_policy_allows_these_styles_and_this_script_and_nothing_else(tmp_path: Path):
    page = render(spoken_call(tmp_path).write(), READERS)

    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    inline = [(kind, body) for kind, body in re.findall(r"<(style|script)>(.*?)</\1>", page, re.DOTALL)]
    hashes: dict[str, list[str]] = {"style": [], "script": []}
    for kind, body in inline:
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        hashes[kind].append(f"'sha256-{digest}'")
    assert rules == {
        "default-src": "'none'",
        "style-src": " ".join(hashes["style"]),
        "script-src": " ".join(hashes["script"]),
        "media-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_nothing_on_the_page_is_placed_by_an_inline_style(tmp_path: Path):
    elements = Elements(render(hostile_call(tmp_path), READERS))

    assert not any("style" in attributes for _, attributes in elements.found)


@pytest.mark.parametrize(
    ("t_us", "shown"),
    [(0, "0:00.00"), (-30_000, "-0:00.03"), (62_345_678, "1:02.35"), (3_599_996_000, "60:00.00")],
)
def test_a_moment_is_told_to_the_hundredth(t_us: int, shown: str):
    assert moment(t_us) == shown


# -- the command --------------------------------------------------------------------------------------


def test_the_command_writes_the_page_into_the_folder_and_tells_where_and_how_large(tmp_path: Path):
    folder = spoken_call(tmp_path).write()

    done = run(folder)

    assert done.exit_code == 0
    assert re.fullmatch(rf"{re.escape(str(folder / 'report.html'))}   \d+\.\d MB\n", done.output)
    assert stat.S_IMODE((folder / "report.html").stat().st_mode) == 0o600


def test_the_command_reads_what_the_carrier_was_sent(tmp_path: Path):
    done = run(spoken_call(tmp_path).write())

    assert done.exit_code == 0
    assert "sent above, returned below" in (tmp_path / "report.html").read_text()


def test_the_command_writes_where_it_is_told_and_over_what_was_there(tmp_path: Path):
    folder, page = spoken_call(tmp_path / "call").write(), tmp_path / "page.html"
    page.write_text("old")

    done = run(folder, "-o", page)

    assert done.exit_code == 0
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["call", "page.html"]


@pytest.mark.parametrize("name", ["", "none"])
def test_a_folder_that_is_no_call_is_told_in_one_line_and_ends_with_1(tmp_path: Path, name: str):
    done = run(tmp_path / name)

    assert done.exit_code == 1
    assert done.output == f"gateway: {tmp_path / name / TRACE}: No such file or directory\n"


def test_a_damaged_trace_is_told_in_one_line_and_ends_with_1(tmp_path: Path):
    folder = spoken_call(tmp_path).write()
    (folder / TRACE).write_bytes((folder / TRACE).read_bytes().replace(b"[3,", b"[x,", 1))

    done = run(folder)

    assert done.exit_code == 1
    assert done.output.startswith("gateway: trace.jsonl line 4: ")
    assert done.output.count("\n") == 1


def test_a_page_that_cannot_be_written_is_told_in_one_line(tmp_path: Path):
    folder = spoken_call(tmp_path).write()

    done = run(folder, "-o", tmp_path / "none" / "page.html")

    assert done.exit_code == 1
    assert done.output.startswith("gateway: [Errno 2]")
