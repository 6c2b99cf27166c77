"""Plants mistakes in the code that decides what is heard, one at a time, and replays tests/traces/ on each.

    python ops/plant_mutations.py [WORD ...]

A mistake that no recorded call shows is a hole in the traces. Ends with 0 when every one is caught. With words,
only the mistakes in whose names one of them stands.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
TRACES = ROOT / "tests" / "traces"


class Mutation(NamedTuple):
    """A mistake: in `file`, `right` (once there) becomes `wrong`."""

    what: str
    file: str
    right: str
    wrong: str


MUTATIONS = (
    # -- turns
    Mutation(
        "turn: the silence that ended it is not counted",
        "voice/found_speech.py",
        "(behind_ms + silence_ms) / 1000",
        "behind_ms / 1000",
    ),
    Mutation(
        "turn: a second response is not waited for",
        "voice/session_core.py",
        'self._step("answered")\n        self._ask_if_wanted()',
        'self._step("answered")',
    ),
    # -- audio
    Mutation(
        "resampler: cuts off instead of rounding",
        "audio/resample.py",
        "np.rint(cut.sums",
        "np.trunc(cut.sums",
    ),
    Mutation(
        "resampler: forgets a sample between chunks",
        "audio/resample.py",
        "cut.samples[:held] = self._rest",
        "cut.samples[1:held] = self._rest[1:]",
    ),
    Mutation(
        "playout: runs one frame less ahead",
        "media/playout.py",
        "room_ms // FRAME_MS)",
        "room_ms // FRAME_MS - 1)",
    ),
    Mutation(
        "playout: the last frame of an item is filled up with zeros",
        "media/playout.py",
        "self._silence * missing",
        "bytes(missing)",
    ),
    Mutation(
        "mark: one that returned because of clear counts as heard",
        "carriers/twilio/far_playout.py",
        "self._out.clear()",
        "pass",
    ),
    Mutation(
        "mark: every 120 ms instead of every 100",
        "carriers/twilio/far_playout.py",
        "MARK_EVERY_MS = 100",
        "MARK_EVERY_MS = 120",
    ),
    Mutation(
        "media clock: a gap is not filled",
        "carriers/twilio/leg_core.py",
        "self._hand_on(self._silence * (ahead_ms * BYTES_PER_MS))",
        "self._origin_ms += ahead_ms",
    ),
    # -- interruptions
    Mutation("cut: what waits is still played", "media/playout.py", "self._queue.clear()", "pass"),
    Mutation("cut: the far end is not cleared", "calls/paths.py", "self._leg.clear(now)", "pass"),
    Mutation(
        "cut: the voice is told before the far end is cleared",
        "calls/interruptions.py",
        "self._downlink.clear(now)\n            self._settle_leg(now)",
        "self._downlink.clear(now)",
    ),
    Mutation(
        "cut: the voice is told what was heard before it is told to stop",
        "calls/interruptions.py",
        "        session.cancel()\n        cut =",
        "        cut =",
    ),
    Mutation(
        "cut: the voice goes on with its response",
        "voice/session_core.py",
        "            self._cut.add(response)\n            self._says",
        "            self._says",
    ),
    Mutation(
        "cut: the resampler remembers the cut response",
        "calls/paths.py",
        "            each.reset()",
        "            pass",
    ),
    Mutation(
        "heard: the upper bound is taken for the lower",
        "media/heard.py",
        "max(span.item.low_ms, span.within(heard.low_ms))",
        "max(span.item.low_ms, span.within(heard.high_ms))",
    ),
    Mutation(
        "truncation: at what the caller may have heard, not at what he did",
        "calls/paths.py",
        "max(int(item.low_ms) - _FILTER_MS, 0)",
        "max(int(item.high_ms) - _FILTER_MS, 0)",
    ),
    Mutation(
        "truncation: the filter's delay counts as heard",
        "calls/paths.py",
        "max(int(item.low_ms) - _FILTER_MS, 0)",
        "int(item.low_ms)",
    ),
    Mutation(
        "truncation: not of what the caller heard nothing of",
        "media/heard.py",
        "if item.low_ms < item.received_ms",
        "if 0 < item.low_ms < item.received_ms",
    ),
    Mutation(
        "truncation: not of what was on its way",
        "voice/session_core.py",
        'self.truncate(event.item_id, 0, "")',
        "pass",
    ),
    Mutation(
        "truncation: not of what a session was told that another one said",
        "voice/session_core.py",
        'self._says.say(type="conversation.item.delete", item_id=told)',
        "pass",
    ),
    # -- sounds that may be none
    Mutation(
        "hold: what was not heard is dropped",
        "media/playout.py",
        "self._put_back(sent.item, sent.payload[played_frames * FRAME_BYTES :])",
        "pass",
    ),
    Mutation(
        "resume: skips a frame",
        "media/playout.py",
        "max(self._heard_ms - sent.at_ms, 0) // FRAME_MS",
        "max(self._heard_ms - sent.at_ms, 0) // FRAME_MS + 1",
    ),
    Mutation("resume: does not", "calls/paths.py", "self._playout.resume()", "pass"),
    Mutation(
        "verdict: a cough interrupts, and speech does not",
        "calls/barge_in.py",
        "lasted_ms < self._settings.min_speech_ms",
        "lasted_ms >= self._settings.min_speech_ms",
    ),
    Mutation(
        "verdict: few words interrupt, and many do not",
        "calls/barge_in.py",
        "return self._interrupted() if enough else self._nothing()",
        "return self._nothing() if enough else self._interrupted()",
    ),
    Mutation(
        "verdict: only the end of speech says that it lasted",
        "calls/barge_in.py",
        "return self._interrupted() if lasts and not self._settings.min_words else None",
        "return None",
    ),
    Mutation(
        "verdict: what was nothing is answered",
        "calls/interruptions.py",
        "self._ignored = self._barge_in.item",
        "pass",
    ),
    # -- sessions that are lost
    Mutation(
        "lost: the next session is not told what was said", "calls/sessions.py", "link.session.seed()", "pass"
    ),
    Mutation(
        "lost: the caller's last words are not sent again",
        "calls/sessions.py",
        "link.carry(self.backlog.everything(), again=True)",
        "pass",
    ),
    Mutation(
        "lost: an answer that broke off is asked for from its beginning",
        "calls/recovery.py",
        "self._ask = _Ask.CARRY_ON",
        "self._ask = _Ask.RESPOND",
    ),
    Mutation(
        "lost: an answer that is owed is not asked for",
        "calls/recovery.py",
        "(owed or session.responding)",
        "False",
    ),
    Mutation(
        "lost: words that were written down and not said are taken for said",
        "calls/recovery.py",
        "if not self._spoken_chars:",
        "if True:",
    ),
    Mutation(
        "history: an interrupted answer was said whole",
        "voice/history.py",
        "message.text, message.cut = heard, True",
        "message.cut = True",
    ),
    Mutation("filler: after 3 s", "calls/silences.py", "_UNEXPECTED_S = 0.3", "_UNEXPECTED_S = 3.0"),
    Mutation(
        "filler: counts as the answer",
        "calls/answers.py",
        "if self._stopped_at is None or self._owed_since is not None:",
        "if self._stopped_at is None:",
    ),
    Mutation(
        "attempts: never end",
        "calls/attempts.py",
        "        self._failures += failures\n",
        "",
    ),
    Mutation(
        "attempts: all at once",
        "calls/attempts.py",
        "Next(now + pause_s, self.voice)",
        "Next(now, self.voice)",
    ),
    Mutation(
        "busy: is waited for however long",
        "calls/attempts.py",
        "if at > self._busy_since + _BUSY_S:",
        "if at > self._busy_since + 10 * _BUSY_S:",
    ),
    Mutation(
        "busy: comes back when it likes",
        "calls/attempts.py",
        "at = now + (retry_after_s or",
        "at = now + (0.0 and retry_after_s or",
    ),
    Mutation(
        "refused: asks again",
        "calls/sessions.py",
        "following = self._attempts.refused(now)",
        "following = self._lost(now, failures=1)",
    ),
    Mutation(
        "refused: apologizes whatever the plan has",
        "calls/core.py",
        "if not self._steps.fall_back():",
        "if True:",
    ),
    Mutation(
        "renewal: while somebody speaks",
        "calls/conversation.py",
        "self._sessions.advance(now, gap=quiet)",
        "self._sessions.advance(now, gap=True)",
    ),
    Mutation(
        "renewal: too late",
        "calls/sessions.py",
        "if since is None or now - since < self._renew_s:",
        "if since is None or now - since < self._renew_s + 1:",
    ),
    # -- tools
    Mutation(
        "tools: an answer overtakes the one before",
        "voice/tool_answers.py",
        "            if answer is None:\n                break",
        "            if answer is None:\n                continue",
    ),
    Mutation(
        "tools: the agent goes on before it has all answers",
        "calls/tool_calls.py",
        "session.tool_answered(each, answer, respond=False)",
        "session.tool_answered(each, answer)",
    ),
    Mutation(
        "tools: keys do not sound",
        "calls/conversation.py",
        'self._downlink.sound(f"digits{self._numbers()}", pcm, digits)',
        "pass",
    ),
    Mutation(
        "rtp: audio goes out as the other law",
        "carriers/sip/leg_stream.py",
        "            payload_type=media.payload_type,",
        "            payload_type=8,",
    ),
    Mutation(
        "rtp: events go out by our number, not by theirs",
        "carriers/sip/leg_stream.py",
        "event_payload_type=media.event_payload_type",
        "event_payload_type=101",
    ),
    Mutation(
        "rtp: the clock stands still while nothing is sent",
        "media/rtp_sender.py",
        "        self._talking = False\n        self._timestamp = self._timestamp + FRAME_BYTES & _WRAP",
        "        self._talking = False",
    ),
    Mutation(
        "jitter: one packet in twenty may be too late",
        "media/jitter_depth.py",
        "_TOLERANCE: Final = 200",
        "_TOLERANCE: Final = 20",
    ),
    Mutation(
        "jitter: a packet is a sample late",
        "media/jitter_tape.py",
        "at = position - self.start",
        "at = position - self.start + 1",
    ),
    Mutation(
        "jitter: a frame deeper than it has to be",
        "media/jitter_depth.py",
        "// _TOLERANCE] + FRAME",
        "// _TOLERANCE] + 2 * FRAME",
    ),
    Mutation(
        "jitter: a gap is silent",
        "media/jitter_playout.py",
        "return self._concealment.fill(len(codes))",
        "return self._codec.silence * len(codes)",
    ),
    Mutation(
        "heard: as soon as it may have arrived",
        "carriers/sip/far_buffer.py",
        "now - self._way_s - _BUFFER_S - _FRAME_S",
        "now - self._way_s",
    ),
    Mutation(
        "heard: the frame under way at a cut, too",
        "carriers/sip/far_buffer.py",
        "self._sent_ms - _FRAME_MS",
        "self._sent_ms",
    ),
    Mutation(
        "heard: what is under way when they put us on hold, too",
        "carriers/sip/leg_core.py",
        "listens=not self._media.held",
        "listens=True",
    ),
    Mutation(
        "heard: what a round trip takes is not known",
        "carriers/sip/leg_media.py",
        "self.stream.far.measured(self._reports.round_trip_s)",
        "pass",
    ),
    Mutation(
        "cut: RTP goes on with what waits",
        "carriers/sip/leg_stream.py",
        "        self._waiting.clear()\n        self.far.clear(now, listens=listens)",
        "        self.far.clear(now, listens=listens)",
    ),
    Mutation(
        "digit: one that comes as an event and by INFO is two",
        "carriers/sip/leg_keys.py",
        "                return False",
        "                return True",
    ),
    Mutation(
        "digit: each packet of an event is a press",
        "wire/telephone_event.py",
        "return None if known else DIGITS[event]",
        "return DIGITS[event]",
    ),
    Mutation(
        "digit: ours overtake what is said",
        "carriers/sip/leg_stream.py",
        "        self._digits += digits",
        "        self.sender.digits.press(digits)",
    ),
    Mutation(
        "digit: what is said goes on meanwhile",
        "calls/keys.py",
        "bytes(len(dtmf(keys)))",
        'b""',
    ),
    Mutation(
        "hold: the agent speaks on", "calls/core.py", "        self._downlink.park(now)", "        pass"
    ),
    Mutation(
        "hold: its end changes nothing",
        "calls/core.py",
        "            self._downlink.unpark()",
        "            pass",
    ),
    Mutation(
        "hold: what was sent and not heard is lost",
        "calls/core.py",
        "        self._downlink.clear(now)\n        self._settle_leg(now)\n        self._downlink.park(now)",
        "        self._downlink.park(now)",
    ),
    Mutation(
        "media: silence ends a call a second late",
        "carriers/sip/leg_core.py",
        "silence_s: float = 30.0",
        "silence_s: float = 31.0",
    ),
    Mutation(
        "end: media takes no leave", "calls/core.py", "        self._leg.leave(self._now)", "        pass"
    ),
    Mutation(
        "end: what the far end said of it is not told",
        "carriers/sip/leg_core.py",
        'LegFact("call.released", ',
        'LegFact("call.ended", ',
    ),
    Mutation(
        "end: the goodbye is not heard out",
        "calls/core.py",
        "and self._downlink.silent(now, ticked=ticked)",
        "",
    ),
)


class Misplaced(Exception):
    """A mistake cannot be planted: what it replaces is not there, or not only there."""


def shown_by(mutation: Mutation, tree: Path) -> list[str]:
    """The recorded calls that show the mistake, and not merely because it does not run. Raises `Misplaced`."""
    path = tree / "gateway" / mutation.file
    right = path.read_text()
    if right.count(mutation.right) != 1:
        raise Misplaced(f"{mutation.file} has {mutation.right!r} {right.count(mutation.right)} times")
    path.write_text(right.replace(mutation.right, mutation.wrong))
    try:
        command = [sys.executable, "-m", "gateway", "replay", *map(str, sorted(TRACES.iterdir()))]
        ran = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False, timeout=120)
    finally:
        path.write_text(right)
    verdicts = re.findall(r"^(\S.*): differs(.*(?:\n  .*)*)", ran.stdout, re.MULTILINE)
    return [Path(trace).name for trace, detail in verdicts if "got       the core raised" not in detail]


def main() -> int:
    asked = sys.argv[1:]
    chosen = [each for each in MUTATIONS if not asked or any(word in each.what for word in asked)]
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        shutil.copytree(ROOT / "gateway", tree / "gateway", ignore=shutil.ignore_patterns("__pycache__"))
        for mutation in chosen:
            try:
                traces = shown_by(mutation, tree)
            except Misplaced as why:
                missed += 1
                print(f"MISPLACED  {mutation.what}: {why}")
                continue
            missed += not traces
            print(f"{'caught' if traces else 'MISSED'}  {mutation.what}  ({', '.join(traces)})", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} mistakes caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
