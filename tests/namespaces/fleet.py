#!/usr/bin/env python3
"""A fleet in network namespaces: three servers of NATS and five nodes, each a machine of its own with real links.

    fleet.py partitions [--rounds N]     cuts the network in many ways, and checks the history of all answers
    fleet.py latency [--purges N]        how soon a purge is seen by all nodes, idle and with 1,000 purges a second
    fleet.py catch-up                    how long a node takes that has missed 100,000 purges

--tero names the program, built with the feature `cluster`, --nats the server of NATS. It needs root, `ip` and
`openssl`, and leaves nothing behind. Nodes reach each other and NATS by one network, which is cut; visitors,
the operator and the origin are on another one.
"""

import argparse
import http.client
import http.server
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

HUB = "tf-hub"
SERVERS = 3
NODES = 5
MAX_BLIND = 6
# What is allowed beside max_blind: a look at the clock, a request under way, a busy machine.
SLACK = 4
PAGES = 12
ORIGIN = ("10.78.0.1", 8000)
CATCH_UP = 100_000


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def server_ip(place):
    return f"10.77.0.{place + 1}"


def node_ip(place):
    return f"10.77.0.{place + 11}"


def public_ip(place):
    return f"10.78.0.{place + 11}"


class Network:
    """The namespaces. `f-NAME` are ports on the bridge between nodes and servers, `v-NAME` on that of visitors."""

    def make(self):
        self.remove()
        run("ip", "netns", "add", HUB)
        self.hub("ip", "link", "set", "lo", "up")
        for bridge in ("fleet", "other", "third", "visit"):
            self.hub("ip", "link", "add", bridge, "type", "bridge")
            self.hub("ip", "link", "set", bridge, "up")
        self.hub("ip", "address", "add", f"{ORIGIN[0]}/24", "dev", "visit")
        # For what is put into the log by hand.
        self.hub("ip", "address", "add", "10.77.0.254/24", "dev", "fleet")
        for place in range(SERVERS):
            self.machine(f"s{place}")
            self.link(f"s{place}", "f", "fleet", server_ip(place))
        for place in range(NODES):
            self.machine(f"n{place}")
            self.link(f"n{place}", "f", "fleet", node_ip(place))
            self.link(f"n{place}", "v", "visit", public_ip(place))

    def machine(self, name):
        run("ip", "netns", "add", f"tf-{name}")
        run("ip", "-n", f"tf-{name}", "link", "set", "lo", "up")

    def link(self, name, kind, bridge, address):
        port = f"{kind}-{name}"
        run("ip", "link", "add", port, "netns", HUB, "type", "veth", "peer", "name", kind, "netns", f"tf-{name}")
        self.hub("ip", "link", "set", port, "master", bridge, "up")
        run("ip", "-n", f"tf-{name}", "address", "add", f"{address}/24", "dev", kind)
        run("ip", "-n", f"tf-{name}", "link", "set", kind, "up")

    def hub(self, *command):
        return run("ip", "netns", "exec", HUB, *command)

    def put(self, name, bridge):
        """Moves a machine to another part of a network that is cut; `None` cuts it off. Packets just vanish."""
        where = ("master", bridge) if bridge else ("nomaster",)
        self.hub("ip", "link", "set", f"f-{name}", *where)

    def lose(self, name, address):
        """Has packets from a machine to an address vanish."""
        run("ip", "-n", f"tf-{name}", "neigh", "replace", address, "lladdr", "02:00:00:00:00:01", "dev", "f", "nud", "permanent")

    def slow(self, name):
        self.hub("tc", "qdisc", "replace", "dev", f"f-{name}", "root", "tbf", "rate", "64kbit", "burst", "4kb", "latency", "400ms")

    def heal(self):
        for name in [f"s{place}" for place in range(SERVERS)] + [f"n{place}" for place in range(NODES)]:
            self.put(name, "fleet")
            subprocess.run(["ip", "-n", f"tf-{name}", "neigh", "flush", "dev", "f", "nud", "permanent"], capture_output=True)
            subprocess.run(["ip", "netns", "exec", HUB, "tc", "qdisc", "del", "dev", f"f-{name}", "root"], capture_output=True)

    def remove(self):
        for line in run("ip", "netns", "list").splitlines():
            if line.startswith("tf-"):
                run("ip", "netns", "delete", line.split()[0])


