import { expect, test } from "vitest";
import { isGrpc, isGrpcWeb, toGrpcResponse, toGrpcWebRequest } from "../../bridge/metadata.ts";

test("content types", () => {
  const types = [
    "application/grpc",
    "application/grpc+proto",
    "application/grpc; charset=utf-8",
    "application/grpc-web",
  ];
  expect(types.map((type) => [isGrpc(type), isGrpcWeb(type)])).toEqual([
    [true, false],
    [true, false],
    [true, false],
    [false, true],
  ]);
  expect([undefined, "", "text/html", "application/grpcx"].map(isGrpc)).toEqual([false, false, false, false]);
});

test("a request keeps its metadata and loses what is about HTTP/2 and the body", () => {
  expect(
    toGrpcWebRequest({
      ":method": "POST",
      ":path": "/a.B/C",
      ":authority": "localhost",
      "content-type": "application/grpc+json",
      te: "trailers",
      host: "localhost",
      "grpc-accept-encoding": "gzip",
      "grpc-encoding": "gzip",
      "user-agent": "bazel",
      authorization: "Bearer x",
    }),
  ).toEqual({
    "content-type": "application/grpc-web+json",
    "accept-encoding": "identity",
    "x-grpc-web": "1",
    "grpc-encoding": "gzip",
    "user-agent": "bazel",
    authorization: "Bearer x",
  });
});

test("a response keeps its metadata and loses what HTTP/2 forbids", () => {
  expect(
    toGrpcResponse({
      "content-type": "application/grpc-web+proto",
      "transfer-encoding": "chunked",
      connection: "keep-alive",
      "keep-alive": "timeout=5",
      "content-length": "3",
      "cf-ray": "1",
    }),
  ).toEqual({ "content-type": "application/grpc+proto", "cf-ray": "1" });
});
