// An echo server of Bun, which has µWebSockets inside. Its heartbeat is one setting: who is silent
// for idleTimeout seconds is closed, and pinged shortly before that.
const idleTimeout = Number(process.env.IDLE_S);

Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.env.PORT),
  fetch(request, server) {
    return server.upgrade(request) ? undefined : new Response('a WebSocket server', { status: 426 });
  },
  websocket: {
    idleTimeout,
    sendPings: true,
    perMessageDeflate: false,
    message(connection, message) { connection.send(message); },
  },
});