class Origin:
    """Pages whose body is their version."""

    def __init__(self):
        self.versions = [0] * PAGES
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self):
                page = self.path.strip("/")
                body = str(outer.versions[int(page) % PAGES]) if page.isdigit() else "-"
                self.send_response(200)
                self.send_header("Cache-Control", "max-age=86400")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(ORIGIN, Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Fleet:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.network = Network()
        self.origin = Origin()
        self.processes = {}
        self.certificates()
        for place in range(SERVERS):
            self.start_server(place)
        self.configure()
        self.init()
        for place in range(NODES):
            self.start_node(place)
        for place in range(NODES):
            self.wait(f"node {place}", lambda: self.is_ready(place))

    def path(self, name):
        return os.path.join(self.folder, name)

    def certificates(self):
        names = ",".join(f"IP:{ip(place)}" for place in range(NODES) for ip in (node_ip, public_ip))
        with open(self.path("names"), "w") as file:
            file.write(f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=CA:FALSE\n")
        with open(self.path("ca.cnf"), "w") as file:
            file.write("[req]\ndistinguished_name=dn\nx509_extensions=ca\n[dn]\n[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n")
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        ca, ca_key, own, own_key = (self.path(name) for name in ("ca.pem", "ca.key", "node.pem", "node.key"))
        run("openssl", "req", "-x509", *key, "-config", self.path("ca.cnf"), "-subj", "/CN=nodes", "-keyout", ca_key, "-out", ca, "-days", "3650")
        run("openssl", "req", *key, "-subj", "/CN=node", "-keyout", own_key, "-out", self.path("node.csr"))
        run("openssl", "x509", "-req", "-in", self.path("node.csr"), "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "3000",
            "-extfile", self.path("names"), "-out", own)
        self.tls = ssl.create_default_context(cafile=ca)
        self.tls.load_cert_chain(own, own_key)

    def spawn(self, name, command, space=None):
        space = space or name
        log = open(self.path(f"{name}.log"), "a")
        command = ["ip", "netns", "exec", f"tf-{space}", *command]
        self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)

    def start_server(self, place):
        routes = ", ".join(f"nats://{server_ip(other)}:6222" for other in range(SERVERS) if other != place)
        sync = "sync_interval: always" if self.options.command != "catch-up" else ""
        with open(self.path(f"s{place}.conf"), "w") as file:
            file.write(f"server_name: s{place}\nlisten: \"{server_ip(place)}:4222\"\n"
                       f"jetstream {{ store_dir: \"{self.path(f's{place}')}\", max_file_store: 8G\n{sync}\n}}\n"
                       f"cluster {{ name: fleet, listen: \"{server_ip(place)}:6222\", routes: [{routes}] }}\n")
        self.spawn(f"s{place}", [self.options.nats, "-c", self.path(f"s{place}.conf")])

    def configure(self):
        servers = ", ".join(f'"nats://{server_ip(place)}:4222"' for place in range(SERVERS))
        for place in range(NODES):
            peers = ", ".join(f'"https://{node_ip(other)}:9443"' for other in range(NODES) if other != place)
            base = self.path(f"n{place}")
            os.makedirs(base, exist_ok=True)
            with open(self.path(f"n{place}.toml"), "w") as file:
                file.write(f"""
[server]
listen = ["{public_ip(place)}:80"]
workers = 1
[admin]
listen = "0.0.0.0:9443"
tls = {{ certificates = [{{ cert = "{self.path('node.pem')}", key = "{self.path('node.key')}" }}], client_ca = "{self.path('ca.pem')}" }}
[policies]
state_dir = "{base}/state"
compiled_cache = "{self.path('compiled')}"
[[site]]
name = "site"
hosts = ["www.example"]
origins = ["http://{ORIGIN[0]}:{ORIGIN[1]}"]
when_blind = "revalidate"
[site.purge]
from = ["10.78.0.0/24"]
rate = 10000
[cluster]
node = "n{place}"
nats = [{servers}]
max_blind = "{MAX_BLIND}s"
peers = [{peers}]
peer_ca = "{self.path('ca.pem')}"
peer_certificate = "{self.path('node.pem')}"
peer_key = "{self.path('node.key')}"
""")

    def init(self):
        def made():
            command = ["ip", "netns", "exec", "tf-n0", self.options.tero, "cluster", "init", self.path("n0.toml")]
            done = subprocess.run(command, capture_output=True, text=True)
            self.said = done.stdout + done.stderr
            return done.returncode == 0 and "3" in done.stdout
        self.wait("the streams", made)

    def start_node(self, place):
        self.spawn(f"n{place}", [self.options.tero, "serve", self.path(f"n{place}.toml")])

    def stop(self, name, how=signal.SIGTERM):
        process = self.processes.pop(name)
        process.send_signal(how)
        process.wait(30)

    def wait(self, what, met, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if met():
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise SystemExit(f"still waiting: {what}\n{getattr(self, 'said', '')}")

    def admin(self, place, method, path, body=None, patience=8):
        connection = http.client.HTTPSConnection(public_ip(place), 9443, context=self.tls, timeout=patience)
        try:
            headers = {"Content-Type": "application/json"} if body else {}
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def is_ready(self, place):
        return self.admin(place, "GET", "/ready?cluster")[0] == 200

    def metric(self, place, name):
        total = 0.0
        for line in self.admin(place, "GET", "/metrics")[1].splitlines():
            if line.startswith(name):
                total += float(line.rsplit(" ", 1)[1])
        return total

    def purge(self, place, page, wait="quorum"):
        url = f"http://www.example/{page}"
        return self.admin(place, "POST", "/purge", {"url": url, "wait": wait})

    def end(self):
        for process in self.processes.values():
            process.kill()


class Visitor:
    """One connection to a node."""

    def __init__(self, place):
        self.place = place
        self.connection = None

    def get(self, page):
        """The version that the node has of a page; `None` without an answer."""
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection(public_ip(self.place), 80, timeout=5)
                self.connection.connect()
                self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connection.request("GET", f"/{page}", headers={"Host": "www.example"})
            answer = self.connection.getresponse()
            body = answer.read()
            return int(body) if answer.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError):
            if self.connection is not None:
                self.connection.close()
            self.connection = None
            return None


class History:
    """What was purged, and what was served."""

    def __init__(self):
        self.lock = threading.Lock()
        self.purges = [[] for _ in range(PAGES)]
        self.answers = self.late = 0
        self.latest = 0.0
        self.faults = []

    def purged(self, page, version):
        with self.lock:
            self.purges[page].append((time.monotonic(), version))

    def served(self, place, page, begun, version):
        with self.lock:
            self.answers += 1
            newer = [at for at, of in self.purges[page] if of > version and at < begun]
            if newer:
                late = begun - min(newer)
                self.latest = max(self.latest, late)
                if late > MAX_BLIND + SLACK:
                    self.late += 1
                    self.faults.append(f"node {place} served /{page} version {version} {late:.1f} s after its purge")


def cuts(network):
    """The ways in which the network is cut, by name."""
    dice = random.Random(7)
    node = lambda: f"n{dice.randrange(NODES)}"
    server = lambda: f"s{dice.randrange(SERVERS)}"

    def node_off():
        network.put(node(), None)

    def server_off():
        network.put(server(), None)

    def all_servers_apart():
        for place, bridge in enumerate(("fleet", "other", "third")):
            network.put(f"s{place}", bridge)

    def two_halves():
        network.put(server(), "other")
        for name in dice.sample(range(NODES), 2):
            network.put(f"n{name}", "other")

    def nodes_without_servers():
        for place in range(SERVERS):
            network.put(f"s{place}", None)

    def one_way():
        name = node()
        for place in range(SERVERS):
            network.lose(name, server_ip(place))

    def no_peers():
        name = node()
        for place in range(NODES):
            network.lose(name, node_ip(place))

    def leader_loses_one():
        network.lose(server(), server_ip(dice.randrange(SERVERS)))

    def slow_link():
        network.slow(node())

    def flapping():
        name = node()
        for _ in range(8):
            network.put(name, None)
            time.sleep(0.5)
            network.put(name, "fleet")
            time.sleep(0.5)

    return [node_off, server_off, all_servers_apart, two_halves, nodes_without_servers, one_way, no_peers, leader_loses_one,
            slow_link, flapping]


def partitions(fleet, options):
    history, stopped = History(), threading.Event()
    dice = random.Random(options.seed)
    counts = {"purges": 0, "unlogged": 0, "refused": 0}

    def watch(place):
        visitor = Visitor(place)
        while not stopped.is_set():
            for page in range(PAGES):
                begun = time.monotonic()
                version = visitor.get(page)
                if version is not None:
                    history.served(place, page, begun, version)
            stopped.wait(0.1)

    def operate():
        while not stopped.is_set():
            page, place = dice.randrange(PAGES), dice.randrange(NODES)
            fleet.origin.versions[page] += 1
            version = fleet.origin.versions[page]
            try:
                status, _ = fleet.purge(place, page, dice.choice(("quorum", "none")))
            except OSError:
                status = 0
            if status in (200, 202):
                history.purged(page, version)
                counts["purges"] += 1
                counts["unlogged"] += status == 202
            else:
                counts["refused"] += 1
            stopped.wait(0.05)

    threads = [threading.Thread(target=watch, args=(place,)) for place in range(NODES)]
    threads += [threading.Thread(target=operate)]
    for thread in threads:
        thread.start()
    ways = cuts(fleet.network)
    try:
        for round_number in range(options.rounds):
            way = ways[round_number % len(ways)]
            way()
            time.sleep(MAX_BLIND + 4)
            fleet.network.heal()
            begun = time.monotonic()
            for place in range(NODES):
                fleet.wait(f"node {place} after {way.__name__}", lambda: fleet.is_ready(place))
            print(f"{round_number + 1:3} {way.__name__:22} all hear of the log {time.monotonic() - begun:4.1f} s after it; "
                  f"{counts['purges']} purges, {history.answers} answers, {history.late} too late", flush=True)
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
    for place in range(NODES):
        fleet.wait("purges that wait", lambda: fleet.metric(place, "tero_cluster_purges_waiting") == 0)
    lost = []
    for place in range(NODES):
        visitor = Visitor(place)
        for page in range(PAGES):
            want = fleet.origin.versions[page]
            last = max((version for _, version in history.purges[page]), default=0)
            seen = visitor.get(page)
            if seen is None or seen < min(want, last):
                lost.append(f"node {place} has /{page} in version {seen}, purged up to {last}")
    doubts = sum(fleet.metric(place, "tero_cluster_doubts_total") for place in range(NODES))
    print(f"{counts['purges']} purges ({counts['unlogged']} not logged at once, {counts['refused']} not taken), {history.answers} answers; "
          f"purges lost: {len(lost)}, answers later than {MAX_BLIND + SLACK} s: {history.late}, the latest {history.latest:.1f} s after its purge; "
          f"doubts: {doubts:.0f}")
    for line in (history.faults + lost)[:20]:
        print(line)
    return not history.late and not lost


def share_of(sorted_values, share):
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]


