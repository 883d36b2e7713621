/** The oldest Node that has all that Remex uses: zstd in node:zlib and node:sqlite without a flag. */
const OLDEST = { major: 22, minor: 15 };

/** What to say if `version` (as in `process.versions.node`) is too old, else undefined. */
export function whyNodeIsTooOld(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > OLDEST.major || (major === OLDEST.major && minor >= OLDEST.minor)) return undefined;
  return (
    `remex needs Node ${OLDEST.major}.${OLDEST.minor} or later, and this is ${version}; ` +
    "after `npm ci`, `npm start` and `npx remex` use the Node that comes with this package"
  );
}
