/** The configuration of the Remex that the bench starts: the defaults, but for what is said here. */
export function benchConfig(instanceName: string, retainCompletedForSeconds: number): string {
  return JSON.stringify({
    stores: { STORE: {} },
    schedulers: {
      SCHEDULER: {
        // Completed operations are deleted while the bench still counts, so that their rows are on the bill.
        retain_completed_for_s: retainCompletedForSeconds,
      },
    },
    services: { execution: [{ instance_name: instanceName, scheduler: "SCHEDULER", cas_store: "STORE" }] },
  });
}
