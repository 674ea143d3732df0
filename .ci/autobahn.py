"""Runs the Autobahn test suite and judges its reports; .ci/conformance installs and builds for it.

The suite itself judges nothing: it exits with 0 whatever happens, waits for ever where no case
matches, and leaves out the cases of a peer that has gone. So a run counts only when as many cases
are reported as there are, each with a `behavior` and a `behaviorClose` that are allowed, in time.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

# How many cases each section has.
CASES = {1: 16, 2: 11, 3: 7, 4: 10, 5: 20, 6: 145, 7: 37, 9: 54, 10: 1, 12: 90, 13: 126}

DEFAULT_SECTIONS = [1, 2, 3, 4, 5, 6, 7, 9, 10]

DEFAULT_DRIVERS = ["io-uring", "tokio-uring", "epoll"]

# INFORMATIONAL: the case asks how a peer behaves where the protocol allows several ways.
ALLOWED = {"OK", "INFORMATIONAL"}

# The suite listens on all interfaces, with a web server beside it: here on loopback only, and over
# TLS where it is given a certificate, which its own options lose. It does not outlive whoever holds
# its stdin.
WSTEST = """
import os, sys, threading
watch = threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)))
watch.daemon = True
watch.start()

from twisted.internet import reactor, ssl
listen_plain = reactor.listenTCP
def listen(port, factory, *rest, **more):
    if "CERT" not in os.environ:
        return listen_plain(port, factory, interface="127.0.0.1")
    keys = ssl.DefaultOpenSSLContextFactory(os.environ["KEY"], os.environ["CERT"])
    # It listens by TCP in its turn.
    reactor.listenTCP = listen_plain
    try:
        return reactor.listenSSL(port, factory, keys, interface="127.0.0.1")
    finally:
        reactor.listenTCP = listen
reactor.listenTCP = listen

