// An echo server of ws with the recipe of its manual: every SWEEP_MS everyone is pinged, and who has
// not answered by the next sweep is terminated.
'use strict';
const { WebSocketServer } = require('ws');

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(process.env.PORT),
  backlog: 4096,
  perMessageDeflate: false,
});

server.on('connection', (connection) => {
  connection.isAlive = true;
  connection.on('pong', () => { connection.isAlive = true; });
  connection.on('error', console.error);
  connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }));
});

setInterval(() => {
  for (const connection of server.clients) {
    if (!connection.isAlive) {
      connection.terminate();
      continue;
    }
    connection.isAlive = false;
    connection.ping();
  }
}, Number(process.env.SWEEP_MS));
