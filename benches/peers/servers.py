"""The servers: what each is, what it needs, how it is started, and what its heartbeat promises."""

import dataclasses
import sys
from typing import Callable, Optional

HERE = "benches/peers/servers"


@dataclasses.dataclass(frozen=True)
class Ping:
    """A heartbeat, in whole seconds."""

    interval: int
    timeout: int

    def __str__(self):
        return f"{self.interval}/{self.timeout}"

    @property
    def flag(self):
        return f"{self.interval}s/{self.timeout}s"


@dataclasses.dataclass(frozen=True)
class Server:
    """A server that can be compared."""

    name: str
    about: str
    # What has to be installed: rust, python, node, bun or uws; ours needs nothing more.
    needs: Optional[str]
    # From what is installed and the heartbeat that is asked for to the command.
    start: Callable
    # From the heartbeat that is asked for to the one that it has: `off`, or none if that is not one of
    # an interval and a timeout.
    has: Callable = lambda ping: ping.flag if ping else "off"
    # Where in its URL the WebSocket is.
    path: str = "/"


def ours(driver):
    def start(peers, ping):
        heartbeat = (
            f"--ping-interval {ping.interval}s --ping-timeout {ping.timeout}s"
            if ping
            else "--ping-interval off"
        )
        return f"exec {peers.halfopen} serve --listen 127.0.0.1:{{port}} --driver {driver} {heartbeat}"

    return Server(f"ours-{driver}", f"halfopen serve on {driver}", None, start)


def python(name, about, script, path="/", ping=True):
    def start(peers, asked):
        heartbeat = asked if ping and asked else "off"
        return f"PING={heartbeat} exec {peers.python} -B {HERE}/{script}"

    has = (lambda asked: asked.flag if asked else "off") if ping else (lambda asked: "off")
    return Server(name, about, "python", start, has, path)


def rust(library, about, ping=False):
    def start(peers, asked):
        heartbeat = f" --ping {asked}" if ping and asked else ""
        return f"exec {peers.peer} {library} --port {{port}}{heartbeat}"

    has = (lambda asked: asked.flag if asked else "off") if ping else (lambda asked: "off")
    return Server(library, about, "rust", start, has)


def sweep_ms(ping):
    """The recipe's 30 s where others ping every 20 s."""
    return ping.interval * 1500 if ping else 30_000


def sweep(peers, ping):
    return f"NODE_PATH={peers.node_modules} SWEEP_MS={sweep_ms(ping)} exec node {HERE}/ws_sweep.js"


def sweeps(ping):
    # Who is dead does not answer in the sweep that comes, and is found by the next.
    return f"{sweep_ms(ping)}ms/{sweep_ms(ping)}ms"


def idle_seconds(ping):
    # The setting that both µWebSockets and Bun have: as long as a heartbeat would take at the most.
    return max(8, ping.interval + ping.timeout) if ping else 120


def bun(peers, ping):
    return f"IDLE_S={idle_seconds(ping)} exec {peers.bun} {HERE}/bun_echo.js"


def uws(peers, ping):
    return f"UWS={peers.uws} IDLE_S={idle_seconds(ping)} exec node {HERE}/uws_echo.js"


ALL = [
    ours("io-uring"),
    ours("tokio-uring"),
    ours("epoll"),
    python("fastapi-off", "the classic FastAPI example, pings off", "fastapi_classic.py", "/ws", False),
    python("fastapi-20-20", "the same, with uvicorn's pings", "fastapi_classic.py", "/ws"),
    python("fastapi-mended", "the same, without its traceback", "fastapi_mended.py", "/ws"),
    python("websockets", "the Python library websockets", "websockets_echo.py"),
    Server("ws-sweep", "node's ws with the recipe of two sweeps", "node", sweep, sweeps),
    Server("bun", "Bun: one timeout of idleness, pinged before it", "bun", bun, lambda ping: None),
    Server("uws", "µWebSockets.js: the same", "uws", uws, lambda ping: None),
    rust("tokio-tungstenite", "no heartbeat of its own"),
    rust("fastwebsockets", "no heartbeat of its own"),
    rust("tokio-websockets", "no heartbeat of its own"),
    rust("sockudo-ws", "pings after silence", ping=True),
]


def choose(names):
    """Those of these names; all of none."""
    if not names:
        return ALL
    unknown = [name for name in names if name not in {server.name for server in ALL}]
    if unknown:
        known = " ".join(server.name for server in ALL)
        print(f"error: no server is called {unknown[0]}: there are {known}", file=sys.stderr)
        sys.exit(2)
    return [server for server in ALL if server.name in names]
