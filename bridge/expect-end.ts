import { finished, type Readable } from "node:stream";

/** How long an endpoint has to end a response once it has said all that there is to say. */
const END_MS = 1000;

/**
 * A response that says no more is still waited for to end, so that its connection can carry another call, but not for ever.
 * @param onLate is called where it doesn't end
 */
export function expectEnd(body: Readable, onLate: () => void): void {
  const timer = setTimeout(onLate, END_MS);
  finished(body, { writable: false }, () => {
    clearTimeout(timer);
  });
}
