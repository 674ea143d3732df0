"""An echo server of the library websockets, with its own heartbeat."""

import asyncio

import websockets

import settings


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def main():
    interval, timeout = settings.ping()
    async with websockets.serve(
        echo,
        "127.0.0.1",
        settings.PORT,
        ping_interval=interval,
        ping_timeout=timeout,
        compression=None,
        backlog=4096,
    ):
        await asyncio.Future()


asyncio.run(main())
