"""What the facts of calls add to the metrics."""

from gateway.calls.record import CallRecord
from gateway.contracts import Fact
from gateway.telemetry.metrics import Metrics

__all__ = ["Measures"]

# What of a call's record ends each stage of its set-up.
_SETUP_STAGES = {"start": "call.started", "backend_ready": "session.ready"}


class Measures:
    """Counts for all calls."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def began(self, record: CallRecord) -> None:
        self._metrics.calls_active.labels(carrier=record.carrier, direction=record.direction).inc()

    def happened(self, carrier: str, fact: Fact) -> None:
        """Something happened in a call."""
        metrics, fields = self._metrics, fact.fields
        match fact.name:
            case "turn.answered":
                metrics.turn_latency_s.observe(fields["latency_ms"] / 1000)
            case "agent.interrupted":
                metrics.interruptions.labels(result="cut").inc()
            case "caller.ignored":
                metrics.interruptions.labels(result="ignored").inc()
            case "voice.troubled":
                metrics.backend_errors.labels(code=fields["code"]).inc()
            case "session.lost":
                metrics.backend_losses.labels(reason=fields["how"]).inc()
            case "session.renewed":
                metrics.backend_renewals.inc()
            case "media.quality":
                if fields["mos"] is not None:
                    metrics.media_mos.observe(fields["mos"])
                    metrics.media_loss_ratio.observe(fields["loss_percent"] / 100)
            case "carrier.troubled":
                metrics.carrier_trouble.labels(carrier=carrier, what=fields["what"]).inc()
                if fields["what"] in ("media_gap", "media_discarded"):
                    metrics.media_chunk_gaps.inc()

    def ended(self, record: CallRecord) -> None:
        """A call is over."""
        metrics = self._metrics
        at_ms = {line.what: line.at_ms for line in reversed(record.lines)}  # when each thing first happened
        for stage, what in _SETUP_STAGES.items():
            if what in at_ms:
                metrics.call_setup_s.labels(stage=stage).observe(at_ms[what] / 1000)
        if {"call.started", "session.opened"} <= at_ms.keys():
            connect_ms = at_ms["session.opened"] - at_ms["call.started"]
            metrics.backend_connect_s.observe(connect_ms / 1000)
        kind = {"carrier": record.carrier, "direction": record.direction}
        metrics.calls_active.labels(**kind).dec()
        metrics.calls.labels(**kind, result=str(record.reason)).inc()
        metrics.call_duration_s.observe(record.duration_ms / 1000)
        metrics.recordings.labels(result=record.recording.partition(":")[0]).inc()
        dropped = metrics.audio_dropped_ms.labels(leg="caller", reason="overflow")
        dropped.inc(record.caller_audio_dropped_ms)
