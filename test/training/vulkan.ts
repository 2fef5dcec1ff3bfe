// Vulkan on the processor, for tests of WebGPU where no GPU is: SwiftShader as Chromium brings it, else Mesa's llvmpipe.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const browsers = ['/usr/lib/chromium', '/usr/lib/chromium-browser', '/opt/google/chrome'];
const drivers = '/usr/share/vulkan/icd.d';

/** What a process needs in its environment to find one, or why none is found. */
export type Vulkan = { env: Record<string, string> } | { missing: string };

/** Both names of the variable: the first is the older loaders'. */
function withDriver(path: string): Record<string, string> {
  return { VK_ICD_FILENAMES: path, VK_DRIVER_FILES: path };
}

/** Looks for a driver, and for the loader that leads to it. */
export function vulkanOnProcessor(): Vulkan {
  const browser = browsers.find((folder) => existsSync(join(folder, 'libvk_swiftshader.so')));
  const hasLoader = process.platform === 'linux' && execFileSync('/sbin/ldconfig', ['-p']).includes('libvulkan.so.1');
  if (browser && (hasLoader || existsSync(join(browser, 'libvulkan.so.1')))) {
    const folders = [browser, ...(process.env.LD_LIBRARY_PATH?.split(':') ?? [])].join(':');
    return { env: { ...withDriver(join(browser, 'vk_swiftshader_icd.json')), LD_LIBRARY_PATH: folders } };
  }
  const mesa = existsSync(drivers) ? readdirSync(drivers).find((name) => name.startsWith('lvp_icd')) : undefined;
  if (mesa && hasLoader) return { env: withDriver(join(drivers, mesa)) };
  return { missing: 'no Vulkan on the processor: apt-get install chromium, or mesa-vulkan-drivers and libvulkan1' };
}
