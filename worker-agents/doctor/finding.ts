/** What a check of a build machine found. `broken`: an agent can't do its work here. `doubtful`: it can, but look at it. */
export interface Finding {
  readonly state: "well" | "doubtful" | "broken";
  /** What was looked at, in a word or two. */
  readonly about: string;
  /** What was found and, unless all is well, what to do. */
  readonly text: string;
}
