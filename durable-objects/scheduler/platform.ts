/** How a platform property of an action is held against what an agent offers. */
export type PropertyKind = "exact" | "minimum" | "priority" | "ignore";

export interface PlatformRules {
  readonly kinds: ReadonlyMap<string, PropertyKind>;
  /** What becomes of a property that `kinds` doesn't list. */
  readonly unlisted: "exact" | "ignore" | "reject";
}

/** The properties of which running actions use up what an agent has. */
export function minimumNames({ kinds }: PlatformRules): string[] {
  return [...kinds].flatMap(([name, kind]) => (kind === "minimum" ? [name] : []));
}

/** A platform property, as in REAPI's Platform.Property. A name may come several times with different values. */
export interface PlatformProperty {
  readonly name: string;
  readonly value: string;
}

/** What an action asks of an agent, in canonical form: equal requirements have equal keys. */
export interface Requirement {
  readonly key: string;
  /** The agent must have each of these very values. */
  readonly exact: readonly PlatformProperty[];
  /** The agent must have each of these properties, with whatever value. */
  readonly present: readonly string[];
  /** The agent must have so many thousandths free, and they are used up while the action runs. */
  readonly minimum: readonly { readonly name: string; readonly amountMilli: number }[];
}

/** What an agent offers. */
export interface Offer {
  readonly values: ReadonlyMap<string, ReadonlySet<string>>;
  /** Of the properties that are declared `minimum`: how many thousandths there are in all (integers add up exactly). */
  readonly capacityMilli: ReadonlyMap<string, number>;
}

/** A property that the rules don't allow. The message names it; clients get INVALID_ARGUMENT. */
export class PropertyError extends Error {
  override readonly name = "PropertyError";
}

/**
 * The requirement that an action's properties make under `rules`.
 * @throws PropertyError for a `minimum` that is no number, and for an unlisted property where those are rejected.
 */
export function requirementOf(properties: readonly PlatformProperty[], rules: PlatformRules): Requirement {
  const exact = new Map<string, PlatformProperty>();
  const present = new Set<string>();
  const minimum = new Map<string, number>();
  for (const { name, value } of properties) {
    switch (kindOf(name, rules)) {
      case "exact":
        exact.set(JSON.stringify([name, value]), { name, value });
        break;
      case "priority":
        present.add(name);
        break;
      case "minimum": {
        const amountMilli = milliOf(value);
        if (amountMilli === undefined) {
          throw new PropertyError(
            `platform property "${name}" is declared as a minimum, and its value "${value}" is not a number from 0 to 10^12 with at ` +
              `most three decimals`,
          );
        }
        minimum.set(name, Math.max(amountMilli, minimum.get(name) ?? 0));
        break;
      }
      case "ignore":
        break;
    }
  }
  const sorted = {
    exact: [...exact.entries()].sort(byFirst).map(([, property]) => property),
    present: [...present].sort(),
    minimum: [...minimum.entries()].sort(byFirst).map(([name, amountMilli]) => ({ name, amountMilli })),
  };
  return { key: JSON.stringify(sorted), ...sorted };
}

/** What an agent's properties offer under `rules`. A `minimum` that is no number offers nothing: agents aren't trusted. */
export function offerOf(properties: readonly PlatformProperty[], rules: PlatformRules): Offer {
  const values = new Map<string, Set<string>>();
  const amounts: PlatformProperty[] = [];
  for (const { name, value } of properties) {
    if (rules.kinds.get(name) === "minimum") {
      amounts.push({ name, value });
    } else {
      const known = values.get(name);
      if (known === undefined) values.set(name, new Set([value]));
      else known.add(value);
    }
  }
  return { values, capacityMilli: amountsOf(amounts) };
}

/** Amounts of minimum properties, in thousandths; those that are no numbers are left out. */
export function amountsOf(properties: readonly PlatformProperty[]): Map<string, number> {
  const amounts = new Map<string, number>();
  for (const { name, value } of properties) {
    const amountMilli = milliOf(value);
    if (amountMilli !== undefined) amounts.set(name, Math.max(amountMilli, amounts.get(name) ?? 0));
  }
  return amounts;
}

/** Whether an agent with `offer` could run such an action when nothing else runs there. */
export function matches(requirement: Requirement, offer: Offer): boolean {
  return unmetProperty(requirement, offer) === undefined;
}

/** Whether what is free now is enough. */
export function fits(requirement: Requirement, freeMilli: ReadonlyMap<string, number>): boolean {
  for (const { name, amountMilli } of requirement.minimum) {
    if ((freeMilli.get(name) ?? 0) < amountMilli) return false;
  }
  return true;
}

/**
 * Why no agent matches, in words that name the property: the first property that nobody offers or, where each property
 * is offered by somebody, that nobody offers all of them together.
 */
export function describeMismatch(requirement: Requirement, offers: readonly Offer[]): string {
  if (offers.length === 0) return "no agent is connected";
  const parts: Requirement[] = [
    ...requirement.exact.map((property) => partial({ exact: [property] })),
    ...requirement.present.map((name) => partial({ present: [name] })),
    ...requirement.minimum.map((least) => partial({ minimum: [least] })),
  ];
  for (const part of parts) {
    if (offers.some((offer) => matches(part, offer))) continue;
    const [exact] = part.exact;
    if (exact !== undefined) return `no connected agent has the platform property ${exact.name}=${exact.value}`;
    const [name] = part.present;
    if (name !== undefined) return `no connected agent has the platform property ${name}`;
    const [least] = part.minimum;
    if (least !== undefined) return `no connected agent has ${least.name} of at least ${least.amountMilli / 1000}`;
  }
  return `no connected agent has all of ${parts.map(describePart).join(", ")} together`;
}

function partial(part: Partial<Omit<Requirement, "key">>): Requirement {
  return { key: "", exact: [], present: [], minimum: [], ...part };
}

function describePart({ exact, present, minimum }: Requirement): string {
  return [
    ...exact.map(({ name, value }) => `${name}=${value}`),
    ...present,
    ...minimum.map(({ name, amountMilli }) => `${name}≥${amountMilli / 1000}`),
  ].join(", ");
}

function unmetProperty(requirement: Requirement, offer: Offer): string | undefined {
  for (const { name, value } of requirement.exact) {
    if (!offer.values.get(name)?.has(value)) return name;
  }
  for (const name of requirement.present) {
    if (!offer.values.has(name)) return name;
  }
  return requirement.minimum.find(({ name, amountMilli }) => (offer.capacityMilli.get(name) ?? 0) < amountMilli)?.name;
}

function kindOf(name: string, rules: PlatformRules): PropertyKind {
  const kind = rules.kinds.get(name);
  if (kind !== undefined) return kind;
  if (rules.unlisted !== "reject") return rules.unlisted;
  throw new PropertyError(
    `platform property "${name}" is not accepted here; accepted: ${[...rules.kinds.keys()].join(", ") || "none"}`,
  );
}

function milliOf(value: string): number | undefined {
  return /^\d{1,12}(\.\d{1,3})?$/.test(value) ? Math.round(Number(value) * 1000) : undefined;
}

function byFirst(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0;
}
