// Loaded before tslab, which watches every file that it has looked at or for, 350 with imagesim imported. Its converter holds one
// timer where TypeScript has two: where packages or a built library change while a notebook is open, it throws "Unexpected pending
// rebuildTimer", and the kernel runs no further cell. What a kernel has imported stays as it is until it is started again, so that
// only sources that someone may edit beside a notebook are watched.
const { createRequire } = require('node:module');

const { sys } = createRequire(require.resolve('tslab'))('@tslab/typescript-for-tslab');
const { watchFile } = sys;
const unwatched = { close: () => undefined };
const isOwnSource = (path) => /\.[jt]sx?$/.test(path) && !path.endsWith('.d.ts') && !path.includes('/node_modules/');

sys.watchFile = (path, ...rest) => (isOwnSource(path) ? watchFile(path, ...rest) : unwatched);
sys.watchDirectory = () => unwatched;
