import type { Logger } from "pino";
import { type Answer, askEndpoint } from "../../endpoint/ask-endpoint.ts";
import { describeError } from "../../endpoint/describe-error.ts";
import { endpointAddress } from "../../endpoint/endpoint-agent.ts";
import { describeProxy, proxyFor } from "../../endpoint/proxy-for.ts";
import { openTunnel } from "../../endpoint/tunnel.ts";
import { AgentSocket } from "../connection/agent-socket.ts";
import { agentSocketUrl } from "../connection/agent-socket-url.ts";
import type { Finding } from "./finding.ts";

const TIMEOUT_MS = 10_000;

/** A clock that is off by more makes tokens expire too early or not at all, and times of actions meaningless. */
const MAX_SKEW_MS = 30_000;

/** Has the proxy that the environment names for the endpoint, if it names one, lead there. */
export async function checkProxy(endpoint: URL, environment: NodeJS.ProcessEnv): Promise<Finding> {
  const about = "proxy";
  try {
    const proxy = proxyFor(endpoint, environment);
    if (proxy === undefined) return { about, state: "well", text: `none is used for ${endpoint.host}` };
    const { host, port } = endpointAddress(endpoint);
    (await openTunnel(proxy, host, port)).destroy();
    return { about, state: "well", text: `${describeProxy(proxy)} leads to ${endpoint.host}` };
  } catch (error) {
    return { about, state: "broken", text: describeError(error) };
  }
}

/** Calls the Worker, and compares its clock to this machine's. */
export async function checkEndpoint(endpoint: URL): Promise<readonly Finding[]> {
  const url = new URL(`${endpoint.href.replace(/\/$/, "")}/healthz`);
  const askedAtMs = Date.now();
  let answer: Answer;
  try {
    answer = await askEndpoint(url, { timeoutMs: TIMEOUT_MS });
  } catch (error) {
    const text = `${url.href} can't be reached: ${describeError(error)}. Check --endpoint, the name server and the firewall`;
    return [{ about: "endpoint", state: "broken", text }];
  }
  const { headers, status } = answer;
  const reached: Finding =
    status === 200
      ? { about: "endpoint", state: "well", text: `${endpoint.href} answers` }
      : { about: "endpoint", state: "broken", text: `${url.href} answers ${status}: is it a Remex Worker?` };
  return [reached, checkClock(headers.date, (askedAtMs + Date.now()) / 2)];
}

/** @param date of an answer, to the second, as HTTP has it */
export function checkClock(date: string | undefined, nowMs: number): Finding {
  const about = "clock";
  const theirsMs = date === undefined ? NaN : Date.parse(date);
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
