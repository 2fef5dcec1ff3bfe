// Training and encoding beside PyTorch: the same network on the same images, one after the other in one run. On its own: node --import tsx bench/training.ts
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { buildNetwork, encode, train, trainingBackend } from 'imagesim/training';
import seedrandom from 'seedrandom';

/** One measurement beside its peer's. */
export interface Row {
  name: string;
  /** In `unit`; more is better. */
  ours: number;
  /** In `unit`. */
  peer: number;
  unit: string;
  peerName: string;
}

const size = 64;
const batchSize = 32;
const trainImages = 512;
const encodeImages = 2048;
const rounds = 3;
const classes = Array.from({ length: 20 }, (_, i) => `class ${i}`);

/** The network of `buildNetwork` with its default widths, in PyTorch, on as many threads as it likes. Prints two rates, images a second. */
const pytorch = `
import json, time, torch, torch.nn as nn, torch.nn.functional as F
torch.manual_seed(1)
body, before = [], 3
for width in (32, 64, 128, 256):
    body += [nn.Conv2d(before, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    before = width
body = nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 128))
head = nn.Linear(128, ${classes.length})
embed = lambda x: F.normalize(body(x / 127.5 - 1), dim=1)
adam = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=2e-3)
images = torch.randint(0, 256, (${batchSize}, 3, ${size}, ${size})).float()
labels = torch.randint(0, 2, (${batchSize}, ${classes.length})).float()
def step():
    adam.zero_grad()
    F.binary_cross_entropy_with_logits(head(8 * embed(images)), labels).backward()
    adam.step()
def rate(work, steps):
    work()
    start = time.perf_counter()
    for _ in range(steps): work()
    return steps * ${batchSize} / (time.perf_counter() - start)
train = rate(step, ${trainImages / batchSize})
body.eval()
with torch.no_grad(): encode = rate(lambda: embed(images), ${encodeImages / batchSize})
print(json.dumps({'train': train, 'encode': encode, 'name': f'PyTorch {torch.__version__}, {torch.get_num_threads()} threads'}))
`;

/** A Python that has PyTorch, or why there is none. */
async function findPython(): Promise<{ python: string } | { missing: string }> {
  const reasons: string[] = [];
  for (const python of ['/usr/bin/python3', 'python3']) {
    const reason = await promisify(execFile)(python, ['-c', 'import torch']).then(() => '', (error: Error) => error.message.trim().split('\n').at(-1)); // prettier-ignore
    if (reason === '') return { python };
    reasons.push(`${python}: ${reason}`);
  }
  return { missing: reasons.join('; ') };
}

async function measurePeer(python: string): Promise<{ train: number; encode: number; name: string }> {
  const { stdout } = await promisify(execFile)(python, ['-c', pytorch]);
  return JSON.parse(stdout) as { train: number; encode: number; name: string };
}

/** Images a second of one epoch and of one encoding. Cross-entropy alone and no augmentation, as the peer. */
async function measureOurs(): Promise<{ train: number; encode: number }> {
  const random = seedrandom.alea('bench');
  const images = Uint8Array.from({ length: encodeImages * size * size * 3 }, () => 256 * random());
  const labels = Float32Array.from({ length: trainImages * classes.length }, () => Math.round(random()));
  const network = await buildNetwork({ inputSize: size, classes });
  const set = { images: images.subarray(0, trainImages * size * size * 3), labels };
  const log = await train(network, set, { epochs: 2, batchSize, contrastiveWeight: 0, augmentation: false });
  const start = performance.now();
  await encode(network, images, { batchSize });
  const seconds = (performance.now() - start) / 1000;
  network.dispose();
  return { train: log[1].imagesPerSecond, encode: encodeImages / seconds };
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1];
}

/** Images a second at 64², in training and in encoding; medians of three rounds, ours and the peer's in turn. Without PyTorch no rows, and the reason on stderr. */
export async function rows(): Promise<Row[]> {
  const found = await findPython();
  if ('missing' in found) {
    console.error(
      `bench/training: skipped, no PyTorch to stand beside (apt-get install python3-torch): ${found.missing}`,
    );
    return [];
  }
  const { name } = await trainingBackend();
  const ours: { train: number; encode: number }[] = [];
  const peers: { train: number; encode: number; name: string }[] = [];
  for (let round = 0; round < rounds; round++) {
    ours.push(await measureOurs());
    peers.push(await measurePeer(found.python));
  }
  return (['train', 'encode'] as const).map((what) => ({
    name: `${what} at ${size}² on ${name}`,
    ours: median(ours.map((round) => round[what])),
    peer: median(peers.map((round) => round[what])),
    unit: 'images/s',
    peerName: peers[0].name,
  }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.table(await rows());
