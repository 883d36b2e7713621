import type { Place } from "../config/schema.ts";
import type { ObjectNamespace } from "./call-object.ts";

/** What is needed of a DurableObjectNamespace whose objects have places. */
export interface PlaceableObjects<Id, Stub> {
  idFromName(name: string): Id;
  get(id: Id, options?: { locationHint?: NonNullable<Place["location_hint"]> }): Stub;
  jurisdiction(jurisdiction: NonNullable<Place["jurisdiction"]>): PlaceableObjects<Id, Stub>;
}

/**
 * The objects of a namespace that are at `place`. The same name in another jurisdiction is another object; the hint counts
 * only when an object is made, by the first call to it.
 */
export function placedObjects<Id, Stub>(
  env: { readonly REMEX_ONE_PLACE?: string },
  namespace: PlaceableObjects<Id, Stub>,
  { jurisdiction, location_hint: locationHint }: Place,
): ObjectNamespace<Id, Stub> {
  if (env.REMEX_ONE_PLACE !== undefined) return namespace;
  const objects = jurisdiction === undefined ? namespace : namespace.jurisdiction(jurisdiction);
  if (locationHint === undefined) return objects;
  return {
    idFromName: (name) => objects.idFromName(name),
    get: (id) => objects.get(id, { locationHint }),
  };
}
