"""The report of a call: one HTML page without any part outside of itself."""

import base64
import datetime as dt
import hashlib
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from gateway.contracts import ENDINGS, EndReason
from gateway.report.conversation import conversation
from gateway.report.latency import Turn, turns
from gateway.report.markup import Places, fields, moment, text, timed
from gateway.report.reading import RecordedCall, read_call
from gateway.report.story import Event, Story, tell
from gateway.report.timeline import LEGEND, TROUBLE, draw, pixels_per_second
from gateway.report.waveform import (
    MOST_AUDIO_BYTES,
    Recording,
    RecordingUnusable,
    encoded,
    outline,
    read_recording,
)
from gateway.traces.files import create

__all__ = ["render", "write_report"]

_MOST_EVENTS = 5000


def write_report(folder: Path, path: Path | None = None) -> Path:
    """Write the page of a call's folder, as `report.html` in it, or as `path`; returns where.

    It may be read by this user only, as the call itself. Raises `TraceUnreadable` and `OSError`.
    """
    page = render(folder)
    path = folder / "report.html" if path is None else path
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)  # left by a crash
    with create(draft) as file:
        file.write(page.encode())
    draft.replace(path)
    return path


def render(folder: Path, *, most_audio_bytes: int = MOST_AUDIO_BYTES) -> str:
    """The page. Raises `TraceUnreadable` when there is no trace, or a damaged one."""
    call = read_call(folder)
    story, answered = tell(call.happenings), turns(call.happenings)
    notices = list(call.missing)
    recording = _recording(folder, notices)
    outlines = [] if recording is None else [outline(recording, channel) for channel in range(2)]
    codec = _codec(story)
    audio = _audio(recording, codec, most_audio_bytes, folder, notices)
    length_us = _length_us(call, recording)
    places = Places()
    timeline = draw(story, outlines, call.media_us, length_us, places)
    style, script = _part("page.css"), _part("page.js")
    sheet = places.sheet(length_us=length_us, pixels_per_second=pixels_per_second(length_us))
    return Template(_part("page.html")).substitute(
        policy=_policy((style, sheet), script),
        title=text(f"Call {call.header.call_id}"),
        style=style,
        places=sheet,
        script=script,
        head=_head(call, story, answered, codec),
        notices=_notices(notices),
        player=_player(audio, recording),
        begins=f"{call.media_us / 1e6:.3f}",
        timeline=timeline,
        legend=LEGEND,
        turns=conversation(story, answered),
        events=_events(story),
        foot=_foot(call, audio, recording),
    )


def _part(name: str) -> str:
    return files("gateway.report").joinpath(name).read_text("utf-8")


def _policy(styles: Sequence[str], script: str) -> str:
    """Nothing but these styles, this script and the audio in the page: what a caller said cannot do anything."""
    sheets = " ".join(map(_hash, styles))
    return (
        f"default-src 'none'; style-src {sheets}; script-src {_hash(script)}; media-src data:;"
        " base-uri 'none'; form-action 'none'"
    )


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


# -- audio --------------------------------------------------------------------------------------------


def _recording(folder: Path, notices: list[str]) -> Recording | None:
    try:
        recording = read_recording(folder)
    except RecordingUnusable as error:
        notices.append(f"{error}: no waveforms and no audio.")
        return None
    if recording.name.endswith(".part"):
        notices.append(f"The recording was not completed; this is what {recording.name} has.")
    return recording


def _audio(
    recording: Recording | None, codec: str, most_bytes: int, folder: Path, notices: list[str]
) -> bytes | None:
    if recording is None:
        return None
    if recording.samples.size > most_bytes:
        at = folder.resolve() / recording.name
        notices.append(
            f"The audio is not in this page: {recording.samples.size / 1e6:.0f} MB of it, and"
            f" {most_bytes / 1e6:.0f} MB is the most. It is in {at}."
        )
        return None
    return encoded(recording, codec)


