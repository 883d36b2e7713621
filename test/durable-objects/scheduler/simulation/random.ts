/** A seeded generator of numbers: equal seeds give equal sequences, on every machine. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 to 1, 1 excluded. */
  next(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    return scramble(this.#state) / 2 ** 32;
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  pick<T>(items: readonly T[]): T | undefined {
    return items[Math.floor(this.next() * items.length)];
  }

  /** One of the keys, each as likely as its weight says. */
  weighted<Key extends string>(weights: readonly (readonly [Key, number])[]): Key | undefined {
    let left = this.next() * weights.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [key, weight] of weights) {
      left -= weight;
      if (left < 0) return key;
    }
    return undefined;
  }
}

/** A seed made of two. */
export function mix(a: number, b: number): number {
  return scramble((scramble(a >>> 0) + Math.imul(b, 0x9e3779b9)) >>> 0);
}

function scramble(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x21f0aaad);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
