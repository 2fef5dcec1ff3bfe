import type { Command } from 'commander';
import { writeWhole } from '../ard/index.ts';
import { dataPath } from '../infra/index.ts';
import { print, printTable, steps } from './output.ts';
import { between } from './values.ts';

/** Adds the verb that writes the report card of a model. */
export function reportVerbs(program: Command): void {
  program
    .command('report')
    .description('score a model on the test ground of a dataset version, and write its report card as one HTML page')
    .requiredOption('--model <model>', 'name, name@version of which the first digits do, or folder of a model')
    .option('--dataset <dataset>', 'name or name@version; default: the one that the model was trained on')
    .option('--to <file>', 'where the page goes; default: embeddings/reports/<model>-<version>/<dataset>-<version>.html')
    .option('--backbone <file>', 'the network that the model stands on, as it was before; default: where the model’s card says')
    .option('--pixels <scale>', 'what the backbone wants of pixels: imagenet, or scale,offset; default: -1 to 1')
    .option('--at-most <n>', 'chips that are scored', between(10, 100_000), 2000)
    .option('--seed <n>', 'another draw', between(-1e9, 1e9), 1)
    .action(async ({ to, pixels, ...options }: ReportFlags) => {
      const { makeReport, reportPath } = await import('../similarity/index.ts');
      const { pixelScale } = await import('../training/index.ts');
      const { reportPage } = await import('../show/index.ts');
      const report = await makeReport(dataPath(), { ...options, pixels: pixels === undefined ? undefined : pixelScale(pixels), ...steps() });
      const { embeddings, notes } = report.card;
      printTable(embeddings.map(({ name, mAP, sharedTagMAP, precisionAtTen, recall, balancedAccuracy }) => ({
        embedding: name, mAP: textOf(mAP), 'by shared tags': textOf(sharedTagMAP), 'precision@10': textOf(precisionAtTen), [`recall@${report.card.recallK}`]: textOf(recall), 'balanced accuracy': textOf(balancedAccuracy),
      })));
      [...notes, ...report.absent].forEach((line) => console.error(line));
      const path = to ?? reportPath(dataPath(), report);
      await writeWhole(path, reportPage(report));
      print(path);
    }); // prettier-ignore
}

function textOf({ value, low, high }: { value: number; low: number; high: number }): string | undefined {
  if (Number.isNaN(value)) return undefined;
  return Number.isNaN(low) ? value.toFixed(3) : `${value.toFixed(3)} (${low.toFixed(3)}–${high.toFixed(3)})`;
}

interface ReportFlags {
  model: string;
  dataset?: string;
  to?: string;
  backbone?: string;
  pixels?: string;
  atMost: number;
  seed: number;
}
