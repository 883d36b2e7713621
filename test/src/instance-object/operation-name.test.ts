import fc from "fast-check";
import { expect, test } from "vitest";
import {
  formatObjectName,
  formatOperationName,
  parseObjectName,
  parseOperationName,
} from "../../../src/instance-object/operation-name.ts";

const segment = fc.stringMatching(/^[A-Za-z0-9_.-]{1,8}$/);
const instanceName = fc.array(segment, { maxLength: 3 }).map((segments) => segments.join("/"));
const shard = fc.integer({ min: 0, max: 9999 });

test("an operation's name says where it lives", () => {
  fc.assert(
    fc.property(instanceName, shard, fc.uuid(), (name, index, id) => {
      const operation = { instanceName: name, shard: index, id };
      expect(parseOperationName(formatOperationName(operation))).toEqual(operation);
    }),
  );
});

test("an object's name says which shard it is", () => {
  fc.assert(
    fc.property(instanceName, shard, (name, index) => {
      expect(parseObjectName(formatObjectName({ instanceName: name, shard: index }))).toEqual({
        instanceName: name,
        shard: index,
      });
    }),
  );
});

test.each([
  "",
  "main",
  "main/operations/0",
  "main/operations/0/x",
  "main/operations/-1/00000000-0000-0000-0000-000000000000",
])("%j is no operation's name", (name) => {
  expect(parseOperationName(name)).toBeUndefined();
});
