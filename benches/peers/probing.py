"""Has `halfopen probe` tell what heartbeats servers have, and compares it with how they were set."""

import datetime
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import servers

# A sweep every 30 s, and a ping every 50 s behind a proxy, have to be seen a few times.
MAX_WAIT_S = 300

# nginx's own default of proxy_read_timeout, which is in no line of its configuration here.
NGINX_IDLE_S = 60

# Below the limit, and seldom enough to miss it by a hair.
PING_BEHIND_NGINX = servers.Ping(50, 20)


class Case:
    """A server, how it is set, and what a probe has to say."""

    def __init__(
        self, server, ping, about, interval_s=None, timeout_s=None, limit_s=None, latest_s=None, tick_s=0, proxied=False
    ):
        self.server, self.ping, self.about, self.proxied = server, ping, about, proxied
        # What is not promised is none, and is not judged.
        self.expected = {
            "interval_ms": interval_s,
            "timeout_ms": timeout_s,
            "idle_limit_ms": limit_s,
            "detection.max_ms": latest_s,
        }
        self.tick_s = tick_s

    def claims(self, found):
        """Each promise beside what was found, in seconds, and how far apart they may be."""
        for name, promised in self.expected.items():
            if promised is not None:
                allowed = max(0.1, 0.02 * promised, self.tick_s)
                yield name, promised, seconds(found, name), allowed
        # Who has no heartbeat and nothing before it is found by nobody.
        if not any(self.expected.values()):
            yield "pings", "none", found["pings"], None


def seconds(found, name):
    value = found
    for part in name.split("."):
        value = value[part]
    if isinstance(value, dict):
        value = value["mean"]
    return None if value is None else value / 1e3


def holds(promised, measured, allowed):
    if allowed is None:
        return promised == measured
    return measured is not None and abs(measured - promised) <= allowed


def cases(ready, nginx):
    asked = servers.Ping(20, 20)
    for server in ready:
        has = server.has(asked)
        if has is None:
            # µWebSockets looks every 4 s.
            idle = servers.idle_seconds(asked)
            yield Case(server, asked, f"idle timeout {idle} s", latest_s=idle, tick_s=4)
        elif has == "off":
            yield Case(server, None, "off")
        else:
            interval, timeout = (float(part.rstrip("ms")) * (1e-3 if "ms" in part else 1) for part in has.split("/"))
            yield Case(server, asked, f"{interval:g} s / {timeout:g} s", interval, timeout)
    if nginx:
        behind = servers.ours("io-uring")
        limit = NGINX_IDLE_S
        yield Case(behind, None, f"off, behind nginx ({limit} s)", limit_s=limit, latest_s=limit, proxied=True)
        ping = PING_BEHIND_NGINX
        about = f"{ping.interval} s / {ping.timeout} s, behind nginx ({limit} s)"
        yield Case(behind, ping, about, ping.interval, ping.timeout, proxied=True)


class Running:
    """A server, and the proxy before it, until it is left."""

    def __init__(self, peers, case, nginx, log):
        self.children = []
        self.folder = tempfile.TemporaryDirectory()
        self.log = log
        try:
            self.port = free_port()
            self.start(case.server.start(peers, case.ping).replace("{port}", str(self.port)), self.port)
            if case.proxied:
                self.port = self.proxy(nginx, self.port)
        except BaseException:
            self.stop()
            raise

    def start(self, command, port):
        environment = dict(os.environ, PORT=str(port))
        child = subprocess.Popen(
            command,
            shell=True,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )
        self.children.append(child)
        until = time.monotonic() + 20
        while time.monotonic() < until and child.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"`{command}` does not listen: {said(self.log)}")

    def proxy(self, nginx, server):
        port, place = free_port(), self.folder.name
        kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        paths = " ".join(f"{kind}_temp_path {place}/{kind};" for kind in kinds)
        conf = f"""daemon off; master_process off; pid {place}/pid; error_log {place}/errors;
events {{ worker_connections 256; }}
http {{
    access_log off; {paths}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{server}; proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
        }}
    }}
}}
"""
        with open(f"{place}/nginx.conf", "w") as file:
            file.write(conf)
        self.start(f"exec {nginx} -c {place}/nginx.conf", port)
        return port

    def stop(self):
        for child in reversed(self.children):
            for sign in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(child.pid, sign)
                    child.wait(5)
                    break
                except ProcessLookupError:
                    child.wait()
                    break
                except subprocess.TimeoutExpired:
                    pass
        self.folder.cleanup()


