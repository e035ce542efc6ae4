/** Shows progress: one line that redraws in a terminal, plain lines elsewhere, a bar only where it moves. */
export function createProgress(stream: NodeJS.WriteStream): {
  tell(message: string, share?: number): void;
  end(): void;
} {
  let lastPlain = -1;
  let drawn = false;
  return {
    tell(message, share) {
      if (share === undefined) {
        stream.write(`${drawn ? '\r\u001b[K' : ''}${message}\n`);
        drawn = false;
        return;
      }
      if (stream.isTTY) {
        const filled = Math.round(24 * share);
        const bar = '█'.repeat(filled) + '░'.repeat(24 - filled);
        stream.write(`\r\u001b[K${bar} ${Math.round(100 * share)} %  ${message}`);
        drawn = true;
        return;
      }
      const tenth = Math.floor(10 * share);
      if (tenth === lastPlain) return;
      lastPlain = tenth;
      stream.write(`${message} (${Math.round(100 * share)} %)\n`);
    },
    end() {
      if (drawn) stream.write('\n');
      drawn = false;
    },
  };
}
