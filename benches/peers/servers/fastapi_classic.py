"""The classic FastAPI example: receives, prints, answers 'ok'.

receive() hands over the disconnect like any message, so the except clause is never reached: at each
disconnect the loop sends once more, and the RuntimeError of that is a traceback on stderr.
"""

import asyncio

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from uvicorn import Config, Server

import settings

app = FastAPI()


@app.websocket("/ws")
async def endpoint(websocket: WebSocket):
    await websocket.accept()
    try:
        while True:
            message = await websocket.receive()
            print("received:", message)
            await websocket.send_text("ok")
    except WebSocketDisconnect:
        print("client disconnected")


asyncio.run(Server(Config(app=app, **settings.uvicorn())).serve())
