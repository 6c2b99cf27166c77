"""What a gateway counts and measures about itself, for Prometheus.

One `Metrics` a gateway, on a registry of its own, so that a test can make many. Base units; labels only from
the tables in `labels.py`, and anything else counted as `other`.
"""

import os
from collections.abc import Collection
from typing import Generic, TypeVar

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.metrics import MetricWrapperBase

from gateway.telemetry import labels

# When a series was created says nothing that `up` and a restart do not, and costs a third of the exposition.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # the package has no types there

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_OPERATION_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_CALL_S = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400)
# A tick is 20 ms, so everything below it is fine and told apart only roughly.
_LAG_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_MOS = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.2, 4.4)
_RATIOS = (0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)

_Metric = TypeVar("_Metric", bound=MetricWrapperBase)


class Labelled(Generic[_Metric]):
    """A metric whose labels take only known values. `known`: those, by label."""

    def __init__(self, metric: _Metric, known: dict[str, Collection[str]]) -> None:
        self._metric = metric
        self.known = known

    def labels(self, **values: str) -> _Metric:
        """The series of these values; all labels must be given. An unknown value is `other`."""
        bounded = {
            name: value if value in self.known.get(name, ()) else labels.OTHER
            for name, value in values.items()
        }
        return self._metric.labels(**bounded)


class Metrics:
    """The gateway's metrics. Thread-safe; not for use on every frame."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)

        self.calls_active = self._gauges(
            "gw_calls_active", "Calls now.", carrier=labels.CARRIERS, direction=labels.DIRECTIONS
        )
        self.calls = self._counters(
            "gw_calls_total",
            "Calls that ended, by how.",
            carrier=labels.CARRIERS,
            direction=labels.DIRECTIONS,
            result=labels.RESULTS,
        )
        self.call_duration_s = self._histogram("gw_call_duration_seconds", "From start to end.", _CALL_S)
        self.call_setup_s = self._histograms(
            "gw_call_setup_seconds",
            "From the first sign of a call to each stage of it.",
            stage=labels.SETUP_STAGES,
        )
        self.calls_rejected = self._counters(
            "gw_calls_rejected_total", "Calls refused at the door.", reason=labels.REJECTIONS
        )

        self.audio_dropped_ms = self._counters(
            "gw_audio_dropped_ms_total",
            "Audio that did not reach the other side.",
            leg=labels.LEGS,
            reason=labels.DROP_REASONS,
        )
        self.media_chunk_gaps = self._counter("gw_media_chunk_gaps_total", "Holes in the caller's audio.")
        self.clear_latency_s = self._histogram(
            "gw_clear_latency_seconds", "From an interruption to its clear on the wire.", _OPERATION_S
        )
        self.turn_latency_s = self._histogram(
            "gw_turn_latency_seconds", "From the caller's last word to the first audio.", _OPERATION_S
        )
        self.carrier_trouble = self._counters(
            "gw_carrier_trouble_total",
            "Odd things from a carrier that calls survived.",
            carrier=labels.CARRIERS,
            what=labels.CARRIER_TROUBLES,
        )

        self.interruptions = self._counters(
            "gw_interruptions_total",
            "Items of the agent that callers cut, and sounds that were no interruption.",
            result=labels.INTERRUPTIONS,
        )

        self.backend_connect_s = self._histogram(
            "gw_backend_connect_seconds", "Connecting to the voice.", _OPERATION_S
        )
        self.backend_errors = self._counters(
            "gw_backend_errors_total", "Errors from the voice.", code=labels.BACKEND_CODES
        )
        self.backend_losses = self._counters(
            "gw_backend_losses_total",
            "Sessions of the voice that failed in a call, by how.",
            reason=labels.BACKEND_LOSSES,
        )
        self.backend_renewals = self._counter(
            "gw_backend_renewals_total", "Sessions that were replaced before their hour was over."
        )

        self.event_loop_lag_s = self._histogram(
            "gw_event_loop_lag_seconds", "How late the loop runs what is due.", _LAG_S
        )
        self.tasks = self._gauge("gw_tasks", "Trio tasks, sampled every second.")
        self._gauge("gw_open_fds", "Open file descriptors.").set_function(_open_fds)
        self.draining = self._gauge("gw_draining", "1 while no new call is taken.")
        self.drain_forced = self._counter("gw_drain_forced_total", "Calls that a drain's deadline ended.")

        self.signature_failures = self._counters(
            "gw_signature_failures_total",
            "Requests whose signature was missing or wrong.",
            carrier=labels.CARRIERS,
            kind=labels.SIGNATURE_KINDS,
        )
        self.sip_invites = self._counters(
            "gw_sip_invites_total",
            "Calls that came by SIP, by what they were answered.",
            status=labels.SIP_STATUSES,
        )
        self.sip_dropped = self._counters(
            "gw_sip_dropped_total", "What was not worth an answer.", reason=labels.SIP_DROPS
        )
        self.trunk_up = Gauge(  # by the trunks of the settings
            "gw_trunk_up", "1 while a trunk answers.", ("trunk",), registry=self._registry
        )
        self.media_mos = self._histogram("gw_media_mos", "How good a call's audio was, 1 to 4.5.", _MOS)
        self.media_loss_ratio = self._histogram(
            "gw_media_loss_ratio", "Of a call's packets, those that did not come.", _RATIOS
        )
        self.recordings = self._counters(
            "gw_recordings_total", "Recordings of calls, by outcome.", result=labels.RECORDING_RESULTS
        )

    def expose(self) -> bytes:
        """All metrics in Prometheus' text format, to be served as `CONTENT_TYPE`."""
        return prometheus_client.generate_latest(self._registry)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(name, text, registry=self._registry)

    def _counters(self, name: str, text: str, **known: Collection[str]) -> Labelled[Counter]:
        return Labelled(Counter(name, text, tuple(known), registry=self._registry), known)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self._registry)

    def _gauges(self, name: str, text: str, **known: Collection[str]) -> Labelled[Gauge]:
        return Labelled(Gauge(name, text, tuple(known), registry=self._registry), known)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, buckets=buckets, registry=self._registry)

    def _histograms(self, name: str, text: str, **known: Collection[str]) -> Labelled[Histogram]:
        return Labelled(
            Histogram(name, text, tuple(known), buckets=_OPERATION_S, registry=self._registry), known
        )


def _open_fds() -> float:
    # One of them is the directory that is being listed. Linux and macOS have it.
    with os.scandir("/dev/fd") as entries:
        return sum(1 for _ in entries) - 1
