import type { PlatformProperty, PlatformRules } from "../../../../durable-objects/scheduler/platform.ts";

export const RULES: PlatformRules = {
  kinds: new Map([
    ["os", "exact"],
    ["image", "exact"],
    ["cpu", "minimum"],
    ["memory", "minimum"],
    ["pool", "priority"],
    ["note", "ignore"],
  ]),
  unlisted: "exact",
};

/*
 * What a property means, written once more in the simplest way, so that the simulation doesn't judge the scheduler by the
 * scheduler's own code.
 */

export function canServe(wanted: readonly PlatformProperty[], offered: readonly PlatformProperty[]): boolean {
  return wanted.every(({ name, value }) => {
    const same = offered.filter((property) => property.name === name);
    switch (name) {
      case "cpu":
      case "memory":
        return Number(value) <= Math.max(0, ...same.map((property) => Number(property.value)));
      case "pool":
        return same.length > 0;
      case "note":
        return true;
      default:
        return same.some((property) => property.value === value);
    }
  });
}

/** How much of a minimum property is asked for, or offered, in thousandths. */
export function amountMilli(properties: readonly PlatformProperty[], name: "cpu" | "memory"): number {
  let most = 0;
  for (const property of properties) {
    if (property.name === name) most = Math.max(most, Math.round(Number(property.value) * 1000));
  }
  return most;
}

/** How much of each minimum property there is in all, in thousandths. */
export function capacityOf(offered: readonly PlatformProperty[]): { readonly cpu: number; readonly memory: number } {
  return { cpu: amountMilli(offered, "cpu"), memory: amountMilli(offered, "memory") };
}