def said(log):
    """The last line that a server has said."""
    log.seek(0)
    lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it says nothing"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def probe(peers, case, nginx):
    """What the probe says of a server, as its JSON document; or why it says nothing."""
    with tempfile.TemporaryFile() as log:
        try:
            running = Running(peers, case, nginx, log)
        except (RuntimeError, OSError) as error:
            return str(error)
        try:
            url = f"ws://127.0.0.1:{running.port}{case.server.path}"
            command = [peers.halfopen, "probe", url, "--json", "-q", "--max-wait", f"{MAX_WAIT_S}s"]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if not done.stdout:
                return done.stderr.strip() or f"ended with {done.returncode}"
            return json.loads(done.stdout)
        finally:
            running.stop()


def run(peers, ready, skipped, nginx, out):
    """Probes them all at once: what a probe says in a second is next to nothing."""
    started = datetime.datetime.now(datetime.timezone.utc)
    asked = list(cases(ready, nginx))
    with ThreadPoolExecutor(len(asked)) as pool:
        found = list(pool.map(lambda case: probe(peers, case, nginx), asked))
    folder = os.path.join(out, f"{started:%Y-%m-%d}-probes")
    os.makedirs(folder, exist_ok=True)
    for case, document in zip(asked, found):
        if isinstance(document, dict):
            place = os.path.join(folder, f"{file_name(case)}.json")
            with open(place, "w") as file:
                json.dump(document, file, indent=2)
                file.write("\n")
    text, missed = page(started, asked, found, skipped)
    with open(os.path.join(folder, "README.md"), "w") as file:
        file.write(text)
    print(text)
    print(f"wrote {folder}", file=sys.stderr)
    return 3 if missed else 0


def file_name(case):
    if not case.proxied:
        return case.server.name
    return "behind-nginx" if case.ping is None else "behind-nginx-pinged"


def page(started, asked, found, skipped):
    git = next((document["tool"]["git"] for document in found if isinstance(document, dict)), None)
    lines = [
        "# What a probe tells of servers, beside how they were set",
        "",
        f"Linux {platform.release()}, Python {platform.python_version()}, commit {git}, begun {started:%Y-%m-%dT%H:%M:%SZ}.",
        "",
        "```sh",
        "benches/peers/run --probes",
        "```",
        "",
        "Each server was probed by `halfopen probe`, all at the same time, with eight connections each."
        " A promise is kept within 100 ms, 2 % or the server's own tick, whichever is most. The document"
        " of each probe is beside this page. *Latest* is how long after its death a silent peer is found"
        " at the latest.",
        "",
        "| server | set to | about | promised, s | found, s | apart, ms | allowed, ms | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    names = {
        "interval_ms": "interval",
        "timeout_ms": "timeout",
        "idle_limit_ms": "idle limit",
        "detection.max_ms": "latest",
        "pings": "pings",
    }
    missed = 0
    for case, document in zip(asked, found):
        if not isinstance(document, dict):
            lines.append(f"| {case.server.name} | {case.about} | – | – | not probed: {document} | – | – | **no** |")
            missed += 1
            continue
        for name, promised, measured, allowed in case.claims(document):
            kept = holds(promised, measured, allowed)
            missed += not kept
            if allowed is None:
                numbers = [promised, str(measured), "–", "–"]
            else:
                shown = "–" if measured is None else f"{measured:.3f}"
                apart = "–" if measured is None else f"{(measured - promised) * 1e3:.1f}"
                numbers = [f"{promised:g}", shown, apart, f"{allowed * 1e3:.0f}"]
            cells = [case.server.name, case.about, names[name], *numbers, "yes" if kept else "**no**"]
            lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "| server | set to | who pings | jitter, ms | traffic suppresses pings | idle limit | found after, s (least, half, latest) | ended by | watched, s | doubts |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for case, document in zip(asked, found):
        if isinstance(document, dict):
            lines.append(row(case, document))
    lines += [f"\nSkipped: {name}, because {why}." for name, why in skipped.items()]
    return "\n".join(lines) + "\n", missed


def row(case, document):
    suppresses = {None: "not seen", True: "yes", False: "no"}[document["traffic_suppresses"]]
    limit = document["idle_limit_ms"]
    window = [document["detection"][name] for name in ("min_ms", "p50_ms", "max_ms")]
    window = "never" if window[2] is None else ", ".join("–" if ms is None else f"{ms / 1e3:.1f}" for ms in window)
    jitter = document["jitter_ms"]
    cells = [
        case.server.name,
        case.about,
        document["pings"],
        "–" if jitter is None else f"{jitter:.1f}",
        suppresses,
        "none seen" if limit is None else f"{limit / 1e3:.2f} s",
        window,
        ", ".join(f"{what} ({count})" for what, count in document["ended_by"].items()) or "–",
        f"{document['watched_s']:.0f}",
        ", ".join(doubt["code"] for doubt in document["doubts"]) or "none",
    ]
    return "| " + " | ".join(cells) + " |"
