import { Happenings } from "./happenings.ts";
import { type Profile, profileOf } from "./profile.ts";
import { mix, Random } from "./random.ts";
import { World } from "./world.ts";

/** Which steps of a seed's history are taken. */
export type History = readonly number[];

export function wholeHistory(steps: number): History {
  return Array.from({ length: steps }, (_, index) => index);
}

/** Lives through a history and throws at the first violation. Returns how many events the scheduler took. */
export function simulate(
  seed: number,
  history: History,
  log?: (line: string) => void,
  profile = profileOf(seed),
): number {
  const world = new World(profile);
  world.log = log;
  const happenings = new Happenings(world);
  const start = new Random(mix(seed, 1));
  for (let count = 0; count < profile.machines; count += 1) happenings.join(start);
  // Each step has chances of its own, so that leaving one out changes no other's.
  for (const step of history) happenings.next(new Random(mix(seed, step + 2)));
  happenings.settle();
  return world.events;
}

/** The seed's world with everything checked after every event. */
export function strict(seed: number): Profile {
  return { ...profileOf(seed), eventsBetweenFullChecks: 1 };
}
