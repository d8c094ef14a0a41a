/**
 * What every script here needs: Chromium with JupyterLab in it, the Cluster tab, and patience.
 * A script is called with one JSON argument (see lab.py) and prints what it has seen as JSON.
 */
import { execFileSync } from 'node:child_process';
import { chromium } from 'playwright-core';

export const options = JSON.parse(process.argv[2]);

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync'
];

/** Run a script's body with a page of JupyterLab; whatever happens, the browser is closed. */
export async function withLab(body, { path = 'lab', ...context } = {}) {
  const browser = await chromium.launchPersistentContext(options.profile, {
    executablePath: options.chromium,
    headless: true,
    args: FLAGS,
    viewport: { width: 1280, height: 860 },
    ...context
  });
  const stop = () => void browser.close().finally(() => process.exit(1));
  process.once('SIGTERM', stop);
  try {
    const page = browser.pages()[0] ?? (await browser.newPage());
    page.setDefaultTimeout(30000);
    const complaints = [];
    page.on('pageerror', error => complaints.push(String(error)));
    await page.goto(`${options.url}${path}?token=${options.token}`);
    await page.locator('#jupyterlab-splash').waitFor({ state: 'detached', timeout: 60000 });
    // What JupyterLab opens last takes the focus; only then is it the test's.
    await page.locator('.jp-LauncherCard, .jp-Notebook').first().waitFor({ timeout: 60000 });
    await page.evaluate(() => window.jupyterapp.restored.then(() => true));
    let seen;
    try {
      seen = await body(page, browser);
    } catch (error) {
      await picture(page, 'failure');
      throw error;
    }
    if (complaints.length > 0) {
      throw new Error(`the page complained: ${complaints.join('; ')}`);
    }
    process.stdout.write(JSON.stringify(seen ?? {}));
  } finally {
    process.off('SIGTERM', stop);
    await browser.close();
  }
}

/** The Cluster tab, opened as a person opens it. */
export async function openClusterTab(page) {
  const panel = page.getByRole('region', { name: 'Cluster', exact: true });
  if (!(await panel.isVisible())) {
    await page.getByRole('tab', { name: 'Cluster', exact: true }).click();
  }
  await panel.waitFor();
  return panel;
}

/** Start n engines by the form; returns when the row says that all of them run. */
export async function startEngines(panel, n) {
  await panel.getByRole('spinbutton', { name: 'Number of engines', exact: true }).fill(String(n));
  await panel.getByRole('button', { name: `Start ${n} engine` }).click();
  await waitForState(panel, 'default', `running ${n}/${n}`);
}

/** The row of a cluster. */
export function row(panel, name) {
  return panel.locator(`li[data-cluster="${name}"]`);
}

export async function waitForState(panel, name, words) {
  await row(panel, name).locator('.px-Cluster-state', { hasText: words }).waitFor();
}

/** What `pxcluster ... --json` says. */
export function pxcluster(...args) {
  return JSON.parse(execFileSync('pxcluster', [...args, '--json'], { encoding: 'utf8' }));
}

/** A screenshot, for who asked for one (PX_PICTURES=folder). */
export async function picture(page, name) {
  if (options.pictures) {
    await page.screenshot({ path: `${options.pictures}/${name}.png` });
  }
}
