"""When the caller spoke, as the voice finds it: a little late, on the axis of the audio that it was sent. A core."""

from gateway.voice.configuration import TurnDetection
from gateway.voice.session_events import SpeechStarted, SpeechStopped
from gateway.wire import realtime

__all__ = ["FoundSpeech"]


class FoundSpeech:
    """One session's. `sent_ms`: how much audio the voice was sent by now."""

    def __init__(self) -> None:
        self._began_ms = 0
        self._turned_ms = 0.0  # the audio before is in a turn that was committed by hand

    def turned(self, at_ms: float) -> None:
        """The audio before is in a turn that was committed by hand."""
        self._turned_ms = at_ms

    def started(
        self, event: realtime.SpeechStarted, turns: TurnDetection, sent_ms: float
    ) -> SpeechStarted | None:
        """Somebody speaks; None: that is over already.

        A detection that lags finds speech in what was committed meanwhile, and will never find its end. Where a
        start may lie there because of its padding, it is speech if anything was said since.
        """
        start_ms = event.audio_start_ms
        onset_ms = start_ms + turns.prefix_padding_ms
        if start_ms < self._turned_ms and (onset_ms < self._turned_ms or sent_ms <= self._turned_ms):
            return None
        self._began_ms = start_ms
        return SpeechStarted(start_ms, event.item_id)

    def stopped(self, event: realtime.SpeechStopped, turns: TurnDetection, sent_ms: float) -> SpeechStopped:
        """He is silent.

        `audio_end_ms` is the end of the audio that decided it, the required silence included, and
        `audio_start_ms` the start of what belongs to the turn, the padding included.
        """
        silence_ms = turns.silence_duration_ms
        behind_ms = max(sent_ms - event.audio_end_ms, 0.0)
        lasted_ms = event.audio_end_ms - silence_ms - self._began_ms - turns.prefix_padding_ms
        silent_for_s = (behind_ms + silence_ms) / 1000
        return SpeechStopped(silent_for_s, max(lasted_ms, 0), event.audio_end_ms, event.item_id)
