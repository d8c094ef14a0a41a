/** Removes what a build makes, so that no file of an older build stays. */
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('..', import.meta.url));
for (const folder of ['lib', '../labextensions/px-cluster']) {
  fs.rmSync(path.resolve(here, folder), { recursive: true, force: true });
}
