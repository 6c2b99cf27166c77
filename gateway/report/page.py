"""The report of a call: one HTML page without any part outside of itself."""

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from gateway.report.carriers import Readers
from gateway.report.conversation import conversation
from gateway.report.events import event_list
from gateway.report.head import codec, head
from gateway.report.ladder import rungs
from gateway.report.latency import turns
from gateway.report.markup import Places, moment, text
from gateway.report.quality import quality
from gateway.report.reading import RecordedCall, read_call
from gateway.report.signalling import signalling
from gateway.report.story import tell
from gateway.report.timeline import draw, legend, pixels_per_second
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


def write_report(folder: Path, readers: Readers, path: Path | None = None) -> Path:
    """Write the page of a call's folder, as `report.html` in it, or as `path`; returns where.

    `readers`: of the carriers' messages. It may be read by this user only, as the call itself. Raises `TraceUnreadable` and `OSError`.
    """
    page = render(folder, readers)
    path = folder / "report.html" if path is None else path
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)  # left by a crash
    with create(draft) as file:
        file.write(page.encode())
    draft.replace(path)
    return path


def render(folder: Path, readers: Readers, *, most_audio_bytes: int = MOST_AUDIO_BYTES) -> str:
    """The page. Raises `TraceUnreadable` when there is no trace, or a damaged one."""
    call = read_call(folder, readers)
    story, answered = tell(call.happenings), turns(call.happenings)
    notices = list(call.missing)
    recording = _recording(folder, notices)
    outlines = [] if recording is None else [outline(recording, channel) for channel in range(2)]
    audio = _audio(recording, codec(story), most_audio_bytes, folder, notices)
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
        head=head(call, story, answered),
        notices=_notices(notices),
        player=_player(audio, recording),
        begins=f"{call.media_us / 1e6:.3f}",
        timeline=timeline,
        legend=legend(story),
        turns=conversation(story, answered),
        signalling=signalling(rungs(call.happenings)),
        quality=quality(story),
        events=event_list(story),
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
    recording: Recording | None, law: str, most_bytes: int, folder: Path, notices: list[str]
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
    return encoded(recording, law)


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


# -- notices and foot ----------------------------------------------------------------------------------


def _notices(notices: Sequence[str]) -> str:
    if not notices:
        return ""
    return f'<ul class="notices" role="note">{"".join(f"<li>{text(notice)}</li>" for notice in notices)}</ul>'


def _foot(call: RecordedCall, audio: bytes | None, recording: Recording | None) -> str:
    said = "Times are since the call began, as in the trace, in minutes and seconds."
    if audio is not None and recording is not None:
        said += f" The audio is {recording.name} in G.711, {len(audio) / 1e6:.1f} MB: left the caller, right the agent as heard."
    return f'<p>{text(said)}</p><p>What was said is in this page: keep it as you keep the recording.</p><p class="text">{text(call.folder)}</p>'