def _player(audio: bytes | None, recording: Recording | None) -> str:
    zoom = '<button type="button" id="farther" aria-label="Zoom out">&minus;</button><button type="button" id="closer" aria-label="Zoom in">+</button>'
    if audio is None or recording is None:
        return f'<div class="player">{zoom}</div>'
    uri = f"data:audio/wav;base64,{base64.b64encode(audio).decode()}"
    return (
        '<div class="player"><button type="button" id="play">Play</button>'
        f'<span class="number"><span id="clock">0:00</span> / {moment(round(recording.duration_s * 1e6))[:-3]}</span>'
        f'<input type="range" id="position" aria-label="Position" min="0" max="{recording.duration_s:.2f}" step="0.1" value="0">'
        f'{zoom}<audio id="audio" preload="auto" src="{uri}"></audio></div>'
    )


def _length_us(call: RecordedCall, recording: Recording | None) -> int:
    recorded_us = 0 if recording is None else call.media_us + round(recording.duration_s * 1e6)
    return max(call.ends_us, recorded_us, 1_000_000)


# -- head, notices, foot ------------------------------------------------------------------------------


def _head(call: RecordedCall, story: Story, answered: Sequence[Turn], codec: str) -> str:
    header, record = call.header, call.record
    reason, fault = _ending(call, story)
    duration_us = record.duration_ms * 1000 or call.ends_us
    plan = record.plan or str(header.plan.get("name", ""))
    about = {
        "call": header.call_id,
        "carrier": f"{header.carrier}, {codec}" if codec else header.carrier,
        "voice": record.backend or header.backend,
        "plan": plan,
        "ended": reason.replace("_", " ") + (f": {record.detail}" if record.detail else ""),
        "fault": fault,
        "trace": record.trace or ("complete" if call.finished else "partial"),
        "recording": record.recording or "not told",
        "gateway": header.gateway_version,
    }
    if record.caller_audio_dropped_ms:
        about["caller's audio dropped"] = f"{record.caller_audio_dropped_ms} ms"
    rows = "".join(
        f'<div><dt>{text(name)}</dt><dd class="text">{text(value)}</dd></div>'
        for name, value in about.items()
        if value
    )
    figures = "".join(
        f"<li><b>{text(value)}</b><span>{text(name)}</span></li>" for value, name in _figures(story, answered)
    )
    return (
        '<p class="kicker">Recorded call</p>'
        f'<h1><span class="text">{text(record.caller or header.caller or "withheld")}</span> → '
        f'<span class="text">{text(record.called or header.called)}</span></h1>'
        f'<p class="quiet">{_duration(duration_us)}, {text(_when(record.started_at or header.wall_time))}</p>'
        f'<ul class="figures">{figures}</ul><dl class="about">{rows}</dl>{_counts(call, story)}'
    )


def _counts(call: RecordedCall, story: Story) -> str:
    """How often each fact was told, as the call counted, or else as the trace has it."""
    counted = Counter(event.name for event in story.events if event.kind == "fact")
    counts = call.record.counts or counted
    each = "".join(
        f'<div><dt class="text">{text(name)}</dt><dd>{count}</dd></div>'
        for name, count in sorted(counts.items())
    )
    return (
        f'<details class="counts"><summary>Counts</summary><dl class="about">{each}</dl></details>'
        if each
        else ""
    )


def _when(iso: str) -> str:
    """ISO 8601 for people; as it is where it is something else."""
    try:
        began = dt.datetime.fromisoformat(iso).astimezone(dt.UTC)
    except ValueError:
        return iso
    return f"{began:%Y-%m-%d %H:%M:%S} UTC"