from autobahntestsuite import wstest
wstest.run()
"""


class Failure(Exception):
    """A run that did not come to its end."""


class Suite:
    """An installed suite, and the binaries that it is let loose on."""

    def __init__(self, options):
        self.python = os.path.join(options.suite, "suite/bin/python")
        self.reports = os.path.join(options.suite, "reports")
        self.halfopen = os.path.join(options.built, "halfopen")
        self.client = os.path.join(options.built, "examples/autobahn-client")
        self.timeout = options.timeout
        self.cert = os.path.join(options.suite, "cert.pem")
        self.key = os.path.join(options.suite, "key.pem")

    def wstest(self, mode, agent, spec, **more):
        """Starts a side of the suite. What it says goes to a file beside its report."""
        out = os.path.join(self.reports, agent)
        shutil.rmtree(out, ignore_errors=True)
        os.makedirs(out)
        path = os.path.join(out, "spec.json")
        with open(path, "w") as file:
            json.dump({"outdir": out, **spec}, file)
        with open(os.path.join(out, "wstest.log"), "w") as log:
            command = [self.python, "-c", WSTEST, "-m", mode, "-s", path]
            env = {**os.environ, **more}
            return Child(command, cwd=out, env=env, stdin=subprocess.PIPE, stdout=log, stderr=log)

    def server(self, driver, sections, agent, tls=False, **options):
        """Has our server tested."""
        command = [self.halfopen, "serve", "--listen=127.0.0.1:0", f"--driver={driver}"]
        command += [f"--cert={self.cert}", f"--key={self.key}"] if tls else []
        # The suite takes a ping of ours for an answer; stdin ends with us, and the server with it.
        command += ["--app=echo", "--ping-interval=off", "--drain=0s", "--with-stdin", "--quiet"]
        with Child(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as serve:
            line = serve.process.stdout.readline()
            if not (found := re.search(r"wss?://[0-9.]+:\d+", line)):
                raise Failure(f"{' '.join(command)} said {line!r}")
            server = {"agent": agent, "url": found.group(), "options": options}
            spec = {"servers": [server], "cases": patterns(sections)}
            with self.wstest("fuzzingclient", agent, spec) as client:
                client.wait(self.timeout)
        return self.report(agent)

    def our_client(self, driver, sections, agent, tls=False):
        """Has our client side tested."""
        port = free_port()
        url = f"ws://127.0.0.1:{port}"
        spec = {"url": url, "webport": 0, "cases": patterns(sections)}
        keys = {"KEY": self.key, "CERT": self.cert} if tls else {}
        with self.wstest("fuzzingserver", agent, spec, **keys) as server:
            await_listener(port, server)
            command = [self.client, f"127.0.0.1:{port}", driver, agent] + ["tls"] * tls
            with Child(command, stdout=subprocess.DEVNULL) as client:
                if (status := client.wait(self.timeout)) != 0:
                    raise Failure(f"autobahn-client ended with {status}")
        return self.report(agent)

    def report(self, agent):
        """The outcomes by case."""
        path = os.path.join(self.reports, agent, "index.json")
        if not os.path.exists(path):
            raise Failure(f"no report: {os.path.dirname(path)}/wstest.log may tell why")
        with open(path) as file:
            return json.load(file).get(agent, {})


class Child:
    """A process that does not outlive its block."""

    def __init__(self, command, **options):
        self.process = subprocess.Popen(command, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        self.process.wait()

    def wait(self, timeout):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"not done within {timeout:g} s") from None


def patterns(sections):
    return [f"{section}.*" for section in sections]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def await_listener(port, server, timeout=30):
    """The suite takes a second to load."""
    end = time.monotonic() + timeout
    while server.process.poll() is None and time.monotonic() < end:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
    raise Failure("the fuzzing server does not listen")


def is_allowed(outcome):
    return {outcome["behavior"], outcome["behaviorClose"]} <= ALLOWED


def is_refused(outcome):
    """The frames were not masked: nothing is answered, and the connection fails with 1002."""
    return outcome["behavior"] == "FAILED" and outcome["remoteCloseCode"] == 1002


def passed(outcomes):
    """In words, how those went that are as they should be."""
    kinds = [outcome["behavior"] for outcome in outcomes if is_allowed(outcome)]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds), reverse=True))


def refused(outcomes):
    return f"{sum(map(is_refused, outcomes))} refused with 1002"


def check(name, expected, judge, words, run):
    """Does one run, prints its line of the table, and gives back what is wrong with it."""
    began = time.monotonic()
    try:
        outcomes = run(name)
    except Failure as failure:
        print(f"{name:<30} {failure}", flush=True)
        return [f"{name}: {failure}"]
    took = time.monotonic() - began
    print(f"{name:<30} {expected:>3} cases: {words(outcomes.values())}; {took:.1f} s", flush=True)
    wrong = []
    if len(outcomes) != expected:
        wrong.append(f"{name}: {len(outcomes)} cases were reported, not {expected}")
    for case, outcome in outcomes.items():
        if not judge(outcome):
            kinds = f"{outcome['behavior']}, at the close {outcome['behaviorClose']}"
            wrong.append(f"{name}: case {case}: {kinds}, code {outcome['remoteCloseCode']}")
    return wrong


def parse():
    parser = argparse.ArgumentParser(prog=".ci/conformance")
    parser.add_argument("--suite", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--built", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--driver", action="append", help="io-uring, tokio-uring and epoll")
    parser.add_argument("--section", action="append", type=int, choices=CASES, help="1 to 10")
    parser.add_argument("--timeout", type=float, default=300, help="seconds that each run may take")
    return parser.parse_args()


def main():
    options = parse()
    suite = Suite(options)
    sections = options.section or DEFAULT_SECTIONS
    expected = sum(CASES[section] for section in sections)
    wrong = []
    drivers = options.driver or DEFAULT_DRIVERS
    for driver in drivers:
        def server(name):
            return suite.server(driver, sections, name)

        def client(name):
            return suite.our_client(driver, sections, name)

        def unmasked(name):
            return suite.server(driver, [1], name, maskClientFrames=False)

        wrong += check(f"server-{driver}", expected, is_allowed, passed, server)
        wrong += check(f"client-{driver}", expected, is_allowed, passed, client)
        wrong += check(f"server-{driver}-unmasked", CASES[1], is_refused, refused, unmasked)

    # The layer is the same over every driver.
    driver = drivers[0]

    def server_over_tls(name):
        return suite.server(driver, sections, name, tls=True)

    def client_over_tls(name):
        return suite.our_client(driver, sections, name, tls=True)

    if os.path.exists(suite.cert):
        wrong += check(f"server-{driver}-tls", expected, is_allowed, passed, server_over_tls)
        wrong += check(f"client-{driver}-tls", expected, is_allowed, passed, client_over_tls)
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        print(f"reports: {suite.reports}/*/index.html", file=sys.stderr)
        sys.exit(1)


# An end by a signal is one that ends the children, too.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
main()
