/** What has come and has not yet said who it is: a bounded number, of which the oldest makes room. */
export class Strangers<Socket> {
  readonly #max: number;
  readonly #turnAway: (socket: Socket) => void;
  /** In the order in which they came. */
  readonly #sockets: Set<Socket>;

  /**
   * @param turnAway closes a socket for which there is no room
   * @param present those that are here already, the oldest first
   */
  constructor(max: number, turnAway: (socket: Socket) => void, present: readonly Socket[] = []) {
    this.#max = max;
    this.#turnAway = turnAway;
    this.#sockets = new Set(present);
    this.#makeRoom();
  }

  add(socket: Socket): void {
    this.#sockets.add(socket);
    this.#makeRoom();
  }

  /** It has said who it is, or is gone. */
  delete(socket: Socket): void {
    this.#sockets.delete(socket);
  }

  #makeRoom(): void {
    for (const socket of this.#sockets) {
      if (this.#sockets.size <= this.#max) return;
      this.#sockets.delete(socket);
      this.#turnAway(socket);
    }
  }
}