def measure(fleet, count):
    """How long after a purge was begun all nodes have the new version, in milliseconds."""
    visitors = [Visitor(place) for place in range(NODES)]
    dice = random.Random(1)
    times = []
    for number in range(count):
        page = number % PAGES
        for visitor in visitors:
            while visitor.get(page) != fleet.origin.versions[page]:
                pass
        fleet.origin.versions[page] += 1
        want, ended = fleet.origin.versions[page], [0.0] * NODES
        connection = http.client.HTTPConnection(public_ip(dice.randrange(NODES)), 80, timeout=5)
        connection.connect()

        def see(place):
            while visitors[place].get(page) != want:
                time.sleep(0.0005)
            ended[place] = time.perf_counter()

        threads = [threading.Thread(target=see, args=(place,)) for place in range(NODES)]
        begun = time.perf_counter()
        connection.request("PURGE", f"/{page}", headers={"Host": "www.example"})
        for thread in threads:
            thread.start()
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            os.write(2, f"a purge was answered with {answer.status}: the rate is too high for this machine\n".encode())
            os._exit(1)
        for thread in threads:
            thread.join()
        connection.close()
        times.append((max(ended) - begun) * 1000)
    return sorted(times)


class Load:
    """Purges of pages that are not stored, so many a second: by the application, spread over the nodes, or put into
    the log as if by nodes elsewhere, which costs this machine less."""

    def __init__(self, a_second, through):
        self.a_second, self.through = a_second, through
        self.stopped = threading.Event()
        self.sent = self.answered = 0
        self.sockets = []
        places = [(public_ip(place), 80) for place in range(NODES)]
        if through == "log":
            places = [(server_ip(0), 4222)]
        for place in places:
            connection = socket.create_connection(place)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets.append(connection)
            threading.Thread(target=self.read, args=(connection,), daemon=True).start()
        if through == "log":
            self.sockets[0].sendall(b'CONNECT {"verbose":false}\r\n')
        threading.Thread(target=self.write, daemon=True).start()

    def read(self, connection):
        try:
            while data := connection.recv(65536):
                self.answered += data.count(b"HTTP/1.1 200")
                if data.startswith(b"PING"):
                    connection.sendall(b"PONG\r\n")
        except OSError:
            pass

    def message(self):
        self.sent += 1
        if self.through == "nodes":
            return f"PURGE /load-{self.sent} HTTP/1.1\r\nHost: www.example\r\n\r\n"
        purge = purge_entry(f"load-{self.sent}", f"load-{self.sent}")
        return f"PUB tero.purges {len(purge)}\r\n{purge}\r\n"

    def write(self):
        step, due = 0.01, time.perf_counter()
        each = max(1, round(self.a_second * step / len(self.sockets)))
        try:
            while not self.stopped.is_set():
                for connection in self.sockets:
                    connection.sendall("".join(self.message() for _ in range(each)).encode())
                due += step
                time.sleep(max(0.0, due - time.perf_counter()))
        except OSError:
            pass

    def end(self):
        self.stopped.set()
        for connection in self.sockets:
            connection.shutdown(socket.SHUT_RDWR)


