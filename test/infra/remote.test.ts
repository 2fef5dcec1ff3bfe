// Jupyter as a remote user has it: a real sshd on loopback, one forwarded port, and a browser behind it.
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { networkInterfaces, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { type Lab, openLab } from 'imagesim/infra';
import { dataFolder, emptyFolder, notebookOf, sampleDelivery } from '../delivery.ts';

const here = import.meta.dirname;
const root = join(here, '..', '..');
const program = join(root, 'kernel-lib/dist/cli.js');
const sshd = '/usr/sbin/sshd';

/** `before` of a suite that needs sshd: skips it where that is not installed, saying so. */
const needsSshd: Mocha.Func = function () {
  if (existsSync(sshd)) return;
  console.log(`      SKIPPED: no ${sshd}, so nothing shows that Jupyter works through ssh: ./setup.sh test`);
  this.skip();
};

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function reachable(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

async function until(what: string, holds: () => boolean | Promise<boolean>, seconds = 20): Promise<void> {
  const last = performance.now() + seconds * 1000;
  while (!(await holds())) {
    if (performance.now() > last) assert.fail(`not within ${seconds} s: ${what}`);
    await pause(50);
  }
}

async function endOf(child: ChildProcess | undefined, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await once(child, 'exit');
}

/** A machine to reach by ssh: this one, at a port and with keys of its own. */
interface Machine {
  port: number;
  ssh(...args: string[]): ChildProcess;
  /** A tunnel to `port`, once it is open. */
  tunnel(local: number, port: number): Promise<ChildProcess>;
  close(): Promise<void>;
}

async function startMachine(): Promise<Machine> {
  const folder = await emptyFolder();
  const port = await freePort();
  const file = (name: string): string => join(folder, name);
  writeKeys(file, port);
  if (userInfo().uid === 0) mkdirSync('/run/sshd', { recursive: true }); // what its service makes at its start
  const server = spawn(sshd, ['-D', '-e', '-f', file('config')], { stdio: 'ignore' });
  await until('sshd listens', () => reachable(port), 5);
  const known = ['-F', 'none', '-i', file('user'), '-o', `UserKnownHostsFile=${file('known')}`, '-o', 'BatchMode=yes'];
  const ssh = (...args: string[]): ChildProcess =>
    spawn('ssh', [...known, '-p', String(port), '-o', 'ExitOnForwardFailure=yes', ...args]);
  const tunnel = async (local: number, to: number): Promise<ChildProcess> => {
    const client = ssh('-N', '-L', `127.0.0.1:${local}:127.0.0.1:${to}`, `${userInfo().username}@127.0.0.1`);
    await until('the tunnel is open', () => reachable(local), 10);
    return client;
  };
  return { port, ssh, tunnel, close: () => endOf(server) };
}

function writeKeys(file: (name: string) => string, port: number): void {
  for (const name of ['host', 'user']) execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file(name)]);
  copyFileSync(file('user.pub'), file('authorized'));
  writeFileSync(file('known'), `[127.0.0.1]:${port} ${readFileSync(file('host.pub'), 'utf8')}`);
  const lines = [
    'ListenAddress 127.0.0.1',
    `Port ${port}`,
    `HostKey ${file('host')}`,
    `AuthorizedKeysFile ${file('authorized')}`,
    'StrictModes no', // the folder above is everybody's
    'PermitRootLogin yes',
    'UsePAM no',
    'PidFile none',
    'AllowTcpForwarding yes',
    'PermitOpen 127.0.0.1:*',
  ];
  writeFileSync(file('config'), `${lines.join('\n')}\n`);
}

const short = [
  `import * as tslab from 'tslab';\nimport { readFileSync, writeFileSync } from 'node:fs';\nimport { showIn } from 'imagesim/show';\nconst show = showIn(tslab);`,
  `const step = show.progress('counting');
for (let done = 0; done <= 12; done++) {
  step({ done, total: 12, unit: 'steps' });
  await new Promise((wake) => setTimeout(wake, 250));
}`,
  `await show.image(readFileSync('picture.jpg'), { caption: 'a picture', width: 400 });`,
  `show.lines({ series: [{ name: 'loss', x: [1, 2, 3], y: [3, 2, 1] }], title: 'Loss', xTitle: 'epoch', yTitle: 'loss' });
writeFileSync('done', '');`,
];

