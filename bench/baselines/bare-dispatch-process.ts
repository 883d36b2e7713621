// Runs a command each time that a socket says so, and answers with its exit code. Prints "ready" once it is connected.
// Usage: node bare-dispatch.js URL COMMAND
import { spawn } from "node:child_process";
import { WebSocket } from "ws";

const [url = "", command = ""] = process.argv.slice(2);

const socket = new WebSocket(url);
socket.on("open", () => {
  console.log("ready");
});
socket.on("message", (id: Buffer) => {
  const child = spawn(command, [], { env: {}, stdio: "ignore" });
  child.on("close", (exitCode) => {
    socket.send(`${id.toString()} ${String(exitCode)}`);
  });
});
socket.on("close", () => {
  process.exit();
});
