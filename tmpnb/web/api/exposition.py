"""Write metrics in the formats of Prometheus: plain text, or OpenMetrics for those who ask."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from tmpnb.core.counts import Durations
from tmpnb.web.api.metric_list import METRICS, Kind, Metric, Sight

OPENMETRICS, VERSION = "application/openmetrics-text", "1.0.0"


class Exposition:
    """The metrics of one service, in a registry of its own, with those of its process."""

    def __init__(
        self,
        look: Callable[[], Sight],
        fresh: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep how to look; nothing is read before somebody asks.

        Args:
            look: Returns what there is to tell.
            fresh: Seconds for which what was written is given out again.
            clock: Time in seconds.
        """
        self._fresh, self._clock = fresh, clock
        self._kept: dict[str, tuple[float, bytes]] = {}  # by format: when it was written
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(look))
        ProcessCollector(registry=self._registry)  # has nothing to tell but on Linux

    def written(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics as they are now, and their content type.

        Args:
            accept: The header of this name.
        """
        write, content_type = choose_encoder(_format(accept))
        now = self._clock()
        at, text = self._kept.get(content_type, (now, b""))
        if not text or now - at >= self._fresh:
            text = write(self._registry)
            self._kept[content_type] = (now, text)
        return text, content_type


class _Collector(Collector):
    def __init__(self, look: Callable[[], Sight]) -> None:
        self._look = look

    def collect(self) -> Iterator[Family]:
        sight = self._look()
        for metric in METRICS:
            yield _family(metric, sight)


def _family(metric: Metric, sight: Sight) -> Family:
    family: CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
    if metric.kind is Kind.HISTOGRAM:
        family = HistogramMetricFamily(metric.name, metric.help, labels=tuple(metric.labels))
        for labels, value in metric.read(sight):
            assert isinstance(value, Durations)  # noqa: S101 - METRICS is ours, and tested
            buckets = [(_bound(bound), count) for bound, count in value.buckets()]
            family.add_metric(labels, buckets, value.seconds)
        return family
    made = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = made(metric.name, metric.help, labels=tuple(metric.labels))
    for labels, value in metric.read(sight):
        assert isinstance(value, int | float)  # noqa: S101 - METRICS is ours, and tested
        family.add_metric(labels, value)
    return family


def _format(accept: str) -> str:
    """Return what is asked for in our own words; the library's parser trusts the client's.

    Of text and OpenMetrics the one that is named first; empty for text.
    """
    for offer in accept.lower().split(","):
        kind, *rest = (part.strip() for part in offer.split(";"))
        given = {name: value for name, _, value in (part.partition("=") for part in rest)}
        if kind == "text/plain":
            break
        wanted = given.get("q", "1").strip("0.") != ""
        if kind == OPENMETRICS and wanted and given.get("version", VERSION) == VERSION:
            return f"{OPENMETRICS};version={VERSION}"
    return ""


def _bound(seconds: float) -> str:
    return "+Inf" if math.isinf(seconds) else repr(seconds)
