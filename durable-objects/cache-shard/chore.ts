/** Something that a shard does by itself, when its alarm says so, in steps that are short. */
export interface Chore {
  /** For the log. */
  readonly name: string;

  /** When there will be something to do, in milliseconds since the epoch: 0 is now, Infinity is never. */
  dueMs(): number;

  /** Does a part of it. If it throws, the chore rests for a while. Being killed at any line loses nothing. */
  step(nowMs: number): Promise<void> | void;
}
