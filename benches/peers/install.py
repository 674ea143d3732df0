"""Installs what the servers need into target/peers, once: from PyPI and npm, and by Cargo."""

import os
import platform
import shutil
import subprocess
import sys

CACHE = "target/peers"
PYTHON_PACKAGES = ["fastapi", "uvicorn", "websockets"]
# npm's own uWebSockets.js is an empty one. Of those that bring its binary the first that loads is taken.
UWS_PACKAGES = ["@btc-vision/uwebsockets.js", "@trufflesuite/uws-js-unofficial"]


class Missing(Exception):
    """Why a server cannot be run here."""


class Peers:
    """Where everything is once it is installed."""

    def __init__(self, quick):
        # Measured is what is optimised; to see that it works the tests' own build will do.
        self.profile = "dev" if quick else "release"
        target = os.environ.get("CARGO_TARGET_DIR", "target")
        folder = os.path.join(target, "debug" if quick else "release")
        self.halfopen = os.path.join(folder, "halfopen")
        self.peer = os.path.join(folder, "peer")
        self.python = f"{CACHE}/venv/bin/python"
        self.node_modules = f"{CACHE}/npm/node_modules"
        self.bun = f"{self.node_modules}/.bin/bun"
        self.uws = None

    def prepare(self, chosen):
        """The servers that can be run, and why the others cannot."""
        why_not = {None: None}
        for need in dict.fromkeys(server.needs for server in chosen if server.needs):
            print(f"installing for {need}", file=sys.stderr)
            try:
                getattr(self, f"install_{need}")()
                why_not[need] = None
            except Missing as missing:
                why_not[need] = str(missing)
        ready = [server for server in chosen if why_not[server.needs] is None]
        skipped = {s.name: why_not[s.needs] for s in chosen if why_not[s.needs] is not None}
        return ready, skipped

    def build(self, *what):
        run(["cargo", "build", "--locked", "--quiet", "--profile", self.profile, *what], "cargo")

    def install_rust(self):
        self.build("-p", "halfopen-benches", "--features", "rivals", "--bin", "peer")

    def install_python(self):
        if not os.path.exists(self.python):
            run([sys.executable, "-m", "venv", f"{CACHE}/venv"], "python's venv")
        pip = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run(pip + PYTHON_PACKAGES, "pip")

    def install_node(self):
        self.npm("ws")

    def install_bun(self):
        self.npm("bun")
        run([self.bun, "--version"], "the binary of npm's package bun")

    def install_uws(self):
        reasons = []
        for package in UWS_PACKAGES:
            try:
                self.npm(package)
                binary = self.uws_binary(package)
                load = "require(require('path').resolve(process.argv[1]))"
                run(["node", "-e", load, binary], package)
                self.uws = binary
                return
            except Missing as missing:
                reasons.append(str(missing))
        raise Missing("no package brings µWebSockets.js for this machine: " + "; ".join(reasons))

    def install_nginx(self):
        """Where it is; what it is for needs no place among the servers."""
        return run([".ci/nginx"], "nginx").strip()

    def uws_binary(self, package):
        """The binary itself: beside it one package has an imitation in JavaScript."""
        ask = "process.stdout.write([process.platform, process.arch, process.versions.modules].join('_'))"
        name = f"uws_{run(['node', '-e', ask], 'node')}.node"
        folder = f"{self.node_modules}/{package}"
        for place in (folder, f"{folder}/binaries"):
            if os.path.exists(f"{place}/{name}"):
                return f"{place}/{name}"
        raise Missing(f"{package} has no binary for this node ({name})")

    def npm(self, package):
        if not shutil.which("node") or not shutil.which("npm"):
            raise Missing("there is no node and npm here")
        if os.path.exists(f"{self.node_modules}/{package}/package.json"):
            return
        os.makedirs(f"{CACHE}/npm", exist_ok=True)
        quiet = ["--no-fund", "--no-audit", "--loglevel", "error"]
        run(["npm", "install", *quiet, "--prefix", f"{CACHE}/npm", package], f"npm's {package}")


def run(command, what):
    """What a command says; why it failed, if so, in a line."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError as error:
        raise Missing(f"{what}: {error.strerror}")
    if done.returncode != 0:
        raise Missing(f"{what}: {telling(done.stderr or done.stdout, done.returncode)}")
    return done.stdout


def telling(text, status):
    """The line that says most of why."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    line = (errors or lines or [f"ended with {status}"])[-1 if not errors else 0]
    return line if len(line) <= 160 else line[:160] + "…"


if platform.system() != "Linux":
    sys.exit("error: the servers are measured on Linux only")
