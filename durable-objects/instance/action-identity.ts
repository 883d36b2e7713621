import type { ExecutionRequest } from "../../protos/gen/remex/instance/v1/instance_pb.ts";

/** Which action of a build it is, whatever its inputs: what REAPI's RequestMetadata says, and the first output it declares. */
export interface ActionIdentity {
  readonly targetId: string;
  readonly mnemonic: string;
  readonly primaryOutput: string;
}

export function identityOf(request: ExecutionRequest | undefined): ActionIdentity {
  return {
    targetId: request?.requestMetadata?.targetId ?? "",
    mnemonic: request?.requestMetadata?.actionMnemonic ?? "",
    primaryOutput: request?.primaryOutput ?? "",
  };
}

/** Equal for equal identities; one line. */
export function identityKey({ targetId, mnemonic, primaryOutput }: ActionIdentity): string {
  return JSON.stringify([targetId, mnemonic, primaryOutput]);
}

/** Whether it says anything: clients that send no metadata have actions that can't be told apart. */
export function isKnownIdentity({ targetId, primaryOutput }: ActionIdentity): boolean {
  return targetId !== "" || primaryOutput !== "";
}
