/**
 * Builds the extension from its sources in a folder of its own and compares the result, byte for
 * byte, with what is committed in ../labextensions. The tree is not touched. The modules are
 * hard links to those here: through a symbolic link the bundler would name them otherwise.
 */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The bundler is an ES module that the builder loads by require(). */
const BUILDER_NEEDS = [20, 19];

const here = fileURLToPath(new URL('..', import.meta.url));
const committed = path.resolve(here, '../labextensions/px-cluster');
const scratch = path.resolve(here, '../../../build');
const SOURCES = ['package.json', 'rspack.config.cjs', 'tsconfig.json', 'src', 'style', 'schema'];

function files(folder) {
  return fs
    .readdirSync(folder, { recursive: true })
    .filter(name => fs.statSync(path.join(folder, name)).isFile())
    .sort();
}

function differences(one, other) {
  const all = new Set([...files(one), ...files(other)]);
  return [...all].filter(name => {
    const [a, b] = [path.join(one, name), path.join(other, name)];
    return !fs.existsSync(a) || !fs.existsSync(b) || !fs.readFileSync(a).equals(fs.readFileSync(b));
  });
}

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < BUILDER_NEEDS[0] || (major === BUILDER_NEEDS[0] && minor < BUILDER_NEEDS[1])) {
  console.log(
    `The built extension was not compared with its sources: the builder needs Node ` +
      `${BUILDER_NEEDS.join('.')} or later, and this is ${process.versions.node}.`
  );
  process.exit(0);
}

fs.mkdirSync(scratch, { recursive: true });
const temporary = fs.mkdtempSync(path.join(scratch, 'px-cluster-'));
try {
  const copy = path.join(temporary, 'labextension');
  for (const name of SOURCES) {
    fs.cpSync(path.join(here, name), path.join(copy, name), { recursive: true });
  }
  execFileSync('cp', ['-al', path.join(here, 'node_modules'), copy]);
  execFileSync('npm', ['run', '--silent', 'build'], {
    cwd: copy,
    stdio: ['ignore', 'ignore', 'inherit']
  });
  const built = path.join(temporary, 'labextensions', 'px-cluster');
  const different = differences(committed, built);
  if (different.length > 0) {
    console.error('The built extension is not that of the sources; these files differ:');
    different.forEach(name => console.error(`  ${name}`));
    console.error('Run "npm run rebuild" here and commit ../labextensions as a whole.');
    process.exitCode = 1;
  }
} finally {
  fs.rmSync(temporary, { recursive: true });
}