def purge_entry(name, page):
    """An entry of the purge log."""
    return json.dumps({"purge": {"id": name, "at_ms": 1, "target": {"url": f"http://www.example/{page}"}, "soft": False}})


def latency(fleet, options):
    tell = lambda what, times: print(f"{what}: median {share_of(times, 0.5):.1f} ms, p99 {share_of(times, 0.99):.1f} ms, "
                                     f"longest {times[-1]:.1f} ms over {len(times)} purges", flush=True)
    measure(fleet, 20)
    tell("idle", measure(fleet, options.purges))
    load = Load(options.rate, options.through)
    time.sleep(2)
    before, begun = fleet.metric(0, "tero_cluster_log_number"), time.perf_counter()
    times = measure(fleet, options.purges)
    rate = (fleet.metric(0, "tero_cluster_log_number") - before) / (time.perf_counter() - begun)
    load.end()
    tell(f"with {rate:.0f} purges a second beside them", times)
    return True


def publish(place, subject, messages):
    connection = socket.create_connection((server_ip(place), 4222))
    reader = connection.makefile("rb")
    reader.readline()
    sent = [b'CONNECT {"verbose":false}\r\n']
    for message in messages:
        sent.append(f"PUB {subject} {len(message)}\r\n{message}\r\n".encode())
        if len(sent) == 1_000:
            connection.sendall(b"".join(sent))
            sent = []
    connection.sendall(b"".join(sent) + b"PING\r\n")
    while not reader.readline().startswith(b"PONG"):
        pass


