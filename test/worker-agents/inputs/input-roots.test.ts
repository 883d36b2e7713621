import { expect, it } from "vitest";
import { digestToWire } from "../../../src/digest/digest.ts";
import { DirectoryCache } from "../../../worker-agents/inputs/directory-cache.ts";
import { FileCache } from "../../../worker-agents/inputs/file-cache.ts";
import { InputRoots } from "../../../worker-agents/inputs/input-roots.ts";
import { WorkDirectory } from "../../../worker-agents/work-directory.ts";
import { sha256 } from "../cas-server.ts";
import { putTree } from "../input-tree.ts";
import { shell } from "../leases.ts";
import { runAction } from "../run-action.ts";
import { SILENT, startAgent, temporaryDirectory } from "../running-agent.ts";

const command = shell("true");

it("an agent that comes back names the input roots that it has whole, most recently used first", async () => {
  const agent = await startAgent();
  const { peer, connection } = agent;
  expect(agent.hello.cachedInputRoots).toEqual([]);
  const [first, second] = [{ "a/b": "1" }, { "a/b": "1", c: "2" }].map((inputs) => putTree(peer.cas, inputs).root);
  for (const inputRoot of [first, second, first]) await runAction(agent, { command, ...(inputRoot && { inputRoot }) });
  await runAction(agent, { command, inputs: {} });
  connection.terminate();
  const { hello } = await peer.welcomed();
  expect(hello.cachedInputRoots).toEqual([first, second].map((root) => root && digestToWire(root)));
});

it("an input root of which a file has gone is not named", async () => {
  const agent = await startAgent({ cacheMaxBytes: 30 });
  const { peer } = agent;
  const inputs = [{ x: "a".repeat(20) }, { x: "b".repeat(20) }];
  for (const each of inputs) await runAction(agent, { command, inputs: each });
  agent.connection.terminate();
  const { hello } = await peer.welcomed();
  expect(hello.cachedInputRoots).toEqual(inputs.slice(1).map((each) => digestToWire(putTree(peer.cas, each).root)));
});

it("no more than 256 input roots are named", async () => {
  const work = await WorkDirectory.open(await temporaryDirectory(), SILENT);
  const directories = new DirectoryCache(1_000);
  const roots = new InputRoots(directories, await FileCache.open({ work, maxBytes: 0, logger: SILENT }));
  const all = Array.from({ length: 258 }, (_, index) => sha256(`${index}`));
  for (const root of all) {
    directories.add(root, { files: [], directories: [], symlinks: [] });
    roots.use(root);
  }
  expect(roots.whole()).toEqual(all.slice(2).reverse());
});
