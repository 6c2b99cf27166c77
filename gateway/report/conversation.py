"""The conversation, utterance by utterance, with the latency of each answer as a waterfall."""

from collections.abc import Sequence

from gateway.report.latency import Bucket, Segment, Turn
from gateway.report.markup import moment, text, timed
from gateway.report.story import Story, Utterance

__all__ = ["MOST_ROWS", "conversation"]

MOST_ROWS = 2000

_ABOUT = {
    Bucket.CARRIER_IN: "from when he fell silent, as the voice found it, to the carrier's message with the end of it",
    Bucket.RESAMPLER: "until it went to the voice at its rate",
    Bucket.SILENCE: "until the last of the silence went to the voice that it waits for",
    Bucket.DETECTION: "until the voice said that the turn is over",
    Bucket.ASKING: "until the voice was asked to answer: a response that runs ends first, words that decide are awaited",
    Bucket.RESPONSE: "until the voice began a response",
    Bucket.LOST: "until the voice was given up",
    Bucket.RECONNECT: "until another session was ready",
    Bucket.FILLER: "until the silence was filled with a clip",
    Bucket.TOOL: "until the tool had answered",
    Bucket.VOICE: "until the voice gave the first audio, or called a tool",
    Bucket.QUEUE: "until the first audio went to the carrier",
    Bucket.PLAYOUT: "until the first mark behind it came back: so much of it was played",
}


def conversation(story: Story, turns: Sequence[Turn]) -> str:
    """Rows in the order of time."""
    longest_us = max((turn.us for turn in turns), default=0)
    by_item = {turn.item: turn for turn in turns if turn.by == "speech" and turn.item}
    by_key = {turn.from_us: turn for turn in turns if turn.by == "key"}
    rows = [
        (u.from_us, _utterance(u, by_item.get(u.item), longest_us)) for u in story.utterances if _counts(u)
    ]
    rows += [(k.t_us, _key(k.t_us, k.digit, by_key.get(k.t_us), longest_us)) for k in story.keys]
    rows.sort(key=lambda row: row[0])
    if not rows:
        return '<p class="quiet">Nobody said anything.</p>'
    left = len(rows) - MOST_ROWS
    more = f'<p class="quiet">{left} more are not shown.</p>' if left > 0 else ""
    return "\n".join(row for _, row in rows[:MOST_ROWS]) + more


def _counts(utterance: Utterance) -> bool:
    return utterance.who == "caller" or bool(utterance.text) or utterance.cut is not None


def _utterance(utterance: Utterance, turn: Turn | None, longest_us: int) -> str:
    words = (
        f'<span class="text" dir="auto">{text(utterance.text)}</span>'
        if utterance.text
        else '<span class="note">(not written down)</span>'
    )
    notes = ""
    if utterance.cut is not None:
        cut = utterance.cut
        heard = (
            f'<span class="text" dir="auto">{text(cut.heard)}</span>'
            if cut.heard
            else "nothing that is a word"
        )
        notes = (
            f'<p class="note">Interrupted at {timed(cut.t_us)}. Heard, estimated: “{heard}”'
            f" ({cut.low_ms / 1000:.2f} to {cut.high_ms / 1000:.2f} s of it)</p>"
        )
    elif utterance.ignored:
        notes = '<p class="note">Not taken for an interruption.</p>'
    elif utterance.broken_off:
        notes = '<p class="note">The voice was lost before it had said all of it.</p>'
    elif len(utterance.spans) > 1 and utterance.who == "agent":
        notes = '<p class="note">Held, and resumed.</p>'
    body = f"<p>{words}</p>{notes}{_latency(turn, longest_us)}"
    times = f'data-from="{utterance.from_us / 1e6:.3f}" data-to="{utterance.to_us / 1e6:.3f}"'
    return _row(utterance.who, utterance.from_us, utterance.who, body, times)


def _key(t_us: int, digit: str, turn: Turn | None, longest_us: int) -> str:
    body = f'<p>presses <b class="text">{text(digit)}</b></p>{_latency(turn, longest_us)}'
    return _row("caller", t_us, "caller", body, "")


def _row(kind: str, t_us: int, who: str, body: str, times: str) -> str:
    return (
        f'<div class="row {kind}" {times}><div class="time">{timed(t_us)}</div>'
        f'<div class="what"><span class="who">{who}</span>{body}</div></div>'
    )


def _latency(turn: Turn | None, longest_us: int) -> str:
    if turn is None:
        return ""
    if turn.first_audio_us is None:
        said = "<b>No answer</b> before his next turn, or the end of the call"
    else:
        said = f"<b>{_ms(turn.first_audio_us)}</b> to the first audio out"
        if turn.us > turn.first_audio_us:
            said += f", {_ms(turn.us)} until it was played"
    if not turn.segments:
        return f'<p class="note">{said}</p>'
    scale_us = max(longest_us, 1)
    bars = "".join(_bar(segment, turn.from_us, scale_us) for segment in turn.segments)
    rows = "".join(_segment_row(segment, turn) for segment in turn.segments)
    label = ", ".join(f"{segment.name} {_ms(segment.us)}" for segment in turn.segments)
    return (
        f'<details class="latency"{" open" if turn.us == longest_us else ""}><summary>{said}'
        f'<svg class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label="{text(label)}">{bars}</svg>'
        "</summary>"
        '<table class="waterfall"><thead><tr><th>where</th><th></th><th class="ms">ms</th><th>what</th></tr></thead>'
        f"<tbody>{rows}</tbody>"
        f'<tfoot><tr><td>all of it</td><td></td><td class="ms">{turn.us / 1000:.1f}</td><td class="about-bucket"></td></tr></tfoot>'
        "</table></details>"
    )


def _segment_row(segment: Segment, turn: Turn) -> str:
    bar = f'<svg class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">{_bar(segment, turn.from_us, max(turn.us, 1))}</svg>'
    about = "; ".join(_ABOUT[bucket] for bucket in segment.buckets)
    return (
        f'<tr title="{moment(segment.from_us)} to {moment(segment.to_us)}"><td>{segment.name}</td><td class="drawn">{bar}</td>'
        f'<td class="ms">{segment.us / 1000:.1f}</td><td class="about-bucket quiet">{about}</td></tr>'
    )


def _bar(segment: Segment, from_us: int, scale_us: int) -> str:
    x, width = (segment.from_us - from_us) * 1000 / scale_us, segment.us * 1000 / scale_us
    css = segment.buckets[-1].replace(" ", "-")
    return f'<rect class="{css}" x="{x:.2f}" y="0" width="{width:.2f}" height="10"><title>{segment.name} {_ms(segment.us)}</title></rect>'


def _ms(us: int) -> str:
    return f"{us / 1000:.0f} ms"
