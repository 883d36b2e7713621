import { mayOn } from "../../access/caller.ts";
import { Code, ConnectError } from "@connectrpc/connect";
import { type AgentView, instanceAgents, requestDrain } from "../known-executions.ts";
import { type PageContext, renderPage, visitInstance, visitorName } from "../page.tsx";
import { countText, durationText, numberText, sizeText } from "../parts/text.ts";
import { agentsPath, operationPath } from "../paths.ts";

/** How many of an agent's actions are linked. */
const LINKED = 8;

/** `/ui/{instance}/agents`: who works for an instance, and how busy each is. */
export async function agentsPage(c: PageContext<"/ui/:instance/agents">): Promise<Response> {
  const { caller, config } = await visitInstance(c, c.req.param("instance"), "see-operations");
  const agents = await instanceAgents(c.env, config);
  const mayDrain = mayOn(caller, config.name, "operate");
  const nowMs = Date.now();
  return renderPage(
    c,
    { title: "Agents", instanceName: config.name, current: "agents", visitorName: visitorName(caller) },
    <>
      <h1>Agents</h1>
      <div id="agents" data-refresh="3">
        {agents.length === 0 ? (
          <p class="none">
            No agent is connected. One joins with <code>remex agent --instance {config.name} …</code>: see docs/agents.
          </p>
        ) : (
          <ul class="cards wide-cards">
            {agents.map((agent) => (
              <Agent agent={agent} instanceName={config.name} mayDrain={mayDrain} nowMs={nowMs} />
            ))}
          </ul>
        )}
      </div>
      {agents.length > 0 && !mayDrain && <p class="quiet">To drain an agent takes the role operator.</p>}
    </>,
  );
}

/** `POST /ui/{instance}/agents/drain` */
export async function drainAction(c: PageContext<"/ui/:instance/agents/drain">): Promise<Response> {
  const { config } = await visitInstance(c, c.req.param("instance"), "operate");
  const { agent, draining } = await c.req.parseBody();
  const isReached = typeof agent === "string" && (await requestDrain(c.env, config, agent, draining === "true"));
  if (!isReached) throw new ConnectError("the agent is not connected any more", Code.NotFound);
  return c.redirect(agentsPath(config.name), 303);
}

interface AgentProps {
  readonly agent: AgentView;
  readonly instanceName: string;
  readonly mayDrain: boolean;
  readonly nowMs: number;
}

function Agent({ agent, instanceName, mayDrain, nowMs }: AgentProps) {
  const { cache, connected, draining, id, lastHeardMs, leases, maxActions, name, running, version } = agent;
  const heardMs = nowMs - lastHeardMs;
  return (
    <li class="card agent">
      <header>
        <h2>{name}</h2>
        <span class={`state ${connected ? (draining ? "state-cancelled" : "state-succeeded") : "state-refused"}`}>
          {connected ? (draining ? "draining" : "connected") : `gone for ${durationText(heardMs)}`}
        </span>
        {mayDrain && connected && (
          <form method="post" action={`${agentsPath(instanceName)}/drain`}>
            <input type="hidden" name="agent" value={id} />
            <button
              name="draining"
              value={draining ? "false" : "true"}
              aria-label={`${draining ? "Resume" : "Drain"} ${name}`}
            >
              {draining ? "Resume" : "Drain"}
            </button>
          </form>
        )}
      </header>
      <Load label="Actions" used={leases} of={maxActions} />
      {agent.resources.map((resource) => (
        <Load
          label={resource.name}
          used={(resource.capacityMilli - resource.freeMilli) / 1000}
          of={resource.capacityMilli / 1000}
        />
      ))}
      {cache !== undefined && <Load label="Cache" used={cache.bytes} of={cache.maxBytes} text={sizeText} />}
      {running.length > 0 && (
        <p class="running">
          Runs{" "}
          {running.slice(0, LINKED).map((operation, index) => (
            <>
              {index > 0 && ", "}
              <a class="id" href={operationPath(operation)}>
                {operation.id.slice(0, 8)}
              </a>
            </>
          ))}
          {running.length > LINKED && ` and ${running.length - LINKED} more`}
        </p>
      )}
      <p class="quiet">
        {version !== "" && `Version ${version} · `}
        {`heard ${heardMs < 1000 ? "now" : `${durationText(heardMs)} ago`}`}
        {cache !== undefined && ` · ${countText(cache.files, "file")} in its cache`}
      </p>
      <ul class="tags">
        {agent.properties.map((property) => (
          <li>
            {property.name}={property.value}
          </li>
        ))}
      </ul>
    </li>
  );
}

interface LoadProps {
  readonly label: string;
  readonly used: number;
  /** Undefined for as much as there is. */
  readonly of: number | undefined;
  readonly text?: (amount: number) => string;
}

/** How much of something is in use, in numbers and as a bar. */
function Load({ label, of, text = numberText, used }: LoadProps) {
  const share = of === undefined || of === 0 ? 0 : Math.min(used / of, 1);
  return (
    <div class="load">
      <span>{label}</span>
      <span class="number">
        {text(used)}
        {of === undefined ? "" : ` of ${text(of)}`}
      </span>
      <svg class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">
        <rect class="track-full" x="0" y="3" width="1000" height="4" />
        <rect class="load-used" x="0" y="3" width={(share * 1000).toFixed(0)} height="4" />
      </svg>
    </div>
  );
}
