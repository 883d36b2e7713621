import { Command, Option } from "commander";
import { MAX_SHARDS } from "../src/config/schema.ts";
import { endpointOption, parsePositiveInteger, parseWholeNumberFrom } from "./options.ts";
import { applyOptionsFile, optionsFileOption } from "./options-file.ts";
import { ProgressLine } from "./progress-line.ts";
import { readTokenFile, tokenFileOption } from "./token-file.ts";

interface StoreFlags {
  readonly endpoint: URL;
  readonly tokenFile?: string;
  readonly store: string;
}

interface CheckFlags extends StoreFlags {
  readonly dryRun?: boolean;
  readonly graceS: number;
}

/** `remex store …` */
export function storeCommand(): Command {
  const store = new Command("store")
    .summary("look after a store: compare its index with R2, change its number of shards")
    .description(
      "Looks after a store of an endpoint: what the index says of blobs, what R2 has of them, and how many objects share the index.",
    );
  store.hook("preSubcommand", (_, command) => {
    applyOptionsFile(command, store.args);
  });
  for (const command of [checkCommand(), reshardCommand()]) store.addCommand(command);
  return store;
}

function checkCommand(): Command {
  return withStoreOptions(new Command("check"))
    .summary("compare a store's index with R2, and repair both")
    .description(
      "Compares what a store's index says with what R2 has, and repairs both: a blob whose object is missing is removed " +
        "from the index, so that clients upload it again; an object that nothing refers to is deleted.",
    )
    .addOption(new Option("--dry-run", "change nothing; the exit code is 1 if anything is wrong").env("REMEX_DRY_RUN"))
    .addOption(
      new Option("--grace-s <seconds>", "leave alone what was uploaded within this time: it may not be indexed yet")
        .default(3600)
        .env("REMEX_GRACE_S")
        .argParser(parseWholeNumberFrom(0)),
    )
    .addHelpText(
      "after",
      `
It runs with traffic on, in short parts; ended at any moment, what it has put right stays so, and the next one begins anew.
A line for each thing that is wrong goes to stdout as it is found:
  missing  {digest function}/{hash}/{size}   a blob in the index, whose object R2 doesn't have
  unused   {key}                             an object in R2 that neither the index nor an upload refers to
How far it has come goes to stderr: on a terminal always, elsewhere every 10 s.

Remex itself leaves neither behind, but for an object whose Worker was killed between R2 and the index. Run it after R2
was changed by hand or restored from elsewhere, and now and then to get storage back. It also counts anew what the store
holds, by which evictions go.

Keep --grace-s longer than a single call may hang between R2's answer and the index: an hour is plenty.

Examples:
  $ remex store check --endpoint https://remex.example.com --token-file operator-token --store MAIN_STORE --dry-run
  $ remex store check --endpoint https://remex.example.com --token-file operator-token --store MAIN_STORE`,
    )
    .action(runCheck);
}

function reshardCommand(): Command {
  return withStoreOptions(new Command("reshard"))
    .summary("change the number of objects that share a store's index")
    .description(
      "Changes the number of objects that share a store's index, while the store is in use, and waits until it is done.",
    )
    .addOption(
      new Option("--shards <number>", `how many there are to be, up to ${MAX_SHARDS}`)
        .makeOptionMandatory()
        .env("REMEX_SHARDS")
        .argParser(parsePositiveInteger),
    )
    .addHelpText(
      "after",
      `
More shards take more calls a second (one takes about a thousand) and hold more (10 GB of index rows each); each call for
many blobs asks all of them.

While it runs, clients are served as always, and a little slower: each look-up asks two shards instead of one. Nothing is
evicted in that time. The shards do it by themselves: with Ctrl-C you stop watching, and nothing else; the same command
again goes on watching. There can be one change at a time.

Afterwards set stores.{name}.shards in the configuration to the same number, for the next deployment. It is what a new
store is made with, and what a Worker goes by until the store has told it the real one.

Example:
  $ remex store reshard --endpoint https://remex.example.com --token-file operator-token --store MAIN_STORE --shards 16`,
    )
    .action(runReshard);
}

function withStoreOptions(command: Command): Command {
  return command
    .addOption(endpointOption())
    .addOption(tokenFileOption("a token with the role operator on every instance that uses the store"))
    .addOption(
      new Option("--store <name>", "the store, a key of stores in the configuration")
        .default("MAIN_STORE")
        .env("REMEX_STORE"),
    )
    .addOption(optionsFileOption());
}

interface ReshardFlags extends StoreFlags {
  readonly shards: number;
}

async function runReshard({ endpoint, tokenFile, store, shards }: ReshardFlags): Promise<void> {
  const token = readTokenFile(tokenFile);
  const { reshardStore } = await import("./store/reshard-store.ts");
  await reshardStore({ endpoint, token, store }, shards, (line) => {
    console.log(line);
  });
}

async function runCheck({ endpoint, tokenFile, store, dryRun = false, graceS }: CheckFlags): Promise<void> {
  const token = readTokenFile(tokenFile);
  const { checkStore, reportText } = await import("./store/check-store.ts");
  const progress = new ProgressLine(process.stderr);
  const report = await checkStore(
    { endpoint, token, store },
    { dryRun, graceS },
    {
      say: (line) => {
        progress.clear();
        console.log(line);
      },
      progress: (line) => {
        progress.show(line);
      },
    },
  ).finally(() => {
    progress.clear();
  });
  process.stdout.write(reportText(report, dryRun));
  if (dryRun && report.missing + report.unused > 0) process.exitCode = 1;
}
