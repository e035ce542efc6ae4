/** Says what is going on: one line that redraws in a terminal, elsewhere a line now and then. */
export class Progress {
  readonly #stream: NodeJS.WriteStream;
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  tell(message: string): void {
    if (this.#stream.isTTY) {
      this.#stream.write(`\r\u001b[K${message}`);
      return;
    }
    if (performance.now() - this.#saidAt < 5_000) return;
    this.#saidAt = performance.now();
    this.#stream.write(`${message}\n`);
  }

  end(): void {
    if (this.#stream.isTTY) this.#stream.write('\r\u001b[K');
  }
}
