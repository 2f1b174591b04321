#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`mediant trace` on vGPUs that work: a wire client plays VMM and driver, submits, and finds each
of its submissions in the file with its contexts, batches, audits and interrupt; slices nest.  And
what is no such life: tracers that die, two at once, a vGPU's process that answers with garbage.

  test_trace.py MEDIANT
"""
import array
import fcntl
import json
import mmap
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from timeline import Timeline  # noqa: E402

MEDIANT = os.path.abspath(sys.argv[1])
LIMIT_S = 60

PAGE = 4096
FIRST_GMA = 0x10000000
GGTT_AT = 0x800000
BCS = 0x22000
RING_ELSP, RING_HWS_PGA, RING_IMR, RING_CSB_PTR = 0x230, 0x80, 0xa8, 0x3a0
RING_MODE, RING_EMR = 0x29c, 0xb4
MASTER_IRQ, GT_IIR0, GT_IER0, GT_IMR0, GDRST = 0x44200, 0x44308, 0x4430c, 0x44304, 0x941c

MI_NOOP, MI_USER_INTERRUPT, MI_BBE = 0, 0x01000000, 0x05000000
MI_SDI_GGTT, MI_BBS_GGTT, MI_BBS_GGTT_2ND = 0x10400002, 0x18800001, 0x18c00001
BAD_COMMAND = 0x1e000000

# Pages of guest memory; page n is mapped at FIRST_GMA + n * PAGE.
HWSP, SEQNO, BATCH, BATCH2, PML4, FIRST_CONTEXT = 1, 2, 3, 4, 5, 8
PAGES = 32


def wait_for(what, condition):
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, f"{what} did not come about"
        time.sleep(0.001)


class Client:
    """The VMM's end of a vfio-user socket, and a driver of the blitter engine."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LIMIT_S)
        self.socket.connect(str(path))
        self.call(1, struct.pack("<HH", 0, 1) + b'{"capabilities":{"max_msg_fds":8}}\0')
        self.fd = os.memfd_create("guest")
        os.ftruncate(self.fd, PAGES * PAGE)
        self.memory = mmap.mmap(self.fd, PAGES * PAGE)
        self.call(2, struct.pack("<IIQQQ", 32, 3, 0, 0, PAGES * PAGE), [self.fd])
        self.seqno = self.csb_read = self.submissions = 0
        self.contexts = []

    def close(self):
        self.memory.close()
        os.close(self.fd)
        self.socket.close()

    def call(self, command, payload, fds=(), reply=True):
        header = struct.pack("<HHIII", 7, command, 16 + len(payload), 0 if reply else 0x10, 0)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([header + payload], ancillary)
        if not reply:
            return b""
        got = self.socket.recv(16, socket.MSG_WAITALL)
        size, error = struct.unpack("<4xI4xI", got)
        assert error == 0, f"command {command}: error {error}"
        return self.socket.recv(size - 16, socket.MSG_WAITALL) if size > 16 else b""

    def read(self, offset):
        answer = self.call(9, struct.pack("<QII", offset, 0, 4))
        return struct.unpack("<I", answer[16:20])[0]

    def write(self, offset, value, length=4):
        data = struct.pack("<Q", value)[:length]
        self.call(10, struct.pack("<QII", offset, 0, length) + data, reply=False)

    def get(self, page, dword):
        return struct.unpack_from("<I", self.memory, page * PAGE + dword * 4)[0]

    def put(self, page, dword, *values):
        struct.pack_into(f"<{len(values)}I", self.memory, page * PAGE + dword * 4, *values)

    def start(self):
        for page in range(PAGES):
            self.write(GGTT_AT + ((FIRST_GMA >> 12) + page) * 8, page * PAGE | 1, 8)
        self.put(HWSP, 0x7c // 4, 5)
        self.csb_read = 5
        self.write(BCS + RING_MODE, 0x80008000)
        self.write(BCS + RING_HWS_PGA, FIRST_GMA + HWSP * PAGE)
        self.write(BCS + RING_EMR, 0xfffffffe)
        self.write(BCS + RING_CSB_PTR, 0xffff0505)
        self.write(BCS + RING_IMR, 0xf6f6ffff)
        self.write(MASTER_IRQ, 0)
        self.write(GT_IIR0, 0xffffffff)
        self.write(GT_IER0, 0x09090909)
        self.write(GT_IMR0, ~0x09090909 & 0xffffffff)
        self.write(MASTER_IRQ, 0x80000000)

    def context(self, context_id):
        """A context's image and ring, as i915 lays them out; its number among ours."""
        page = FIRST_CONTEXT + 3 * len(self.contexts)
        ring = [0x244, 0x034, 0x030, 0x038, 0x03c, 0x168, 0x140, 0x110, 0x11c, 0x114, 0x118,
                0x1c0, 0x1c4, 0x1c8]
        space = [0x3a8, 0x28c, 0x288, 0x284, 0x280, 0x27c, 0x278, 0x274, 0x270]
        for at, registers in ((0x01, ring), (0x21, space)):
            self.put(page + 1, at, 0x11001000 | (2 * len(registers) - 1))
            for i, register in enumerate(registers):
                self.put(page + 1, at + 1 + 2 * i, BCS + register)
        self.put(page + 1, 0x03, 0x00090009)
        self.put(page + 1, 0x09, FIRST_GMA + (page + 2) * PAGE)
        self.put(page + 1, 0x0b, 1)
        self.put(page + 1, 0x33, PML4 * PAGE)
        descriptor = context_id << 32 | FIRST_GMA + page * PAGE | 3 << 3 | 1
        self.contexts.append({"page": page, "tail": 0, "descriptor": descriptor})
        return len(self.contexts) - 1

    def emit(self, which, *dwords):
        context = self.contexts[which]
        for dword in dwords:
            self.put(context["page"] + 2, context["tail"] // 4, dword)
            context["tail"] = (context["tail"] + 4) % PAGE

    def emit_work(self, which):
        """Two batches, one in the other, a result, and an interrupt."""
        self.seqno += 1
        self.put(BATCH, 0, MI_NOOP, MI_BBS_GGTT_2ND, FIRST_GMA + BATCH2 * PAGE, 0, MI_BBE, MI_NOOP)
        self.put(BATCH2, 0, MI_NOOP, MI_BBE)
        self.emit(which, MI_BBS_GGTT, FIRST_GMA + BATCH * PAGE, 0, MI_NOOP)
        self.emit(which, MI_SDI_GGTT, FIRST_GMA + SEQNO * PAGE, 0, self.seqno,
                  MI_USER_INTERRUPT, MI_NOOP)

    def submit(self, *which):
        pair = [self.contexts[w] for w in which] + [None]
        for context in pair[:2]:
            if context:
                self.put(context["page"] + 1, 0x07, context["tail"])
        second = pair[1]["descriptor"] if pair[1] else 0
        for value in (second >> 32, second & 0xffffffff, pair[0]["descriptor"] >> 32,
                      pair[0]["descriptor"] & 0xffffffff):
            self.write(BCS + RING_ELSP, value)
        self.submissions += 1

    def csb(self):
        """New entries of the status buffer: (status, context)."""
        entries = []
        while self.csb_read != self.get(HWSP, 0x7c // 4):
            self.csb_read = (self.csb_read + 1) % 6
            at = 0x40 // 4 + 2 * self.csb_read
            entries.append((self.get(HWSP, at), self.get(HWSP, at + 1)))
        return entries

    def handle_interrupt(self):
        self.write(MASTER_IRQ, 0)
        self.read(MASTER_IRQ)
        self.write(GT_IIR0, self.read(GT_IIR0))
        self.write(MASTER_IRQ, 0x80000000)
        self.read(MASTER_IRQ)

    def run(self, *which):
        """Submits work of the contexts and waits until all are told to be complete."""
        for context in which:
            self.emit_work(context)
        self.submit(*which)
        seen = []

        def all_complete():
            seen.extend(status for status, _ in self.csb())
            return sum(1 for status in seen if status & 0x10) == len(which)

        wait_for("completion", all_complete)
        wait_for("the interrupt", lambda: self.read(GT_IIR0) & 0x01000000)
        self.handle_interrupt()


class Case(unittest.TestCase):
    """A folder of its own for each test, and the programs that run in it."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="mediant-trace-"))
        self.environment = {**os.environ, "MEDIANT_RUNTIME_DIR": str(self.folder)}
        self.started = []

    def tearDown(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait(LIMIT_S)
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()
        shutil.rmtree(self.folder)

    def start(self, *words, **kwargs):
        process = subprocess.Popen([MEDIANT, *map(str, words)], env=self.environment, text=True,
                                   **kwargs)
        self.started.append(process)
        return process

    def run_trace(self, *words):
        return subprocess.run([MEDIANT, "trace", *map(str, words)], env=self.environment,
                              text=True, capture_output=True, timeout=LIMIT_S, cwd=self.folder)

    def serve(self, name):
        server = self.start("serve", "--socket", self.folder / f"{name}.vfio", "--name", name,
                            "--log", "error", stdout=subprocess.PIPE)
        self.assertIn("is ready on", server.stdout.readline())
        return server, Client(self.folder / f"{name}.vfio")

    def trace(self, *words):
        """A tracer whose points are on."""
        tracer = self.start("trace", *words, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
                            cwd=self.folder)
        line = tracer.stderr.readline()
        self.assertIn("Tracing", line, tracer.poll())
        return tracer

    def end(self, tracer):
        tracer.send_signal(signal.SIGINT)
        out, err = tracer.communicate(timeout=LIMIT_S)
        self.assertEqual(tracer.returncode, 0, err)
        return out, err

    def timeline(self, path):
        return Timeline(Path(path).read_text())


class TraceTest(Case):
    def check_submissions(self, timeline, client, name):
        pid = next(p for p, text in timeline.processes.items() if text.startswith(name + " "))
        elsp = timeline.on("bcs0 ELSP", pid)
        self.assertEqual(len(elsp), client.submissions)
        flows = {id_: hits for id_, hits in timeline.flows.items()
                 if hits[0][1]["track"][0] == pid}
        self.assertEqual(sorted(flows), sorted(s["args"]["submission"] for s in elsp))
        for id_, hits in flows.items():
            phases = "".join(phase for phase, _ in hits)
            self.assertRegex(phases, "^st+f$")
            self.assertEqual(hits[0][1]["args"]["submission"], id_)
            for _, slice_ in hits[1:-1]:
                self.assertEqual(timeline.tracks[slice_["track"]], "bcs0")
                self.assertRegex(slice_["name"], "^context 0x")
                self.assertGreater(slice_["begin"], hits[0][1]["begin"])
            last = hits[-1][1]
            self.assertEqual(timeline.tracks[last["track"]], "interrupts")
            self.assertRegex(last["name"], "bcs0 (user )?context switch")
            self.assertGreater(last["begin"], hits[-2][1]["end"])

    def test_each_submission_has_its_slices_and_its_interrupt(self):
        server, client = self.serve("one")
        client.start()
        a, b = client.context(0x11), client.context(0x22)
        tracer = self.trace("-o", "t.json", "--points", "scan_command", "one")
        for _ in range(10):
            client.run(a)
            client.run(a, b)
        _, err = self.end(tracer)
        self.assertNotIn("lost", err)
        t = self.timeline(self.folder / "t.json")
        self.assertEqual(t.tree["otherData"],
                         {"clock": "CLOCK_MONOTONIC", "lost_records": 0, "refused_records": 0})
        self.assertEqual(t.processes[server.pid].split()[0], "one")
        self.check_submissions(t, client, "one")
        self.assertEqual(len(t.on("bcs0 port 1")), 10)
        self.check_engine(t)
        self.check_traps(t, client)
        stores = [e for e in t.instants("MI_STORE_DATA_IMM")]
        self.assertEqual(len(stores), 30)
        client.close()

    def check_engine(self, t):
        run = t.on("bcs0")
        contexts = [s for s in run if not s["parent"]]
        self.assertEqual(len(contexts), 30)
        for context in contexts:
            children = [s for s in run if s["parent"] is context]
            names = [s["name"] for s in children]
            self.assertTrue(context["args"]["end"].startswith("complete"))
            self.assertEqual((names[0], names[-1]), ("load", "save"))
            self.assertEqual(names.count("batch"), 1)
            self.assertNotEqual(context["args"]["head"], context["args"]["tail"])
            batch = next(s for s in children if s["name"] == "batch")
            inner = [s for s in run if s["parent"] is batch]
            self.assertEqual([s["name"] for s in inner if "level" in s["name"] and
                              "audit" not in s["name"]], ["second level batch"])
            self.assertTrue(any(s["args"]["accepted_bytes"] > 0 for s in inner
                                if s["name"] == "audit batch"))
        self.assertTrue(all(s["args"]["result"] for s in t.on("lane")))
        self.assertEqual(len(t.instants("user interrupt")), 30)

    def check_traps(self, t, client):
        registers = [s["name"] for s in t.on("traps: registers")]
        self.assertEqual(sum(1 for n in registers if n.startswith("write RING_ELSP")),
                         4 * client.submissions)
        self.assertGreaterEqual(len(t.on("messages")), len(registers))
        self.assertTrue([s for s in t.on("interrupts") if s["name"] == "MSI"])
        self.assertTrue([e for e in t.events if e["ph"] == "C" and e["name"] == "bcs0 queue"])

    def test_two_vgpus_share_a_file_and_a_clock(self):
        clients = []
        for name in ("alpha", "beta"):
            clients.append(self.serve(name)[1])
            clients[-1].start()
            clients[-1].context(5)
        tracer = self.trace()
        for _ in range(5):
            for client in clients:
                client.run(0)
        self.end(tracer)
        t = self.timeline(self.folder / "mediant-trace.json")
        self.assertEqual(len(t.processes), 2)
        for name, client in zip(("alpha", "beta"), clients):
            self.check_submissions(t, client, name)
            client.close()
        turns = sorted((s["begin"], s["track"][0]) for s in t.on("bcs0 ELSP"))
        pids = [pid for _, pid in turns]
        self.assertEqual(pids, [pids[0], pids[1]] * 5)

    def test_the_lane_steps_under_its_lease(self):
        arbiter = self.start("arbiter", "--lanes", 1, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL)
        self.assertIn("ready", arbiter.stdout.readline())
        clients = []
        for name in ("alpha", "beta"):
            clients.append(self.serve(name)[1])
            clients[-1].start()
            clients[-1].context(5)
        tracer = self.trace("-o", "t.json")
        for _ in range(20):
            for client in clients:
                client.run(0)
        self.end(tracer)
        t = self.timeline(self.folder / "t.json")
        for pid in t.processes:
            leases = t.on("lease", pid)
            steps = [s for s in t.on("lane", pid) if s["name"] == "bcs0"]
            self.assertGreaterEqual(len(steps), 20)
            self.assertTrue(all(s["name"].startswith("CPU ") for s in leases))
            for step in steps:
                self.assertTrue(any(l["begin"] < step["begin"] and step["end"] < l["end"]
                                    for l in leases) or t.lost_since(leases, step), step)
        self.assertTrue([s for s in t.on("lane") if s["name"] == "waits for a lease"])
        for client in clients:
            client.close()

    def test_a_fault_tells_what_and_where(self):
        _, client = self.serve("one")
        client.start()
        context = client.context(0x33)
        tracer = self.trace("-o", "-")
        client.emit(context, BAD_COMMAND, MI_NOOP)
        client.submit(context)
        wait_for("the error", lambda: client.read(GT_IIR0) & 0x00080000)
        client.write(GDRST, 8)
        out, _ = self.end(tracer)
        t = Timeline(out)
        faults = t.instants("fault")
        self.assertEqual(len(faults), 1)
        args = faults[0]["args"]
        self.assertEqual(args["engine"], "bcs0")
        self.assertEqual(args["context_id"], "0x33")
        self.assertEqual(args["header"], hex(BAD_COMMAND))
        ring = FIRST_GMA + (client.contexts[context]["page"] + 2) * PAGE
        self.assertEqual(args["command_at"], hex(ring))
        self.assertEqual([s["args"]["end"] for s in t.on("bcs0") if not s["parent"]], ["reset"])
        client.close()

    def test_points_go_off_with_their_tracer(self):
        server, client = self.serve("one")
        tracer = self.trace("-o", "a.json")
        refused = self.run_trace("-o", "b.json")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("somebody traces it already", refused.stderr)
        tracer.kill()
        tracer.wait(LIMIT_S)
        answers = []

        def free_again():
            answers.append(self.run_trace("-o", "c.json", "--seconds", 1))
            return answers[-1].returncode == 0

        wait_for("the end of the first trace", free_again)
        self.assertIsNone(server.poll())
        self.timeline(self.folder / "c.json")
        client.close()

    def test_a_vgpu_that_ends_ends_its_trace(self):
        server, client = self.serve("one")
        client.start()
        client.context(1)
        tracer = self.trace("-o", "t.json")
        client.run(0)
        server.terminate()
        _, err = tracer.communicate(timeout=LIMIT_S)
        self.assertEqual(tracer.returncode, 0, err)
        self.check_submissions(self.timeline(self.folder / "t.json"), client, "one")
        client.close()

    def test_what_cannot_be_done_is_told(self):
        self.assertEqual(self.run_trace("nobody").returncode, 1)
        nobody = self.run_trace()
        self.assertEqual(nobody.returncode, 1)
        self.assertIn("no vGPU runs", nobody.stderr)
        for words in (["--seconds", "0"], ["--seconds", "x"], ["--max-size", "0"], ["--nonsense"],
                      ["--output"], ["--points", "x" * 2000]):
            self.assertEqual(self.run_trace(*words).returncode, 2, words)
        self.assertIn("--max-size MIB", self.run_trace("--help").stdout)
        _, client = self.serve("one")
        bad = self.run_trace("--points", "no_such_point")
        self.assertEqual(bad.returncode, 1)
        self.assertIn("no trace point has such a name", bad.stderr)
        self.assertEqual(self.run_trace("-o", "no/folder/t.json").returncode, 1)
        client.close()


class Liar:
    """A process that has a vGPU's control socket and answers what it likes."""

    def __init__(self, path, answer, fd, prepare):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.answer, self.fd, self.prepare = answer, fd, prepare
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer, peer.makefile("r") as lines:
                for line in lines:
                    self.reply(peer, json.loads(line))

    def reply(self, peer, call):
        start = call["method"] == "trace.start"
        result = self.answer if start else {"type": 'a "type\\\u0001', "name": 7}
        line = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}) + "\n"
        fds = [self.fd] if start and self.fd >= 0 else []
        if start:
            self.prepare()
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        peer.sendmsg([line.encode()], ancillary)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        if self.fd >= 0:
            os.close(self.fd)


def read_points():
    """As the source has them."""
    header = Path(__file__).resolve().parents[2] / "src/base/trace_points.h"
    return [line.split("(")[1].split(",")[0] for line in header.read_text().splitlines()
            if line.startswith("X(")]


POINTS = read_points()


class HostileTest(Case):
    RECORDS = 4096

    def ring(self, seals=fcntl.F_SEAL_SHRINK, size=None):
        fd = os.memfd_create("ring", os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, 64 + 64 * self.RECORDS if size is None else size)
        if seals:
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        return fd

    def lie(self, answer, fd, prepare=lambda: None):
        liar = Liar(self.folder / "liar.sock", answer, fd, prepare)
        try:
            return self.run_trace("--seconds", 1, "-o", "t.json", "liar")
        finally:
            liar.close()

    def good_answer(self, **changes):
        return {"records": self.RECORDS, "record_bytes": 64 - 8, "at": 0,
                "points": POINTS, **changes}

    def test_answers_without_sense_are_refused(self):
        for answer, fd in ((self.good_answer(), -1), ({}, self.ring()), (7, self.ring()),
                           (self.good_answer(), self.ring(seals=0)),
                           (self.good_answer(), self.ring(size=4096)),
                           (self.good_answer(records=1 << 40), self.ring()),
                           (self.good_answer(records=-1), self.ring()),
                           (self.good_answer(records=4095), self.ring()),
                           (self.good_answer(record_bytes=48), self.ring())):
            done = self.lie(answer, fd)
            self.assertEqual(done.returncode, 1, (answer, done.stderr))
            self.assertIn("makes no sense", done.stderr)
            (self.folder / "liar.sock").unlink()

    def garbage(self, rng, now_ns):
        """A record, of which some might be true."""
        small = [0, 1, 2, 3, 7, 16, 17, 0x8001, 0xffffffff]
        point = rng.randrange(len(POINTS) + 3)
        values = [rng.choice(small) << rng.choice([0, 0, 0, 32]) if rng.random() < 0.8
                  else rng.getrandbits(64) for _ in range(4)]
        when = now_ns + rng.randrange(-100000, 800000000)
        if rng.random() < 0.05:
            when = rng.getrandbits(64)
        span = rng.choice([0, 100, 1 << 40, rng.getrandbits(64)])
        return struct.pack("<6QII", when % (1 << 64), span,
                           *[v % (1 << 64) for v in values], rng.randrange(3), point)

    def fill(self, memory):
        rng = random.Random(1)
        now_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        memory[0:8] = struct.pack("<Q", self.RECORDS)
        for i in range(self.RECORDS):
            memory[64 + 64 * i:128 + 64 * i] = struct.pack("<Q", i + 1) + self.garbage(rng, now_ns)

    def test_garbage_in_a_ring_makes_a_file_all_the_same(self):
        for at, events in ((0, 500), (17, 500), (-5, 0)):
            fd = self.ring()
            with mmap.mmap(fd, 64 + 64 * self.RECORDS) as memory:
                done = self.lie(self.good_answer(at=at), fd, lambda m=memory: self.fill(m))
            self.assertEqual(done.returncode, 0, done.stderr)
            timeline = self.timeline(self.folder / "t.json")
            self.assertGreater(len(timeline.events), events)
            if events:
                self.assertGreater(timeline.tree["otherData"]["refused_records"], 0)
            (self.folder / "liar.sock").unlink()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
