/**
 * One of several processes that train one model on their shares of the data: after each epoch the gradients are
 * averaged over all of them, by way of rank 0. Everything it needs to know is in its environment.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

const env = process.env as Record<string, string>;
const rank = Number(env['RANK']);
const world = Number(env['WORLD_SIZE']);
const epochs = Number(env['KEELSON_PARAM_EPOCHS']);
const rows = JSON.parse(
  readFileSync(env['KEELSON_INPUT_ROWS_PATH'] as string, 'utf8'),
) as number[][];
const own = rows.filter((_, i) => i % world === rank);

/** The averages over all ranks of one round after another. */
interface Averaging {
  of(gradient: readonly number[]): Promise<readonly number[]>;
  close(): void;
}

async function asFirst(): Promise<Averaging> {
  const sockets: Socket[] = [];
  const rounds: number[][][] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    let round = 0;
    createInterface({ input: socket }).on('line', (line) => {
      put(round, JSON.parse(line) as number[]);
      round += 1;
    });
  });
  const waiting = new Map<number, (average: number[]) => void>();
  let mine = 0;
  function put(round: number, gradient: readonly number[]): void {
    rounds[round] ??= [];
    const all = rounds[round];
    all.push([...gradient]);
    if (all.length < world) return;
    const average = all[0]!.map((_, i) => all.reduce((sum, each) => sum + each[i]!, 0) / world);
    for (const socket of sockets) socket.write(`${JSON.stringify(average)}\n`);
    waiting.get(round)?.(average);
  }
  await new Promise<void>((resolve) => {
    server.listen(Number(env['MASTER_PORT']), env['MASTER_ADDR'], resolve);
  });
  return {
    of: (gradient) =>
      new Promise((resolve) => {
        waiting.set(mine, resolve);
        put(mine, gradient);
        mine += 1;
      }),
    close() {
      server.close();
      for (const socket of sockets) socket.end();
    },
  };
}

async function asOther(): Promise<Averaging> {
  for (let tries = 1; ; tries += 1) {
    const socket = connect(Number(env['MASTER_PORT']), env['MASTER_ADDR']);
    const connected = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    if (connected) {
      const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
      return {
        async of(gradient) {
          socket.write(`${JSON.stringify(gradient)}\n`);
          const { value, done } = await lines.next();
          if (done) throw new Error('Rank 0 is gone.');
          return JSON.parse(value) as number[];
        },
        close: () => socket.end(),
      };
    }
    // Rank 0 may not listen yet.
    if (tries > 200) throw new Error('Rank 0 does not answer.');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

let weights = [0, 0, 0];
let start = 0;
const checkpoint = env['KEELSON_CHECKPOINT_PATH'];
if (checkpoint !== undefined && existsSync(checkpoint)) {
  const state = JSON.parse(readFileSync(checkpoint, 'utf8')) as {
    epoch: number;
    weights: number[];
  };
  ({ weights, epoch: start } = { ...state });
  if (rank === 0) console.log(`goes on at epoch ${start}`);
}

const averaging = rank === 0 ? await asFirst() : await asOther();
for (let epoch = start; epoch < epochs; epoch += 1) {
  if (rank === 2 && epoch === 25 && env['KEELSON_ATTEMPT'] === '1') {
    // A machine is lost: the whole gang begins again, from the checkpoint.
    process.kill(process.pid, 'SIGKILL');
  }
  let loss = 0;
  const gradient = [0, 0, 0];
  for (const [x = 0, y = 0, target = 0] of own) {
    const error = weights[0]! * x + weights[1]! * y + weights[2]! - target;
    loss += (error * error) / own.length;
    for (const [i, v] of [x, y, 1].entries()) gradient[i]! += (2 * error * v) / own.length;
  }
  const [meanLoss = 0, ...mean] = await averaging.of([loss, ...gradient]);
  weights = weights.map((w, i) => w - 0.3 * mean[i]!);
  if (rank !== 0) continue;
  const line = JSON.stringify({ metric: 'loss', value: meanLoss, step: epoch });
  await appendFile(env['KEELSON_METRICS_PATH'] as string, `${line}\n`);
  if (epoch % 10 === 9) {
    const path = `${env['KEELSON_CHECKPOINT_DIR']}/v${epoch + 1}`;
    writeFileSync(`${path}.tmp`, JSON.stringify({ epoch: epoch + 1, weights }));
    renameSync(`${path}.tmp`, path);
  }
}
averaging.close();
if (rank === 0)
  writeFileSync(env['KEELSON_OUTPUT_WEIGHTS_PATH'] as string, JSON.stringify(weights));
