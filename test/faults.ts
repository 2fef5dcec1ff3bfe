// What is wrong with a command, as its verb says it in this process: a process of its own takes two seconds to load what it does not come to use.
import { createRequire } from 'node:module';
import type { changeVerbs } from '../kernel-lib/dist/cli/change.js';

type Program = Parameters<typeof changeVerbs>[0];
const ofLibrary = createRequire(new URL('../kernel-lib/cli.ts', import.meta.url)); // another package may have another version of it
const { Command } = ofLibrary('commander') as { Command: new (name: string) => Program };

/** What a verb is refused with; `undefined` where it runs. @param add as `kernel-lib/cli` has it for each stage @param data the data folder */
export async function faultOf(
  add: (program: Program) => void,
  data: string,
  args: string[],
): Promise<string | undefined> {
  const program = new Command('imagesim').exitOverride().configureOutput({ writeErr: () => undefined });
  add(program);
  for (const command of program.commands) command.exitOverride().configureOutput({ writeErr: () => undefined });
  const { IMAGESIM_DATA } = process.env;
  process.env.IMAGESIM_DATA = data;
  try {
    await program.parseAsync(args, { from: 'user' });
    return undefined;
  } catch (error) {
    return (error as Error).message;
  } finally {
    if (IMAGESIM_DATA === undefined) delete process.env.IMAGESIM_DATA;
    else process.env.IMAGESIM_DATA = IMAGESIM_DATA;
  }
}
