"""The head of a report: who, when, how it ended, and the figures that sum it up."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence

from gateway.contracts import ENDINGS, EndReason
from gateway.report.latency import Turn
from gateway.report.markup import text
from gateway.report.quality import score
from gateway.report.reading import RecordedCall
from gateway.report.story import Story
from gateway.report.timeline import TROUBLE

__all__ = ["codec", "head"]


def head(call: RecordedCall, story: Story, answered: Sequence[Turn]) -> str:
    """The head as HTML. What `call.json` does not tell is taken from the trace."""
    header, record = call.header, call.record
    reason, fault = _ending(call, story)
    duration_us = record.duration_ms * 1000 or call.ends_us
    plan = record.plan or str(header.plan.get("name", ""))
    about = {
        "call": header.call_id,
        "carrier": f"{header.carrier}, {law}" if (law := codec(story)) else header.carrier,
        "direction": record.direction,
        "voice": record.backend or header.backend,
        "plan": plan,
        "ended": reason.replace("_", " ") + (f": {record.detail}" if record.detail else ""),
        "fault": fault,
        "trace": record.trace or ("complete" if call.finished else "partial"),
        "recording": record.recording or "not told",
        "gateway": header.gateway_version,
    }
    about |= {f"header {name}": value for name, value in record.headers.items()}
    if record.caller_audio_dropped_ms:
        about["caller's audio dropped"] = f"{record.caller_audio_dropped_ms} ms"
    rows = "".join(
        f'<div><dt class="text">{text(name)}</dt><dd class="text">{text(value)}</dd></div>'
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
    mos = score(story)
    if mos is not None:
        figures.append((f"{mos:.1f}", "quality of the line (MOS)"))
    troubles = sum(event.name.rpartition(".")[2] in TROUBLE for event in story.events)
    interruptions = len({cut.t_us for cut in story.cuts})  # one may cut several items
    return [*figures, (str(interruptions), "interruptions"), (str(troubles), "troubles")]


def _ending(call: RecordedCall, story: Story) -> tuple[str, str]:
    """How the call ended and whose fault that was, of the record or else of the trace."""
    told = next((event.fields.get("reason") for event in story.events if event.name == "call.ending"), None)
    reason = str(call.record.reason or told or "")
    if not reason:
        return "not told", ""
    known = reason in set(EndReason)
    return reason, call.record.fault or (ENDINGS[EndReason(reason)].fault if known else "")


def codec(story: Story) -> str:
    """The codec of the call as its first fact tells; empty where it does not."""
    codecs = (event.fields.get("codec") for event in story.events if event.name == "call.started")
    return str(next(codecs, None) or "")
