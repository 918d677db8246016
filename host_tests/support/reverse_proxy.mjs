// A reverse proxy for WebSocket, http-proxy, in front of a server on loopback:
//
//     node reverse_proxy.mjs MODULES TARGET
//
// prints the port that it listens on. Only /nats leads to the server, and only with `X-Key: open`.

import { createServer } from "node:http";
import { createRequire } from "node:module";

const [modules, target] = process.argv.slice(2);
const proxy = createRequire(modules + "/")("http-proxy").createProxyServer({ target, ws: true });
const server = createServer((request, response) => response.writeHead(200).end("hello"));

function refuse(socket, status) {
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`);
}
proxy.on("error", (error, request, socket) => refuse(socket, "502 Bad Gateway"));
server.on("upgrade", (request, socket, head) => {
    socket.on("error", () => socket.destroy());
    const { pathname } = new URL(request.url, "http://x");
    if (pathname !== "/nats") refuse(socket, "404 Not Found");
    else if (request.headers["x-key"] !== "open") refuse(socket, "401 Unauthorized");
    else proxy.ws(request, socket, head);
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
