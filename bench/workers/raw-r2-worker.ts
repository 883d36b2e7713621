// The physical limit of ByteStream: a Worker that does nothing but put and get.

interface RawR2Env {
  readonly BUCKET: R2Bucket;
}

export default {
  async fetch(request, { BUCKET }) {
    const key = new URL(request.url).pathname.slice(1);
    if (request.method === "PUT") {
      await BUCKET.put(key, request.body);
      return new Response(null, { status: 204 });
    }
    const object = await BUCKET.get(key);
    if (object === null) return new Response(null, { status: 404 });
    // Of another type the local runtime might compress it.
    return new Response(object.body, { headers: { "content-type": "application/octet-stream" } });
  },
} satisfies ExportedHandler<RawR2Env>;
