"""What all Python servers here read: PORT, and PING as interval/timeout in seconds, or off."""

import os

PORT = int(os.environ["PORT"])


def ping():
    """Interval and timeout in seconds; none of either: no pings."""
    text = os.environ.get("PING", "off")
    if text == "off":
        return None, None
    interval, timeout = text.split("/")
    return float(interval), float(timeout)


def uvicorn():
    """The settings of uvicorn, as in its classic use: asyncio's loop and the library websockets."""
    interval, timeout = ping()
    return {
        "host": "127.0.0.1",
        "port": PORT,
        "loop": "asyncio",
        "ws": "websockets",
        "ws_ping_interval": interval,
        "ws_ping_timeout": timeout,
        "log_level": "warning",
        "backlog": 4096,
    }