/** The number of a process's controlling terminal: 0 where it has none. */
function terminalOf(pid: number): string {
  const [, fields] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  return fields.split(' ')[4]; // state, parent, group, session, terminal
}

/** Opens a notebook from Jupyter's list of files, in the classic notebook or in JupyterLab. */
async function openNotebook(context: BrowserContext, url: string, name: string): Promise<Page> {
  const list = await context.newPage();
  await list.goto(url);
  if (url.includes('/lab?')) {
    await list.locator('.jp-DirListing-item', { hasText: name }).dblclick();
    await list.getByText('TypeScript | Idle').waitFor();
    return list;
  }
  const [page] = await Promise.all([context.waitForEvent('page'), list.getByText(name).click()]);
  await page.waitForFunction(`window.Jupyter?.notebook?.kernel?.info_reply?.protocol_version`);
  return page;
}

async function runAll(page: Page): Promise<void> {
  const lab = page.url().includes('/lab');
  const choose = (name: string): Promise<void> => page.getByText(name, { exact: true }).first().click();
  await choose(lab ? 'Run' : 'Cell');
  await choose(lab ? 'Run All Cells' : 'Run All');
}

/** Notes every state that the page's progress bars went through, and how many there were at once. */
const watchBars = `window.bars = []; new MutationObserver(() => {
  const bars = [...document.querySelectorAll('.ims-progress')];
  const state = bars.length + ': ' + bars.map((bar) => bar.innerText.replace(/\\s+/g, ' ').trim()).join(' | ');
  if (bars.length > 0 && window.bars.at(-1) !== state) window.bars.push(state);
}).observe(document, { subtree: true, childList: true });`;

/** The addresses that a server process and its kernels, known by the token in their environment, listen on. */
function listeners(token: string): string[] {
  const inodes = new Set(
    processesWith(token).flatMap((pid) =>
      readdirSync(`/proc/${pid}/fd`).flatMap(
        (fd) => /^socket:\[(\d+)]$/.exec(linkOf(`/proc/${pid}/fd/${fd}`))?.[1] ?? [],
      ),
    ),
  );
  const rows = ['tcp', 'tcp6'].flatMap((table) =>
    readFileSync(`/proc/net/${table}`, 'utf8').trim().split('\n').slice(1),
  );
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => state === '0A' && inodes.has(inode)) // 0A: listens
    .map(([, address]) => address.split(':')[0]);
}

function processesWith(token: string): string[] {
  const has = (pid: string): boolean => {
    try {
      return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(token);
    } catch {
      return false; // gone, or another user's
    }
  };
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name) && has(name));
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ''; // closed meanwhile
  }
}

/** What a command has printed by the time that `last` is among it. */
async function printed(child: ChildProcess, last: RegExp): Promise<string> {
  let said = '';
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (part: Buffer) => (said += part.toString()));
  child.once('exit', () => (said += '\n(it ended)'));
  await until(`${last} is printed`, () => last.test(said) || said.endsWith('(it ended)'));
  assert.match(said, last);
  return said.replaceAll('\r', '');
}