def catch_up(fleet, options):
    last = NODES - 1
    number = lambda place: fleet.metric(place, "tero_cluster_log_number")
    visitor = Visitor(last)
    visitor.get(1)
    plain = []
    for _ in range(3):
        fleet.stop(f"n{last}")
        begun = time.perf_counter()
        fleet.start_node(last)
        fleet.wait("a node", lambda: fleet.is_ready(last))
        plain.append(time.perf_counter() - begun)
    before = number(0)
    fleet.stop(f"n{last}")
    begun = time.perf_counter()
    publish(0, "tero.purges", (purge_entry(f"p{n}", f"{n}x") for n in range(CATCH_UP)))
    fleet.wait("purges in the log", lambda: number(0) >= before + CATCH_UP, 300)
    print(f"node 0 applied {CATCH_UP} purges as they came, in {time.perf_counter() - begun:.2f} s")
    for _ in range(3):
        shutil.copytree(fleet.path(f"n{last}"), fleet.path("kept"), dirs_exist_ok=True)
        begun = time.perf_counter()
        fleet.start_node(last)
        if options.perf:
            child = None
            while child is None:
                found = subprocess.run(["pgrep", "-f", f"serve {fleet.path(f'n{last}.toml')}"], capture_output=True, text=True).stdout.split()
                child = found[-1] if found else None
            recorder = subprocess.Popen(["perf", "record", "-g", "-o", options.perf, "-p", child], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        fleet.wait("a node that has caught up", lambda: fleet.is_ready(last), 120)
        took = time.perf_counter() - begun
        busy = fleet.metric(last, "process_cpu_seconds_total")
        if options.perf:
            recorder.send_signal(signal.SIGINT)
            recorder.wait()
        applied = fleet.metric(last, "tero_cluster_purges_total{way=\"log\"}")
        doubts = fleet.metric(last, "tero_cluster_doubts_total")
        print(f"ready {took:.2f} s after its start with {applied:.0f} purges caught up on ({doubts:.0f} doubts), "
              f"{busy:.2f} s of a processor; "
              f"without any, {min(plain):.2f} to {max(plain):.2f} s", flush=True)
        fleet.stop(f"n{last}")
        shutil.rmtree(fleet.path(f"n{last}"))
        shutil.copytree(fleet.path("kept"), fleet.path(f"n{last}"))
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("partitions", "latency", "catch-up"))
    parser.add_argument("--tero", required=True)
    parser.add_argument("--nats", required=True)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--purges", type=int, default=500)
    parser.add_argument("--rate", type=int, default=1_000, help="purges a second beside those that are measured")
    parser.add_argument("--through", choices=("nodes", "log"), default="log", help="how they come")
    parser.add_argument("--folder", help="where the disks of the machines are: /dev/shm is quick")
    parser.add_argument("--perf", help="records where the time of catching up goes, into this file")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside is None:
        network = Network()
        folder = tempfile.mkdtemp(prefix="tero-fleet-", dir=options.folder)
        try:
            network.make()
            inside = ["ip", "netns", "exec", HUB, sys.executable, os.path.abspath(__file__), *sys.argv[1:], "--inside", folder]
            return subprocess.run(inside).returncode
        finally:
            network.remove()
            shutil.rmtree(folder, ignore_errors=True)
    fleet = None
    try:
        fleet = Fleet(options, options.inside)
        commands = {"partitions": partitions, "latency": latency, "catch-up": catch_up}
        return 0 if commands[options.command](fleet, options) else 1
    finally:
        if fleet is not None:
            fleet.end()


if __name__ == "__main__":
    sys.exit(main())
