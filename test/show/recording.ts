import type { Kernel } from 'imagesim/show';

/** A kernel that keeps what it is given: one entry an output, overwritten ones at their last state. */
export function recordingKernel(): { kernel: Kernel; outputs: string[]; calls: () => number } {
  const outputs: string[] = [];
  let calls = 0;
  const screen = (keep: (text: string) => void): Kernel['display'] => {
    const write = (text: string): void => {
      calls++;
      keep(text);
    };
    return { html: write, markdown: write };
  };
  const newDisplay = (): Kernel['display'] => {
    let place = -1;
    return screen((text) => {
      if (place < 0) place = outputs.push(text) - 1;
      else outputs[place] = text;
    });
  };
  return { kernel: { display: screen((text) => outputs.push(text)), newDisplay }, outputs, calls: () => calls };
}

/** What a reader sees of an output, its marks apart. */
export function words(html: string): string {
  return html
    .replace(/<(style|script)>[\s\S]*?<\/\1>/g, '')
    .replace(/<[^>]+>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
}
