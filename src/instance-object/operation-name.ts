/** One of the scheduler objects that an instance is split into. */
export interface InstanceShard {
  readonly instanceName: string;
  readonly shard: number;
}

/** Where an operation lives: WaitExecution and GetOperation have nothing but its name to go by. */
export interface OperationName extends InstanceShard {
  readonly id: string;
}

/** `{instance_name}/operations/{shard}/{id}`; without the first part where the instance's name is empty. */
export function formatOperationName({ instanceName, shard, id }: OperationName): string {
  return `${instanceName === "" ? "" : `${instanceName}/`}operations/${shard}/${id}`;
}

/** Undefined if `name` is none that `formatOperationName` makes. */
export function parseOperationName(name: string): OperationName | undefined {
  const match = /^(?:(.+)\/)?operations\/(\d{1,4})\/([0-9a-f-]{36})$/.exec(name);
  if (match === null) return undefined;
  const [, instanceName = "", shard = "", id = ""] = match;
  return { instanceName, shard: Number(shard), id };
}

/** The name of the Durable Object of a shard. */
export function formatObjectName({ instanceName, shard }: InstanceShard): string {
  return `${shard}/${instanceName}`;
}

/** What `formatObjectName` made of. */
export function parseObjectName(name: string): InstanceShard {
  const slash = name.indexOf("/");
  return { instanceName: name.slice(slash + 1), shard: Number(name.slice(0, slash)) };
}
