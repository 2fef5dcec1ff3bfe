// A thread of exact.ts: its share of a scan over shared memory.
import { type ScanTask, dots } from './scan.ts';

export default function scan(task: ScanTask): void {
  dots(task);
}
