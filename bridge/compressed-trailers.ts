import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from "node:zlib";
import { FrameError } from "./frames.ts";

type Decompress = (payload: Uint8Array, options: { readonly maxOutputLength: number }) => Uint8Array;

/** By their names in `grpc-encoding`. */
const DECOMPRESS: ReadonlyMap<string | undefined, Decompress> = new Map<string, Decompress>([
  ["br", brotliDecompressSync],
  ["deflate", inflateSync],
  ["gzip", gunzipSync],
  ["zstd", zstdDecompressSync],
]);

/**
 * The trailers of a compressed trailer frame. The bridge asks for no compression, but some gRPC-Web servers answer a
 * compressed request in kind (connect-go). Messages are passed on as they are; trailers are for the bridge to read.
 * @param encoding the response's `grpc-encoding`
 * @throws FrameError if they can't be decompressed, or are larger than that
 */
export function decompressTrailers(payload: Uint8Array, encoding: string | undefined, maxBytes: number): Uint8Array {
  const decompress = DECOMPRESS.get(encoding);
  if (decompress === undefined) {
    const named = encoding === undefined ? "the response names no grpc-encoding" : `its grpc-encoding is ${encoding}`;
    throw new FrameError(
      `the trailer frame is compressed, and ${named}; the bridge reads ${[...DECOMPRESS.keys()].join(", ")}`,
    );
  }
  try {
    return decompress(payload, { maxOutputLength: maxBytes });
  } catch (error) {
    throw new FrameError(`the trailer frame can't be decompressed (${encoding})`, { cause: error });
  }
}