describe('Jupyter through ssh', function () {
  before(needsSshd);
  let machine: Machine;
  before(async () => (machine = await startMachine()));
  after(() => machine?.close());

  describe('in a browser behind one forwarded port', () => {
    let notebooksDir: string;
    let lab: Lab;
    let local: number;
    let tunnel: ChildProcess;
    let browser: Browser;
    let context: BrowserContext;
    let page: Page;
    const asked: string[] = [];
    const far = (): number => Number(new URL(lab.url).port);

    before(async () => {
      notebooksDir = await mkdtemp(join(here, '.remote-')); // in the checkout, so that the cells find its packages
      await writeFile(join(notebooksDir, 'short.ipynb'), notebookOf(short));
      await cp(join(root, 'README.jpg'), join(notebooksDir, 'picture.jpg'));
      await cp(join(root, 'notebooks', '01-infra.ipynb'), join(notebooksDir, '01-infra.ipynb'));
      const env = { IMAGESIM_DATA: await emptyFolder(), IMAGESIM_DELIVERY: await sampleDelivery() };
      lab = await openLab({ notebooksDir, port: await freePort(), log: 'ignore', env });
      local = await freePort(); // another than the machine's, as where 8888 is taken on the user's own
      tunnel = await machine.tunnel(local, far());
    });
    before(async () => {
      browser = await chromium.launch({
        executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
        args: ['--no-sandbox'],
      });
      context = await browser.newContext({ viewport: { width: 1280, height: 1400 } });
      context.setDefaultTimeout(60_000); // a browser that was cut off takes its time to try again
      await context.addInitScript(watchBars);
      context.on('request', (request) => asked.push(request.url()));
      context.on('page', (opened) => opened.on('websocket', (socket) => asked.push(socket.url())));
      page = await openNotebook(context, lab.url.replace(`:${far()}/`, `:${local}/`), 'short.ipynb');
    });
    after(async () => {
      await browser?.close();
      await endOf(tunnel);
      await lab?.close();
      await rm(notebooksDir, { recursive: true, force: true });
    });

    const finishes = async (): Promise<void> => {
      await page.getByText('12 steps · in').waitFor();
      await page.waitForFunction(`document.querySelector('.ims img')?.naturalWidth > 0`);
      await page.locator('.ims .plot-container .xtitle').waitFor();
    };

    it('runs a notebook: a progress bar that grows in its place, a picture and a chart', async () => {
      await runAll(page);
      await finishes();
      const bars = await page.evaluate<string[]>('window.bars');
      assert.ok(
        bars.every((state) => state.startsWith('1: counting ') || state.startsWith('1: ✓')),
        bars.join('\n'),
      );
      const steps = bars.map((state) => Number(/(\d+) (of 12 )?steps/.exec(state)![1]));
      assert.ok(new Set(steps).size > 5, bars.join('\n'));
      assert.deepEqual(
        steps,
        steps.toSorted((a, b) => a - b),
      );
      assert.match(bars.at(-1)!, /^1: ✓ counting 12 steps · in \d+\.\d s$/);
    });

    // A cell that goes on when the page is back is shown as well, but Jupyter itself may drop one output that falls into
    // the instant of reconnecting when the kernel is between two cells ("nudge"): so all is done before.
    it('shows what ran on while the connection was down, all of it, once it is there again', async () => {
      await rm(join(notebooksDir, 'done'));
      await runAll(page);
      await page.getByText(' of 12 steps').waitFor();
      await endOf(tunnel, 'SIGKILL');
      const before = await page.locator('.ims-progress').innerText();
      await until('the kernel has run all cells', () => existsSync(join(notebooksDir, 'done')));
      await pause(500); // until its last message is with Jupyter
      assert.equal(await page.locator('.ims-progress').innerText(), before);
      tunnel = await machine.tunnel(local, far());
      await finishes();
    });

    it('runs notebook 01 on the sample: bars, and pictures of the ground', async function () {
      if (!process.env.IMAGESIM_PROOF) this.skip(); // the notebooks' own test runs it without ssh
      const infra = await openNotebook(context, lab.url.replace(`:${far()}/`, `:${local}/`), '01-infra.ipynb');
      await runAll(infra);
      await infra.getByText(/^wrote \//).waitFor({ state: 'attached', timeout: 60_000 });
      assert.match((await infra.locator('.ims-progress').allInnerTexts()).join(), /✓\s*sync/);
      const sizes = await infra.evaluate<number[]>(`[...document.querySelectorAll('.ims img')].map((image) => image.naturalWidth)`); // prettier-ignore
      assert.ok(sizes.length >= 2 && sizes.every((size) => size > 100), sizes.join());
    });

    it('asks that one port for everything, web sockets too', () => {
      const origins = new Set(asked.filter((url) => !/^(data|blob):/.test(url)).map((url) => new URL(url).origin));
      assert.deepEqual([...origins].sort(), [`http://127.0.0.1:${local}`, `ws://127.0.0.1:${local}`]);
    });

    it('lets nobody in without the token', async () => {
      const stranger = await browser.newContext();
      const shut = await stranger.newPage();
      await shut.goto(`http://127.0.0.1:${local}/`);
      await shut.locator('input[type=password]').first().waitFor();
      assert.match(shut.url(), /\/login/);
      assert.equal((await stranger.request.get(`http://127.0.0.1:${local}/api/contents`)).status(), 403);
      await stranger.close();
    });

    it('listens on 127.0.0.1 alone, server and kernels', async () => {
      const found = listeners(new URL(lab.url).searchParams.get('token')!);
      assert.ok(found.length >= 6, found.join()); // the page's port and five of each kernel
      assert.deepEqual([...new Set(found)], ['0100007F']);
      const others = Object.values(networkInterfaces()).flatMap((all) => all!.filter(({ internal }) => !internal));
      for (const { address } of others) assert.equal(await reachable(far(), address), false, address);
    });
  });

  describe('opened by imagesim lab in a session', () => {
    let data: string;
    let port: number;
    let said: string;
    let session: ChildProcess;
    const pid = (): number => Number(/kill (\d+)/.exec(said)![1]);
    const url = (): string => /http:\S+/.exec(said)![0];
    const user = `${userInfo().username}@127.0.0.1`;
    const command = (): string => `IMAGESIM_DATA=${data} ${process.execPath} ${program} lab --port ${port}`;

    before(async () => {
      data = await dataFolder(await sampleDelivery());
      port = await freePort();
      session = machine.ssh('-tt', user, command());
      said = await printed(session, /says where it is\./);
    });
    after(async () => {
      await endOf(session);
      if (existsSync(`/proc/${pid()}`)) process.kill(pid());
    });

    it('names its address and the line that opens the tunnel to it', () => {
      const tunnel = `ssh -N -L ${port}:127.0.0.1:${port} -p ${machine.port} ${user}`;
      assert.match(said, new RegExp(`^Jupyter on .*: http://127\\.0\\.0\\.1:${port}/\\w+\\?token=\\w{48}$`, 'm'));
      assert.ok(said.includes(`First, on your own machine: ${tunnel} (or`), said);
    });

    it('outlives the session, and is found by the same command from the next', async () => {
      await endOf(session, 'SIGKILL');
      await until('the session has lost its terminal', () => terminalOf(pid()) === '0');
      const next = machine.ssh(user, command());
      const again = await printed(next, /ends with: kill/);
      assert.ok(again.startsWith('open already: Jupyter on') && again.includes(url()), again);
      assert.ok(again.includes(`-L ${port}:127.0.0.1:${port}`) && again.includes(`kill ${pid()}`), again);
    });

    it('ends with its kernels by the kill that it names, and leaves no token behind', async () => {
      const token = new URL(url()).searchParams.get('token')!;
      const kernels = `http://127.0.0.1:${port}/api/kernels`;
      const answer = await fetch(kernels, { method: 'POST', headers: { authorization: `token ${token}` } });
      assert.equal(answer.status, 201);
      assert.ok(processesWith(token).length >= 2);
      process.kill(pid());
      await until('nothing of it runs', () => processesWith(token).length === 0 && !existsSync(`/proc/${pid()}`));
      assert.deepEqual(await readdir(join(data, 'notebooks')), [`lab-${port}.log`]);
    });
  });
});

describe('imagesim lab without ssh', () => {
  it('ends with its window, and keeps its log from others', async () => {
    const data = await dataFolder(await sampleDelivery());
    const { SSH_CONNECTION: _, ...env } = process.env;
    const child = spawn(process.execPath, [program, 'lab', '--port', String(await freePort())], {
      env: { ...env, IMAGESIM_DATA: data },
    });
    const said = await printed(child, /Ctrl-C ends it\./);
    assert.ok(!said.includes('ssh'), said);
    const log = (await readdir(join(data, 'notebooks'))).find((name) => name.endsWith('.log'));
    assert.equal(statSync(join(data, 'notebooks', log!)).mode & 0o777, 0o600);
    await endOf(child, 'SIGHUP');
    assert.equal(child.exitCode, 0);
    assert.deepEqual(processesWith(new URL(/http:\S+/.exec(said)![0]).searchParams.get('token')!), []);
  });
});
