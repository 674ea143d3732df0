#!/usr/bin/env bash
# Prints a NODE_PATH under which Node finds socket.io, which npm installs under target/ if nobody has.
set -euo pipefail
cd "$(dirname "$0")/.."
place=$PWD/target/node
if ! NODE_PATH=$place/node_modules node -e 'require.resolve("socket.io")' 2>/dev/null; then
    npm install --silent --no-audit --no-fund --prefix "$place" socket.io@4.8.4 >&2
fi
NODE_PATH=$place/node_modules node -p '"socket.io " + require("socket.io/package.json").version' >&2
echo "$place/node_modules"
