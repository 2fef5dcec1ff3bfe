import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once as onceEmitted } from 'node:events';
import { mock } from 'node:test';
import { gzipSync } from 'node:zlib';
import {
  OverpassError,
  type OverpassFailure,
  type OverpassOptions,
  type Wait,
  fetchOverpass,
  overpassQuery,
  slotWaitMs,
} from 'imagesim/osm';
import { type Behaviour, type StandIn, node, standIn, whole } from './stand-in.ts';

const quick: OverpassOptions = { minRateWaitMs: 5, baseWaitMs: 5, retries: 3, timeoutMs: 2000 };
const page =
  '<html><head><title>OSM3S Response</title></head><body><p><strong>Error</strong>: runtime error: duplicate_query</p></body></html>';
/** Bad once, then a whole answer. */
const once =
  (bad: Behaviour): Behaviour =>
  (response, index, asked) =>
    index === 0 ? bad(response, index, asked) : void response.end(whole([node(1)]));

describe('osm overpass', () => {
  let server: StandIn;
  const start = async (behave: Behaviour): Promise<StandIn> => (server = await standIn(behave));
  const ask = (options: OverpassOptions = {}) => fetchOverpass(server.endpoint, 'query', { ...quick, ...options });
  const failure = async (kind: OverpassFailure, message: RegExp, options: OverpassOptions = {}): Promise<void> => {
    await assert.rejects(ask(options), (error) => {
      assert.ok(error instanceof OverpassError);
      assert.equal(error.kind, kind);
      assert.match(error.message, message);
      assert.ok(!error.message.includes('\n'));
      return true;
    });
  };
  afterEach(() => server.close());

  it('posts the query with gzip and a User-Agent that names the application', async () => {
    await start((response) => response.writeHead(200, { 'Content-Encoding': 'gzip' }).end(gzipSync(whole([node(7)]))));
    assert.deepEqual(
      (await ask()).elements.map(({ id }) => id),
      [7],
    );
    assert.equal(server.asked[0].query, 'query');
    assert.match(server.asked[0].headers['user-agent']!, /^imagesim/);
    assert.match(server.asked[0].headers['accept-encoding']!, /gzip/);
    assert.equal(server.asked[0].method, 'POST');
  });

  describe('with IMAGESIM_CONTACT', () => {
    const before = process.env.IMAGESIM_CONTACT;
    afterEach(() => {
      if (before === undefined) delete process.env.IMAGESIM_CONTACT;
      else process.env.IMAGESIM_CONTACT = before;
    });

    it('tells the server whom to write to; the option userAgent goes before it', async () => {
      await start((response) => response.end(whole()));
      process.env.IMAGESIM_CONTACT = ' maps@example.org ';
      await ask();
      await ask({ userAgent: 'own/1' });
      const [first, second] = server.asked.map(({ headers }) => headers['user-agent']);
      assert.equal(first, 'imagesim/0.1 (OpenStreetMap labels for satellite imagery; maps@example.org)');
      assert.equal(second, 'own/1');
    });

    it('refuses, before any request, what no header can carry', async () => {
      await start((response) => response.end(whole()));
      process.env.IMAGESIM_CONTACT = 'two\nlines';
      await assert.rejects(ask(), /no User-Agent: .*; set IMAGESIM_CONTACT to a mail or web address/s);
      assert.equal(server.asked.length, 0);
    });
  });

  it('refuses an endpoint that is no web address', async () => {
    await start((response) => response.end(whole()));
    for (const endpoint of ['overpass', 'ftp://example.org/api/interpreter']) {
      await assert.rejects(fetchOverpass(endpoint, 'query'), /no address of an Overpass server: .*IMAGESIM_OVERPASS/);
    }
  });

  it('waits for an answer longer than the server’s own limit and 15 s', async () => {
    await start((response) => response.end(whole()));
    const limits: number[] = [];
    const spy = mock.method(AbortSignal, 'timeout', (milliseconds: number) => {
      limits.push(milliseconds);
      return new AbortController().signal;
    });
    await fetchOverpass(server.endpoint, 'query').finally(() => spy.mock.restore());
    const [, seconds] = /\[timeout:(\d+)\]/.exec(overpassQuery([0, 0, 1, 1]))!;
    assert.ok(limits.length === 1 && limits[0] > (Number(seconds) + 15) * 1000, limits.join());
  });

  const passing: Record<string, Behaviour> = {
    'an HTML page with status 200': (response) => response.end(page),
    'truncated JSON': (response) => response.end(whole([node(1)]).slice(0, 90)),
    'truncated gzip': (response) =>
      response.writeHead(200, { 'Content-Encoding': 'gzip' }).end(gzipSync(whole([node(1), node(2)])).subarray(0, 60)),
    'a connection dropped before the headers': (response) => response.destroy(),
    'a connection dropped in the middle': (response) => {
      response
        .writeHead(200, { 'Content-Length': '5000' })
        .write(whole([node(1)]).slice(0, 50), () => response.destroy());
    },
    'status 504': (response) => response.writeHead(504).end(page),
    'status 429': (response) => response.writeHead(429).end('rate_limited'),
    'an empty body': (response) => response.end(),
    'a remark that the dispatcher is too busy': (response) =>
      response.end(
        whole([], '', 'runtime error: open64: 0 Success Dispatcher_Client::request_read_and_idx::timeout. Too busy.'),
      ),
  };
  for (const [name, bad] of Object.entries(passing)) {
    it(`asks again after ${name}, and says why and until when it waits`, async () => {
      await start(once(bad));
      const waits: Wait[] = [];
      const answer = await ask({ onWait: (wait) => waits.push(wait) });
      assert.equal(answer.elements.length, 1);
      assert.equal(server.asked.length, 2);
      assert.equal(waits.length, 1);
      assert.ok(waits[0].reason.includes(server.endpoint) && waits[0].until instanceof Date && waits[0].waitMs > 0);
    });
  }

  it('gives up after the retries, with the last failure', async () => {
    await start((response) => response.writeHead(504).end(page));
    await failure('load', /answered 504 \("Error : runtime error: duplicate_query"\): it is overloaded/, {
      retries: 2,
    });
    assert.equal(server.asked.length, 3);
  });

  it('does not ask again after 400, and quotes the server', async () => {
    await start((response) =>
      response.writeHead(400).end('<p><strong>Error</strong>: line 1: parse error: Unknown type "nod"</p>'),
    );
    await failure('syntax', /answered 400 \("Error : line 1: parse error: Unknown type "nod""\)/);
    assert.equal(server.asked.length, 1);
  });

  it('does not ask again after 406, and names the User-Agent as the remedy', async () => {
    await start((response) => response.writeHead(406).end());
    await failure('user-agent', /set the option userAgent/);
    assert.equal(server.asked.length, 1);
  });

  it('refuses a partial answer with a runtime error, without asking again', async () => {
    await start((response) =>
      response.end(
        whole(
          [node(1)],
          '2024-01-01T00:00:00Z',
          'runtime error: Query timed out in "query" at line 1 after 180 seconds.',
        ),
      ),
    );
    await failure('remark', /broke off \(runtime error: Query timed out/);
    assert.equal(server.asked.length, 1);
  });

  for (const [remark, kind] of [
    ['error: out of disk', 'load'],
    ['runtime remark: Timed out', 'remark'],
    ['Query ran out of memory', 'remark'],
  ] as const) {
    it(`takes no answer that remarks "${remark}"`, async () => {
      await start((response) => response.end(whole([node(1)], '2024-01-01T00:00:00Z', remark)));
      await failure(kind, /broke off/, { retries: 0 });
    });
  }

  it('keeps an answer whose remark is no error', async () => {
    await start((response) => response.end(whole([node(1)], '2024-01-01T00:00:00Z', 'thank you')));
    assert.equal((await ask()).elements.length, 1);
  });

  it('refuses JSON that is no answer, and names the field', async () => {
    await start((response) =>
      response.end('{"elements":[{"type":"node","id":"x"}],"osm3s":{"timestamp_osm_base":"t"}}'),
    );
    await failure('form', /elements\.0\.id/);
  });

  for (const [spelling, status] of [
    ['in so many seconds', 'Rate limit: 2\n\nSlot available after: 2021-03-15T09:30:24Z, in 1 seconds.\n'],
    [
      'by the time alone',
      'Current time: 2021-03-15T09:30:23Z\nRate limit: 2\nSlot available after: 2021-03-15T09:30:24Z\n',
    ],
  ]) {
    it(`waits after 429 until the slot that the status page names ${spelling}`, async () => {
      await start(once(passing['status 429']));
      server.status = status;
      const waits: Wait[] = [];
      await ask({ onWait: (wait) => waits.push(wait) });
      assert.equal(waits[0].waitMs, 1000);
      assert.ok(server.asked[1].at - server.asked[0].at >= 990);
    });
  }

  for (const status of ['Rate limit: 2\n1 slots available now.\n', 'Rate limit: 0\n', '<html>']) {
    it(`waits 30 s after 429 unless told otherwise, where the status page says ${JSON.stringify(status)}`, async () => {
      await start(once(passing['status 429']));
      server.status = status;
      const stop = new AbortController();
      const waits: Wait[] = [];
      const onWait = (wait: Wait): void => {
        waits.push(wait);
        stop.abort(new Error('seen'));
      };
      await assert.rejects(fetchOverpass(server.endpoint, 'query', { signal: stop.signal, onWait }), /seen/);
      assert.equal(waits[0].waitMs, 30_000);
    });
  }

  it('waits at least the set time after 429, though a slot is free', async () => {
    await start(once(passing['status 429']));
    server.status = 'Rate limit: 2\n1 slots available now.\n';
    const waits: Wait[] = [];
    await ask({ minRateWaitMs: 40, onWait: (wait) => waits.push(wait) });
    assert.equal(waits[0].waitMs, 40);
  });

  it('waits twice as long every time under load, with the same jitter for the same seed', async () => {
    await start((response) => response.writeHead(504).end());
    const run = async (seed: string): Promise<number[]> => {
      const waits: number[] = [];
      await assert.rejects(ask({ seed, onWait: ({ waitMs }) => waits.push(waitMs) }));
      return waits;
    };
    const [first, again, other] = [await run('a'), await run('a'), await run('b')];
    assert.deepEqual(first, again);
    assert.notDeepEqual(first, other);
    first.forEach((wait, k) => assert.ok(wait >= (5 * 2 ** k) / 2 && wait <= 5 * 2 ** k, first.join()));
  });

  for (const status of [301, 302, 307, 308]) {
    it(`follows a redirect of status ${status} with the question kept`, async () => {
      await start((response, index) =>
        index === 0 ? response.writeHead(status, { Location: '/elsewhere' }).end() : response.end(whole()),
      );
      assert.deepEqual((await ask()).elements, []);
      assert.equal(server.asked[1].query, 'query');
    });
  }

  it('does not follow redirects in a circle for ever', async () => {
    await start((response) => response.writeHead(302, { Location: '/api/interpreter' }).end());
    await failure('refused', /moved the question 6 times/);
  });

  it('does not follow a redirect to what is no web address, and says where it went', async () => {
    await start((response) => response.writeHead(302, { Location: 'ftp://example.org/' }).end());
    await failure('refused', /moved the question to "ftp:\/\/example\.org\/"/);
    assert.equal(server.asked.length, 1);
  });

  it('takes an answer that drips but ends within the timeout', async () => {
    await start((response) => {
      const pieces = whole([node(1)]).match(/[^]{1,20}/g)!;
      const drip = setInterval(() => (pieces.length > 0 ? response.write(pieces.shift()) : response.end()), 5);
      response.on('close', () => clearInterval(drip));
    });
    assert.equal((await ask()).elements.length, 1);
  });

  it('bounds an answer that drips by the timeout', async () => {
    await start((response) => {
      const drip = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(drip));
    });
    await failure('timeout', /did not answer whole within 0\.15 s/, { timeoutMs: 150, retries: 0 });
  });

  it('says that a server cannot be reached, after few tries', async () => {
    await start((response) => response.end());
    await server.close();
    await failure('unreachable', /cannot reach .*ECONNREFUSED.*IMAGESIM_OVERPASS/);
  });

  it('says so after few tries too where the address is one of another protocol', async () => {
    await start((response) => response.end());
    const waits: Wait[] = [];
    const options = { retries: 6, baseWaitMs: 1, onWait: (wait: Wait) => void waits.push(wait) };
    await assert.rejects(fetchOverpass(server.endpoint.replace('http:', 'https:'), 'query', options), /cannot reach https:/); // prettier-ignore
    assert.equal(waits.length, 2);
  });

  it('refuses an address with a password in it, and does not print it', async () => {
    await start((response) => response.end(whole()));
    const address = server.endpoint.replace('//', '//me:secret@');
    await assert.rejects(fetchOverpass(address, 'query'), (error: Error) => /has a password in it/.test(error.message) && !error.message.includes('secret')); // prettier-ignore
    assert.equal(server.asked.length, 0);
  });

  it('stops at once when told to, though it waits', async () => {
    await start((response) => response.writeHead(504).end());
    const stop = new AbortController();
    const asking = ask({ baseWaitMs: 60_000, signal: stop.signal, onWait: () => stop.abort(new Error('enough')) });
    await assert.rejects(asking, /enough/);
  });

  it('asks one question at a time, though two processes ask, and says what it waits for', async () => {
    const open: string[] = [];
    let most = 0;
    await start((response, _index, { headers }) => {
      most = Math.max(most, open.push(headers['user-agent']!));
      setTimeout(() => {
        open.pop();
        response.end(whole());
      }, 20);
    });
    const script = `import { fetchOverpass } from 'imagesim/osm';
      for (let k = 0; k < 3; k++) await fetchOverpass(process.argv[1], 'query', { userAgent: 'other' });`;
    const other = spawn(process.execPath, ['--input-type=module', '-e', script, server.endpoint], { stdio: 'inherit' });
    const ended = onceEmitted(other, 'exit');
    const waits: Wait[] = [];
    while (other.exitCode === null && waits.length === 0) await ask({ onWait: (wait) => waits.push(wait) });
    await ended;
    assert.deepEqual([other.exitCode, most], [0, 1]);
    assert.match(
      waits[0].reason,
      /^another imagesim on this machine (asks|has its turn at) http.*, which wants one question/,
    );
    assert.equal(server.asked.filter(({ headers }) => headers['user-agent'] === 'other').length, 3);
  });

  it('asks all the same where no temporary folder can be made', async () => {
    await start((response) => response.end(whole([node(1)])));
    const before = process.env.TMPDIR;
    process.env.TMPDIR = '/proc/nowhere';
    const answer = await ask().finally(() => {
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
    });
    assert.equal(answer.elements.length, 1);
  });

  it('does not wait for a process that was killed while it asked', async () => {
    let kill = (): void => undefined;
    await start((response, index) => (index === 0 ? kill() : void response.end(whole())));
    const script = `import { fetchOverpass } from 'imagesim/osm'; await fetchOverpass(process.argv[1], 'query');`;
    const other = spawn(process.execPath, ['--input-type=module', '-e', script, server.endpoint], { stdio: 'inherit' });
    kill = () => void other.kill('SIGKILL');
    await onceEmitted(other, 'exit');
    assert.equal(other.signalCode, 'SIGKILL');
    await ask({ onWait: ({ reason }) => assert.fail(reason) });
  });

  it('asks one question at a time, in turn, and a failed one does not stop the next', async () => {
    let open = 0;
    let most = 0;
    await start((response, index) => {
      most = Math.max(most, ++open);
      setTimeout(() => {
        open--;
        response.writeHead(index === 1 ? 400 : 200).end(whole([node(index)]));
      }, 10);
    });
    const ended = await Promise.allSettled([ask(), ask(), ask(), ask()]);
    assert.equal(most, 1);
    assert.deepEqual(
      ended.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
    );
  });
});

