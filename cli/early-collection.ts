import { setFlagsFromString } from "node:v8";

/** In MiB. With 2, V8 13.6 collects the young generation for every 8 MiB of buffers. */
const CAPACITY_MIB = 2;

/** V8 knows the flag from then on; an older one would only complain on stderr. */
const FIRST_V8 = 13;

/**
 * Has V8 collect buffers early, in a process that passes many bytes on. Each read of a socket makes a buffer, which lies
 * outside of V8's heap and is of no use a moment later. Left to itself V8 collects its young generation so seldom that
 * buffers come to the 64 MiB first above which it collects the whole heap: several times a second, at half of the CPU time
 * of a bridge that carries large blobs.
 */
export function collectBuffersEarly(): void {
  if (Number.parseInt(process.versions.v8) < FIRST_V8) return;
  setFlagsFromString(`--scavenger-max-new-space-capacity-mb=${CAPACITY_MIB}`);
}
