import { expect, test } from "vitest";
import { type Caller, mayOn } from "../../../src/access/caller.ts";
import { allows, type Right, type Role, ROLES, rolesWith } from "../../../src/access/roles.ts";

const RIGHTS: readonly Right[] = [
  "ask-capabilities",
  "read-blobs",
  "write-blobs",
  "read-action-results",
  "write-action-results",
  "execute",
  "see-operations",
  "be-agent",
  "operate",
];

function rightsOf(role: Role): Right[] {
  return RIGHTS.filter((right) => allows([role], right));
}

test("only a cache-writer writes action results: what was executed is cached by the system", () => {
  expect(rolesWith("write-action-results")).toEqual(["cache-writer"]);
});

test("an agent can do nothing but be one, and read and write blobs", () => {
  expect(rightsOf("agent")).toEqual(["ask-capabilities", "read-blobs", "write-blobs", "be-agent"]);
  expect(rolesWith("be-agent")).toEqual(["agent"]);
});

test("a cache-reader changes nothing", () => {
  expect(rightsOf("cache-reader")).toEqual(["ask-capabilities", "read-blobs", "read-action-results"]);
});

test("every right is somebody's, and no roles are no rights", () => {
  for (const right of RIGHTS) {
    expect(ROLES).toEqual(expect.arrayContaining(rolesWith(right)));
    expect(rolesWith(right)).not.toEqual([]);
    expect(allows([], right)).toBe(false);
  }
});

test("roles are of an instance, or of all", () => {
  const grants: Caller["grants"] = new Map([
    ["main", ["executor"]],
    ["*", ["cache-reader"]],
  ]);
  const caller: Caller = { name: "ci", authenticated: true, grants, quota: undefined };
  expect(mayOn(caller, "main", "execute")).toBe(true);
  expect(mayOn(caller, "main", "read-blobs")).toBe(true);
  expect(mayOn(caller, "other", "execute")).toBe(false);
  expect(mayOn(caller, "other", "read-blobs")).toBe(true);
});
