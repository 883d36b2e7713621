// The process that starts the commands: see runner.ts. Its only tie to the agent is the channel that it was forked with.

import { commandFailure, isToRunner, type CommandFailure, type FromRunner } from "./messages.ts";
import { RunningCommand } from "./run-command.ts";

const running = new Map<number, RunningCommand>();

function send(message: FromRunner): void {
  running.delete(message.id);
  // The agent has gone when this fails; `disconnect` ends the process.
  process.send?.(message, undefined, {}, () => undefined);
}

process.on("message", (message: unknown) => {
  if (!isToRunner(message)) return;
  const { id } = message;
  if (message.type === "kill") {
    running.get(id)?.kill();
    return;
  }
  const fail = (failure: CommandFailure): void => {
    send({ type: "failed", id, ...failure });
  };
  try {
    const command = new RunningCommand(message.command, {
      onEnd: (end) => {
        send({ type: "ended", id, end });
      },
      onFailure: fail,
    });
    running.set(id, command);
  } catch (error) {
    fail(commandFailure(error));
  }
});

// However the agent went, nothing that it started stays.
process.on("disconnect", () => {
  for (const command of running.values()) command.kill();
  process.exit();
});

// A signal to the agent's whole process group or service is for the agent to act on: it may have commands to finish.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
