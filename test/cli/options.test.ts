import { InvalidArgumentError } from "commander";
import { describe, expect, it } from "vitest";
import {
  parseEndpoint,
  parseListenAddress,
  parsePort,
  parsePositiveInteger,
  parseWholeNumberFrom,
} from "../../cli/options.ts";

describe("an address to listen on", () => {
  it.each([
    ["50051", { host: "127.0.0.1", port: 50_051 }],
    ["0.0.0.0:50051", { host: "0.0.0.0", port: 50_051 }],
    ["build.example.com:0", { host: "build.example.com", port: 0 }],
    ["[::1]:443", { host: "::1", port: 443 }],
    ["unix:/run/remex/bridge.sock", { path: "/run/remex/bridge.sock" }],
  ])("%s", (text, address) => {
    expect(parseListenAddress(text)).toEqual(address);
  });

  it.each([
    "",
    "localhost",
    "localhost:",
    "::1:443",
    "localhost:65536",
    "localhost:1.5",
    "http://localhost:1",
    "unix:",
  ])("is not: %s", (text) => {
    expect(() => parseListenAddress(text)).toThrow(InvalidArgumentError);
  });
});

describe("a port", () => {
  it.each(["0", "1", "65535"])("%s", (text) => {
    expect(parsePort(text)).toBe(Number(text));
  });

  it.each(["-1", "65536", "1e3", "0x10", "", " 1"])("is not: %s", (text) => {
    expect(() => parsePort(text)).toThrow(InvalidArgumentError);
  });
});

describe("a number from 1", () => {
  it.each(["0", "-1", "1.5", "", "9007199254740993"])("is not: %s", (text) => {
    expect(() => parsePositiveInteger(text)).toThrow(InvalidArgumentError);
  });
});

describe("a number from a least one", () => {
  it("is that or more", () => {
    expect(["5", "6"].map(parseWholeNumberFrom(5))).toEqual([5, 6]);
    expect(() => parseWholeNumberFrom(5)("4")).toThrow("from 5");
  });
});

describe("an endpoint", () => {
  it.each(["https://remex.example.com", "http://127.0.0.1:8787/prefix"])("%s", (text) => {
    expect(parseEndpoint(text).href).toBe(new URL(text).href);
  });

  it.each(["remex.example.com", "grpc://localhost:50051", "localhost:8787", ""])("is not: %s", (text) => {
    expect(() => parseEndpoint(text)).toThrow(InvalidArgumentError);
  });
});
