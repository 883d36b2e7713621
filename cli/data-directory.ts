import { join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { makeDirectory } from "../worker-agents/make-directory.ts";
import { errorMessage, Fault } from "./fault.ts";

/** A directory that belongs to this process until it ends or `release` is called. */
export interface DataDirectory {
  /** Absolute. */
  readonly path: string;
  release(): void;
}

/**
 * Makes the directory if need be and claims it, so that two processes never write to the same stores. The claim is an
 * SQLite lock, since the operating system drops it with the process, however that ends.
 * @throws Fault if the directory can't be written to or is in use.
 */
export function claimDataDirectory(directory: string): DataDirectory {
  const path = resolve(directory);
  const remedy = "choose another with --data";
  try {
    makeDirectory(path);
  } catch (error) {
    throw new Fault(`cannot make the data directory ${path} (${errorMessage(error)}); ${remedy}`);
  }
  let lock: DatabaseSync;
  try {
    lock = new DatabaseSync(join(path, "lock.sqlite"));
  } catch (error) {
    throw new Fault(`cannot write to the data directory ${path} (${errorMessage(error)}); ${remedy}`);
  }
  try {
    lock.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
  } catch (error) {
    lock.close();
    throw new Fault(
      errorMessage(error) === "database is locked"
        ? `the data directory ${path} is in use by another remex start; stop that one, or ${remedy}`
        : `cannot write to the data directory ${path} (${errorMessage(error)}); ${remedy}`,
    );
  }
  return {
    path,
    release: () => {
      lock.close();
    },
  };
}
