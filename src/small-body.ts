import { bodyLimit } from "hono/body-limit";

/** What a form or JSON may have. */
export const MAX_BODY_BYTES = 64 << 10;

/** For forms and JSON, which are read whole, some of them before anybody has said who they are: 413 for what is larger. */
export const smallBody = bodyLimit({
  maxSize: MAX_BODY_BYTES,
  onError: (c) => c.text(`at most ${MAX_BODY_BYTES} bytes are read here\n`, 413),
});
