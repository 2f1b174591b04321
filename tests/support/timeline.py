# SPDX-License-Identifier: MIT
"""What the tests of `mediant trace` share: its file as a timeline."""
import collections
import json


class Timeline:
    """A file of `mediant trace`, read as Perfetto does: slices nest on their track, arrows hit one."""

    def __init__(self, text):
        self.tree = json.loads(text)
        self.events = self.tree["traceEvents"]
        self.processes, self.tracks = {}, {}
        self.slices = collections.defaultdict(list)
        self.flows = collections.defaultdict(list)
        for event in self.events:
            name, phase = event["name"], event["ph"]
            if phase == "M" and name == "process_name":
                self.processes[event["pid"]] = event["args"]["name"]
            elif phase == "M" and name == "thread_name":
                self.tracks[(event["pid"], event["tid"])] = event["args"]["name"]
            elif phase == "X":
                self.add_slice(event)
            elif phase in "stf":
                self.flows[event["id"]].append(event)
        self.nest()
        for id_, events in self.flows.items():
            self.flows[id_] = [(e["ph"], self.slice_at(e)) for e in events]

    @staticmethod
    def ns(us):
        return round(us * 1000)

    def add_slice(self, event):
        slice_ = {"name": event["name"], "begin": self.ns(event["ts"]), "args": event["args"],
                  "track": (event["pid"], event["tid"]), "parent": None}
        slice_["end"] = slice_["begin"] + self.ns(event["dur"])
        assert slice_["end"] > slice_["begin"], event
        self.slices[slice_["track"]].append(slice_)

    def nest(self):
        for track, slices in self.slices.items():
            slices.sort(key=lambda s: s["begin"])
            stack = []
            for slice_ in slices:
                while stack and stack[-1]["end"] <= slice_["begin"]:
                    stack.pop()
                if stack:
                    assert stack[-1]["begin"] < slice_["begin"], (track, stack[-1], slice_)
                    assert stack[-1]["end"] > slice_["end"], (track, stack[-1], slice_)
                    slice_["parent"] = stack[-1]
                stack.append(slice_)

    def slice_at(self, event):
        """The innermost slice open on the event's track."""
        at = self.ns(event["ts"])
        open_ = [s for s in self.slices[(event["pid"], event["tid"])]
                 if s["begin"] < at < s["end"] or s["begin"] <= at < s["end"]]
        assert open_, f"an arrow hits no slice: {event}"
        return max(open_, key=lambda s: s["begin"])

    def on(self, track, pid=None):
        return [s for key, slices in self.slices.items() for s in slices
                if self.tracks[key] == track and pid in (None, key[0])]

    def instants(self, prefix):
        return [e for e in self.events if e["ph"] == "i" and e["name"].startswith(prefix)]

    def lost_since(self, slices, step):
        """True when, by the file's own words, records were lost between the last of @slices that
        began before @step and its end: a writer that loses its CPU in the middle of a record for
        long loses the record, and what was open ends there."""
        begun = max((s["begin"] for s in slices if s["begin"] < step["begin"]), default=0)
        return any(begun < self.ns(event["ts"]) <= step["end"]
                   for event in self.instants("records lost")
                   if event["pid"] == step["track"][0])
