/** Removes what a build makes, so that no file of an older build stays. */
import fs from 'node:fs';
import path from 'node:path';

const here = path.resolve(import.meta.dirname, '..');
for (const folder of ['lib', '../labextensions/px-cluster']) {
  fs.rmSync(path.resolve(here, folder), { recursive: true, force: true });
}
