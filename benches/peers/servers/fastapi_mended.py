"""The classic FastAPI example, mended: it returns at the disconnect, and there is no traceback."""

import asyncio

from fastapi import FastAPI, WebSocket
from uvicorn import Config, Server

import settings

app = FastAPI()


@app.websocket("/ws")
async def endpoint(websocket: WebSocket):
    await websocket.accept()
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            print("client disconnected")
            return
        print("received:", message)
        await websocket.send_text("ok")


asyncio.run(Server(Config(app=app, **settings.uvicorn())).serve())