describe('osm query', () => {
  it('asks for all nodes and ways in south, west, north, east, rounded outward, and for their relations, multipolygons with all lines', () => {
    assert.equal(
      overpassQuery([12.34567891, -36.12345678, 12.4, -36.00000001]),
      '[out:json][timeout:180][maxsize:536870912];\n(node(-36.1234568,12.3456789,-36.0000000,12.4000000);' +
        'way(-36.1234568,12.3456789,-36.0000000,12.4000000););out geom qt;(rel(bn)->.a;rel(bw)->.a;)->.r;' +
        'rel.r[type=multipolygon]->.m;(.r;-.m;);out body qt;.m out geom qt;',
    );
  });

  it('never rounds inward', () => {
    for (let k = 0; k < 1000; k++) {
      const at = -123.456 + k * 0.123456789;
      const [south, west, north, east] = /node\(([^)]*)\)/
        .exec(overpassQuery([at, 10 + k / 1e3, at + 0.01, 11 + k / 1e3]))![1]
        .split(',')
        .map(Number) as [number, number, number, number];
      assert.ok(west <= at && east >= at + 0.01 && south <= 10 + k / 1e3 && north >= 11 + k / 1e3);
      assert.ok(at - west < 1.01e-7 && east - at - 0.01 < 1.01e-7);
    }
  });

  it('pins a date', () =>
    assert.match(overpassQuery([0, 0, 1, 1], { date: '2020-04-01' }), /\[date:"2020-04-01T00:00:00Z"\];/));

  it('reads a time without a zone as UTC, and one with a zone in it, to the second', () => {
    for (const [date, written] of [
      ['2020-04-01T10:20', '2020-04-01T10:20:00Z'],
      ['2020-04-01T10:20:30.5Z', '2020-04-01T10:20:30Z'],
      ['2020-04-01T01:00:00+02:00', '2020-03-31T23:00:00Z'],
    ]) {
      assert.ok(overpassQuery([0, 0, 1, 1], { date }).includes(`[date:"${written}"]`), date);
    }
    for (const date of ['2023-02-30', '2023', '1 May 2023', '2023-05-17T25:00', '']) {
      assert.throws(() => overpassQuery([0, 0, 1, 1], { date }), /no such date: ".*"; expected ISO 8601/);
    }
  });

  it('refuses an empty rectangle and a date that is none', () => {
    assert.throws(() => overpassQuery([1, 0, 0, 1]), /no rectangle of degrees: 1, 0, 0, 1/);
    assert.throws(() => overpassQuery([0, 0, 1, 1], { date: 'soon' }), /no such date: "soon"/);
  });
});

describe('osm status page', () => {
  it('reads a slot in both spellings, wherever it stands', () => {
    assert.equal(
      slotWaitMs('Connected as: 1\nRate limit: 2\nSlot available after: 2021-03-15T09:30:24Z, in 968 seconds.'),
      968_000,
    );
    assert.equal(
      slotWaitMs('Current time: 2021-03-15T09:30:00Z\nRate limit: 2\nSlot available after: 2021-03-15T09:30:24Z'),
      24_000,
    );
  });
  it('takes the earliest of several slots', () => {
    assert.equal(
      slotWaitMs('Slot available after: x, in 90 seconds.\nSlot available after: y, in 20 seconds.'),
      20_000,
    );
  });
  it('waits for none when one is free, when there is no limit, and when the page says nothing', () => {
    assert.equal(slotWaitMs('Rate limit: 2\n2 slots available now.\nCurrently running queries'), 0);
    assert.equal(slotWaitMs('Rate limit: 0\nCurrently running queries'), 0);
    assert.equal(slotWaitMs('<html>'), 0);
  });
});