def _duration(us: int) -> str:
    minutes, seconds = divmod(round(us / 1e6), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _figures(story: Story, answered: Sequence[Turn]) -> list[tuple[str, str]]:
    found_us = sorted(turn.first_audio_us for turn in answered if turn.first_audio_us is not None)
    figures = [(str(len(answered)), "turns of the caller")]
    if found_us:
        figures += [
            (f"{found_us[len(found_us) // 2] / 1000:.0f} ms", "to the first audio, median"),
            (f"{found_us[-1] / 1000:.0f} ms", "at most"),
        ]
    troubles = sum(event.name.rpartition(".")[2] in TROUBLE for event in story.events)
    return [*figures, (str(len(story.cuts)), "interruptions"), (str(troubles), "troubles")]


def _ending(call: RecordedCall, story: Story) -> tuple[str, str]:
    """How the call ended and whose fault that was, of the record or else of the trace."""
    told = next((event.fields.get("reason") for event in story.events if event.name == "call.ending"), None)
    reason = str(call.record.reason or told or "")
    if not reason:
        return "not told", ""
    known = reason in set(EndReason)
    return reason, call.record.fault or (ENDINGS[EndReason(reason)].fault if known else "")


def _codec(story: Story) -> str:
    codecs = (event.fields.get("codec") for event in story.events if event.name == "call.started")
    return str(next(codecs, None) or "")


def _notices(notices: Sequence[str]) -> str:
    if not notices:
        return ""
    return f'<ul class="notices" role="note">{"".join(f"<li>{text(notice)}</li>" for notice in notices)}</ul>'


def _foot(call: RecordedCall, audio: bytes | None, recording: Recording | None) -> str:
    said = "Times are since the call began, as in the trace, in minutes and seconds."
    if audio is not None and recording is not None:
        said += f" The audio is {recording.name} in G.711, {len(audio) / 1e6:.1f} MB: left the caller, right the agent as heard."
    return f'<p>{text(said)}</p><p>What was said is in this page: keep it as you keep the recording.</p><p class="text">{text(call.folder)}</p>'


# -- events -------------------------------------------------------------------------------------------

_KINDS = {
    "fact": ("facts", True),
    "request": ("requests", True),
    "report": ("their results", True),
    "carrier": ("clears", True),
    "mark": ("marks", False),
}


def _events(story: Story) -> str:
    marks = [
        Event(
            t_us=mark.sent_us,
            kind="mark",
            name="mark",
            fields=_mark_fields(mark.name, mark.sent_us, mark.returned_us, cleared=mark.cleared),
        )
        for mark in story.marks
    ]
    everything = sorted([*story.events, *marks], key=lambda event: event.t_us)
    rows = "".join(_event_row(event) for event in everything[:_MOST_EVENTS])
    left = len(everything) - _MOST_EVENTS
    more = f'<p class="quiet">{left} more are not shown; the trace has them.</p>' if left > 0 else ""
    boxes = "".join(
        f'<label><input type="checkbox" data-kind-shown="{kind}"{" checked" if shown else ""}>{name}</label>'
        for kind, (name, shown) in _KINDS.items()
    )
    return (
        f'<div class="filter" role="search"><input type="search" id="search" placeholder="Filter" aria-label="Filter events">{boxes}'
        '<span class="quiet number" id="shown" role="status"></span></div>'
        '<table class="events"><thead><tr><th>time</th><th>event</th><th>with</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>{more}"
    )


def _mark_fields(name: str, sent_us: int, returned_us: int | None, *, cleared: bool) -> dict[str, str]:
    back = "never" if returned_us is None else f"after {(returned_us - sent_us) / 1000:.0f} ms"
    return {"name": name, "returned": f"{back}, by a clear" if cleared and returned_us is not None else back}


def _event_row(event: Event) -> str:
    trouble = ' class="trouble"' if event.name.rpartition(".")[2] in TROUBLE else ""
    return (
        f'<tr data-kind="{text(event.kind)}"><td>{timed(event.t_us)}</td>'
        f'<td{trouble}><span class="text">{text(event.name)}</span></td><td>{fields(event.fields)}</td></tr>'
    )
