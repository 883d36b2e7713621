import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import {
  LeaseProgress_Phase as Phase,
  LeaseResult_Outcome as Outcome,
} from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import { runAgent } from "../../worker-agents/agent.ts";
import { AgentRefusedError } from "../../worker-agents/connection/connection.ts";
import { gate } from "./gate.ts";
import { leaseOf, shell } from "./leases.ts";
import { runAction } from "./run-action.ts";
import { SILENT, startAgent, startPeer, temporaryDirectory } from "./running-agent.ts";

describe("an agent's connection", () => {
  it("begins with a Hello that says who it is and what it offers", async () => {
    const peer = await startPeer();
    const stop = new AbortController();
    const stopped = runAgent(
      {
        endpoint: peer.endpoint,
        instanceName: "team/a b",
        name: "machine",
        version: "1.2.3",
        workDirectory: await temporaryDirectory(),
        properties: [
          { name: "cpu_count", value: "2" },
          { name: "pool", value: "one" },
          { name: "pool", value: "two" },
        ],
        maxActions: 7,
        token: () => "secret",
        logger: SILENT,
        killSignal: stop.signal,
      },
      stop.signal,
    );
    const hello = await (await peer.connection()).welcome();
    expect(hello).toMatchObject({ name: "machine", version: "1.2.3", maxActions: 7, draining: false, leaseIds: [] });
    const properties = hello.platform?.properties.map(({ name, value }) => [name, value]) ?? [];
    expect(properties.map(([name]) => name)).toEqual(["OSFamily", "Arch", "memory_kb", "cpu_count", "pool", "pool"]);
    expect(properties).toContainEqual(["cpu_count", "2"]);
    expect(peer.upgrades[0]?.url).toBe("/v1/instances/team%2Fa%20b/agent");
    expect(peer.upgrades[0]?.headers.authorization).toBe("Bearer secret");
    stop.abort();
    await stopped;
  });

  it("carries the token to the CAS, too", async () => {
    const agent = await startAgent({ token: () => "secret" });
    await runAction(agent, { inputs: { a: "1" }, command: shell("true") });
    expect([...agent.peer.cas.authorizations]).toEqual(["Bearer secret"]);
  });

  it("and the calls to the CAS have the token that is there at the time, so that one which expires can be renewed", async () => {
    let token = "first";
    const { peer, connection } = await startAgent({ token: () => token });
    connection.lease(leaseOf(peer, { inputs: { a: "content of a input" }, command: shell("true") }));
    await connection.result();
    expect([...peer.cas.authorizations]).toEqual(["Bearer first"]);
    token = "second";
    peer.cas.authorizations.clear();
    peer.refuseWith = 401;
    connection.terminate();
    await expect.poll(() => peer.upgrades.at(-1)?.headers.authorization).toBe("Bearer second");
    peer.refuseWith = undefined;
    const again = (await peer.welcomed()).connection;
    again.lease(leaseOf(peer, { inputs: { b: "content of another input" }, command: shell("true") }));
    await again.result();
    expect([...peer.cas.authorizations]).toEqual(["Bearer second"]);
  });

  it("may be lost while an action runs: the action goes on, and its result comes on the next one", async () => {
    const { peer, connection } = await startAgent();
    const { path, open } = await gate();
    const lease = leaseOf(peer, { command: shell(`cat ${path}`) });
    connection.lease(lease);
    connection.terminate();
    const { connection: second, hello } = await peer.welcomed();
    expect(hello.leaseIds).toEqual([lease.leaseId]);
    await open("went on");
    const { outcome, actionResult } = await second.result();
    expect(outcome).toBe(Outcome.COMPLETED);
    expect(peer.cas.get(actionResult?.stdoutDigest).toString()).toBe("went on");
  });

  it("is told each result again until it acknowledges it, and no longer", async () => {
    const { peer, connection } = await startAgent();
    const lease = leaseOf(peer, { command: shell("true") });
    connection.lease(lease);
    const first = await connection.result({ acknowledge: false });
    connection.terminate();
    const { connection: second, hello } = await peer.welcomed();
    expect(hello.leaseIds).toEqual([lease.leaseId]);
    expect(await second.result({ acknowledge: false })).toEqual(first);
    // A lease that is given twice is run once.
    second.lease(lease);
    expect(await second.result()).toEqual(first);
    // Messages are handled in order: when this one is answered, the acknowledgement has been seen.
    second.lease({ ...lease, leaseId: "next" });
    await second.result();
    second.terminate();
    expect((await peer.welcomed()).hello.leaseIds).not.toContain(lease.leaseId);
  });

  it("keeps the agent's id, and tells where a running lease stands", async () => {
    const { peer, connection, hello } = await startAgent();
    connection.lease(leaseOf(peer, { command: shell("sleep 300") }));
    await connection.progress(Phase.EXECUTING);
    connection.terminate();
    const second = await peer.welcomed();
    expect(second.hello.agentId).toBe(hello.agentId);
    const { metadata } = await second.connection.progress(Phase.EXECUTING);
    expect(metadata?.inputFetchCompletedTimestamp).toBeDefined();
  });

  it("names agents of its work directory that were killed, until it has told", async () => {
    const workDirectory = await temporaryDirectory();
    const agents = join(workDirectory, "agents");
    await mkdir(agents);
    for (const name of [`${process.pid}-a-b`, `${process.ppid}-c`]) await writeFile(join(agents, name), "");
    const first = await startAgent({ workDirectory });
    expect(first.hello.replacedAgentIds).toEqual(["a-b"]);
    await vi.waitFor(async () => {
      expect(await readdir(agents)).toEqual([`${process.pid}-${first.hello.agentId}`, `${process.ppid}-c`].sort());
    }, 20_000);
    first.drain();
    await first.stopped;
    expect(await readdir(agents)).toEqual([`${process.ppid}-c`]);
  });

  it("survives messages that the agent does not understand", async () => {
    const agent = await startAgent();
    agent.connection.sendRaw(Uint8Array.of(0xff, 0xff, 0xff));
    agent.connection.sendRaw(Uint8Array.of(0xfa, 0x3f, 0x00));
    agent.connection.sendRaw("what?");
    agent.connection.send({ case: "cancel", value: { leaseId: "unknown" } });
    agent.connection.send({ case: "acknowledgement", value: { leaseId: "unknown" } });
    expect(await runAction(agent, { command: shell("true") })).toMatchObject({ exitCode: 0 });
  });

  it("that no longer answers heartbeats is given up for a new one, while an answering one is kept", async () => {
    const peer = await startPeer();
    peer.heartbeatIntervalMs = 20;
    const agent = await startAgent({}, peer);
    // The command outlasts many heartbeats, and all of them are answered.
    expect(await runAction(agent, { command: shell("sleep 0.3") })).toMatchObject({ exitCode: 0 });
    expect(peer.upgrades).toHaveLength(1);
    agent.connection.answersHeartbeats = false;
    await peer.welcomed();
    expect(peer.upgrades).toHaveLength(2);
  });

  it("has its heartbeats while large outputs are made, read and stored (nativelink#1934)", async () => {
    const peer = await startPeer();
    peer.heartbeatIntervalMs = 10;
    const { connection } = await startAgent({}, peer);
    const { promise: stored, resolve: store } = Promise.withResolvers<undefined>();
    peer.cas.gate = stored;
    const script = "head -c 50000000 /dev/zero > zeros; head -c 30000000 /dev/urandom > random";
    connection.lease(leaseOf(peer, { command: shell(script, { outputPaths: ["zeros", "random"] }) }));
    await connection.progress(Phase.EXECUTING);
    const before = connection.heartbeats;
    // The outputs are digested by then, and don't get any further.
    await expect.poll(() => peer.cas.callsOf("findMissing")).toBeGreaterThan(0);
    const digested = connection.heartbeats;
    expect(digested).toBeGreaterThan(before);
    await expect.poll(() => connection.heartbeats).toBeGreaterThan(digested + 10);
    store(undefined);
    const { outcome, actionResult } = await connection.result();
    expect(outcome).toBe(Outcome.COMPLETED);
    expect(actionResult?.outputFiles.map(({ digest }) => digest?.sizeBytes).sort()).toEqual([30_000_000n, 50_000_000n]);
    expect(peer.upgrades).toHaveLength(1);
  });

  it("whose Welcome asks for the next heartbeat in an age is kept", async () => {
    const agent = await startAgent();
    agent.connection.answersHeartbeats = false;
    for (const seconds of [10n ** 11n, 315_576_000_000n]) {
      agent.connection.send({ case: "welcome", value: { heartbeatInterval: { seconds } } });
    }
    // A timer that can't wait so long would have rung hundreds of times, and the connection been given up.
    expect(await runAction(agent, { command: shell("sleep 0.3") })).toMatchObject({ exitCode: 0 });
    expect(agent.peer.upgrades).toHaveLength(1);
  });

  it("without a Welcome is given up", async () => {
    const peer = await startPeer();
    const agent = startAgent({ limits: { welcomeTimeoutMs: 30 } }, peer);
    const silent = await peer.connection();
    await silent.closed;
    await agent;
  });

  it("that the endpoint refuses at first is an error that says so, and later is tried again", async () => {
    const peer = await startPeer();
    peer.refuseWith = 403;
    const options = {
      endpoint: peer.endpoint,
      instanceName: "main",
      name: "m",
      version: "0",
      workDirectory: await temporaryDirectory(),
      logger: SILENT,
    };
    const refused = runAgent(options, new AbortController().signal);
    await expect(refused).rejects.toThrow(AgentRefusedError);
    await expect(refused).rejects.toThrow("403 not today");
    peer.refuseWith = undefined;
    const turnedAway = runAgent(options, new AbortController().signal);
    (await peer.connection()).close(4001, "agent_id is too long");
    await expect(turnedAway).rejects.toThrow("agent_id is too long");
    const { connection } = await startAgent({}, peer);
    peer.refuseWith = 503;
    connection.terminate();
    await expect.poll(() => peer.upgrades.length).toBeGreaterThan(3);
    peer.refuseWith = undefined;
    await peer.welcomed();
  });
});

