"""What the dashboard saw, onto a recording: whole at first and when topics come or go, afterwards only what changed."""

from collections.abc import Mapping
from dataclasses import asdict

from kops.cluster.drills import Report
from kops.cluster.metadata import Snapshot
from kops.cluster.recording import Recording, packed
from tui.history import Event
from tui.snapshots import Gauges, View


class Recorder:
    """Compares what comes with what it wrote last; objects that are the same ones need not be looked at."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._view: View | None = None
        self._gauges = Gauges()

    def view(self, view: View, times: Mapping[str, int] | None = None) -> None:
        """``times``: when partitions changed, where that was not when the view was taken."""
        write, before, self._view = self.recording.write, self._view, view
        if before is None or before.partitions.keys() != view.partitions.keys():
            self._whole(view)
            before = before or view
        elif before.partitions is not view.partitions:
            for name, one in view.partitions.items():
                if before.partitions[name] is not one and before.partitions[name] != one:
                    write(
                        (times or {}).get(name, view.at),
                        "partition",
                        partition=packed(one),
                        resolutionMs=view.resolution_ms,
                    )
        if before.brokers != view.brokers:
            rows = [[one.id, one.host, one.port] for one in view.brokers]
            write(view.at, "brokers", brokers=rows, resolutionMs=view.resolution_ms)
        if before.controller != view.controller:
            write(view.at, "controller", id=view.controller, resolutionMs=view.resolution_ms)
        if before is view or _states(before) != _states(view):
            write(view.at, "processes", processes={str(broker): asdict(one) for broker, one in view.processes.items()})

    def _whole(self, view: View) -> None:
        seen = Snapshot(view.cluster_id, view.controller, view.brokers, view.topics)
        self.recording.cluster(view.at, seen, view.resolution_ms)

    def gauges(self, at: int, gauges: Gauges) -> None:
        before, self._gauges = self._gauges, gauges
        if gauges.ends is not None and gauges.ends is not before.ends:
            old = before.ends or {}
            moved = {name: ends for name, ends in gauges.ends.items() if old.get(name) != ends}
            self.recording.write(at, "ends", ends=moved, silent=list(gauges.silent))
        if gauges.min_isr is not None and gauges.min_isr != before.min_isr:
            self.recording.write(at, "floors", floors=dict(gauges.min_isr))

    def event(self, event: Event) -> None:
        """Something that was done here."""
        self.recording.write(event.at, "event", event=[event.kind, event.subject, event.text])

    def report(self, at: int, report: Report) -> None:
        self.recording.write(at, "report", report=asdict(report))


def _states(view: View) -> dict[int, tuple[str, int]]:
    return {broker: (one.state, one.pid) for broker, one in view.processes.items()}
