from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.contracts import EndReason
from gateway.telemetry import labels
from gateway.telemetry.metrics import Labelled, Metrics


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(metrics.expose().decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def sample(metrics: Metrics, name: str, **values: str) -> float:
    return samples(metrics)[name, frozenset(values.items())]


def test_two_gateways_count_apart() -> None:
    one, other = Metrics(), Metrics()

    one.drain_forced.inc()

    assert sample(one, "gw_drain_forced_total") == 1
    assert sample(other, "gw_drain_forced_total") == 0


def test_every_end_of_a_call_has_its_series() -> None:
    metrics = Metrics()

    for reason in EndReason:
        metrics.calls.labels(carrier="twilio", direction="inbound", result=reason.value).inc()

    for reason in EndReason:
        assert (
            sample(metrics, "gw_calls_total", carrier="twilio", direction="inbound", result=reason.value) == 1
        )


def test_an_unknown_label_value_is_counted_as_other() -> None:
    metrics = Metrics()

    metrics.carrier_trouble.labels(carrier="twilio", what="never_seen").inc()

    assert sample(metrics, "gw_carrier_trouble_total", carrier="twilio", what="other") == 1


def test_a_missing_label_is_an_error() -> None:
    metrics = Metrics()

    with pytest.raises(ValueError, match="label"):
        metrics.calls_active.labels(carrier="twilio")


def test_no_label_can_explode() -> None:
    metrics = Metrics()
    labelled = [metric for metric in vars(metrics).values() if isinstance(metric, Labelled)]

    for metric in labelled:
        for number in range(1000):
            metric.labels(**dict.fromkeys(metric.known, f"value {number}"))

    values = {value for _, series in samples(metrics) for name, value in series if name != "le"}
    assert len(labelled) == 13
    assert values == {labels.OTHER}


def test_every_label_has_few_known_values() -> None:
    labelled = [metric for metric in vars(Metrics()).values() if isinstance(metric, Labelled)]

    sizes = [len(values) for metric in labelled for values in metric.known.values()]

    assert max(sizes) <= 20


def test_the_names_and_units_are_the_published_ones() -> None:
    metrics = Metrics()

    text = metrics.expose().decode()

    for name in (
        "gw_calls_active",
        "gw_calls_total",
        "gw_call_duration_seconds",
        "gw_call_setup_seconds",
        "gw_calls_rejected_total",
        "gw_audio_dropped_ms_total",
        "gw_media_chunk_gaps_total",
        "gw_clear_latency_seconds",
        "gw_turn_latency_seconds",
        "gw_backend_connect_seconds",
        "gw_backend_errors_total",
        "gw_event_loop_lag_seconds",
        "gw_tasks",
        "gw_open_fds",
        "gw_draining",
        "gw_drain_forced_total",
        "gw_signature_failures_total",
        "gw_recordings_total",
        "gw_carrier_trouble_total",
    ):
        assert f"# TYPE {name} " in text


def test_operations_are_measured_from_5_ms_to_10_s_and_calls_from_1_s_to_4_h() -> None:
    metrics = Metrics()

    series = [(name, float(dict(values).get("le", "nan"))) for name, values in samples(metrics)]
    turns = sorted(le for name, le in series if name == "gw_turn_latency_seconds_bucket")
    calls = sorted(le for name, le in series if name == "gw_call_duration_seconds_bucket")

    assert (turns[0], turns[-2]) == (0.005, 10)
    assert (calls[0], calls[-2]) == (1, 4 * 3600)


def test_open_file_descriptors_are_counted_when_asked() -> None:
    metrics = Metrics()
    before = sample(metrics, "gw_open_fds")

    with Path(__file__).open("rb"):
        during = sample(metrics, "gw_open_fds")

    assert during == before + 1
