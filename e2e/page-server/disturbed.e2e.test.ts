// Somebody of a dump to a page server dies at some moment: the program goes on unharmed, or all of it is in images; nobody hangs.
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { begin, type End, livingOf, pause, within } from '../harness/casualties';
import { must } from '../harness/checkpointer';
import { testNeeding } from '../harness/needs';
import { hasOpenssl, tls } from '../harness/pki';
import { seeded } from '../harness/random';
import { endServers, freePort, serve } from '../harness/servers';
import { snapshot } from '../harness/snapshot';
import { Target } from '../harness/target';
import { until } from '../harness/until';

const ROUNDS = Number(process.env.CRTS_DISTURBANCES ?? 3);
const LOCAL = '127.0.0.1';
const HANG_S = 60;

type Victim = 'server' | 'engine' | 'program';

afterEach(endServers);

const looks = (target: Target) => JSON.stringify(snapshot(target.pid));

/** One who waits for a dump that never came ends with the next that goes away. */
async function knock(port: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const socket = connect(port, LOCAL, () => socket.destroy());
    socket.on('error', () => undefined).once('close', () => resolve());
  });
}

function isStored(stored: string): boolean {
  return readdirSync(stored).some((name) => /^pages-\d+\.img$/.test(name));
}

function expectExplained(name: string, { how, stderr }: End): void {
  if (how !== 1) return;
  expect([name, stderr]).toEqual([name, expect.stringMatching(/^crts: .* \[CRTS_\w+\]$/m)]);
  expect([name, stderr]).toEqual([name, expect.not.stringMatching(/CRTS_BUG|^\s+at /m)]);
}

class Round {
  readonly stored: string;
  name = '';
  /** How long the engine took. */
  ms = 0;

  constructor(
    readonly target: Target,
    readonly encryption: readonly string[],
  ) {
    this.stored = join(target.directory, 'stored');
  }

  /** Runs a dump to a server, and kills somebody after a while. Undefined: nobody is. */
  async run(victim: Victim | undefined, ms: number): Promise<{ server: End; engine: End }> {
    const { target, stored, encryption } = this;
    this.name = `${victim} after ${ms.toFixed(1)} ms`;
    target.clearImages();
    rmSync(stored, { recursive: true, force: true });
    mkdirSync(stored);
    const port = await freePort();
    const where = ['--address', LOCAL, '--port', String(port), ...encryption];
    const serving = await serve('crts', 'page-server', '-D', stored, ...where);
    const began = process.hrtime.bigint();
    const engine = begin('dump', '-t', String(target.pid), '-D', target.images, '--page-server', ...where);
    if (victim !== undefined) {
      await pause(ms);
      if (victim === 'server') serving.child.kill('SIGKILL');
      if (victim === 'engine') engine.child.kill('SIGKILL');
      if (victim === 'program') process.kill(-target.pid, 'SIGKILL');
    }
    const end = await within(HANG_S, `${this.name}: the engine`, engine.end);
    this.ms = Number(process.hrtime.bigint() - began) / 1e6;
    let isOver = false;
    void serving.ended.then(() => {
      isOver = true;
    });
    await until('the server to end', () => isOver, 2).catch(() => knock(port));
    const how = await within(HANG_S, `${this.name}: the server`, serving.ended);
    return { engine: end, server: { how, stderr: serving.stderr() } };
  }

  /** Nothing is half. */
  get isComplete(): boolean {
    return existsSync(join(this.target.images, 'inventory.img')) && isStored(this.stored);
  }

  restore(): void {
    const { stored, target } = this;
    for (const name of readdirSync(stored)) cpSync(join(stored, name), join(target.images, name));
    must(target.restore());
  }
}

async function disturb(victim: Victim, encryption: readonly string[]): Promise<void> {
  const random = seeded();
  let target = await Target.program('lazy-memory', ['16']);
  let before = looks(target);
  const first = new Round(target, encryption);
  expect(await first.run(undefined, 0)).toMatchObject({ server: { how: 0 }, engine: { how: 0 } });
  await target.gone();
  first.restore();
  for (let count = 0; count < ROUNDS; count++) {
    const round = new Round(target, encryption);
    const { engine, server } = await round.run(victim, random() * first.ms);
    const told = `round ${count}: ${round.name}: engine ${engine.how}, server ${server.how}: ${engine.stderr}${server.stderr}`;
    if (process.env.CRTS_DISTURBANCES !== undefined) process.stdout.write(`${told.replaceAll('\n', ' | ')}\n`);
    expectExplained(told, engine);
    expectExplained(told, server);
    if (engine.how === 0) expect([told, round.isComplete]).toEqual([told, true]);
    if (server.how === 1) expect([told, readdirSync(round.stored)]).toEqual([told, []]);
    if (victim === 'program') {
      await until(`nobody of the program to be left: ${told}`, () => livingOf(target.pid).length === 0);
      await target.gone();
      if (!round.isComplete) {
        target = await Target.program('lazy-memory', ['16']);
        before = looks(target);
        continue;
      }
      round.restore();
    } else {
      // An agent that lost its engine, or a program on its way out, needs a moment.
      const isFree = () => /^TracerPid:\t0/m.test(target.proc('status')) && looks(target) === before;
      await until('as before, or gone', () => !target.alive() || isFree(), 10).catch(() => undefined);
      if (!target.alive()) {
        expect([told, round.isComplete]).toEqual([told, true]);
        await target.gone();
        round.restore();
      }
    }
    expect([told, JSON.parse(looks(target))]).toEqual([told, JSON.parse(before)]);
  }
  await target.finish();
}

describe.each(['server', 'engine', 'program'] as const)('the %s is killed', (victim) => {
  test('plain', () => disturb(victim, []));
  testNeeding(hasOpenssl ? [] : ['openssl'])('encrypted', () => disturb(victim, tls()));
});
