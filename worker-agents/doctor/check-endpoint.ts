import type { Logger } from "pino";
import { AgentSocket } from "../connection/agent-socket.ts";
import { agentSocketUrl } from "../connection/agent-socket-url.ts";
import { errorMessage } from "../system-error.ts";
import type { Finding } from "./finding.ts";

const TIMEOUT_MS = 10_000;

/** A clock that is off by more makes tokens expire too early or not at all, and times of actions meaningless. */
const MAX_SKEW_MS = 30_000;

/** Calls the Worker, and compares its clock to this machine's. */
export async function checkEndpoint(endpoint: URL): Promise<readonly Finding[]> {
  const url = `${endpoint.href.replace(/\/$/, "")}/healthz`;
  const askedAtMs = Date.now();
  let response: Response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    await response.body?.cancel();
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? errorMessage(error.cause) : errorMessage(error);
    const text = `${url} can't be reached: ${cause}. Check --endpoint, the name server and the firewall`;
    return [{ about: "endpoint", state: "broken", text }];
  }
  const reached: Finding = response.ok
    ? { about: "endpoint", state: "well", text: `${endpoint.href} answers` }
    : { about: "endpoint", state: "broken", text: `${url} answers ${response.status}: is it a Remex Worker?` };
  return [reached, checkClock(response.headers.get("date"), (askedAtMs + Date.now()) / 2)];
}

/** @param date of an answer, to the second, as HTTP has it */
export function checkClock(date: string | null, nowMs: number): Finding {
  const about = "clock";
  const theirsMs = date === null ? NaN : Date.parse(date);
  if (Number.isNaN(theirsMs)) return { about, state: "doubtful", text: "the endpoint does not say what time it is" };
  const skewMs = nowMs - theirsMs;
  const seconds = Math.abs(Math.round(skewMs / 1000));
  if (Math.abs(skewMs) <= MAX_SKEW_MS) return { about, state: "well", text: `within ${seconds} s of the endpoint's` };
  const text = `${seconds} s ${skewMs > 0 ? "ahead of" : "behind"} the endpoint's: set it, by NTP if possible`;
  return { about, state: "broken", text };
}

/** Opens an agent's socket, as far as the endpoint lets it, and says nothing on it. */
export async function checkAccess(
  endpoint: URL,
  instanceName: string,
  token: string | undefined,
  logger: Logger,
): Promise<Finding> {
  const about = "access";
  const opened = { yes: false };
  const socket: AgentSocket = new AgentSocket(
    { url: agentSocketUrl(endpoint, instanceName, 0), token, handshakeTimeoutMs: TIMEOUT_MS, logger },
    {
      onOpen: () => {
        opened.yes = true;
        socket.close();
      },
      onMessage: () => undefined,
    },
  );
  const { reason, httpStatus } = await socket.ended;
  const who = token === undefined ? "an agent without a token" : "this token";
  if (opened.yes) return { about, state: "well", text: `instance "${instanceName}" takes ${who}` };
  switch (httpStatus) {
    case 401:
      return { about, state: "broken", text: `${who} is not accepted: ${reason}. Give another with --token-file` };
    case 403:
      return { about, state: "broken", text: `${who} may not be an agent of "${instanceName}": ${reason}` };
    default:
      return { about, state: "broken", text: `no agent's socket can be opened: ${reason}` };
  }
}