describe("a draining agent", () => {
  it("lets what runs end, hands back what comes, and stops when all is acknowledged", async () => {
    const { peer, connection, drain, stopped } = await startAgent();
    const { path, open } = await gate();
    connection.lease(leaseOf(peer, { command: shell(`cat ${path}`) }));
    await connection.progress(Phase.EXECUTING);
    drain();
    await connection.drain();
    connection.lease({ ...leaseOf(peer, { command: shell("true") }), leaseId: "late" });
    const late = await connection.result();
    expect([late.leaseId, late.outcome]).toEqual(["late", Outcome.HANDED_BACK]);
    await open("finished");
    const { outcome, actionResult } = await connection.result();
    expect(outcome).toBe(Outcome.COMPLETED);
    expect(peer.cas.get(actionResult?.stdoutDigest).toString()).toBe("finished");
    await stopped;
    expect(await connection.closed).toBe(1000);
  });

  it("hands back what does not end in time, its processes gone", async () => {
    const { peer, connection, drain, stopped } = await startAgent({ drainTimeoutMs: 1 });
    connection.lease(leaseOf(peer, { command: shell("sleep 300") }));
    await connection.progress(Phase.EXECUTING);
    drain();
    const { outcome, status } = await connection.result();
    expect(outcome).toBe(Outcome.HANDED_BACK);
    expect(status?.message).toContain("did not end within 0.001 s");
    await stopped;
  });

  it("says so on a connection that comes while it drains", async () => {
    const { peer, connection, drain, stopped } = await startAgent();
    const { path, open } = await gate();
    connection.lease(leaseOf(peer, { command: shell(`cat ${path}`) }));
    await connection.progress(Phase.EXECUTING);
    drain();
    await connection.drain();
    connection.terminate();
    const { connection: second, hello } = await peer.welcomed();
    expect(hello.draining).toBe(true);
    await open("");
    expect((await second.result()).outcome).toBe(Outcome.COMPLETED);
    await stopped;
  });

  it("drains and goes on as an operator wants it", async () => {
    const { peer, connection } = await startAgent();
    connection.send({ case: "drain", value: { draining: true } });
    await connection.drain();
    connection.lease({ ...leaseOf(peer, { command: shell("true") }), leaseId: "unwanted" });
    const { outcome, status } = await connection.result();
    expect(outcome).toBe(Outcome.HANDED_BACK);
    expect(status?.message).toContain("operator");
    connection.terminate();
    const { connection: second, hello } = await peer.welcomed();
    expect(hello.draining).toBe(true);
    second.send({ case: "drain", value: { draining: false } });
    const { connection: third, hello: willing } = await peer.welcomed();
    expect(willing.draining).toBe(false);
    third.lease(leaseOf(peer, { command: shell("true") }));
    const { cache, outcome: last } = await third.result();
    expect(last).toBe(Outcome.COMPLETED);
    expect(cache).toMatchObject({ files: 0n, bytes: 0n });
    expect(cache?.maxBytes).toBeGreaterThan(0n);
  });

  it("stops at once when it is killed", async () => {
    const { peer, connection, drain, kill, stopped } = await startAgent();
    connection.lease(leaseOf(peer, { command: shell("sleep 300") }));
    await connection.progress(Phase.EXECUTING);
    drain();
    kill();
    await stopped;
  });
});
