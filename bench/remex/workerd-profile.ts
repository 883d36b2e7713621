import { writeFile } from "node:fs/promises";
import { z } from "zod";
import { Inspector } from "./inspector.ts";

/**
 * Begins a CPU profile of a Worker in workerd by its inspector.
 * @param inspectorUrl that of the Worker, `ws://host:port/{name}`
 * @returns what ends it and writes it to `path`, in the form that --cpu-prof writes too
 */
export async function profileWorkerd(inspectorUrl: URL, path: string): Promise<() => Promise<void>> {
  const inspector = await Inspector.connect(inspectorUrl);
  await inspector.call("Profiler.enable", {}, z.unknown());
  await inspector.call("Profiler.setSamplingInterval", { interval: 1000 }, z.unknown());
  await inspector.call("Profiler.start", {}, z.unknown());
  return async () => {
    const { profile } = await inspector.call("Profiler.stop", {}, z.object({ profile: z.unknown() }));
    await writeFile(path, JSON.stringify(profile));
    inspector.close();
  };
}
