// The process that starts the commands: see runner.ts. Its only tie to the agent is the channel that it was forked with.

import { commandFailure, isToRunner, type CommandFailure, type CommandRun, type FromRunner } from "./messages.ts";
import { parseControlGroups, type ControlGroups } from "./control-groups.ts";
import { RunningCommand } from "./run-command.ts";

/** Where its argument says, commands have control groups. */
const groups: ControlGroups | undefined =
  process.argv[2] === undefined ? undefined : parseControlGroups(process.argv[2]);

const running = new Map<number, RunningCommand>();

function send(message: FromRunner): void {
  // The agent has gone when this fails; `disconnect` ends the process.
  process.send?.(message, undefined, {}, () => undefined);
}

process.on("message", (message: unknown) => {
  if (!isToRunner(message)) return;
  const { id } = message;
  switch (message.type) {
    case "run":
      run(id, message.command);
      break;
    case "input":
      running.get(id)?.write(Buffer.from(message.base64, "base64"));
      break;
    case "kill":
      void running.get(id)?.kill();
  }
});

function run(id: number, given: CommandRun): void {
  const fail = (failure: CommandFailure): void => {
    running.delete(id);
    send({ type: "failed", id, ...failure });
  };
  try {
    const command = new RunningCommand(given, groups, {
      onOutput: (bytes) => {
        send({ type: "output", id, base64: bytes.toString("base64") });
      },
      onEnd: (end) => {
        running.delete(id);
        send({ type: "ended", id, end });
      },
      onFailure: fail,
    });
    running.set(id, command);
  } catch (error) {
    fail(commandFailure(error));
  }
}

/** How long what kills commands may take, where this process does not do it itself. */
const KILL_TIMEOUT_MS = 10_000;

// However the agent went, nothing that it started stays.
process.on("disconnect", () => {
  setTimeout(() => process.exit(), KILL_TIMEOUT_MS);
  void Promise.all([...running.values()].map((command) => command.kill())).then(() => process.exit());
});

// A signal to the agent's whole process group or service is for the agent to act on: it may have commands to finish.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"] as const) process.on(signal, () => undefined);
