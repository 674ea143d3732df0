// An echo server of µWebSockets.js; UWS is its binary. Its heartbeat is one setting: who is silent for
// idleTimeout seconds is closed, and pinged shortly before that.
'use strict';
const uws = require(require('path').resolve(process.env.UWS));

uws.App().ws('/*', {
  idleTimeout: Number(process.env.IDLE_S),
  sendPingsAutomatically: true,
  maxPayloadLength: 16 * 1024 * 1024,
  message: (connection, message, isBinary) => connection.send(message, isBinary),
}).listen('127.0.0.1', Number(process.env.PORT), (listening) => {
  if (!listening) {
    console.error('cannot listen');
    process.exit(1);
  }
});
