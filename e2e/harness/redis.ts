/** A redis server on a UNIX socket alone, and a client for all of its keys. */
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Target } from './target';
import { until } from './until';

export async function startRedis(): Promise<Target> {
  const settings = ['--port', '0', '--unixsocket', 'DIR/redis', '--save', '', '--dir', 'DIR'];
  const redis = Target.start('redis-server', settings);
  await until('redis to be ready', () => redis.text().includes('ready to accept connections at'));
  return redis;
}

export const socketOf = (redis: Target) => join(redis.directory, 'redis');

/** Digests of all values by their keys. */
export async function contents(redis: Target): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const client = new Client(socketOf(redis));
  try {
    let cursor = '0';
    do {
      const [next, keys] = (await client.call('SCAN', cursor, 'COUNT', '1000')) as [Buffer, Buffer[]];
      cursor = next.toString();
      if (keys.length === 0) continue;
      const values = (await client.call('MGET', ...keys.map(String))) as Buffer[];
      for (const [index, key] of keys.entries()) {
        if (values[index] === null) throw new Error(`${key} is no text`);
        found.set(String(key), createHash('sha1').update(values[index]!).digest('base64'));
      }
    } while (cursor !== '0');
  } finally {
    await client.close();
  }
  return found;
}

type Answer = Buffer | null | number | Answer[];

/** Speaks RESP2, one command at a time. */
class Client {
  readonly #socket;
  #parts: Buffer[] = [];
  #wake: (error?: Error) => void = () => undefined;

  constructor(path: string) {
    this.#socket = connect(path);
    this.#socket.on('data', (part) => {
      this.#parts.push(part);
      this.#wake();
    });
    this.#socket.on('error', (error) => this.#wake(error));
  }

  async call(...words: string[]): Promise<Answer> {
    this.#socket.write(
      `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`,
    );
    for (;;) {
      await new Promise<void>((resolve, reject) => {
        this.#wake = (error) => (error === undefined ? resolve() : reject(error));
      });
      const data = Buffer.concat(this.#parts);
      this.#parts = [data];
      const parsed = parse(data, 0);
      if (parsed === undefined) continue;
      this.#parts = [];
      return parsed.answer;
    }
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.end(resolve));
    this.#socket.destroy();
  }
}

/** The answer that starts at `at`; undefined while it is incomplete. */
function parse(data: Buffer, at: number): { answer: Answer; end: number } | undefined {
  const lineEnd = data.indexOf('\r\n', at);
  if (lineEnd < 0) return undefined;
  const [kind, rest] = [String.fromCharCode(data[at]!), data.toString('latin1', at + 1, lineEnd)];
  const end = lineEnd + 2;
  if (kind === '-') throw new Error(`redis says ${rest}`);
  if (kind === ':') return { answer: Number(rest), end };
  if (kind === '+') return { answer: Buffer.from(rest), end };
  const length = Number(rest);
  if (length < 0) return { answer: null, end };
  if (kind === '$')
    return data.length < end + length + 2
      ? undefined
      : { answer: data.subarray(end, end + length), end: end + length + 2 };
  const answers: Answer[] = [];
  let next = end;
  for (let i = 0; i < length; i++) {
    const item = parse(data, next);
    if (item === undefined) return undefined;
    answers.push(item.answer);
    next = item.end;
  }
  return { answer: answers, end: next };
}
